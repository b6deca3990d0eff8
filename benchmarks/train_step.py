"""What a training step costs: milliseconds, achieved against counted FLOPs, peak memory, and the same turn with separate encoder passes.

    python benchmarks/train_step.py                    # on this machine's GPU, else its processor: data/results/train_step_cuda.json or train_step_cpu.json
    OMP_NUM_THREADS=1 python benchmarks/train_step.py --device cpu       # one core, counted in processor time; under five minutes

Methods take turns, so that a busy machine slows all of them alike; medians are kept, and the ratio to the naive passes is that within a round. Weights are random: the time does not depend on them.
"""
from pathlib import Path
from fastcore.script import call_parse
import torch
from torch.utils.flop_counter import FlopCounterMode
from vggsr_nb.core import pick_device, save_result
from vggsr_nb.data import bundled
from vggsr_nb.train import Run, make_config, race
from vggsr_nb.vgg import vgg_layers
from vggsr_nb.vggsrgan import naive_step

ISSUE = {'SRResNet': 123, 'SRGAN-VGG54': 693, 'VGG-SRGAN': 1667, 'VGG-SRGAN, penalty': 2646}      # GFLOP at 16 crops of 96, counted from the paper's set-up

class Whole:
    "Stands in for FlopCounterMode's tracker of modules, which refuses gradients taken with respect to a leaf."
    parents = {'Global'}
    def __enter__(self): return self
    def __exit__(self, *args): pass

def gflop(f):
    "Floating point operations of convolutions and matrix products that `f()` really does, in 1e9."
    counter = FlopCounterMode(display=False); counter.mod_tracker = Whole()
    with counter: f()
    return counter.get_total_flops()/1e9

def steps_of(device, batch, crop, encoder, every, **fast):
    "name -> a function that does one step: data, forward, backward, both Adams."
    common = dict(encoder=encoder, weights='random', batch=batch, crop=crop, pretrain=1, steps=1, **fast)
    photos = bundled(device)
    deepest = [l for l in vgg_layers(encoder) if l.startswith('conv')][-1]                # conv5_4, or conv5_3
    pre, cat = Run(make_config('paper', 'srresnet', **{**common, 'steps': 0}), photos, device), Run(make_config('paper', 'srgan-vgg54', **common, scale=1.), photos, device)
    run = Run(make_config('paper', 'vggsrgan', **common, warmup=1, content=deepest, every=every), photos, device)
    game, old = (lambda r, i: r.game.step(*r.batch(i), i)), (lambda r, i: naive_step(r.game, *r.batch(i), i))
    return {'SRResNet': lambda: pre.step(), 'SRGAN-VGG54': lambda: game(cat, 1), 'VGG-SRGAN': lambda: game(run, 1), 'VGG-SRGAN, penalty': lambda: game(run, 0),
            'naive passes': lambda: old(run, 1), 'naive passes, penalty': lambda: old(run, 0)}, deepest

def peak(f, device):
    "Memory that `f()` needs beyond what is there before it (weights, Adam's moments, photographs), MiB: of the GPU's allocator, or of this process (Linux only)."
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(); before = torch.cuda.memory_allocated(); f(); torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated()-before)/2**20
    import ctypes
    getattr(ctypes.CDLL(None), 'malloc_trim', lambda n: 0)(0)              # what was freed goes back first
    status = lambda k: next(int(l.split()[1]) for l in Path('/proc/self/status').read_text().splitlines() if l.startswith(k))
    try: Path('/proc/self/clear_refs').write_text('5')                     # forget the highest mark so far
    except OSError: return None
    before = status('VmRSS'); f()
    return (status('VmHWM')-before)/1024

@call_parse
def main(
    device:str='',         # cpu or cuda (default: the GPU where there is one)
    encoder:str='vgg19',   # vgg19 or vgg16
    batch:int=0,           # crops per step (default: 16, on a processor 4)
    crop:int=96,           # their size
    every:int=16,          # steps from one penalty to the next
    rounds:int=0,          # every method's turns (default: 20 of 10 steps, on a processor 5 of one)
    name:str='',           # of the result file (default: train_step_cuda or train_step_cpu)
):
    "Time every kind of training step and store it."
    dev = pick_device(device); gpu = dev.type == 'cuda'
    batch, rounds = batch or (16 if gpu else 4), rounds or (20 if gpu else 5)
    if gpu: settings = {'float32': {}, 'bfloat16': dict(amp=True), 'bfloat16, compiled': dict(amp=True, compile=True)}
    else: settings = {'float32': {}}
    one, deepest = steps_of('cpu', 1, crop, encoder, every)                 # counted per crop: convolutions cost the same for each
    counted = {k: 16*gflop(f) for k, f in one.items()}; del one
    values = dict(gflop_at_16=counted, issue_gflop_at_16=ISSUE)
    for setting, fast in settings.items():
        fs, _ = steps_of(dev, batch, crop, encoder, every, **fast)
        if fast.get('compile'): fs = {k: f for k, f in fs.items() if not k.startswith('naive')}
        ms = race(fs, rounds, 10 if gpu else 1, dev)
        rows = {k: dict(ms=t.median().item(), tflops=counted[k]*batch/16/t.median().item(), memory_mib=peak(fs[k], dev)) for k, t in ms.items()}
        mix = lambda plain, due: ((every-1)*ms[plain]+ms[due])/every
        rows[f'VGG-SRGAN, penalty every {every}'] = dict(ms=mix('VGG-SRGAN', 'VGG-SRGAN, penalty').median().item())
        if 'naive passes' in ms:
            pairs = {'without penalty': (ms['naive passes'], ms['VGG-SRGAN']), 'penalty step': (ms['naive passes, penalty'], ms['VGG-SRGAN, penalty']),
                     f'penalty every {every}': (mix('naive passes', 'naive passes, penalty'), mix('VGG-SRGAN', 'VGG-SRGAN, penalty'))}
            rows['steps per second, times the naive passes'] = {k: (a/b).median().item() for k, (a, b) in pairs.items()}
        values[setting] = rows
        print(f'\n{setting}, {batch} crops of {crop} on {dev.type}, {encoder} to {deepest}')
        for k, r in rows.items():
            if 'tflops' in r: print(f'{k:24} {r["ms"]:9.1f} ms {counted[k]*batch/16:9.0f} GFLOP {r["tflops"]:8.3f} TFLOP/s '+(f'{r["memory_mib"]:8.0f} MiB' if r['memory_mib'] else ''))
            elif 'ms' in r: print(f'{k:24} {r["ms"]:9.1f} ms')
            else: print(f'{k}: '+', '.join(f'{m} {v:.2f}' for m, v in r.items()))
    print('\nGFLOP of a step at 16 crops, counted here against the issue: '+', '.join(f'{k} {counted[k]:.0f} ({v})' for k, v in ISSUE.items()))
    config = dict(batch=batch, crop=crop, encoder=encoder, content=deepest, every=every, rounds=rounds, generator='16 blocks of 64 with batch norm', interop=torch.get_num_interop_threads())
    print('stored in', save_result(name or f'train_step_{dev.type}', values, config, device=dev, command='python benchmarks/train_step.py' if gpu else 'OMP_NUM_THREADS=1 python benchmarks/train_step.py --device cpu'))
