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
    wait_until_idle(page, timeout)

def wait_until_idle(page, timeout=600):
    "Returns when no cell runs or waits. Raises AssertionError after `timeout` seconds, with the source of the cell that runs."
    waiting = """() => [...document.querySelectorAll('.jp-CodeCell')].filter(c => c.querySelector('.jp-InputPrompt').textContent.includes('*'))
                    .map(c => c.querySelector('.cm-content').textContent)"""
    end = time.time()+timeout
    while cells := page.evaluate(waiting):
        if time.time() > end: raise AssertionError(f'after {timeout} s still running: {cells[0][:200]}')
        page.wait_for_timeout(200)
    page.wait_for_timeout(300)                                     # the last widgets draw themselves

def run_cell(page, text):
    "Select the code cell that contains `text` by a click beside it and run it with Ctrl+Enter; returns the text of its outputs."
    cell = page.locator('.jp-CodeCell').filter(has=page.locator('.cm-content', has_text=text)).first
    cell.locator('.jp-InputPrompt').click()
    before = cell.locator('.jp-InputPrompt').text_content()
    page.keyboard.press('Control+Enter')
    page.wait_for_function('([e, old]) => /\\d/.test(e.textContent) && e.textContent !== old', arg=[cell.locator('.jp-InputPrompt').element_handle(), before])
    wait_until_idle(page)
    return cell.locator('.jp-Cell-outputWrapper').text_content()

def outputs_with_errors(page):
    "Texts of the tracebacks, warnings and broken widgets in the page; an empty list is what a lesson should give."
    return page.evaluate("""() => [...document.querySelectorAll('.jp-OutputArea [data-mime-type], .jp-OutputArea-output')].filter(o =>
        ['application/vnd.jupyter.error', 'application/vnd.jupyter.stderr'].includes(o.dataset.mimeType) || /^(Error displaying|Error creating|Loading widget)/.test(o.textContent.trim()))
        .map(o => o.textContent.slice(-1500))""")

FIND = """() => {
  const kind = e => e.matches('.noUi-handle') ? 'slider' : e.matches('select') ? 'dropdown' : e.type
  const all = document.querySelectorAll('.jp-OutputArea :is(.widget-slider .noUi-handle, .widget-dropdown select, .widget-checkbox input, .widget-radio input)')
  window.controls = []                                            // the elements stay here, by number
  for (const e of all) {
    const line = e.closest('.widget-slider, .widget-dropdown, .widget-checkbox, .widget-radio')
    if (kind(e) === 'radio' && window.controls.some(c => c.line === line)) continue              // one entry per question
    window.controls.push({e, line, box: e.closest('.explore') ?? e.closest('.widget-vbox') ?? line, kind: kind(e)})
  }
  const boxes = [...new Set(window.controls.map(c => c.box))]
  return window.controls.map((c, i) => ({i, kind: c.kind, label: (c.line.querySelector('.widget-label-basic') ?? c.line.querySelector('.widget-label'))?.textContent.trim() ?? '', box: boxes.indexOf(c.box),
    explore: c.box.matches('.explore') ? c.box.querySelector('img').alt.split(' at ')[0] : null}))
}"""

def controls(page):
    """Sliders, dropdowns, checkboxes and questions of the lesson, a dict each: i, kind (slider, dropdown, checkbox, radio), label, box (which group it
    is in), explore (the name of the `explore` experiment, None for other widgets)."""
    return page.evaluate(FIND)

def sliders(page):
    "The sliders among `controls`."
    return [c for c in controls(page) if c['kind'] == 'slider']

def show(page, c):
    "Scroll the experiment of a control into view."
    page.evaluate('i => window.controls[i].box.scrollIntoView()', c['i'])

def state(page, c):
    "What the page shows for a control: dict(value, figure, readout) and dict(low, high): is it at an end?"
    return page.evaluate("""i => { const {e, line, box, kind} = window.controls[i], now = k => +e.getAttribute('aria-value'+k)
      const end = kind === 'slider' ? {low: now('now') <= now('min'), high: now('now') >= now('max')} :
                  kind === 'dropdown' ? {low: e.selectedIndex === 0, high: e.selectedIndex === e.length-1} : {}
      return {value: kind === 'slider' ? line.querySelector('.widget-readout').textContent : kind === 'dropdown' ? e.value : kind === 'checkbox' ? e.checked :
                     line.querySelector('input:checked')?.parentElement.textContent,
              figure: box.querySelector('img')?.src, readout: box.querySelector('output')?.textContent, ...end} }""", c['i'])

def press(page, c, key, timeout=60):
    """Press `key` on a control of an experiment and wait for its redrawn figure: milliseconds from the key press until the picture is decoded and
    the next frame is due, measured in the page. None if nothing was redrawn within `timeout` seconds."""
    page.evaluate("""([i, wait]) => { const {e, box} = window.controls[i], old = box.querySelector('img').outerHTML
      window.seen = new Promise(done => {
        let start = 0
        const stop = ms => { watcher.disconnect(); document.removeEventListener('keydown', key, true); clearTimeout(timer); done(ms) }
        const key = e => { start = start || e.timeStamp }
        document.addEventListener('keydown', key, true)
        const watcher = new MutationObserver(async () => { const img = box.querySelector('img')
          if (!start || !img || img.outerHTML === old) return
          watcher.disconnect(); await img.decode().catch(() => {}); requestAnimationFrame(() => stop(performance.now()-start)) })
        watcher.observe(box, {childList: true, subtree: true, attributes: true})
        const timer = setTimeout(() => stop(null), wait) })
      e.focus() }""", [c['i'], timeout*1000])
    page.keyboard.press(key)
    return page.evaluate('window.seen')
