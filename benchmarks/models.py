"""Train every model that ships, and put it into data/models: SRResNet first, then the three adversarial methods from it with equal budgets, and an energy on the small encoder.

    python benchmarks/models.py --preset models --images BSDS400,T91,SunHays80          # on a GPU; Ctrl-C stops, the same command goes on
    python benchmarks/models.py --preset cpu --images ... --weights FOLDER              # what two cores give in an afternoon

Runs are kept in --runs; finished ones are not trained again. Networks are stored as float16 with batch norm folded in, settings and provenance in the header;
logs and sample pictures go to data/runs, and the rows of data/README.md are renewed.
"""
import hashlib, json, re, shutil, sys
from pathlib import Path
from fastcore.script import call_parse
from vggsr_nb.core import UserError, atomic_write, data_path, pick_device, read_model, save_model
from vggsr_nb.data import Photos
from vggsr_nb.srresnet import fold_bn
from vggsr_nb.train import Run, describe, fit, make_config, make_generator, read_log, resume_run

RIVALS = ('srgan-vgg22', 'srgan-vgg54', 'vggsrgan')
OURS = dict(form='hinge', eps=1e-2)             # with the balance and the printed epsilon the energy hardly pushes within so short a game (benchmarks/sweep.py, lesson 16)
ENERGY = dict(encoder='mini', weights='', content='conv1_1', steps=1_000)      # mini's deeper layers let colour and a fine chequer stand for texture (lesson 14)

def train(name, preset, photos, folder, device, **changes):
    "Begin, go on with, or find finished the run `name`."
    out = folder/name
    run = resume_run(out, device, photos=photos) if (out/'checkpoint.pt').exists() else Run(make_config(preset, 'vggsrgan' if name == 'vgg_uae' else name, **changes), photos, device)
    print(f'\n{name}: '+('finished before' if run.i >= run.cfg.total else f'from step {run.i}')+'\n'+describe(run), flush=True)
    if run.i < run.cfg.total: fit(run, out)
    return out

def tidy(p):
    "Provenance without the folders of one machine."
    s, last = p.get('settings', {}), lambda v: Path(v).name if v else v
    return {**p, 'settings': {**s, 'images': [*map(last, s.get('images', []))], **{k: '/'.join(Path(s[k]).parts[-2:]) for k in ('weights', 'init') if s.get(k)}}}

def ship(name, out):
    "The network of a finished run as float16 in data/models."
    path = data_path('models', f'{name}.safetensors')
    state, meta = read_model(out/('energy.safetensors' if name == 'vgg_uae' else 'generator.safetensors'))
    meta['provenance'] = tidy(read_model(out/'generator.safetensors')[1]['provenance'])     # of the run as a whole
    if meta['config'].get('norm') == 'batch':
        net = make_generator(meta['config']); net.load_state_dict(state); net = fold_bn(net.eval())
        state, meta['config'] = net.state_dict(), net.config
    save_model(path, state, {**meta['config'], 'name': name}, half=True, trained=meta['provenance'])
    return path, meta

def some(xs, n):
    "At most n of them, evenly, the first and the last included."
    return [xs[round(i*(len(xs)-1)/(n-1))] for i in range(n)] if len(xs) > n else xs

def keep_run(name, out):
    "Log and sample pictures of a run, small enough to ship: what lesson 19 replays."
    from PIL import Image
    to, short = data_path('runs', name), lambda v: float(f'{v:.5g}') if isinstance(v, float) else v
    shutil.rmtree(to, ignore_errors=True); (to/'samples').mkdir(parents=True)
    with atomic_write(to/'log.jsonl') as tmp: tmp.write_text(''.join(json.dumps({k: short(v) for k, v in r.items()})+'\n' for r in some(read_log(out), 300)))
    for p in some(sorted((out/'samples').glob('*.png')), 11): Image.open(p).save(to/'samples'/f'{p.stem}.jpg', quality=88)

def row(name, path, meta):
    "The line of data/README.md for a model."
    p = meta['provenance']; s = p.get('settings', {})
    what = "VGG-UAE's decoder on `mini`, float16 (lesson 12)" if name == 'vgg_uae' else f'generator of {s["blocks"]} blocks of {s["width"]} trained as `{name}`, float16'
    enc = p.get('encoder', {}).get('encoder', s.get('encoder'))
    steps = f'{s["pretrain"]:,}' if name == 'srresnet' else f'{s.get("warmup", 0):,} of warm-up, {s.get("steps", 0):,} of the game from `srresnet`, encoder {enc}'
    data = f'{p.get("photographs", "")} photographs: '+', '.join(Path(i).name for i in s.get('images', []))
    return f'| {path.name} | {what} | {data} | {steps}; {s.get("batch")} crops of {s.get("crop")}, {p["device"].split(" ")[0]} | {hashlib.sha256(path.read_bytes()).hexdigest()} |'

def renew(rows):
    "Put the rows, by file name, into the table of models in data/README.md."
    path = data_path('README.md'); text = path.read_text(encoding='utf-8')
    head, models, tail = re.match(r'(.*?\n## `models/`.*?\n)((?:\|[^\n]*\n)+)(.*)', text, re.S).groups()
    top, old = models.splitlines()[:2], {l.split('|')[1].strip(): l for l in models.splitlines()[2:]}
    with atomic_write(path) as tmp: tmp.write_text(head+'\n'.join([*top, *(v for _, v in sorted((old | rows).items()))])+'\n'+tail, encoding='utf-8')

@call_parse
def main(
    images:str='',         # folders of photographs, with commas
    preset:str='models',   # models (a GPU) or cpu
    weights:str='',        # file or folder with the encoder's weights (default: VGGSR_WEIGHTS, torchvision's cache, download)
    runs:str='runs/models',# where the runs are kept
    only:str='',           # some of srresnet, srgan-vgg22, srgan-vgg54, vggsrgan, vgg_uae, with commas (default: all)
    device:str='',         # cpu or cuda (default: the GPU where there is one)
    ship_only:bool=False,  # train nothing, ship what the runs hold
):
    "Train and ship."
    try:
        dev, folder = pick_device(device), Path(runs)
        names = [n.strip() for n in only.split(',') if n.strip()] or ['srresnet', *RIVALS, 'vgg_uae']
        if not ship_only:
            folders = [f.strip() for f in images.split(',') if f.strip()]
            if not folders: raise UserError('give --images, e.g. BSDS400,T91,SunHays80')
            photos = Photos(folders, device=dev, min_size=make_config(preset).crop)
            start = str(folder/'srresnet'/'generator.safetensors')
            for n in names:
                if n == 'srresnet': train(n, preset, photos, folder, dev, images=folders)
                else: train(n, preset, photos, folder, dev, images=folders, init=start, pretrain=0, **(ENERGY if n == 'vgg_uae' else dict(weights=weights, **(OURS if n == 'vggsrgan' else {}))))
        rows = {}
        for n in names:
            path, meta = ship(n, folder/n); keep_run(n, folder/n)
            rows[path.name] = row(n, path, meta)
            print(f'{path}: {path.stat().st_size/1e6:.1f} MB')
        renew(rows)
    except KeyboardInterrupt: sys.exit('stopped; the same command goes on')
    except UserError as e: sys.exit(f'models.py: {e}')
