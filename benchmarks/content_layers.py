"""What does the layer of the content loss make of a generator? From one pretrained start, the same crops and steps: pixels (MSE), VGG22 and the deepest
layer of the encoder (VGG54; a VGG-16 ends at conv5_3). No adversary. Numbers to data/results/content_layers.json, crops to content_layers.jpg beside it.

    python benchmarks/content_layers.py --weights FOLDER --images FOLDER --data Set14 --root FOLDER      # the real VGG-16
    python benchmarks/content_layers.py --encoder mini --deep conv5_4 --data PICTURES --out /tmp         # offline, a minute
"""
import tempfile
from pathlib import Path
import torch
from fastcore.script import call_parse
from PIL import Image
from vggsr_nb.core import UserError, atomic_write, data_path, progress, save_result, to_array
from vggsr_nb.data import HELD_OUT, Photos, bundled
from vggsr_nb.evaluate import pairs_of, read_pair
from vggsr_nb.images import imresize, luma, read_image, to_net, to_uint8
from vggsr_nb.metrics import Lpips, psnr
from vggsr_nb.train import Run, fit, make_config, save_checkpoint

BINS, BOXES = 32, [('chelsea.png', 84, 84), ('flower.png', 96, 200), ('chelsea.png', 190, 150)]     # corners of crops of 96 pixels that are kept as pictures

def bands(x):
    "Fourier transform of the luma's middle under a Hann window, and for each frequency the number of its ring: 0 to 1/2 wave per pixel in `BINS` steps."
    y = luma(x)[0].double(); h, w = y.shape
    f = torch.fft.fft2((y-y.mean())*torch.hann_window(h, dtype=y.dtype)[:, None]*torch.hann_window(w, dtype=y.dtype))
    return f, ((torch.fft.fftfreq(h)[:, None].square()+torch.fft.fftfreq(w).square()).sqrt()*2*BINS).long()

def texture(sr, hr):
    "Power per ring as a share of the original's; the same, and the correlation with the original, of all that is finer than one wave in 8 pixels; steepness."
    (a, ring), (b, _) = bands(sr), bands(hr)
    power = lambda f: torch.zeros(BINS, dtype=torch.float64).scatter_add_(0, ring[ring < BINS], f.abs().square()[ring < BINS])
    fine = (ring >= BINS//4) & (ring < BINS)
    steep = lambda x: sum(luma(x).diff(dim=d).abs().mean() for d in (1, 2))
    return dict(spectrum=(power(a)/power(b)).tolist(), fine=(a[fine].abs().square().sum()/b[fine].abs().square().sum()).item(),
                fits=((a[fine]*b[fine].conj()).real.sum()/(a[fine].norm()*b[fine].norm())).item(), steep=(steep(sr)/steep(hr)).item())

@torch.no_grad()
def measured(f, pairs, lpips):
    "Means over pictures of everything."
    rows = []
    for hr, lr in pairs:
        sr = f(lr)
        rows.append(dict(psnr=psnr(sr, hr), **{l.name: l(sr, hr).item() for l in lpips}, **texture(sr, hr)))
    return {k: torch.tensor([r[k] for r in rows], dtype=torch.float64).mean(0).tolist() for k in rows[0]}

def played(run):
    "The rows of a run that was not stopped half way."
    rows = fit(run)
    if run.i < run.cfg.total: raise KeyboardInterrupt
    return rows

def sheet(outs):
    "Rows of crops, a column per method, as one picture."
    return torch.cat([torch.cat([o[name][:, t:t+96, l:l+96] for o in outs.values()], 2) for name, t, l in BOXES], 1)

@call_parse
def main(
    encoder:str='vgg16',      # vgg16, vgg19 or mini
    weights:str='',           # its weights, where not found by themselves
    deep:str='conv5_3',       # its deepest convolution
    images:str='',            # folder of photographs to train on (default: the bundled ones)
    data:str='',              # Set5, Set14, BSD100 or a folder to measure on (default: the two bundled photographs that are held out)
    root:str='',              # folder of the benchmark sets
    pretrain:int=1200,        # steps of mean squared error to the common start
    steps:int=500,            # from there with each loss
    lr:float=3e-4,            # of all three
    seeds:int=3,              # runs
    out:str='',               # folder of the results (default: data/results)
):
    "Train, measure, store."
    torch.set_num_threads(1)
    folder = Path(out or data_path('results'))
    photos = Photos(images, min_size=64) if images else bundled('cpu')
    held = {n: (hr := read_image(data_path('images', n)), imresize(hr, .25)) for n in HELD_OUT}
    pairs = [tuple(im.expand(3, -1, -1) for im in read_pair(*files)) for _, *files in pairs_of(data, root or None)] if data else list(held.values())
    try: lpips = [Lpips(n, weights or None) for n in ('vgg16', 'alexnet')]
    except UserError as e: lpips = []; print(f'without LPIPS: {e}')
    losses = {'MSE': None, 'VGG22': 'relu2_2', 'VGG54': deep}
    values = {'bicubic': [measured(lambda l: imresize(l, 4), pairs, lpips)]}
    for seed in progress(range(seeds), 'seeds'):
        common = dict(seed=seed, batch=4, log_every=20)
        with tempfile.TemporaryDirectory() as tmp:
            run = Run(make_config('demo', 'srresnet', pretrain=pretrain, lr_pretrain=1e-3, **common), photos, 'cpu'); played(run); save_checkpoint(run, tmp)
            go = dict(init=f'{tmp}/generator.safetensors', **common)
            runs = {'start': run} | {n: Run(make_config('demo', 'srgan-vgg22', pretrain=0, steps=steps, lr=lr, encoder=encoder, weights=weights, content=l, eps=0, width_d=1, **go) if l else
                                            make_config('demo', 'srresnet', pretrain=steps, lr_pretrain=lr, cosine=False, **go), photos, 'cpu') for n, l in losses.items()}
        for n, r in runs.items():
            log = played(r) if n != 'start' else []
            G = r.G.eval()
            row = measured(lambda l: to_uint8(G(to_net(l)[None]))[0], pairs, lpips) | dict(curve=[[q['step'], q['L_con']] for q in log if 'L_con' in q])
            values.setdefault(n, []).append(row)
            print(seed, n, {k: round(v, 4) for k, v in row.items() if isinstance(v, float)}, flush=True)
        if seed == 0:
            with torch.no_grad(): outs = {n: {k: to_uint8(r.G(to_net(l)[None]))[0] for k, (_, l) in held.items()} for n, r in runs.items()}
            outs = {'original': {k: h for k, (h, _) in held.items()}} | outs
            with atomic_write(folder/'content_layers.jpg') as tmp: Image.fromarray(to_array(sheet(outs))).save(tmp, 'jpeg', quality=92, subsampling=0)
        config = dict(layers={n: l or 'pixels' for n, l in losses.items()}, columns=list(outs), crops=[list(b) for b in BOXES], pretrain=pretrain, steps=steps, lr=lr, seeds=seed+1,
                      blocks=run.cfg.blocks, width=run.cfg.width, batch=run.cfg.batch, crop=run.cfg.crop, measured_on=data or list(HELD_OUT), pictures=len(pairs))
        save_result('content_layers', values, config, folder, encoder=runs['VGG54'].encoder.provenance, photographs=len(photos), command='python benchmarks/content_layers.py')
