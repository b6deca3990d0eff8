"""Does the energy help at the size that ships? Games of VGG-SRGAN from the shipped SRResNet that differ in epsilon, lambda and the bound alone; scores to data/results/sweep.json, a crop of each to sweep.jpg.

    python benchmarks/sweep.py --images BSDS400,T91,SunHays80 --weights FOLDER --data FOLDER      # about 20 minutes a game on one core; Ctrl-C stops, the same command goes on

--only plays some of them, so that several processes can share the work; --measure scores those that are finished.
"""
from pathlib import Path
import sys
from fastcore.script import call_parse
import torch
from vggsr_nb.core import UserError, data_path, pick_device, read_model, save_result
from vggsr_nb.data import HELD_OUT, Photos
from vggsr_nb.evaluate import evaluate, load_method, mean_of, pairs_of
from vggsr_nb.images import imresize, read_image, write_image
from vggsr_nb.metrics import Lpips
from vggsr_nb.train import Diverged, Run, fit, make_config, read_checkpoint, read_log, resume_run
from vggsr_nb.vgg_uae import load_uae

HINGE = dict(eps=1e-2, form='hinge')
GAMES = {'content only': dict(eps=0.), 'eps 0.001': dict(eps=1e-3), 'eps 0.01': dict(eps=1e-2), 'eps 0.1': dict(eps=.1), 'gamma 1': dict(eps=1e-2, gamma=1.),
         'margin 1.2': dict(HINGE, margin=1.2), 'margin 2': dict(HINGE, margin=2.), 'margin 4': dict(HINGE, margin=4.), 'lambda 0': dict(HINGE, lam=0.), 'lambda 1': dict(HINGE, lam=1.)}

def play(name, preset, photos, runs, device, **common):
    "Begin, go on with, or find finished one game; every game begins from the same warmed-up decoder."
    out, warm = where(runs, name), runs/'warm-up'
    if (out/'checkpoint.pt').exists(): run = resume_run(out, device, photos=photos)
    else:
        w = resume_run(warm, device, photos=photos) if (warm/'checkpoint.pt').exists() else Run(make_config(preset, 'vggsrgan', **common, steps=0), photos, device)
        if w.i < w.cfg.total: fit(w, warm)
        run = Run(make_config(preset, 'vggsrgan', **common, **GAMES[name]), photos, device)
        run.load_state_dict(read_checkpoint(warm))
        assert run.cfg.stage(run.i) == 'game'
    print(f'{name}: step {run.i} of {run.cfg.total}', flush=True)
    try: fit(run, out)
    except Diverged as e: print(f'{name}: {e}')

def where(runs, name): return runs/name.replace(' ', '-')

def course(runs, name):
    "What a game's own log says: steps played (one that diverged: up to its last good checkpoint), mean share of the gradient, largest k, energies over the last tenth."
    game = [r for r in read_log(where(runs, name)) if r['stage'] == 'game']
    last = lambda k: sum(r[k] for r in game[-len(game)//10:])/len(game[-len(game)//10:])
    return dict(steps=read_checkpoint(where(runs, name))['i']-read_checkpoint(runs/'warm-up')['i'], share=sum(r['ratio'] for r in game)/len(game), k=max(r['k'] for r in game), U_real=last('U_real'), U_fake=last('U_fake'))

def method(runs, name):
    m = load_method(str(where(runs, name)), 'cpu'); m.name = name
    return m

@call_parse
def main(
    images:str='',        # folders of photographs, with commas
    weights:str='',       # file or folder with the encoder's weights
    data:str='',          # folder of Set5, Set14, BSD100
    only:str='',          # some games, with commas (default: all)
    sets:str='Set5,Set14',# what they are measured on
    preset:str='cpu',     # of `vggsr_train`
    runs:str='runs/sweep',# where the runs are kept
    device:str='',        # cpu or cuda (default: the GPU where there is one)
    measure:bool=False,   # play nothing
):
    "Play, measure, store."
    try:
        dev, runs, names = pick_device(device), Path(runs), [n.strip() for n in only.split(',') if n.strip()] or [*GAMES]
        if lost := [n for n in names if n not in GAMES]: raise UserError(f'no game {lost[0]!r}; there are {", ".join(GAMES)}')
        if not measure:
            folders = [f.strip() for f in images.split(',') if f.strip()]
            if not folders: raise UserError('give --images, e.g. BSDS400,T91,SunHays80')
            photos = Photos(folders, device=dev, min_size=make_config(preset).crop)
            for n in names: play(n, preset, photos, runs, dev, images=folders, weights=weights, init=str(data_path('models', 'srresnet.safetensors')), pretrain=0)
            if only: return
        sets = {d: pairs_of(d.strip(), data or None) for d in sets.split(',')}
        lpips, U = [Lpips(n, weights or None) for n in ('vgg16', 'alexnet')], load_uae(data_path('models', 'vgg_uae.safetensors'))
        hr = read_image(data_path('images', HELD_OUT[0]))[:, 60:188, 120:248]
        played = [n for n in names if (where(runs, n)/'generator.safetensors').exists()]
        if lost := [n for n in names if n not in played]: print(f'not played: {", ".join(lost)}')
        ms = [method(runs, n) for n in played]
        by = {d: evaluate(ms, p, lpips, U, runs/'rows.jsonl', d) for d, p in sets.items()}
        rows = {n: dict(objective=GAMES[n], game=course(runs, n), **{d: mean_of(by[d][n]) for d in sets}) for n in played}
        for n, r in rows.items(): print(n, {k: round(v, 4) for k, v in r['game'].items()}, {d: {k: round(v, 4) for k, v in r[d].items() if k in ('psnr', 'lpips-vgg16', 'lpips-alexnet')} for d in sets})
        crops = [m(imresize(hr, .25)) for m in ms]
        write_image(data_path('results', 'sweep.jpg'), torch.cat([*crops, hr], 2))
        example = read_model(where(runs, played[0])/'generator.safetensors')[1]['provenance']
        tidy = {k: v for k, v in example.get('settings', {}).items() if k not in ('images', 'weights', 'init', 'objective')}
        save_result('sweep', rows, {**tidy, 'games': GAMES, 'sets': [*sets], 'picture': f'{HELD_OUT[0]}, rows 60 to 188, columns 120 to 248'}, start='data/models/srresnet.safetensors',
                    encoder=example.get('encoder'), photographs=example.get('photographs'), command='python benchmarks/sweep.py')
    except KeyboardInterrupt: sys.exit('stopped; the same command goes on')
    except UserError as e: sys.exit(f'sweep.py: {e}')
