"""How well the small encoder stands for the real one: python benchmarks/mini.py --root ../shared/datasets --weights ../shared/weights -> data/results/mini.json

65 photographs of BSD100 in twelve ways each, against LPIPS on the real VGG-16; the share of the teacher's variance and of the picture's colours
that a linear map of its features explains; processor time per picture of 96x96."""
import argparse
from pathlib import Path
import torch
from vggsr_nb.core import data_path, save_result
from vggsr_nb.metrics import Lpips
from vggsr_nb.mini import distances, explained, judge, rank_correlation, speed, spoiled_pairs, stage_ends
from vggsr_nb.vgg import VGG

p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
p.add_argument('--root', default='../shared/datasets')
p.add_argument('--weights', default='../shared/weights')
p.add_argument('--student', default=None, help='weights of mini, default: those that ship')
p.add_argument('--other', default=None, help='weights of a mini taught otherwise, to compare with')
p.add_argument('--out', default=None, help='folder of the result, default: data/results')
a = p.parse_args()

student, teacher = VGG('mini', a.student), VGG('vgg16', a.weights)
files = sorted(Path(a.root, 'BSD100', 'HR').glob('*.png'))[:65]
values = judge(student, teacher, Lpips('vgg16', a.weights), files)
nets = dict(mini=student, vgg16=teacher, vgg19=VGG('vgg19', 'random'))               # the time does not depend on the weights
seconds = {n: speed(e) for n, e in nets.items()}
values.update(parameters={n: sum(q.numel() for q in e.parameters()) for n, e in nets.items()}, seconds=seconds,
              times_faster={n: s/seconds['mini'] for n, s in seconds.items() if n != 'mini'}, bytes=data_path('models', 'mini.safetensors').stat().st_size)

photos = [img for img, _ in spoiled_pairs(files, 192, ways=())]
if a.other:
    other = VGG('mini', a.other)
    feats, hues = explained(other, teacher, photos)
    values['other'] = dict(rank=rank_correlation(distances(other, spoiled_pairs(files))['all'], values['lpips']), explained=feats, colour=hues)

@torch.no_grad()
def waist(layer, k, rows=20_000):
    "Share of the teacher's variance at `layer` in its k largest directions: no pupil k channels wide explains more with a linear map."
    f = torch.cat([teacher(x[None].float()/127.5-1, layer)[layer] for x in photos]).permute(0, 2, 3, 1).flatten(0, 2)
    e = torch.linalg.eigvalsh(torch.cov(f[torch.randperm(len(f), generator=torch.Generator().manual_seed(0))[:rows]].T.double()))
    return float(e[-k:].sum()/e.sum())

values['waist'] = {t: waist(t, student.channels(s)) for s, t in zip(stage_ends(student), stage_ends(teacher))}
save_result('mini', values, dict(photographs='BSD100, the first 65', crop=96), folder=a.out, student=student.provenance, teacher=teacher.provenance, command='python benchmarks/mini.py')
print(values['rank'], values['explained'], values['colour'], values['times_faster'], sep='\n')
