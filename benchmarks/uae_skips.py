"""How do copies and target change the energy? Decoders trained on the bundled photographs, asked about held-out ones; data/results/uae_skips_ENCODER.json.

usage: python benchmarks/uae_skips.py [--encoder mini] [--weights FOLDER] [--steps 200] [--seeds 3] [--copies 4,3,2,1,0] [--device cpu]
"""
import argparse, time
import torch
from vggsr_nb.core import default_device, save_result, seed_everything
from vggsr_nb.data import HELD_OUT, Crops, bundled
from vggsr_nb.images import to_net
from vggsr_nb.vgg import VGG
from vggsr_nb.vgg_uae import VGGUAE, degraded, fit_decoder

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument('--encoder', default='mini')
p.add_argument('--weights', default=None)
p.add_argument('--steps', type=int, default=200)
p.add_argument('--seeds', type=int, default=3)
p.add_argument('--crop', type=int, default=64)
p.add_argument('--batch', type=int, default=4)
p.add_argument('--width', type=int, default=16)
p.add_argument('--copies', default='4,3,2,1,0', help='numbers of copies to try')
p.add_argument('--device', default=str(default_device()))
a = p.parse_args()

enc = VGG(a.encoder, a.weights).to(a.device)
photos, held = bundled(a.device), bundled(a.device, train=False)
tests = [held[i] for i, n in enumerate(held.names) if n in HELD_OUT]
tests = [t[:, y:y+96, x:x+96] for t in tests for y in range(16, t.shape[1]-96, 128) for x in range(16, t.shape[2]-96, 128)]
kinds = degraded(to_net(torch.stack(tests)))
variants = {f'image, {n} copies': dict(skips=n) for n in map(int, a.copies.split(','))} | {f'features, {n} copies': dict(skips=n, target='features') for n in map(int, a.copies.split(',')) if n in (4, 0)}

values, start = {}, time.time()
for name, kw in variants.items():
    for seed in range(a.seeds):
        crops = Crops(photos, a.crop, a.batch, seed=seed)
        seed_everything(seed)
        uae = VGGUAE(enc, width=a.width, **kw).to(a.device)
        fit_decoder(uae, lambda i: to_net(crops.windows(crops.where(i))), a.steps)
        with torch.no_grad(): U = {k: torch.cat([uae(b) for b in x.split(16)]) for k, x in kinds.items()}
        row = {k: dict(mean=u.mean().item(), above_real=(u > U['real']).float().mean().item()) for k, u in U.items()}
        values.setdefault(name, []).append(row)
        print(f'{time.time()-start:6.0f} s  {name} seed {seed}: '+', '.join(f'{k} {r["mean"]:.4f} ({r["above_real"]:.2f})' for k, r in row.items()), flush=True)
config = dict(steps=a.steps, seeds=a.seeds, crop=a.crop, batch=a.batch, width=a.width, lr=2e-3, test_crops=len(tests), trained_on=photos.names, tested_on=list(HELD_OUT))
print('stored in', save_result(f'uae_skips_{a.encoder}', values, config, device=a.device, encoder=enc.provenance))
