"""What makes the loop fast must not change what it computes: torch.compile here, and on a GPU the promise that no step waits for the device."""
import shutil
import pytest, torch
from vggsr_nb.core import UserError
from vggsr_nb.data import bundled
from vggsr_nb.train import Run, floats, make_config

TINY = dict(blocks=1, width=8, norm='none', batch=2, crop=32, pretrain=2, warmup=2, steps=4, lr_warmup=1e-3, depth=2, width_d=4, every=2)
compiler = pytest.mark.skipif(not any(map(shutil.which, ('g++', 'clang++'))), reason='no C++ compiler for torch.compile')
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')

def rows_and_weights(device='cpu', **kw):
    torch._dynamo.reset()
    run, rows = Run(make_config('demo', **{**TINY, **kw}), bundled(device), device), []
    while run.i < run.cfg.total: rows.append(floats(run.step(run.i % 2 == 0))); run.i += 1
    return rows, [p.detach().clone() for p in run.G.parameters()], run

@compiler
def test_compiled_run_computes_the_same():
    "Through all three stages; every second step of the game carries the penalty, which must find a way around the compiled networks."
    n = torch.get_num_threads(); torch.set_num_threads(1)
    a, b = (rows_and_weights(compile=c) for c in (False, True))
    torch.set_num_threads(n)
    assert any('penalty' in r for r in b[0])
    for r, q in zip(a[0], b[0]): assert q == pytest.approx(r, rel=1e-4, abs=1e-6)
    for p, q in zip(a[1], b[1]): torch.testing.assert_close(q, p, rtol=1e-5, atol=1e-5)
    assert torch._dynamo.utils.counters['stats']['unique_graphs'] >= 3 and not torch._dynamo.utils.counters['graph_break']
    assert set(b[2].G.state_dict()) == set(a[2].G.state_dict())              # the names of what is stored stay

def test_without_a_compiler(monkeypatch):
    monkeypatch.setattr(shutil, 'which', lambda name: None)
    with pytest.raises(UserError, match='C\\+\\+ compiler'): Run(make_config('demo', compile='true', **TINY), bundled('cpu'), 'cpu')

@gpu
@pytest.mark.parametrize('method', ['vggsrgan', 'srgan-vgg22'])
@pytest.mark.parametrize('fast', [dict(), dict(amp=True), dict(amp=True, compile=True)], ids=str)
def test_no_step_waits_for_the_gpu(method, fast):
    "Steps that are not logged hold no synchronisation: PyTorch raises where one is tried."
    run = Run(make_config('demo', **{**{k: v for k, v in TINY.items() if method == 'vggsrgan' or k != 'every'}, **fast, 'method': method, 'warmup': 2*(method == 'vggsrgan')}), bundled('cuda'), 'cuda')
    for _ in range(2):                                     # the first time may: kernels are compiled, band matrices are made, the content loss finds its scale
        run.i = 0
        while run.i < run.cfg.total: run.step(False); run.i += 1
        torch.cuda.synchronize(); torch.cuda.set_sync_debug_mode('error')
    torch.cuda.set_sync_debug_mode('default')

@gpu
def test_bfloat16_stays_close():
    a, b = (rows_and_weights('cuda', amp=amp) for amp in (False, True))
    for r, q in zip(a[0], b[0]):
        for k in ('mse', 'L_con', 'U_real'):
            if k in r: assert q[k] == pytest.approx(r[k], rel=.05)
