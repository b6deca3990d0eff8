"`make lab` opens on the index, with the kernel of .venv and nothing in the way, and the index's links lead to the lessons."
import re, sys, time
from pathlib import Path
from conftest import ROOT, TOKEN
from reader import outputs_with_errors, run_all, shot

def interpreter(kernel):
    "Which python runs a kernel, by its id."
    commands = (p.read_bytes().decode().split('\0') for p in Path('/proc').glob('[0-9]*/cmdline') if p.exists())
    return next(c[0] for c in commands if any(kernel in a for a in c))

def test_index(lab, page):
    def nothing_in_the_way(): assert page.locator('.jp-Dialog, .Toastify__toast').all_text_contents() == []
    def opened(lesson):
        "Its tab is in front, its kernel has started."
        page.wait_for_function("l => document.querySelector('#jp-main-dock-panel .lm-TabBar-tab.lm-mod-current')?.textContent.includes(l)", arg=lesson)
        end = time.time()+180
        while not any(s['path'] == lesson and s['kernel']['execution_state'] == 'idle' for s in lab.api('sessions')):
            assert time.time() < end, f'{lesson} has no kernel'
            page.wait_for_timeout(100)
        nothing_in_the_way()
    where, query = re.search(r'http://127\.0\.0\.1:\d+(/lab\S*)\?(\S+)', lab.log.read_text()).groups()       # what make lab prints and opens
    assert where == '/lab/tree/index.ipynb'
    page.goto(f'http://127.0.0.1:{lab.port}{where}?token={TOKEN}')
    page.get_by_role('heading', name='Where do I start?').wait_for(timeout=180_000)
    opened('index.ipynb')
    run_all(page)
    assert outputs_with_errors(page) == []
    shot(page, 'index')
    lessons = sorted(p.name for p in ROOT.glob('nbs/[0-9]*.ipynb'))
    links = page.locator('.jp-RenderedMarkdown table').first.locator('a')          # the table of lessons; that of the paper's choices follows
    assert sorted(links.evaluate_all("as => as.map(a => a.textContent+'.ipynb')")) == lessons
    for lesson in lessons:
        page.locator('#jp-main-dock-panel .lm-TabBar-tab', has_text='index.ipynb').click()
        links.get_by_text(lesson.removesuffix('.ipynb'), exact=True).click()
        opened(lesson)
    sessions = lab.api('sessions')
    assert sorted(s['path'] for s in sessions) == sorted([*lessons, 'index.ipynb'])
    assert {interpreter(s['kernel']['id']) for s in sessions} == {sys.executable}
    shot(page, 'index-all-open')
    lab.shutdown()
