"""JupyterLab as `make lab` starts it, in a copy of the repository, and Debian's chromium to look at it. Fixtures:

lab          the server of this session: `lab.url(path)`, `lab.root` (the copied repository), `lab.shutdown()` (every kernel)
browser      chromium, with a profile of its own
page         an empty page
open_lesson  `page = open_lesson('01_boltzmann')`: the lesson in JupyterLab, kernel idle; page and kernel are gone after the test
timings      a list to append rows to: dict(lesson, control, ms), one per key press; medians are printed, and stored by `make test-browser STORE=1`

What a reader does in a page (run all, move a slider, look) is in reader.py: `from reader import run_all, sliders, shot`.
"""
import json, os, re, shutil, signal, socket, statistics, subprocess, sys, time, urllib.request
from pathlib import Path
import pytest
from reader import shot

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get('CHROMIUM') or next(filter(None, map(shutil.which, ('chromium', 'google-chrome', 'chromium-browser'))), None)
FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
TRACKER = '@jupyterlab/notebook-extension/tracker'
TOKEN = 'browser-test'

def pytest_addoption(parser):
    parser.addoption('--store', action='store_true', help='write the interaction times to data/results/interaction.json')

class Lab:
    "A running JupyterLab."
    def __init__(self, root, home, port): self.root, self.home, self.port, self.log = root, home, port, home/'lab.log'
    def url(self, path='', workspace=None, query=''):
        "Address of a file below nbs/; a `workspace` name gives an empty desk."
        desk = f'/workspaces/{workspace}' if workspace else ''
        return f'http://127.0.0.1:{self.port}/lab{desk}/tree/{path}?token={TOKEN}{query}'
    def api(self, path, method='GET'):
        req = urllib.request.Request(f'http://127.0.0.1:{self.port}/api/{path}', method=method, headers={'Authorization': f'token {TOKEN}'})
        with urllib.request.urlopen(req, timeout=120) as r: body = r.read()
        return json.loads(body) if body else None
    def setting(self, plugin, **values):
        "A setting of JupyterLab, as its settings editor stores it; for pages opened from now on. Without values: its default."
        p = self.home/'.jupyter/lab/user-settings'/f'{plugin}.jupyterlab-settings'
        p.parent.mkdir(parents=True, exist_ok=True); p.write_text(json.dumps(values))
    def shutdown(self):
        "End every kernel."
        for s in self.api('sessions'): self.api(f'sessions/{s["id"]}', 'DELETE')

def copy_repository(to):
    "What a reader has: lessons, library, data. Times are kept, so that make sees nothing to do."
    skip = shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints', '*.part')
    for d in ('nbs', 'vggsr_nb', 'data'): shutil.copytree(ROOT/d, to/d, ignore=skip)
    for f in ('settings.ini', 'setup.py', 'pyproject.toml', 'constraints.txt', 'README.md', 'Makefile'): shutil.copy2(ROOT/f, to/f)
    (to/'.venv').symlink_to(Path(sys.prefix))

def stranger(home):
    "A home folder whose own `python3` kernel does not work: the lessons must not pick it."
    spec = home/'.local/share/jupyter/kernels/python3/kernel.json'
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps(dict(argv=['/bin/false', '{connection_file}'], display_name='Python 3 of somebody else', language='python')))
    return home

@pytest.fixture(scope='session')
def lab(tmp_path_factory):
    signal.signal(signal.SIGTERM, signal.default_int_handler)         # whoever stops the tests stops the server, too
    root, home = tmp_path_factory.mktemp('repository'), stranger(tmp_path_factory.mktemp('home'))
    copy_repository(root)
    with socket.socket() as s: s.bind(('127.0.0.1', 0)); port = s.getsockname()[1]
    cache = os.environ.get('XDG_CACHE_HOME') or str(Path.home()/'.cache')
    env = {k: v for k, v in os.environ.items() if not k.startswith(('JUPYTER', 'IN_TEST', 'VGGSR_STILL', 'PYTEST'))}
    env |= dict(HOME=str(home), XDG_CACHE_HOME=cache, VGGSR_CACHE=os.environ.get('VGGSR_CACHE') or f'{cache}/vggsr_nb', PYTHONPATH=str(root), JUPYTER_TOKEN=TOKEN)
    out = Lab(root, home, port)
    log = open(out.log, 'w')
    server = subprocess.Popen(['make', '-o', '.venv/.ready', 'lab', f'LAB=--no-browser --ServerApp.ip=127.0.0.1 --ServerApp.port={port} --ServerApp.port_retries=0'],
                              cwd=root, env=env, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        for _ in range(240):
            if server.poll() is not None: pytest.fail(f'JupyterLab did not start:\n{out.log.read_text()[-2000:]}')
            try: out.api('status'); break
            except OSError: time.sleep(.5)
        else: pytest.fail(f'JupyterLab did not answer within two minutes:\n{out.log.read_text()[-2000:]}')
        yield out
        out.shutdown()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try: server.wait(20)
        except subprocess.TimeoutExpired: os.killpg(server.pid, signal.SIGKILL)
        log.close()

@pytest.fixture(scope='session')
def browser(tmp_path_factory):
    from playwright.sync_api import sync_playwright
    if not CHROMIUM: pytest.fail('no chromium here; `make test-browser` installs it where it can, else set CHROMIUM=/path/to/chromium')
    with sync_playwright() as p:
        context = p.chromium.launch_persistent_context(tmp_path_factory.mktemp('profile'), executable_path=CHROMIUM, headless=True, args=FLAGS,
                                                       viewport=dict(width=1300, height=1000))
        context.set_default_timeout(180_000)        # a busy machine is no failure
        yield context
        context.close()

@pytest.fixture
def page(browser, request):
    p = browser.new_page()
    yield p
    if getattr(request.node, 'failed', False): shot(p, f'failed-{request.node.name}')
    p.close()

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed: item.failed = True

@pytest.fixture
def open_lesson(lab, page):
    lab.setting(TRACKER, windowingMode='none')                # every cell is in the page, also what is scrolled away
    def _open(name):
        page.goto(lab.url(f'{name}.ipynb', workspace=re.sub(r'\W', '-', name), query='&reset'))
        page.wait_for_selector('.jp-NotebookPanel .jp-Cell')
        page.wait_for_function("/Python 3.*Idle/.test(document.querySelector('#jp-main-statusbar').textContent)")
        return page
    yield _open
    lab.setting(TRACKER)
    lab.shutdown()

@pytest.fixture(scope='session')
def timings(request):
    request.config.timings = rows = []
    return rows

def pytest_terminal_summary(terminalreporter, config):
    "Medians, and with --store the file."
    if not (rows := getattr(config, 'timings', [])): return
    median = lambda rs: round(statistics.median(r['ms'] for r in rs))
    by = lambda rs, k: {v: [r for r in rs if r[k] == v] for v in dict.fromkeys(r[k] for r in rs)}
    values = dict(median_ms=median(rows), lessons={l: dict(median_ms=median(rs), controls={c: median(r) for c, r in by(rs, 'control').items()}) for l, rs in by(rows, 'lesson').items()})
    terminalreporter.section('milliseconds from key press to new figure, medians')
    for l, v in values['lessons'].items(): terminalreporter.write_line(f'{l:20} {v["median_ms"]:5}   '+', '.join(f'{k} {ms}' for k, ms in v['controls'].items()))
    terminalreporter.write_line(f'{"all":20} {values["median_ms"]:5}')
    if config.getoption('--store'):
        from vggsr_nb.core import save_result
        save_result('interaction', values, dict(unit='ms', statistic='median over presses', clock='in the page, from keydown to the frame after the new figure is decoded'),
                    command='make test-browser STORE=1', load_average=[round(v, 1) for v in os.getloadavg()], processors=os.cpu_count())
