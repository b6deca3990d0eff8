"""What does each open choice of the objective do? Every option from the same start, three seeds; numbers to data/results/options.json, a crop of each to options.png.

    python benchmarks/options.py                                                    # the small encoder, bundled photographs: some minutes on a CPU
    python benchmarks/options.py --encoder vgg16 --weights FOLDER --images FOLDER   # the real one
"""
from copy import deepcopy
from fastcore.script import call_parse
import torch
from vggsr_nb.core import data_path, progress, save_result
from vggsr_nb.data import HELD_OUT, Photos, bundled
from vggsr_nb.images import imresize, read_image, to_net, to_uint8, write_image
from vggsr_nb.metrics import psnr
from vggsr_nb.train import Diverged, Run, fit, make_config

OPTIONS = {'default': {}, 'sign minus': dict(sign='minus'), 'means': dict(reduction='mean'), 'track': dict(goal='track'),
           'literal': dict(form='literal'), 'literal, no penalty': dict(form='literal', penalty='none'), 'hinge, margin 2': dict(form='hinge'), 'hinge, margin 1.2': dict(form='hinge', margin=1.2),
           'no penalty': dict(penalty='none'), 'penalty x 100': dict(lam=.1), 'penalty at fakes': dict(at='fake'), 'penalty on parameters': dict(penalty='parameters')}

@torch.no_grad()
def look(run, hr):
    "The generator's and the energy's view of a photograph that nobody was trained on."
    real, lr = to_net(hr)[None], to_net(imresize(hr, .25))[None]
    fake = run.G.eval()(lr)
    U = {k: run.game.uae(x).item() for k, x in (('U_real', real), ('U_fake', fake))}
    return to_uint8(fake)[0], dict(psnr=float(psnr(to_uint8(fake)[0], hr)), **U)

@call_parse
def main(
    encoder:str='mini', # vgg19, vgg16 or mini
    weights:str='',     # its weights, where not found by themselves
    images:str='',      # folder of photographs (default: the bundled ones)
    steps:int=100,      # of the game
    seeds:int=3,        # runs per option; the crops are those of the first
    name:str='options', # of the result files
):
    "Play every option from the same start and store what came of it."
    photos = Photos(images, min_size=64) if images else bundled('cpu')
    common = dict(encoder=encoder, weights=weights, blocks=2, width=16, batch=4, crop=48, depth=3, pretrain=300, warmup=200, lr_warmup=1e-3, steps=steps, lr=2e-4, lr_d=2e-4, content='relu2_2', eps=1e-2, log_every=10)
    hr = read_image(data_path('images', HELD_OUT[0]))[:, 60:188, 120:248]
    rows, crops = {'before the game': [], **{k: [] for k in OPTIONS}}, []
    for seed in progress(range(seeds), 'seeds'):
        first = Run(make_config('demo', seed=seed, **common), photos, 'cpu')
        while first.cfg.stage(first.i) != 'game': first.step(); first.i += 1
        state = deepcopy(first.state_dict())
        for k, o in {'before the game': None, **OPTIONS}.items():
            run, log = Run(make_config('demo', seed=seed, **common, **(o or {})), photos, 'cpu'), []
            run.load_state_dict(deepcopy(state))
            try: log = fit(run, on_log=lambda _, r: log.append(r[-1])) if o is not None else []
            except Diverged as e: print(k, e)
            crop, seen = look(run, hr)
            rows[k].append(dict(seen, **{m: log[-1][m] for m in ('L_con', 'k') if log}, ratio=[r['ratio'] for r in log if 'ratio' in r], steps=run.i-common['pretrain']-common['warmup']))
            if seed == 0: crops.append(crop)
            print(seed, k, {m: f'{v:.4g}' for m, v in rows[k][-1].items() if isinstance(v, float)}, flush=True)
    write_image(data_path('results', f'{name}.png'), torch.cat([*crops, hr], 2))
    save_result(name, rows, {**common, 'options': OPTIONS, 'picture': f'{HELD_OUT[0]}, rows 60 to 188, columns 120 to 248'}, encoder=first.game.uae.enc.provenance, photographs=len(photos), command='python benchmarks/options.py')
