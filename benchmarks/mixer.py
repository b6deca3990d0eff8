"""Many short games from one start: what epsilon, lambda, the bound and the content layer do to a picture. Numbers and pictures for lesson 19's mixer.

    OMP_NUM_THREADS=1 python benchmarks/mixer.py     # about a quarter of an hour of one core; after Ctrl-C the same command goes on

Stores data/results/mixer.json, and mixer.jpg with one tile per game.
"""
from copy import deepcopy
from itertools import product
from pathlib import Path
import json, shutil
import torch
from fastcore.script import call_parse
from PIL import Image
from vggsr_nb.core import atomic_write, data_path, progress, save_result, to_array
from vggsr_nb.data import HELD_OUT, bundled
from vggsr_nb.evaluate import sharpest_box
from vggsr_nb.images import imresize, read_image, to_net, to_uint8
from vggsr_nb.metrics import measure
from vggsr_nb.train import Diverged, Run, fit, make_config
from vggsr_nb.vgg import VGG, feature_distance

COMMON = dict(encoder='mini', blocks=4, width=32, batch=4, crop=48, pretrain=1500, warmup=300, lr=1e-4, lr_d=1e-4, seed=0, log_every=10)
EPS, LAM, CONTENT = (1e-3, 1e-2), (0., 1.), ('conv1_1', 'relu2_2')
BOUNDS = [dict(form='literal'), *(dict(form='hinge', margin=m) for m in (1.2, 2., 4.)), *(dict(form='balance', gamma=g) for g in (.5, .7, 1.))]
TILE, COLUMNS = 128, 10

def games():
    "Every objective of the grid; without epsilon the other knobs do nothing, so that is one game per layer."
    alone = [dict(eps=0., content=c) for c in CONTENT]
    return alone + [dict(eps=e, lam=l, content=c, **b) for b, e, l, c in product(BOUNDS, EPS, LAM, CONTENT)]

def name_of(o): return '_'.join(f'{k}{v}' for k, v in o.items())

def start(photos, folder):
    "Generator after pretraining and decoder after warm-up: where every game begins."
    run, path = Run(make_config('demo', steps=0, **COMMON), photos, 'cpu'), folder/'start.pt'
    if path.exists(): run.load_state_dict(torch.load(path, weights_only=True)); return run
    fit(run)
    with atomic_write(path) as tmp: torch.save(run.state_dict(), tmp)
    return run

class Judge:
    "The held-out photograph, and everything that is measured on it."
    def __init__(self, uae):
        self.hr = read_image(data_path('images', HELD_OUT[0]))
        self.lr, self.uae, self.enc = imresize(self.hr, .25), deepcopy(uae), VGG('mini')
        self.layers = [l for l in self.enc.available if l.startswith('relu')]
        self.box = sharpest_box(self.hr, TILE)

    @torch.no_grad()
    def __call__(self, sr, uae=None):
        x, hr = to_net(sr)[None], to_net(self.hr)[None]
        out = {} if torch.equal(sr, self.hr) else {k: v for k, v in measure(sr, self.hr).items() if k in ('psnr', 'ssim')}
        out['distance'] = feature_distance(self.enc(x, self.layers), self.enc(hr, self.layers)).item()
        out['U_start'] = self.uae.energy(x).item()
        if uae is not None: out['U'], out['U_original'] = uae.energy(x).item(), uae.energy(hr).item()
        return out

    def tile(self, sr):
        top, left = self.box
        return Image.fromarray(to_array(sr[:, top:top+TILE, left:left+TILE]))

@torch.no_grad()
def enlarge(run, lr): return to_uint8(run.G.eval()(to_net(lr)[None]))[0]

def play(o, steps, state, photos, judge, folder):
    "One game, unless it is kept: its row, and its tile as a file."
    kept = folder/f'{name_of(o)}.json'
    if kept.exists(): return json.loads(kept.read_text())
    run, rows, ended = Run(make_config('demo', steps=steps, **COMMON, **o), photos, 'cpu'), [], None
    run.load_state_dict(deepcopy(state))
    try: fit(run, on_log=lambda _, r: rows.append(r[-1]))
    except Diverged: ended = run.i-COMMON['pretrain']-COMMON['warmup']
    sr = enlarge(run, judge.lr)
    short = lambda v: float(f'{v:.4g}')
    row = dict(o, diverged=ended, **{k: short(v) for k, v in judge(sr, run.game.uae).items()},
               curve={k: [short(r[k]) for r in rows] for k in ('U_real', 'U_fake', 'ratio') if all(k in r for r in rows)})
    with atomic_write(kept.with_suffix('.png')) as tmp: judge.tile(sr).save(tmp)
    with atomic_write(kept) as tmp: tmp.write_text(json.dumps(row))
    return row

@call_parse
def main(
    steps:int=100,            # of each game
    out:str='out/mixer',      # where finished games are kept until all are played
    results:str='',           # where the numbers and the sheet go (default: data/results)
    first:int=0,              # play only so many games, and store nothing
):
    "Play the grid and store it."
    folder, results = Path(out)/str(steps), Path(results or data_path('results'))
    folder.mkdir(parents=True, exist_ok=True)
    photos = bundled('cpu')
    begin = start(photos, folder)
    judge, state, grid = Judge(begin.game.uae.eval()), begin.state_dict(), games()
    rows = []
    for o in progress(grid[:first or None], 'games', unit='game'):
        rows.append(play(o, steps, state, photos, judge, folder))
    if first: return
    anchors = {'original': judge.hr, 'bicubic': imresize(judge.lr, 4), 'pretrained': enlarge(begin, judge.lr)}
    tiles = [judge.tile(x) for x in anchors.values()]+[Image.open(folder/f'{name_of(o)}.png') for o in grid]
    sheet = Image.new('RGB', (COLUMNS*TILE, -(-len(tiles)//COLUMNS)*TILE))
    for i, t in enumerate(tiles): sheet.paste(t, (i%COLUMNS*TILE, i//COLUMNS*TILE))
    with atomic_write(results/'mixer.jpg') as tmp: sheet.save(tmp, quality=90)
    values = dict(anchors={k: dict(judge(v), tile=i) for i, (k, v) in enumerate(anchors.items())},
                  games=[dict(r, tile=i+len(anchors)) for i, r in enumerate(rows)])
    save_result('mixer', values, dict(COMMON, steps=steps, eps=(0., *EPS), lam=LAM, content=CONTENT, bounds=BOUNDS, tile=TILE, columns=COLUMNS, box=judge.box, picture=HELD_OUT[0]),
                folder=results, encoder=begin.game.uae.enc.provenance, photographs=len(photos), command=f'python benchmarks/mixer.py --steps {steps}')
    shutil.rmtree(folder)
