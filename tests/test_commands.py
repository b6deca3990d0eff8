"What users mistype and what their disks hold: one clear line, a status that is not 0, nothing half-written."
import json, os, shutil, signal, subprocess, sys, time
from pathlib import Path
import pytest, torch
from PIL import Image
from vggsr_nb.core import data_path, read_model, save_model
from vggsr_nb.evaluate import vggsr_demo, vggsr_eval
from vggsr_nb.train import vggsr_train
from vggsr_nb.upscale import vggsr_upscale

BIN = Path(sys.executable).parent
TINY = ['--pretrain', 2, '--steps', 2, '--set', 'blocks=1,width=8,batch=2,crop=32,warmup=2,save_every=2']

@pytest.fixture
def pictures(tmp_path):
    "A folder of good and bad files."
    d = tmp_path/'pictures'; d.mkdir()
    Image.effect_mandelbrot((64, 48), (-2, -1, 1, 1), 50).convert('RGB').save(d/'good.png')
    Image.new('RGB', (8, 8), 'red').save(d/'8x8.png')
    Image.effect_noise((64, 64), 90).convert('RGB').save(d/'whole.jpg', quality=95)
    (d/'truncated.jpg').write_bytes((d/'whole.jpg').read_bytes()[:900]); (d/'whole.jpg').unlink()
    (d/'text.png').write_text('I am not a picture')
    (d/'empty.png').touch()
    return d

def refused(result, *words):
    "The command said one line that names itself and holds `words`, and its status is 2."
    status, out, err = result
    assert status == 2 and len(err) == 1, (status, err)
    for w in words: assert w in err[0], err[0]
    return err[0]

@pytest.mark.parametrize('f', [vggsr_demo, vggsr_eval, vggsr_train, vggsr_upscale], ids=lambda f: f.__name__)
def test_help(run, f):
    status, out, _ = run(f, '--help')
    assert status == 0 and 'usage: '+f.__name__ in out and f.__wrapped__.__doc__.split('.')[0] in ' '.join(out.split())

@pytest.mark.parametrize('name', ['truncated.jpg', 'text.png', 'empty.png', 'missing.png'])
@pytest.mark.parametrize('f', [vggsr_upscale, vggsr_demo], ids=lambda f: f.__name__)
def test_bad_picture(run, pictures, tmp_path, f, name):
    args = [pictures/name, '--model', 'bicubic'] if f is vggsr_upscale else ['--picture', pictures/name]
    refused(run(f, *args, '--out', tmp_path/'out'), name)
    assert not (tmp_path/'out').exists()

def test_small_picture(run, pictures, tmp_path):
    "8x8 is a fine input to enlarge, and too small to measure on."
    assert run(vggsr_upscale, pictures/'8x8.png', '--model', 'bicubic', '--out', tmp_path/'o.png')[0] == 0
    assert Image.open(tmp_path/'o.png').size == (32, 32)
    refused(run(vggsr_demo, '--picture', pictures/'8x8.png', '--out', tmp_path/'demo'), '8x8')
    only = tmp_path/'only'; only.mkdir(); shutil.copy(pictures/'8x8.png', only)
    refused(run(vggsr_train, '--images', only, '--out', tmp_path/'run', *TINY), '8x8')
    refused(run(vggsr_eval, '--data', only), '8x8')

def test_folder_without_images(run, tmp_path):
    (tmp_path/'none').mkdir(); (tmp_path/'none'/'notes.txt').write_text('hello')
    for f, args in ((vggsr_eval, ['--data']), (vggsr_train, ['--out', tmp_path/'run', '--images']), (vggsr_upscale, ['--model', 'bicubic', '--out', tmp_path/'o'])):
        refused(run(f, *args, tmp_path/'none'), 'none')
    assert not (tmp_path/'run').exists()

@pytest.mark.parametrize('f,args', [(vggsr_eval, ['--method', 'bicubik']), (vggsr_train, ['--preset', 'papper']), (vggsr_train, ['--encoder', 'vgg17']),
                                    (vggsr_train, ['--set', 'epss=1']), (vggsr_train, ['--set', 'form']), (vggsr_eval, ['--data', 'Set6']), (vggsr_eval, ['--device', 'abacus']),
                                    (vggsr_train, ['--weights', 'no/such/folder', '--encoder', 'vgg16'])], ids=lambda a: a[1] if isinstance(a, list) else '')
def test_unknown_names(run, tmp_path, monkeypatch, f, args):
    monkeypatch.chdir(tmp_path)
    refused(run(f, *args), args[1].split('=')[0])
    assert not any(tmp_path.iterdir())

def test_unwritable_output(run, pictures, tmp_path):
    "A file stands where the folder should be: true for root as well, whom permissions do not stop."
    (tmp_path/'file').touch(); below = tmp_path/'file'/'out'
    refused(run(vggsr_upscale, pictures/'good.png', '--model', 'bicubic', '--out', below/'o.png'), 'file')
    refused(run(vggsr_train, '--out', below, *TINY), 'file')
    only = tmp_path/'only'; only.mkdir(); shutil.copy(pictures/'good.png', only)
    refused(run(vggsr_eval, '--data', only, '--out', below), 'file')
    assert (tmp_path/'file').stat().st_size == 0

def test_foreign_and_corrupt_models(run, pictures, tmp_path):
    from safetensors.torch import save_file
    bad = {'damaged': lambda p: p.write_bytes(b'\x08\0\0\0\0\0\0\0{"a":'), 'not written by vggsr_nb': lambda p: save_file({'a': torch.zeros(2)}, p),
           'no generator': lambda p: save_model(p, {'a': torch.zeros(2)}, dict(name='elephant'))}
    for words, make in bad.items():
        p = tmp_path/'m.safetensors'; make(p)
        for f, args in ((vggsr_upscale, [pictures/'good.png', '--model', p, '--out', tmp_path/'o.png']), (vggsr_eval, ['--method', p, '--data', pictures])): refused(run(f, *args), words)
        refused(run(vggsr_train, '--init', p, '--out', tmp_path/'run', *TINY))
    assert not (tmp_path/'o.png').exists() and not (tmp_path/'run').exists()

def test_corrupt_checkpoint(run, tmp_path):
    out = tmp_path/'run'
    refused(run(vggsr_train, '--out', out, '--resume'), 'no checkpoint')
    assert run(vggsr_train, '--out', out, *TINY)[0] == 0
    refused(run(vggsr_train, '--out', out, *TINY), 'already holds a run')
    p = out/'checkpoint.pt'; p.write_bytes(p.read_bytes()[:500])
    refused(run(vggsr_train, '--out', out, '--resume'), 'damaged')
    torch.save([1, 2], p)
    refused(run(vggsr_train, '--out', out, '--resume'), 'not written by vggsr_train')

def weights(out): return read_model(out/'generator.safetensors')[0]

@pytest.mark.parametrize('how', ['SIGINT', 'SIGKILL'])
def test_stop_and_resume(tmp_path, how):
    "Stopped by Ctrl-C, or killed outright: resumed, the run ends with the very weights of one that was left alone."
    cmd = [BIN/'vggsr_train', '--pretrain', '20', '--steps', '20', '--set', 'blocks=1,width=8,batch=2,crop=32,warmup=5,save_every=4,log_every=3']
    env = {**os.environ, 'OMP_NUM_THREADS': '1'}
    whole, cut = tmp_path/'whole', tmp_path/'cut'
    subprocess.run([*cmd, '--out', whole], check=True, env=env, capture_output=True)
    p = subprocess.Popen([*cmd, '--out', cut], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (cut/'checkpoint.pt').exists() and p.poll() is None: time.sleep(.01)
    p.send_signal(getattr(signal, how)); out, err = p.communicate()
    assert p.returncode != 0, 'the run was over before it could be stopped'
    if how == 'SIGINT': assert 'go on with: vggsr_train --resume' in err.splitlines()[-1]
    assert not list(cut.glob('.*')) or how == 'SIGKILL'
    subprocess.run([BIN/'vggsr_train', '--resume', '--out', cut], check=True, env=env, capture_output=True)
    a, b = weights(whole), weights(cut)
    assert all(torch.equal(a[k], b[k]) for k in a)
    steps = lambda d: [json.loads(l)['step'] for l in (d/'log.jsonl').read_text().splitlines()]
    assert steps(whole) == steps(cut)

def test_demo_in_miniature(run, tmp_path, monkeypatch):
    "The demo from end to end, with a smaller preset: picture, numbers, second call reuses the run."
    import vggsr_nb.train as train
    monkeypatch.setitem(train.PRESETS, 'demo', {**train.PRESETS['demo'], **dict(blocks=1, width=8, batch=2, crop=32, pretrain=3, warmup=2, steps=2)})
    status, out, _ = run(vggsr_demo, '--out', tmp_path)
    assert status == 0 and 'PSNR' in out and all(m in out for m in ('bicubic', 'srresnet', 'vggsrgan', 'original'))
    assert Image.open(tmp_path/'demo.png').width > 600
    scores = json.loads((tmp_path/'demo.json').read_text())['values']['scores']
    assert 20 < scores['bicubic']['psnr'] < 40 and scores['original']['energy'] > 0
    assert 'finished run' in run(vggsr_demo, '--out', tmp_path)[1]
