"Every lesson as a reader meets it: open, run all, no error; every control has a name, moves by keyboard, and changes figure and readout."
import pytest
from conftest import ROOT
from reader import controls, outputs_with_errors, press, run_all, run_cell, shot, show, state

LESSONS = sorted(p.stem for p in ROOT.glob('nbs/[0-9]*.ipynb'))
ROLE = dict(slider='slider', dropdown='combobox', checkbox='checkbox', radio='radiogroup')

# Controls that leave the readout or the figure alone, and why that is the lesson's point.
SILENT = {}

def key(page, c, n):
    "The n-th key to try: a step there and back, a long way, both ends."
    s = state(page, c)
    if c['kind'] == 'checkbox': return 'Space'
    back, on = ('ArrowLeft', 'ArrowRight') if c['kind'] == 'slider' else ('ArrowUp', 'ArrowDown')
    if c['kind'] == 'dropdown': return on if not s['high'] and n < 12 else back
    k = [on, back, 'PageUp', 'Home', 'PageUp', 'End', 'PageDown'][n % 7]
    if s['high'] and k in (on, 'PageUp', 'End'): return back
    return on if s['low'] and k in (back, 'PageDown', 'Home') else k

def move(page, c, times, most=7):
    "Press keys until value, figure and readout were all seen to change, at most `most` times; returns what was seen."
    seen, s = set(), state(page, c)
    for n in range(most):
        ms = press(page, c, k := key(page, c, n))
        assert ms is not None, f'{c["alt"]}: {k} on {c["label"]} at {s["value"]} draws nothing'
        times.append(ms)
        new = state(page, c)
        assert not new['readout'].startswith('These settings do not work'), f'{c["alt"]}, {c["label"]} = {new["value"]}: {new["readout"]}'
        seen |= {k for k in ('value', 'figure', 'readout') if new[k] != s[k]}
        s = new
        if n and len(seen) == 3: break
    return seen

def move_elsewhere(page, c, others, times):
    "Again under every choice of the experiment's dropdowns and boxes: a control may belong to one of them."
    seen = set()
    for o in others:
        for n in range(12):
            if o['kind'] == 'checkbox' and n == 2: break
            if o['kind'] == 'dropdown' and n and state(page, o)['high']: break
            press(page, o, 'Space' if o['kind'] == 'checkbox' else 'ArrowDown' if not state(page, o)['high'] else 'ArrowUp')
            seen |= move(page, c, times)
            if len(seen) == 3: return seen
    return seen

@pytest.mark.parametrize('name', LESSONS)
def test_lesson(name, open_lesson, timings):
    page = open_lesson(name)
    run_all(page)
    assert outputs_with_errors(page) == []
    cs = controls(page)
    for c in cs:
        assert c['label'] and page.get_by_role(ROLE[c['kind']], name=c['label'], exact=True).count(), f'{c["kind"]} {c["label"]!r} of {c["alt"]} has no name'
    questions = [c for c in cs if c['kind'] == 'radio']
    for c in questions:
        page.evaluate('i => window.controls[i].e.focus()', c['i'])
        page.keyboard.press('Tab'); page.keyboard.press('Space')                       # the second choice
        assert state(page, c)['value'], f'{c["label"]}: no choice by keyboard'
    if questions: assert any(w in run_cell(page, '.reveal(') for w in ('(right)', '(surprise)')), 'the guess did not reach the kernel'
    wrong = []
    for c in cs:
        if not c['figure'] or c['kind'] == 'radio': continue
        show(page, c)
        seen = move(page, c, times := [])
        if len(seen) < 3: seen |= move_elsewhere(page, c, [o for o in cs if o['box'] == c['box'] and o is not c and o['kind'] in ('dropdown', 'checkbox')], times)
        timings += [dict(lesson=name, control=f'{c["alt"]}: {c["label"]}', ms=t) for t in times]
        if lost := {'value', 'figure', 'readout'}-seen-set(SILENT.get((name, c['alt'], c['label']), ())): wrong.append((c['alt'], c['label'], *sorted(lost)))
    for c in {c['box']: c for c in cs}.values(): show(page, c); page.wait_for_timeout(200); shot(page, f'{name}-{c["alt"] or "predict"}{c["box"]}')
    assert wrong == [], 'controls that never changed these'
    assert outputs_with_errors(page) == []
