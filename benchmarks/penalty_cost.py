"""Time a gradient step of VGG-UAE's decoder with each gradient penalty and store it in data/results/penalty_cost.json.

usage: python benchmarks/penalty_cost.py [--encoders mini vgg16] [--batch 4] [--crop 96] [--device cpu]
Weights are random: they do not change the time.
"""
import argparse
import torch
from vggsr_nb.core import default_device, save_result, seed_everything
from vggsr_nb.gradient_penalty import penalty_cost
from vggsr_nb.vgg import VGG
from vggsr_nb.vgg_uae import VGGUAE

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument('--encoders', nargs='+', default=['mini', 'vgg16'])
p.add_argument('--batch', type=int, default=4)
p.add_argument('--crop', type=int, default=96)
p.add_argument('--repeats', type=int, default=5)
p.add_argument('--device', default=str(default_device()))
a = p.parse_args()

values = {}
for name in a.encoders:
    seed_everything(0)
    uae = VGGUAE(VGG(name, 'random')).to(a.device)
    real, fake = (torch.rand(2, a.batch, 3, a.crop, a.crop)*2-1).to(a.device)
    values[f'VGG-UAE on {name}'] = ms = penalty_cost(uae, uae.decoder.parameters(), real, fake, a.repeats)
    for k, v in ms.items(): print(f'{name:8} {k:24} {v:9.1f} ms   {v/ms["no penalty"]:5.2f} times')
print('stored in', save_result('penalty_cost', values, dict(batch=a.batch, crop=a.crop, repeats=a.repeats), device=a.device))
