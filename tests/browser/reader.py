"""What a reader does with a lesson in JupyterLab: run it, move its controls by keyboard, look."""
import time
from pathlib import Path

SHOTS = Path(__file__).resolve().parents[2]/'screenshots'

def shot(page, name):
    "A screenshot in screenshots/, to be looked at."
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS/f'{name}.png')

def run_all(page, timeout=600):
    "Run > Run All Cells, by the menu; returns when no cell waits any more. Raises AssertionError after `timeout` seconds."
    page.get_by_role('menuitem', name='Run', exact=True).click()
    page.get_by_role('menuitem', name='Run All Cells', exact=True).click()
    page.wait_for_function("[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].some(p => /[\\d*]/.test(p.textContent))")
    end = time.time()+timeout
    while waiting(page):
        if time.time() > end: raise AssertionError(f'after {timeout} s still running: {waiting(page)[0][:200]}')
        page.wait_for_timeout(250)
    page.wait_for_timeout(500)                                     # the last widgets draw themselves

def waiting(page):
    "Source of the cells that run or wait."
    return page.evaluate("""() => [...document.querySelectorAll('.jp-CodeCell')].filter(c => c.querySelector('.jp-InputPrompt').textContent.includes('*'))
                            .map(c => c.querySelector('.cm-content').textContent)""")

def outputs_with_errors(page):
    "Texts of the tracebacks, warnings and broken widgets in the page; an empty list is what a lesson should give."
    return page.evaluate("""() => [...document.querySelectorAll('.jp-OutputArea-output')].filter(o =>
        ['application/vnd.jupyter.error', 'application/vnd.jupyter.stderr'].includes(o.dataset.mimeType) || /^(Error displaying|Error creating|Javascript Error|Loading widget)/.test(o.textContent.trim()))
        .map(o => o.textContent.slice(-1500))""")

# One entry per control of an experiment (a box of controls above a picture and a readout). The elements stay in the page: window.controls[i].
FIND = """() => {
  const kind = e => e.matches('.noUi-handle') ? 'slider' : e.matches('select') ? 'dropdown' : e.type
  const all = [...document.querySelectorAll('.jp-OutputArea .widget-slider .noUi-handle, .jp-OutputArea .widget-dropdown select, .jp-OutputArea .widget-checkbox input, .jp-OutputArea .widget-radio input')]
  window.controls = []
  for (const e of all) {
    const line = e.closest('.widget-slider, .widget-dropdown, .widget-checkbox, .widget-radio')
    if (kind(e) == 'radio' && window.controls.some(c => c.line === line)) continue            // one entry per question
    const label = line.querySelector('.widget-label, .widget-label-basic, label')
    window.controls.push({e, line, box: line.closest('.widget-vbox'), cell: line.closest('.jp-CodeCell'), kind: kind(e), label: (label ? label.textContent : '').trim()})
  }
  const boxes = [...new Set(window.controls.map(c => c.box))]
  return window.controls.map((c, i) => ({i, kind: c.kind, label: c.label, box: boxes.indexOf(c.box), name: (c.cell.querySelector('.cm-content').textContent.match(/def (\\w+)/) || [])[1] || '',
    figure: !!c.box.querySelector('img')}))
}"""

def controls(page):
    "Sliders, dropdowns, checkboxes and questions: dicts with i, kind, label, box (number of the experiment), name (its function), figure."
    return page.evaluate(FIND)

def sliders(page):
    "The sliders among `controls`."
    return [c for c in controls(page) if c['kind'] == 'slider']

STATE = """i => { const {e, line, box} = window.controls[i]
  const img = box && box.querySelector('img'), out = box && box.querySelector('output')
  const radio = line.querySelector('input[type=radio]:checked')
  return {value: e.matches('.noUi-handle') ? line.querySelector('.widget-readout').textContent : e.matches('select') ? e.value : e.type == 'checkbox' ? e.checked : radio ? radio.value : null,
          figure: img ? img.src : null, readout: out ? out.textContent : null} }"""

def state(page, c):
    "What the page shows for a control: dict(value, figure, readout)."
    return page.evaluate(STATE, c['i'])

WATCH = """([i, wait]) => { const {e, box} = window.controls[i], old = box.querySelector('img').src
  window.seen = new Promise(done => {
    let start = 0
    const stop = ms => { watcher.disconnect(); document.removeEventListener('keydown', key, true); clearTimeout(timer); done(ms) }
    const key = () => { start = start || performance.now() }
    document.addEventListener('keydown', key, true)
    const watcher = new MutationObserver(async () => { const img = box.querySelector('img')
      if (!start || !img || img.src === old) return
      watcher.disconnect(); await img.decode().catch(() => {}); requestAnimationFrame(() => stop(performance.now()-start)) })
    watcher.observe(box, {childList: true, subtree: true, attributes: true})
    const timer = setTimeout(() => stop(null), wait) })
  e.focus() }"""

def press(page, c, key, wait=3.):
    "Press `key` on a control: milliseconds until its new figure is in the page, None if none came within `wait` seconds."
    page.evaluate(WATCH, [c['i'], wait*1000])
    page.keyboard.press(key)
    return page.evaluate('window.seen')
