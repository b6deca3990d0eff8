"Every lesson as a reader meets it: open, run all, no error; every control has a label, moves by keyboard, and changes figure and readout."
import json
from pathlib import Path
import pytest
from conftest import ROOT
from reader import *

LESSONS = sorted(p.stem for p in ROOT.glob('nbs/[0-9]*.ipynb'))

@pytest.mark.parametrize('name', LESSONS)
def test_lesson(name, open_lesson, timings):
    tic = time.time()
    page = open_lesson(name)
    t1 = time.time()
    run_all(page)
    t2 = time.time()
    errors = outputs_with_errors(page)
    cs = controls(page)
    print(name, 'open', t1-tic, 'run', t2-t1, 'errors', errors)
    for c in cs:
        page.evaluate('i => window.controls[i].box.scrollIntoView()', c['i'])
        if not c['figure']: print('   ', c, state(page, c)['value']); continue
        before = state(page, c)
        rows = []
        keys = {'slider': ['ArrowRight', 'ArrowLeft', 'ArrowLeft', 'ArrowRight'], 'dropdown': ['ArrowDown', 'ArrowUp', 'ArrowUp', 'ArrowDown'], 'checkbox': ['Space', 'Space']}[c['kind']]
        for k in keys:
            ms = press(page, c, k)
            after = state(page, c)
            rows.append((k, ms and round(ms), *(after[k] != before[k] for k in ('value', 'figure', 'readout'))))
            before = after
        print('   ', c['name'], c['kind'], c['label'], rows, after['value'], after['readout'])
        page.evaluate('i => window.controls[i].box.scrollIntoView()', c['i'])
    for b in sorted({c['box'] for c in cs if c['figure']}):
        c = next(c for c in cs if c['box'] == b)
        page.evaluate('i => window.controls[i].box.scrollIntoView()', c['i']); page.wait_for_timeout(200)
        shot(page, f'{name}-{b}')
