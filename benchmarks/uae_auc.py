"""How well does the energy tell originals from generated pictures while the game goes on? AUC of U on pictures that nobody trains on, every few steps:
against the generator's present pictures, bicubic ones and blurred ones; beside it a decoder that starts equal and only ever sees originals.

    python benchmarks/uae_auc.py                                      # offline: bundled photographs, tested on tiles of the two held out
    python benchmarks/uae_auc.py --images FOLDER --held FOLDER        # a square from the middle of each photograph in --held
"""
import tempfile
from copy import deepcopy
from pathlib import Path
import torch
from fastcore.script import call_parse
from vggsr_nb.ae_energy import auc
from vggsr_nb.core import progress, save_result
from vggsr_nb.data import HELD_OUT, Photos, bundled
from vggsr_nb.images import imresize, to_net, to_uint8
from vggsr_nb.train import Diverged, Run, fit, make_config, save_checkpoint
from vggsr_nb.vgg_uae import degraded

VARIANTS = {'4 copies, balance': {}, '0 copies, balance': dict(skips=0), '4 copies, hinge': dict(form='hinge')}

def squares(held, n):
    "uint8 [N, 3, n, n]: the middle of each photograph in the folder `held`, or tiles of the bundled ones that are held out."
    if held:
        photos = Photos(held, min_size=n, leaks='allow', quiet=True)
        return torch.stack([p[:, (y := (p.shape[1]-n)//2):y+n, (x := (p.shape[2]-n)//2):x+n] for p in (photos[i] for i in range(len(photos)))])
    photos = bundled('cpu', train=False)
    return torch.cat([photos[photos.names.index(h)].unfold(1, n, n).unfold(2, n, n).permute(1, 2, 0, 3, 4).flatten(0, 1) for h in HELD_OUT])

@torch.no_grad()
def asked(uae, pictures):
    "Of each kind: mean energy, AUC against the originals, and the share of pictures above their own original."
    U = {k: torch.cat([uae(b) for b in x.split(25)]) for k, x in pictures.items()}
    return {k: dict(mean=u.mean().item(), auc=auc(U['real'], u), above=(u > U['real']).float().mean().item()) for k, u in U.items()}

@call_parse
def main(
    images:str='',        # folder of photographs to train on (default: the bundled ones)
    held:str='',          # folder of photographs to ask about (default: the two bundled ones that are held out)
    pretrain:int=800,     # steps of mean squared error to the start, one per seed
    warmup:int=200,       # steps of the decoder on originals
    steps:int=240,        # of the game
    every:int=40,         # steps between questions
    seeds:int=3,          # runs per variant
    name:str='uae_auc',   # of the result file
):
    "Play, ask, store."
    torch.set_num_threads(1)
    photos, hr = Photos(images, min_size=64) if images else bundled('cpu'), squares(held, 64)
    kinds, low = degraded(to_net(hr)), to_net(imresize(hr, .25))
    still = {k: kinds[k] for k in ('real', 'bicubic', 'blurred')}
    values = {v: [] for v in VARIANTS}
    for seed in progress(range(seeds), 'seeds'):
        common = dict(seed=seed, batch=4, crop=48, log_every=every)
        with tempfile.TemporaryDirectory() as tmp:
            first = Run(make_config('demo', 'srresnet', pretrain=pretrain, **common), photos, 'cpu'); fit(first); save_checkpoint(first, tmp)
            if first.i < pretrain: raise KeyboardInterrupt
            for variant, o in VARIANTS.items():
                run = Run(make_config('demo', init=f'{tmp}/generator.safetensors', pretrain=0, warmup=warmup, steps=steps, **common, **o), photos, 'cpu')
                rows, alone = [], None
                def ask():
                    run.G.eval()
                    with torch.no_grad(): fake = torch.cat([run.G(b) for b in low.split(25)])
                    with torch.no_grad(): fake = to_net(to_uint8(fake))
                    pictures = still | dict(fake=fake)
                    rows.append(dict(step=run.i-warmup, game=asked(run.game.uae, pictures), alone=asked(alone.uae, pictures), k=run.game.k.item()))
                try:
                    while run.i < run.cfg.total:
                        if run.cfg.stage(run.i) == 'game':
                            alone = alone or deepcopy(run.game)                  # the same decoder, which will never meet a fake
                            if (run.i-warmup) % every == 0: ask()
                            alone.warmup(run.batch(run.i)[0])
                        run.step(); run.i += 1
                    ask()
                except Diverged as e: print(variant, e)
                values[variant].append(rows)
                print(seed, variant, *({w: {k: round(v['auc'], 2) for k, v in rows[i][w].items()} for w in ('game', 'alone')} for i in (0, -1)), flush=True)
        save_result(name, values, dict(variants=VARIANTS, pretrain=pretrain, warmup=warmup, steps=steps, every=every, seeds=seed+1, asked_about=Path(held).parent.name if held else list(HELD_OUT), squares=len(hr),
                    blocks=first.cfg.blocks, width=first.cfg.width, batch=first.cfg.batch, crop=first.cfg.crop), encoder=run.encoder.provenance, photographs=len(photos), command='python benchmarks/uae_auc.py')
