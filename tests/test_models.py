"`make models` in miniature: five runs from one start, shipped as small files, found finished the second time."
import importlib.util, shutil
from pathlib import Path
import pytest, torch
from vggsr_nb import train
from vggsr_nb.core import data_path, read_model
from vggsr_nb.evaluate import load_method
from vggsr_nb.vgg_uae import load_uae

ROOT = Path(__file__).parent.parent

@pytest.fixture
def models(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location('models', ROOT/'benchmarks'/'models.py')
    m = importlib.util.module_from_spec(spec); spec.loader.exec_module(m)
    data = tmp_path/'data'; (data/'models').mkdir(parents=True); shutil.copy(ROOT/'data'/'README.md', data)
    monkeypatch.setattr(m, 'data_path', lambda *p: data.joinpath(*p))
    tiny = dict(blocks=1, width=8, norm='batch', pretrain=3, warmup=2, steps=3, batch=2, crop=32, width_d=4, encoder='mini', depth=2, log_every=1, save_every=2)
    monkeypatch.setitem(train.PRESETS, 'tiny', tiny); monkeypatch.setattr(m, 'ENERGY', dict(m.ENERGY, steps=3))
    for k in ('srgan-vgg22', 'srgan-vgg54'): monkeypatch.setitem(train.METHODS, k, dict(warmup=0, objective=dict(content='relu2_2')))
    return m, data

def test_all_models(models, tmp_path, monkeypatch, capsys):
    m, data = models
    monkeypatch.setenv('IN_TEST', '1')
    go = lambda **kw: m.main(images=str(data_path('images')), preset='tiny', runs=str(tmp_path/'runs'), device='cpu', **kw)
    go()
    assert {p.stem for p in (data/'models').iterdir()} == {'srresnet', 'srgan-vgg22', 'srgan-vgg54', 'vggsrgan', 'vgg_uae'}
    x = torch.zeros(3, 8, 8, dtype=torch.uint8)
    for n in ('srresnet', 'vggsrgan'):
        a, b = load_method(str(data/'models'/f'{n}.safetensors'), 'cpu'), load_method(str(tmp_path/'runs'/n), 'cpu')
        assert a.name == n and a.net.config['norm'] == 'none' and (a(x).int()-b(x).int()).abs().max() <= 1         # batch norm folded in, float16
        assert a.meta['provenance']['trained']['settings']['images'] == ['images']
    assert load_uae(data/'models'/'vgg_uae.safetensors').levels == ['relu1_2', 'relu2_2']
    for n in ('srgan-vgg54', 'vggsrgan'): assert (data/'runs'/n/'log.jsonl').read_text().count('\n') >= 3 and list((data/'runs'/n/'samples').glob('*.jpg'))
    text = (data/'README.md').read_text()
    assert text.count('| vggsrgan.safetensors |') == 1 and '| mini.safetensors |' in text and text.endswith((ROOT/'data'/'README.md').read_text()[-200:])
    capsys.readouterr(); go(only='vggsrgan')
    assert 'finished before' in capsys.readouterr().out and (data/'README.md').read_text().count('| vggsrgan.safetensors |') == 1

def test_one_sentence(models, tmp_path):
    m, _ = models
    with pytest.raises(SystemExit, match='models.py: .*nowhere'): m.main(images=str(tmp_path/'nowhere'), preset='tiny', runs=str(tmp_path/'runs'), device='cpu')
