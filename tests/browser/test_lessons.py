"Every lesson as a reader meets it: open, run all, no error; every control has a name, moves by keyboard, and changes figure and readout."
import pytest
from conftest import ROOT
from reader import controls, outputs_with_errors, press, run_all, run_cell, shot, show, state

LESSONS = sorted(p.stem for p in ROOT.glob('nbs/[0-9]*.ipynb'))
ROLE = dict(slider='slider', dropdown='combobox', checkbox='checkbox', radio='radiogroup')

# Controls that leave the readout or the figure alone, and why that is the lesson's point.
SILENT = {}

def key(page, c, n):
    "The n-th key to try: a small step, a large one, back, both ends."
    if c['kind'] == 'checkbox': return 'Space'
    s = state(page, c)
    if c['kind'] == 'dropdown': return 'ArrowUp' if s['high'] or n > 11 and not s['low'] else 'ArrowDown'
    k = ['ArrowRight', 'PageUp', 'ArrowLeft', 'Home', 'PageUp', 'End', 'PageDown'][n % 7]
    return 'ArrowLeft' if s['high'] and k in ('ArrowRight', 'PageUp', 'End') else 'ArrowRight' if s['low'] and k in ('ArrowLeft', 'PageDown', 'Home') else k

def move(page, c, times, most=7):
    "Press keys until value, figure and readout were all seen to change, at least twice and at most `most` times; returns what was seen."
    seen, s = set(), state(page, c)
    for n in range(most):
        ms = press(page, c, k := key(page, c, n))
        assert ms is not None, f'{c["explore"]}: {k} on {c["label"]} at {s["value"]} draws nothing'
        times.append(ms)
        new = state(page, c)
        assert not new['readout'].startswith('These settings do not work'), f'{c["explore"]}, {c["label"]} = {new["value"]}: {new["readout"]}'
        seen |= {k for k in ('value', 'figure', 'readout') if new[k] != s[k]}
        s = new
        if n and len(seen) == 3: break
    return seen

def move_elsewhere(page, c, others, times):
    "Again with each of the experiment's other controls at both ends, or at each choice: a control may work in one case only."
    seen = set()
    for o in others:
        ends = ['Space', 'Space'] if o['kind'] == 'checkbox' else ['End', 'Home'] if o['kind'] == 'slider' else ['Home', *['ArrowDown']*12]
        for k in ends:
            s = state(page, o)
            if s.get('high') and k in ('End', 'ArrowDown') or s.get('low') and k == 'Home': continue
            press(page, o, k)
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
        assert c['label'] and page.get_by_role(ROLE[c['kind']], name=c['label'], exact=True).count(), f'{c["kind"]} {c["label"]!r} of {c["explore"]} has no name'
    questions = [c for c in cs if c['kind'] == 'radio']
    for c in questions:
        page.evaluate('i => window.controls[i].e.focus()', c['i'])
        page.keyboard.press('Tab'); page.keyboard.press('Space')                       # the second choice
        assert state(page, c)['value'], f'{c["label"]}: no choice by keyboard'
    if questions: assert any(w in run_cell(page, '.reveal(') for w in ('(right)', '(surprise)')), 'the guess did not reach the kernel'
    wrong = []
    for c in cs:
        if not c['explore'] or (s := state(page, c)).get('low') and s.get('high'): continue      # no experiment; one choice: weights that are not here
        show(page, c)
        seen = move(page, c, times := [])
        silent = set(SILENT.get((name, c['explore'], c['label']), ()))
        if len(seen | silent) < 3: seen |= move_elsewhere(page, c, [o for o in cs if o['box'] == c['box'] and o is not c], times)
        timings += [dict(lesson=name, control=f'{c["explore"]}: {c["label"]}', ms=t) for t in times]
        if lost := {'value', 'figure', 'readout'}-seen-silent: wrong.append((c['explore'], c['label'], *sorted(lost)))
    for c in {c['box']: c for c in cs}.values(): show(page, c); page.wait_for_timeout(200); shot(page, f'{name}-{c["explore"] or "box"}-{c["box"]}')
    assert wrong == [], 'controls that never changed these'
    assert outputs_with_errors(page) == []
