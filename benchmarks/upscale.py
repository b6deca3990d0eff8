"""What enlarging costs: milliseconds per picture and per megapixel of result, achieved TFLOP/s, peak memory; tiles, self-ensemble and batch norm folded away.

    python benchmarks/upscale.py                  # on this machine's GPU, else its processor: data/results/upscale_cuda.json or upscale_cpu.json
    OMP_NUM_THREADS=1 python benchmarks/upscale.py --device cpu     # one core, counted in processor time; under five minutes

Ways take turns and medians are kept. The weights are random: the time does not depend on them.
"""
from fastcore.script import call_parse
import torch
from train_step import gflop, peak
from vggsr_nb.core import data_path, pick_device, save_result, seed_everything
from vggsr_nb.images import imresize, read_image
from vggsr_nb.srcnn import SRCNN
from vggsr_nb.srresnet import SRResNet, fold_bn
from vggsr_nb.train import race
from vggsr_nb.upscale import upscale_tiled

@call_parse
def main(
    device:str='',     # cpu or cuda (default: the GPU where there is one)
    width:int=0,       # of the small picture, cut from a bundled photograph and repeated where that is too narrow (default: 480, on a processor 240)
    rounds:int=0,      # every way's turns (default: 20, on a processor 3)
    name:str='',       # of the result file (default: upscale_cuda or upscale_cpu)
):
    "Time every way to enlarge a photograph and store it."
    dev = pick_device(device); gpu = dev.type == 'cuda'
    width, rounds = width or (480 if gpu else 240), rounds or (20 if gpu else 3)
    lr = read_image(data_path('images', 'coffee.png'))
    lr = lr.repeat(1, 1, -(-width//lr.shape[2]))[:, :width*2//3, :width].to(dev)
    seed_everything(0)
    net = SRResNet(16, 64).eval().to(dev, memory_format=torch.channels_last)
    small, folded = SRCNN().eval().to(dev, memory_format=torch.channels_last), fold_bn(net).to(dev, memory_format=torch.channels_last)
    ways = {'bicubic': lambda: imresize(lr, 4), 'srcnn': lambda: upscale_tiled(small, lr, desc=''), 'srresnet, batch norm as trained': lambda: upscale_tiled(net, lr, desc=''),
            'srresnet': lambda: upscale_tiled(folded, lr, desc=''), 'srresnet, tiles of 64': lambda: upscale_tiled(folded, lr, 64, desc=''),
            'srresnet, self-ensemble': lambda: upscale_tiled(folded, lr, ensemble=True, desc='')}
    mpix, ms = 16*lr.shape[1]*lr.shape[2]/1e6, race(ways, rounds, 1, dev)
    work, values = {k: gflop(f) for k, f in ways.items()}, {}
    for k, t in ms.items():
        m = t.median().item()
        values[k] = dict(ms=m, ms_per_megapixel=m/mpix, gflop=work[k], tflops=work[k]/m, memory_mib=peak(ways[k], dev))
        print(f'{k:34} {m:9.1f} ms {m/mpix:9.1f} ms per megapixel {work[k]:9.0f} GFLOP {work[k]/m:8.3f} TFLOP/s '+(f'{values[k]["memory_mib"]:8.0f} MiB' if values[k]['memory_mib'] else ''))
    config = dict(small=list(lr.shape[-2:]), rounds=rounds, generator='16 blocks of 64', tile=192)
    print('stored in', save_result(name or f'upscale_{dev.type}', values, config, device=dev, command='python benchmarks/upscale.py' if gpu else 'OMP_NUM_THREADS=1 python benchmarks/upscale.py --device cpu'))
