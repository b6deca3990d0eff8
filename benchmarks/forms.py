"""What bounds U(real) - U(fake)? The literal objective, hinge and balance from the same start, several seeds; curves to data/results/forms.json.

    python benchmarks/forms.py                                                    # the small encoder, bundled photographs: some minutes on a CPU
    python benchmarks/forms.py --encoder vgg16 --weights FOLDER --images FOLDER   # the real one
"""
from copy import deepcopy
from fastcore.script import call_parse
from vggsr_nb.core import progress, save_result
from vggsr_nb.data import Photos, bundled
from vggsr_nb.train import Diverged, Run, fit, make_config

FORMS = {'literal': dict(form='literal', penalty='none'), 'literal + penalty': dict(form='literal', lam=1e-2, every=1), 'hinge': dict(form='hinge', penalty='none'),
         'balance, gamma 1': dict(form='balance', gamma=1., penalty='none'), 'balance, gamma 0.7': dict(form='balance', gamma=.7, penalty='none')}

@call_parse
def main(
    encoder:str='mini', # vgg19, vgg16 or mini
    weights:str='',     # its weights, where not found by themselves
    images:str='',      # folder of photographs (default: the bundled ones)
    steps:int=300,      # of the game
    seeds:int=3,        # runs per form
    name:str='forms',   # of the result file
):
    "Train every form from the same start and store the curves."
    photos = Photos(images, min_size=64) if images else bundled('cpu')
    common = dict(encoder=encoder, weights=weights, blocks=2, width=16, batch=4, crop=48, pretrain=300, warmup=200, lr_warmup=1e-3, steps=steps, log_every=10)
    curves = {f: [] for f in FORMS}
    for seed in progress(range(seeds), 'seeds'):
        first = Run(make_config('demo', seed=seed, **common), photos, 'cpu')
        while first.cfg.stage(first.i) != 'game': first.step(); first.i += 1
        state = deepcopy(first.state_dict())
        for form, o in FORMS.items():
            run, rows = Run(make_config('demo', seed=seed, **common, **o), photos, 'cpu'), []
            run.load_state_dict(deepcopy(state))
            try: fit(run, on_log=lambda _, r: rows.append(r[-1]))
            except Diverged as e: print(form, e)
            curves[form].append([{k: r[k] for k in ('step', 'L_con', 'U_real', 'U_fake', 'k', 'ratio') if k in r} for r in rows])
            print(seed, form, f'U(real) {rows[0]["U_real"]:.4f} -> {rows[-1]["U_real"]:.4f}, U(fake) {rows[0]["U_fake"]:.4f} -> {rows[-1]["U_fake"]:.4f}', flush=True)
    save_result(name, curves, {**common, 'forms': FORMS}, encoder=first.game.uae.enc.provenance, photographs=len(photos), command='python benchmarks/forms.py')
