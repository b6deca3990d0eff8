"""JupyterLab as `make lab` starts it, in a copy of the repository, and Debian's chromium to look at it. Fixtures:

lab          the server of this session: `lab.url(path)`, `lab.root` (the copied repository), `lab.shutdown()` (every kernel)
browser      chromium, with a profile of its own
page         an empty page
open_lesson  `page = open_lesson('01_boltzmann')`: the lesson in JupyterLab, kernel idle; page and kernel are gone after the test
timings      a list to append rows to: dict(lesson, control, kind, ms); written by `pytest tests/browser --store`

What a reader does in a page (run all, move a slider, look) is in reader.py: `from reader import run_all, sliders, shot`.
"""
import json, os, re, shutil, signal, socket, statistics, subprocess, sys, time, urllib.request
from pathlib import Path
import pytest
from reader import shot

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get('CHROMIUM') or next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
TOKEN = 'browser-test'

def pytest_addoption(parser):
    parser.addoption('--store', action='store_true', help='write the interaction times to data/results/interaction.json')

class Lab:
    "A running JupyterLab."
    def __init__(self, root, port): self.root, self.port = root, port
    def url(self, path='', workspace=None, query=''):
        "Address of a file below nbs/; a `workspace` name gives an empty desk."
        desk = f'/workspaces/{workspace}' if workspace else ''
        return f'http://127.0.0.1:{self.port}/lab{desk}/tree/{path}?token={TOKEN}{query}'
    def api(self, path, method='GET'):
        req = urllib.request.Request(f'http://127.0.0.1:{self.port}/api/{path}', method=method, headers={'Authorization': f'token {TOKEN}'})
        with urllib.request.urlopen(req, timeout=30) as r: body = r.read()
        return json.loads(body) if body else None
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

def set_setting(home, plugin, **values):
    "A setting of JupyterLab, as its settings editor stores it."
    p = home/'.jupyter/lab/user-settings'/f'{plugin}.jupyterlab-settings'
    p.parent.mkdir(parents=True, exist_ok=True); p.write_text(json.dumps(values))

@pytest.fixture(scope='session')
def lab(tmp_path_factory):
    root, home = tmp_path_factory.mktemp('repository'), stranger(tmp_path_factory.mktemp('home'))
    copy_repository(root)
    set_setting(home, '@jupyterlab/notebook-extension/tracker', windowingMode='none')     # every cell is in the page, also what is scrolled away
    with socket.socket() as s: s.bind(('127.0.0.1', 0)); port = s.getsockname()[1]
    cache = os.environ.get('XDG_CACHE_HOME') or str(Path.home()/'.cache')
    env = {k: v for k, v in os.environ.items() if not k.startswith(('JUPYTER', 'IN_TEST', 'VGGSR_STILL', 'PYTEST'))}
    env |= dict(HOME=str(home), XDG_CACHE_HOME=cache, VGGSR_CACHE=os.environ.get('VGGSR_CACHE') or f'{cache}/vggsr_nb', PYTHONPATH=str(root), JUPYTER_TOKEN=TOKEN)
    log = open(home/'lab.log', 'w+')
    server = subprocess.Popen(['make', '-o', '.venv/.ready', 'lab', f'LAB=--no-browser --ServerApp.ip=127.0.0.1 --ServerApp.port={port} --ServerApp.port_retries=0'],
                              cwd=root, env=env, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
    out = Lab(root, port)
    out.log = home/'lab.log'
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
        context.set_default_timeout(60_000)
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
    def _open(name):
        page.goto(lab.url(f'{name}.ipynb', workspace=re.sub(r'\W', '-', name), query='&reset'))
        page.wait_for_selector('.jp-NotebookPanel .jp-Cell')
        page.wait_for_selector('.jp-NotebookPanel .jp-Notebook-ExecutionIndicator[data-status=idle]', timeout=120_000)
        return page
    yield _open
    lab.shutdown()

@pytest.fixture(scope='session')
def timings(request):
    rows = []
    yield rows
    if not rows: return
    lessons = {l: [r for r in rows if r['lesson'] == l] for l in dict.fromkeys(r['lesson'] for r in rows)}
    median = lambda rs: round(statistics.median(r['ms'] for r in rs))
    values = dict(median_ms=median(rows), lessons={l: dict(median_ms=median(rs), slowest_ms=round(max(r['ms'] for r in rs)),
                  controls={r['control']: round(r['ms']) for r in rs}) for l, rs in lessons.items()})
    print('\nmilliseconds from key press to new figure:', {l: v['median_ms'] for l, v in values['lessons'].items()}, 'all:', values['median_ms'])
    if request.config.getoption('--store'):
        from vggsr_nb.core import save_result
        load = os.getloadavg()[0]
        save_result('interaction', values, dict(measure='median of presses of an arrow key or space, from the key press to the decoded new figure'),
                    command='make test-browser STORE=--store', load_before=round(load, 1))
