"The library as others meet it: imported in a moment, installed from a wheel, run outside the repository."
import configparser, os, re, subprocess, sys
from pathlib import Path
import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(p.stem for p in (ROOT/'vggsr_nb').glob('*.py') if not p.stem.startswith('_'))
HEAVY = {'matplotlib', 'ipywidgets', 'torchvision', 'lpips', 'scipy', 'IPython', 'nbdev', 'skimage'}

@pytest.mark.parametrize('module', MODULES)
def test_import_is_light_and_offline(module):
    code = f'''import torch, sys, socket
before = set(sys.modules)
def no(*a, **k): raise AssertionError("network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = no
import vggsr_nb.{module}
print(sorted({HEAVY!r} & (set(sys.modules)-before)))'''
    r = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert r.stdout.strip() == '[]', r.stdout+r.stderr

def test_wheel_works_elsewhere(tmp_path):
    "Built and unpacked without the network; the models and photographs travel along."
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check', '-q']
    subprocess.run([*pip, 'wheel', '--no-deps', '--no-build-isolation', '--no-index', '-w', tmp_path, ROOT], check=True, capture_output=True)
    wheel, = tmp_path.glob('*.whl')
    subprocess.run([*pip, 'install', '--no-deps', '--no-index', '--target', tmp_path/'site', wheel], check=True, capture_output=True)
    code = '''import vggsr_nb, vggsr_nb.core as c, vggsr_nb.evaluate as e
from vggsr_nb.vgg import VGG
from vggsr_nb.images import read_image
assert vggsr_nb.__file__.startswith(TARGET), vggsr_nb.__file__
assert str(c.data_path()).startswith(TARGET), c.data_path()
assert len(list(c.data_path('images').glob('*.png'))) >= 8
assert VGG('mini').provenance['encoder'] == 'mini'
assert e.load_method('bicubic')(read_image(c.data_path('images', 'coffee.png'))[:, :16, :16]).shape == (3, 64, 64)
from vggsr_nb.images import write_image
from vggsr_nb.upscale import vggsr_upscale
write_image('small.png', read_image(c.data_path('images', 'coffee.png'))[:, :24, :32])
vggsr_upscale('small.png', out='large.png')
assert read_image('large.png').shape == (3, 96, 128)
assert {'srresnet', 'srgan-vgg22', 'srgan-vgg54', 'vggsrgan'} <= set(e.shipped()) and list(c.data_path('runs').glob('*/log.jsonl'))
assert sum(f.stat().st_size for f in c.data_path('models').iterdir()) < 25e6
print('fine')'''.replace('TARGET', repr(str(tmp_path/'site')))
    (tmp_path/'away').mkdir()
    r = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=tmp_path/'away', env={**os.environ, 'PYTHONPATH': str(tmp_path/'site')})
    said = r.stdout.splitlines()
    assert said[0] == 'method: srresnet on cpu' and said[-1] == 'fine', r.stdout+r.stderr

def test_settings_are_the_one_source():
    cfg = configparser.ConfigParser(delimiters=['=']); cfg.read(ROOT/'settings.ini'); cfg = cfg['DEFAULT']
    assert f'__version__ = "{cfg["version"]}"' in (ROOT/'vggsr_nb'/'__init__.py').read_text()
    pinned = {l.split('==')[0].lower().replace('_', '-') for l in (ROOT/'constraints.txt').read_text().splitlines() if '==' in l}
    wanted = re.findall(r'[a-zA-Z][\w-]*', ' '.join(re.split(r'[<>=!,.\d]+', cfg['requirements']+' '+cfg['dev_requirements'])))
    assert {w.lower().replace('_', '-') for w in wanted} <= pinned

@pytest.mark.parametrize('page', ['README.md', 'nbs/index.ipynb'])
def test_every_lesson_is_on_the_map(page):
    text = (ROOT/page).read_text()
    assert [nb.name for nb in sorted(ROOT.glob('nbs/*.ipynb')) if nb.stem != 'index' and nb.name not in text] == []
