"What ships in data/images is what data/README.md says, byte for byte."
import hashlib, re
from pathlib import Path
import pytest
from PIL import Image

DATA = Path(__file__).resolve().parents[1]/'data'
FILES = sorted(p for p in (DATA/'images').rglob('*') if p.is_file())

def table():
    text = (DATA/'README.md').read_text(encoding='utf-8').split('## `images/`')[1].split('\n## ')[0]
    return {r[0]: r for r in ([c.strip() for c in l.strip('|').split('|')] for l in text.splitlines() if l.startswith('| ') and '.png' in l)}

def test_counts_and_size():
    assert 8 <= len(FILES) <= 12
    assert sum(p.stat().st_size for p in FILES) <= 6e6
    assert {p.name for p in FILES} == set(table())

@pytest.mark.parametrize('path', FILES, ids=lambda p: p.name)
def test_listed_with_licence_and_hash(path):
    name, origin, author, licence, done, sha = table()[path.name]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == sha
    assert all((origin, author, done)) and re.search(r'CC0|CC BY|public domain|no known copyright', licence)
    with Image.open(path) as im:
        assert im.mode == 'RGB' and min(im.size) >= 256 and max(im.size) <= 512 and not any(s % 4 for s in im.size)
        assert set(im.info) == set()

@pytest.mark.parametrize('folder', ['models', 'results'])
def test_every_shipped_file_is_explained(folder):
    text = (DATA/'README.md').read_text(encoding='utf-8').split(f'## `{folder}/`')[1].split('\n## ')[0]
    for p in (DATA/folder).iterdir():
        assert f'| {p.name} |' in text
        if folder == 'models': assert hashlib.sha256(p.read_bytes()).hexdigest() in text
