"The explorer as a reader touches it: upload, compare, divider, energy map, walk, replay, mixer, stop; by keyboard, and by mouse where a mouse is natural."
import re
import pytest
from PIL import Image
from playwright.sync_api import expect
from conftest import ROOT
from reader import outputs_with_errors, run_all, shot

WAIT = 240_000          # milliseconds: a busy machine, and weights that are read for the first time

class Station:
    "The output of the cell that shows a station."
    def __init__(self, page, name):
        self.page, self.name = page, name
        self.cell = page.locator('.jp-CodeCell').filter(has=page.locator('.cm-content', has_text=re.compile(f'^{name} = '))).first
        self.out = self.cell.locator('.jp-OutputArea')
    def say(self, words): expect(self.out.locator('output', has_text=words).first).to_be_visible(timeout=WAIT)
    def slider(self, label): return self.out.get_by_role('slider', name=label, exact=True)
    def choose(self, label, value): self.out.get_by_label(label, exact=True).select_option(value)
    def upload(self, path):
        "The upload button, by keyboard."
        with self.page.expect_file_chooser() as chooser: self.out.get_by_role('button', name=re.compile('upload your own')).press('Enter')
        chooser.value.set_files(path)
    def shot(self, name):
        self.out.first.scroll_into_view_if_needed(); self.page.wait_for_timeout(300); shot(self.page, f'explorer-{name}')
    def redraw(self, slider, key):
        "Press a key on a slider: milliseconds until the first picture below it is another one, decoded."
        slider.focus()
        ms = self.page.evaluate_handle("""e => { const box = e.closest('.widget-vbox'), old = box.querySelector('img').src
          window.seen = new Promise(done => { let start = 0
            document.addEventListener('keydown', k => { start = k.timeStamp }, {capture: true, once: true})
            const w = new MutationObserver(async () => { const i = box.querySelector('img'); if (!start || !i || i.src === old) return
              w.disconnect(); await i.decode().catch(() => {}); requestAnimationFrame(() => done(performance.now()-start)) })
            w.observe(box, {childList: true, subtree: true, attributes: true}); setTimeout(() => done(null), 30000) }) }""", slider.element_handle())
        self.page.keyboard.press(key)
        out = self.page.evaluate('window.seen')
        assert out is not None, f'{self.name}: {key} drew nothing'
        return out

@pytest.fixture
def lesson(open_lesson):
    page = open_lesson('19_explorer')
    run_all(page)
    assert outputs_with_errors(page) == []
    return page

def pixels(page, side):
    "A fingerprint of what a side's canvas shows."
    return page.evaluate("""side => { const clips = document.querySelectorAll('.vx-clip'), c = clips[side === 'left' ? 1 : 0].querySelector('.vx-base')
      const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let s = 0; for (let i = 0; i < d.length; i += 997) s = (s*31+d[i])%1000003; return [c.width, c.height, s] }""", side)

def until(page, true, seconds=60):
    "Wait for something in the page."
    for _ in range(5*seconds):
        if true(): return
        page.wait_for_timeout(200)
    raise AssertionError('it did not come')

def compare(page, tmp_path):
    s = Station(page, 'station1')
    s.say('done'); expect(s.out.locator('table[aria-label=scores]')).to_contain_text('PSNR (dB)', timeout=WAIT)
    until(page, lambda: pixels(page, 'left') != pixels(page, 'right'))
    s.shot('compare')
    handle = s.out.get_by_role('slider', name='divider between the two results')
    clip, now = s.out.locator('.vx-clip').nth(1), lambda: float(handle.get_attribute('aria-valuenow'))
    handle.focus(); page.keyboard.press('ArrowLeft'); assert now() == 49 and '49 per cent' in handle.get_attribute('aria-valuetext')
    page.keyboard.press('Shift+ArrowRight'); assert now() == 59
    for _ in range(5):                                                                                          # quick keys: no echo of an older value comes between
        page.keyboard.press('Home'); assert now() == 0 and '100%' in clip.get_attribute('style'); page.keyboard.press('End'); assert now() == 100
    page.keyboard.press('PageDown'); assert now() == 90
    b = handle.bounding_box(); page.mouse.move(b['x']+22, b['y']+300); page.mouse.down(); page.mouse.move(b['x']-228, b['y']+310, steps=6); page.mouse.up()
    assert 50 < now() < 80
    stage, inner = s.out.locator('.vx-stage'), s.out.locator('.vx-inner')
    stage.focus(); before = inner.nth(0).get_attribute('style')
    for k in ('+', '+', '+', 'ArrowLeft', 'ArrowUp'): page.keyboard.press(k)
    assert inner.nth(0).get_attribute('style') == inner.nth(1).get_attribute('style') != before                # in step
    b = stage.bounding_box(); page.mouse.move(b['x']+60, b['y']+60); page.mouse.down(); page.mouse.move(b['x']+160, b['y']+90, steps=4); page.mouse.up()
    assert inner.nth(0).get_attribute('style') == inner.nth(1).get_attribute('style')
    handle.focus(); s.shot('divider')
    stage.focus(); page.keyboard.press('0')
    assert page.locator('.jp-Dialog').count() == 0                                                              # '0' was not JupyterLab's
    upload(page, s, tmp_path)

def upload(page, s, tmp_path):
    with Image.open(ROOT/'data/images/flower.png') as im: im.crop((120, 60, 312, 220)).save(tmp_path/'mine.png')
    before = pixels(page, 'left')
    s.upload(tmp_path/'mine.png')
    until(page, lambda: pixels(page, 'left')[:2] == [192, 160] != before[:2]); s.say('done')
    s.choose('on the left', 'original'); expect(s.out.locator('.vx-left')).to_have_text('original')
    expect(s.out.get_by_role('button', name='Stop')).to_be_disabled(timeout=WAIT); s.say('done'); s.shot('upload')
    (tmp_path/'notes.txt').write_text('no picture')
    s.upload(tmp_path/'notes.txt'); s.say('notes.txt is not an image that can be read')
    own = s.out.get_by_label('a model of your own'); own.fill('nowhere'); own.press('Enter'); s.say("no method or model file 'nowhere'"); s.shot('sentence')
    s.choose('photograph', 'coffee'); s.choose('on the right', 'selfexsr')
    stop = s.out.get_by_role('button', name='Stop'); expect(stop).to_be_enabled(timeout=WAIT); s.say(re.compile('selfexsr: [1-9]'))
    shot(page, 'explorer-progress'); stop.focus(); page.keyboard.press('Enter'); s.say('stopped'); expect(stop).to_be_disabled()
    s.shot('stopped')

def energy(page, timings):
    s = Station(page, 'station2')
    s.say('the walk is ready')
    pick, told = s.out.locator('.vx-pick'), s.out.locator('output', has_text='energy at column').first
    pick.scroll_into_view_if_needed(); first = told.text_content()
    b = pick.bounding_box(); page.mouse.click(b['x']+b['width']/4, b['y']+b['height']/2)
    expect(told).to_contain_text('energy at column 6'); assert told.text_content() != first
    s.shot('place')
    pick.focus(); at = told.text_content(); page.keyboard.press('Shift+ArrowDown'); expect(told).not_to_have_text(at)
    at = told.text_content(); s.slider('place: column').focus(); page.keyboard.press('ArrowRight'); expect(told).not_to_have_text(at)
    over = pick.locator('img').nth(1); s.slider('opacity of the map').focus(); page.keyboard.press('End'); expect(over).to_have_css('opacity', '1')
    page.keyboard.press('Home'); expect(over).to_have_css('opacity', '0'); [page.keyboard.press('PageUp') for _ in range(3)]
    step = s.slider('steps down the energy')
    for k in ['ArrowRight']*5+['End', 'ArrowLeft']: timings.append(dict(lesson='19_explorer', control='walk: steps down the energy', ms=s.redraw(step, k)))
    s.say('after 15 steps'); page.evaluate('e => e.scrollIntoView()', step.element_handle()); page.wait_for_timeout(300); shot(page, 'explorer-walk')
    base = pick.locator('img').first.get_attribute('src')
    s.choose('energy of', 'bicubic'); expect(pick.locator('img').first).not_to_have_attribute('src', base, timeout=WAIT)
    expect(pick).to_have_attribute('aria-label', re.compile('^bicubic with its energy map')); s.say('the walk is ready'); pick.scroll_into_view_if_needed(); s.shot('energy')

def replay(page, timings):
    s = Station(page, 'station3')
    step, told = s.slider('step'), s.out.locator('output').first
    s.choose('run', 'demo (ships)'); expect(told).to_contain_text('step 1750')
    for k in ['ArrowLeft']*4+['Home', 'ArrowRight']: timings.append(dict(lesson='19_explorer', control='replay: step', ms=s.redraw(step, k)))
    expect(told).to_contain_text('step 200, pretrain'); assert s.out.locator('svg[role=img]').count() == 4; s.shot('replay')
    s.out.get_by_role('button', name='Refresh').press('Enter'); expect(told).to_contain_text('step 200')
    own = s.out.get_by_label('or a folder'); own.fill('nowhere'); own.press('Enter'); s.say('no run in nowhere')

def mixer(page, timings):
    s = Station(page, 'station4')
    told = s.out.locator('output').first
    for label, key in (('epsilon', 'ArrowLeft'), ('epsilon', 'ArrowRight'), ('lambda', 'ArrowRight'), ('gamma (balance)', 'ArrowRight'), ('layer of L_con', 'ArrowRight'), ('layer of L_con', 'ArrowLeft')):
        before = s.page.evaluate("e => [...e.querySelectorAll('img')].map(i => i.src).join()", s.out.first.element_handle())
        was = told.text_content(); s.slider(label).focus(); page.keyboard.press(key); expect(told).not_to_have_text(was)
        assert before != s.page.evaluate("e => [...e.querySelectorAll('img')].map(i => i.src).join()", s.out.first.element_handle())
    s.shot('mixer')
    s.choose('what bounds the energies', 'literal'); s.slider('lambda').focus(); page.keyboard.press('Home')
    expect(told).to_contain_text('diverged at step'); s.shot('diverged')

def test_explorer(lesson, tmp_path, timings):
    compare(lesson, tmp_path)
    energy(lesson, timings)
    replay(lesson, timings)
    mixer(lesson, timings)
    assert outputs_with_errors(lesson) == []
