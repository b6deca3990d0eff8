"Every notebook runs from top to bottom, and the committed library and notebooks are what nbdev makes of them."
import hashlib, json, shutil, subprocess, sys
from pathlib import Path
import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
NOTEBOOKS = sorted(ROOT.glob('nbs/*.ipynb'))

def fingerprint(root): return {p.relative_to(root): hashlib.sha256(p.read_bytes()).hexdigest() for d in ('nbs', 'vggsr_nb') for p in root.glob(f'{d}/*.*')}

def test_export_and_clean_leave_no_diff(tmp_path):
    "In a copy: a failing run must not repair the tree it judges."
    for d in ('nbs', 'vggsr_nb'): shutil.copytree(ROOT/d, tmp_path/d, ignore=shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints'))
    for f in ('settings.ini', 'setup.py', 'pyproject.toml', 'README.md'): shutil.copy(ROOT/f, tmp_path/f)
    before = fingerprint(tmp_path)
    for tool in ('nbdev_export', 'nbdev_clean'): subprocess.run([BIN/tool], cwd=tmp_path, check=True, stdin=subprocess.DEVNULL)
    after = fingerprint(tmp_path)
    assert {str(k) for k in before.keys() | after.keys() if before.get(k) != after.get(k)} == set(), 'run nbdev_export and nbdev_clean, then commit'

@pytest.mark.parametrize('nb', NOTEBOOKS, ids=lambda p: p.stem)
def test_stored_outputs(nb):
    "Figures are stored, and no stored output is an error, a warning, or a widget that only a live kernel could draw."
    outputs = [o for c in json.loads(nb.read_text())['cells'] for o in c.get('outputs', [])]
    assert not [o for o in outputs if o['output_type'] == 'error' or o.get('name') == 'stderr']
    assert not [o for o in outputs if any('widget' in k for k in o.get('data', {}))]
    assert any('image/png' in o.get('data', {}) for o in outputs)
    assert nb.stat().st_size < 1.5e6

@pytest.mark.parametrize('nb', NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook(nb):
    r = subprocess.run([BIN/'nbdev_test', '--path', nb], cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert r.returncode == 0, r.stdout[-3000:]+r.stderr[-3000:]
