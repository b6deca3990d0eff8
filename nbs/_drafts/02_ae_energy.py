# %%
#| default_exp ae_energy

# %% [markdown]
# # Can a copying machine tell real from fake?
#
# Partly. A machine that learned to copy only one kind of thing copies other things badly, and the size of the mistake is an energy: low on the familiar, high on the strange. Noise is caught this way. Blur is not: smooth pictures are easier to copy than sharp ones, so they look *more real than real* until the machine is shown fakes.
#
# About half a minute on a laptop. Lesson 01 explains what an energy is; here one sentence about it is enough: **low energy means real**.

# %% [markdown]
# ## Conventions
#
# An autoencoder is a copying machine $r$ with something in the way: it squeezes $x$ through a narrow place, or gets it dirty, and has to give $x$ back. Its energy is the mean squared error per value,
#
# $$U(x) = \frac{1}{d}\,\lVert r(x) - x\rVert^2,\qquad d = \text{number of values in } x.$$
#
# It is a **mean**, not a sum: an 8x8 patch has $d = 64$. Pictures are grey here, `[B, 1, H, W]` in [-1, 1]. `U(x)` gives one number per example. Fakes are what we want to catch, so a good energy is *higher* on them.

# %%
#| export
import math
import torch, torch.nn.functional as F
from torch import Tensor, nn
from vggsr_nb.core import *

# %%
#| hide
import copy, os, torchvision
from fastcore.test import *
plt = get_plt()

# %% [markdown]
# ## Predict
#
# The machine has learned to copy sharp photographs, and nothing else. Guess before you read on.

# %%
guess = Predict('Lower energy:', ['the sharp original', 'a blurry version of it', 'equal'],
                'A patch of one even grey:', ['lowest energy', 'like real patches', 'highest energy'],
                'Wires around the bottleneck (skips). Real and noisy are', ['told apart worse', 'told apart as well or better'],
                'Trained against blurry fakes as well, it gives noise', ['more energy than real', 'less energy than real'])
guess

# %% [markdown]
# ## Smallest case: points along a line
#
# Five hundred points in the plane, long and thin. The machine may pass on a single number per point. Which one? The position along the cloud. To copy a point is then to drop it onto the axis of the cloud, and the energy is the squared distance to that axis, divided by $d = 2$.

# %%
seed_everything(0)
turn = torch.tensor([[.8, .6], [-.6, .8]], dtype=torch.float64)        # rows: along the cloud, across it
cloud = torch.randn(500, 2, dtype=torch.float64)
x = cloud * torch.tensor([1., .2]) @ turn                              # thickness s = 0.2
mu, C = x.mean(0), (x-x.mean(0)).T @ (x-x.mean(0)) / len(x)
lam, V = torch.linalg.eigh(C)                                          # smallest eigenvalue first
w = V[:, 1:]                                                           # keep the long direction: k = 1
U = ((x-mu) - (x-mu) @ w @ w.T).square().mean(1)                       # what the copy misses
print(f'mean energy of the points {U.mean():.6f}   discarded eigenvalue / 2 = {lam[0]/2:.6f}')

# %% [markdown]
# The two numbers agree, and not by luck: the mean squared distance to the axis *is* the variance across the axis. The cloud's own energy is what the machine threw away.
#
# ## Explore: where does the copy land?
#
# `k` is how many numbers pass, `s` the thickness of the cloud, `x` and `y` move a point about. The red arrow leads from the point to its copy. With `k = 2` everything passes: try to find a point that has any energy at all. With `k = 0` every copy is the centre.

# %%
#| hide
axis = torch.linspace(-2, 2, 41, dtype=torch.float64)
plane = torch.stack(torch.meshgrid(axis, axis, indexing='xy'), -1)      # [41, 41, 2], rows are y
def backdrop(ax, U, vmax, r=2., label=None):
    "Energies on a square grid as colours; square-root scale, so that low values stay visible."
    from matplotlib.colors import PowerNorm
    im = ax.imshow(U, extent=(-r, r, -r, r), origin='lower', interpolation='bilinear', norm=PowerNorm(.5, 0, vmax), aspect='equal')
    ax.set(xlim=(-r, r), ylim=(-r, r)); ax.grid(False)
    if label: ax.figure.colorbar(im, ax=ax, label=label, shrink=.85)
    return ax

# %%
@explore(k=(0, 2), s=(.02, .8), x=(-2., 2.), y=(-2., 2.), still=[dict(k=k) for k in (0, 1, 2)])
def line(k=1, s=.2, x=-.6, y=1.2):
    pts = cloud * torch.tensor([1., s]) @ turn
    m = pts.mean(0); lam, V = torch.linalg.eigh((pts-m).T @ (pts-m) / len(pts))
    W = V[:, 2-k:]
    r = lambda p: m + (p-m) @ W @ W.T
    p = torch.tensor([x, y], dtype=torch.float64)
    plt.gcf().set_size_inches(4.2, 3.6)
    ax = backdrop(plt.gca(), (plane-r(plane)).square().mean(-1), 4, label='U')
    ax.plot(*pts[:200].T, '.', ms=2, color='white', alpha=.6)
    if k < 2: ax.annotate('', r(p).tolist(), p.tolist(), arrowprops=dict(color=COLORS[1], width=2, headwidth=8))
    ax.plot(x, y, 'o', color=COLORS[1]); ax.set(xlabel='x', ylabel='y')
    U = lambda q: round(float((q-r(q)).square().mean()), 12)
    return dict(U=U(p), mean_U=U(pts), discarded=float(lam[:2-k].sum()/2))

# %% [markdown]
# *Dark is low energy. k = 0: a bowl around the centre. k = 1: a trench along the cloud. k = 2: no energy anywhere, because everything is copied, real or not.*
#
# Keep the three in mind. Too narrow and the machine knows one point; too wide and it knows nothing. All the rest of this lesson is about what can stand in the way instead.

# %% [markdown]
# ## Build: patches
#
# A photograph becomes a cloud of points when it is cut into patches: 8x8 pixels are one point in 64 dimensions. `patches` cuts, `unpatch` puts back together.

# %%
#| export
def patches(
    x:Tensor,             # images [B, C, H, W], floating point
    size:int=8,           # side of a patch, pixels
    stride:int|None=None, # step between patches; default: `size`, so that they tile
)->Tensor:                # [N, C, size, size], image by image, row by row
    "Cut images into square patches; what does not fill a patch is left out. Raises ValueError if nothing fits."
    if x.dim() != 4 or min(x.shape[-2:]) < size: raise ValueError(f'need [B, C, H, W] with sides of at least {size}, got {list(x.shape)}')
    return F.unfold(x, size, stride=stride or size).transpose(1, 2).reshape(-1, x.shape[1], size, size)

def unpatch(
    p:Tensor,    # patches that tile, [N, C, size, size], as `patches` returns them
    shape,       # shape of the images, [B, C, H, W] with H and W multiples of size
)->Tensor:       # images [B, C, H, W]
    "Put tiling patches back in place: the inverse of `patches`. Raises ValueError if they do not tile."
    B, C, H, W = shape; size = p.shape[-1]
    if H % size or W % size or p.numel() != B*C*H*W: raise ValueError(f'{list(p.shape)} patches do not tile {list(shape)}')
    return F.fold(p.reshape(B, -1, C*size*size).transpose(1, 2), (H, W), size, stride=size)

# %%
a = torch.arange(2*3*16*24.).view(2, 3, 16, 24)
p = patches(a)
test_eq(p.shape, (12, 3, 8, 8)); test_eq(p[4], a[0, :, 8:16, 8:16])      # second row, second column of the first image
test_eq(unpatch(p, a.shape), a)
test_eq(len(patches(a, 8, stride=4)), 2*3*5)
test_fail(lambda: patches(a, 32), contains='sides of at least 32')
test_fail(lambda: unpatch(p, (2, 3, 16, 20)), contains='do not tile')

# %% [markdown]
# Two of the photographs that come with the project. The machine will learn on the first and be asked about the second, which it has never seen.

# %%
def photo(name, multiple=32):
    "A bundled photograph in grey: float64 [1, 1, H, W] in [-1, 1], sides cut to a multiple."
    x = torchvision.io.read_image(str(data_path('images', f'{name}.png')), torchvision.io.ImageReadMode.GRAY)
    H, W = (s//multiple*multiple for s in x.shape[1:])
    return x[None, :, :H, :W].double()/127.5 - 1

train_img, test_img = photo('astronaut'), photo('coffee')
P = patches(train_img)
fig = show_images([train_img[0], test_img[0, :, :, 80:400], unpatch(P[torch.randperm(64)*64], (1, 1, 64, 64))[0]],
                  ['to learn from', 'to be asked about', '64 patches, shuffled'], size=2.8)

# %% [markdown]
# *Which patches would you expect to be hard to copy: sky, fabric, edges?*
#
# ## Build: PCA is the smallest autoencoder
#
# Nothing changes from 2 dimensions to 64. Keep the $k$ directions $W$ of largest variance; the copy is $r(x) = \mu + W W^\top (x-\mu)$, columns of $W$ being directions. No linear machine with $k$ numbers copies better (Eckart and Young 1936).
#
# One option more, for later: a *soft* bottleneck. It keeps all directions, but turns each down by a gain $\lambda/(\lambda + \sigma^2)$, $\lambda$ being its variance.

# %%
#| export
class PCA(nn.Module):
    "Principal components as an autoencoder on vectors, in closed form. `k` and `sigma` may be changed after fitting."
    event_dims = 1                         # trailing dimensions that make one example
    def __init__(self,
        x:Tensor,          # examples [N, ...], flattened to vectors of D values
        k:int|None=None,   # directions kept, 0 to D; default: all
        sigma:float=0.,    # soft bottleneck: gains variance/(variance + sigma^2); 0 switches it off
    ):
        super().__init__()
        x = x.flatten(1).double()
        mean = x.mean(0); var, basis = torch.linalg.eigh((x-mean).T @ (x-mean) / len(x))
        for n, t in dict(mean=mean, var=var.flip(0).clamp(min=0), basis=basis.flip(1)).items(): self.register_buffer(n, t)
        self.k, self.sigma = len(mean) if k is None else k, sigma
        if not 0 <= self.k <= len(mean): raise ValueError(f'k must be 0 to {len(mean)}, got {k}')
    def encode(self, x): return (x-self.mean.to(x)) @ self.basis[:, :self.k].to(x)
    def decode(self, z): return self.mean.to(z) + z @ self.basis[:, :self.k].T.to(z)
    def gains(self): return self.var[:self.k]/(self.var[:self.k] + self.sigma**2) if self.sigma else torch.ones_like(self.var[:self.k])
    def forward(self, x): return self.decode(self.encode(x) * self.gains().to(x))

# %%
pca = PCA(P, k=16)
v = P.flatten(1)
test_close(pca(pca(v)), pca(v), eps=1e-10)                                       # a copy of a copy loses nothing more
U_, S_, Vh = torch.linalg.svd(v-v.mean(0), full_matrices=False)                  # the independent truth
test_close(pca(v), v.mean(0) + U_[:, :16]*S_[:16] @ Vh[:16], eps=1e-9)
test_close(PCA(P)(v), v, eps=1e-10)                                              # k = 64: everything passes
test_close(PCA(P, k=0)(v), v.mean(0).expand_as(v), eps=1e-10)                    # k = 0: always the mean
test_fail(lambda: PCA(P, k=65), contains='0 to 64')

# %% [markdown]
# The directions themselves are worth a look. Nobody told the machine about waves:

# %%
tile = lambda j: (pca.basis[:, j]/pca.basis[:, j].abs().max()).view(1, 8, 8)
fig = show_images([tile(j) for j in (*range(8), *range(56, 64))], [f'{j+1}' for j in (*range(8), *range(56, 64))], ncols=8, size=1.05)

# %% [markdown]
# *Directions 1 to 8 and 57 to 64, by falling variance. The first are slow, the last are fast. To keep the first $k$ is to keep what is smooth. You may want to revise a guess.*
#
# ## Build: the energy of any autoencoder
#
# The wrapper turns a copying machine into an energy. It is used in this lesson for PCA, for small networks and for convolutions alike. `map` shows which pixels the energy comes from; its mean is the energy.

# %%
#| export
class ReconEnergy(nn.Module):
    "Reconstruction error of an autoencoder as energy, U(x) = mean over values of (r(x)-x)^2; low = real. EBGAN's discriminator (Zhao et al. 2017)."
    def __init__(self,
        ae:nn.Module,            # the copying machine; `ae.event_dims` trailing dimensions make one example (3 if it does not say)
        reduction:str='mean',    # over the values of one example: 'mean' or 'sum'
    ):
        super().__init__()
        if reduction not in ('mean', 'sum'): raise ValueError(f"reduction is 'mean' or 'sum', got {reduction!r}")
        self.ae, self.reduction = ae, reduction
    def squares(self, x): return (self.ae(x)-x).square()
    def forward(self,
        x:Tensor,    # examples [B, ...]
    )->Tensor:       # energies [B]
        "One energy per example."
        s = self.squares(x).flatten(-getattr(self.ae, 'event_dims', 3))
        return s.mean(-1) if self.reduction == 'mean' else s.sum(-1)
    def map(self,
        x:Tensor,    # images [B, C, H, W]
    )->Tensor:       # [B, 1, H, W]; with 'mean', its mean over the image is the energy
        "Where the energy comes from. Raises ValueError for what is not an image."
        if getattr(self.ae, 'event_dims', 3) != 3: raise ValueError('a map needs an autoencoder on images; wrap one on patches in Tiled')
        s = self.squares(x)
        return s.mean(1, keepdim=True) if self.reduction == 'mean' else s.sum(1, keepdim=True)

# %%
U = ReconEnergy(pca)
test_eq(U(v).shape, (4096,))
test_close(ReconEnergy(pca, 'sum')(v), 64*U(v), eps=1e-9)
test_fail(lambda: U.map(v), contains='Tiled'); test_fail(lambda: ReconEnergy(pca, 'max'), contains='max')

# %% [markdown]
# First law, now in 64 dimensions: **the mean energy of the training patches is the sum of the discarded eigenvalues, divided by 64**, for every $k$.

# %%
def at(k, sigma=0.):
    "The energy of the same machine with another bottleneck."
    m = copy.copy(pca)
    m.k, m.sigma = k, sigma
    return ReconEnergy(m)
for k in (0, 1, 16, 63, 64): test_close(at(k)(v).mean(), pca.var[k:].sum()/64, eps=1e-10)

# %% [markdown]
# Second law: which way is downhill? The copy does not depend on the discarded part $(I - WW^\top)(x-\mu)$, and the energy is its square, so $\nabla U = 2\,(I - WW^\top)(x-\mu)/64$. Autograd agrees:

# %%
U = at(16); W = pca.basis[:, :16]
z = v[:5].clone().requires_grad_()
grad, = torch.autograd.grad(U(z).sum(), z)
by_hand = 2*(v[:5]-pca.mean) @ (torch.eye(64) - W @ W.T) / 64
test_close(grad, by_hand, eps=1e-12)

# %% [markdown]
# So going downhill in energy means giving up what the machine cannot copy, and nothing else. Every step towards "more real" makes a patch *more like its copy*. For a machine that keeps the slow waves: smoother.
#
# ## Build: a line-up of fakes
#
# Five suspects, all made from the same photograph. `noisy` adds grain of strength $\sigma$. `blurred` goes through a Gaussian of width $b$ pixels. `upscaled` is shrunk four times and blown up again, which is what a super-resolution network starts from. `constant` has each patch replaced by its mean.

# %%
#| export
def blur(
    x:Tensor,        # images [B, C, H, W]
    b:float=1.,      # standard deviation, pixels; 0 gives x back
)->Tensor:           # same shape
    "Gaussian blur, borders reflected."
    if b <= 0: return x
    r = min(max(1, math.ceil(3*b)), min(x.shape[-2:])-1)
    t = torch.arange(-r, r+1).to(x); k = (-t.square()/2/b**2).exp(); k = (k/k.sum()).expand(x.shape[1], 1, 1, -1)
    x = F.conv2d(F.pad(x, (r, r, 0, 0), 'reflect'), k, groups=x.shape[1])
    return F.conv2d(F.pad(x, (0, 0, r, r), 'reflect'), k.transpose(2, 3), groups=x.shape[1])

def upscaled(
    x:Tensor,        # images [B, C, H, W], sides multiples of `scale`
    scale:int=4,     # how much is thrown away on each side
)->Tensor:           # same shape
    "Shrink (bicubic, antialiased) and blow up again (bicubic): a blurry picture of the right size."
    if x.shape[-2] % scale or x.shape[-1] % scale: raise ValueError(f'sides {list(x.shape[-2:])} are not multiples of {scale}')
    small = F.interpolate(x, size=(x.shape[-2]//scale, x.shape[-1]//scale), mode='bicubic', antialias=True)
    return F.interpolate(small, size=x.shape[-2:], mode='bicubic', antialias=True)   # the flag also selects the kernel a = -0.5, as in MATLAB

# %%
dot = torch.zeros(1, 1, 65, 65, dtype=torch.float64); dot[..., 32, 32] = 1
b2 = blur(dot, 2.)
yy, xx = torch.meshgrid(*[torch.arange(65.)-32]*2, indexing='ij')
test_close(b2.sum(), 1, eps=1e-12); test_close((b2*xx**2).sum(), 4, eps=.1); test_close((b2*yy**2).sum(), 4, eps=.1)   # variance b^2
test_close(blur(torch.ones(1, 2, 16, 16)), torch.ones(1, 2, 16, 16), eps=1e-6); test_eq(blur(dot, 0), dot)
ramp = torch.linspace(-1, 1, 64, dtype=torch.float64).expand(1, 1, 64, 64)
test_close(upscaled(ramp)[..., 20:-20], ramp[..., 20:-20], eps=1e-6)                  # a slope survives, away from the border
test_fail(lambda: upscaled(dot), contains='multiples of 4')

# %%
#| export
def fakes(
    x:Tensor,           # real images [B, C, H, W], sides multiples of `scale` and `size`
    sigma:float=.1,     # strength of the noise, in units of the [-1, 1] range
    b:float=1.,         # width of the blur, pixels
    scale:int=4,        # of the upscaling
    size:int=8,         # patches made constant, pixels
    seed:int=0,         # of the noise
)->dict:                # name -> images: real, noisy, blurred, upscaled, constant
    "A line-up: the real images and four fakes made of them."
    n = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)).to(x)
    p = patches(x, size)
    flat = unpatch(p.mean((2, 3), keepdim=True).expand_as(p), x.shape)
    return dict(real=x, noisy=x+sigma*n, blurred=blur(x, b), upscaled=upscaled(x, scale), constant=flat)

# %%
suspects = fakes(test_img)
test_eq(list(suspects), ['real', 'noisy', 'blurred', 'upscaled', 'constant'])
test_close((suspects['noisy']-test_img).std(), .1, eps=1e-3)
test_close(suspects['constant'][0, 0, :8, :8], test_img[0, 0, :8, :8].mean().expand(8, 8), eps=1e-12)
test_eq(fakes(test_img)['noisy'], suspects['noisy'])                                   # the same noise each time

# %% [markdown]
# For whole images a machine on patches is applied tile by tile:

# %%
#| export
class Tiled(nn.Module):
    "An autoencoder on vectors, applied to every tile of an image [B, C, H, W]."
    event_dims = 3
    def __init__(self,
        ae:nn.Module,    # autoencoder on vectors [N, C*size*size]
        size:int=8,      # side of a tile; H and W must be multiples of it
    ):
        super().__init__()
        self.ae, self.size = ae, size
    def forward(self, x):
        p = patches(x, self.size)
        return unpatch(self.ae(p.flatten(1)).view_as(p), x.shape)

# %%
whole = ReconEnergy(Tiled(pca))
test_close(whole(test_img)[0], U(patches(test_img).flatten(1)).mean(), eps=1e-12)
test_close(whole.map(test_img).mean((1, 2, 3)), whole(test_img), eps=1e-12)
test_eq(whole.map(test_img).shape, (1, 1, *test_img.shape[2:]))

# %% [markdown]
# Now the line-up, with the energies that the machine gives. It passes 16 numbers of 64, learned on the astronaut.

# %%
cut = lambda x: x[0, :, 96:192, 224:320]
by_energy = sorted(suspects, key=lambda n: whole(suspects[n]).item())
fig = show_images([cut(suspects[n]) for n in by_energy], [f'{n}\nU = {whole(suspects[n]).item():.5f}' for n in by_energy], ncols=5, size=1.9)

# %% [markdown]
# *Ordered by energy, "most real" first. The real photograph comes fourth of five. Only noise is recognised.*

# %% [markdown]
# ## Build: how good is an energy? ROC and AUC
#
# Means hide a lot. Take one real and one fake patch at random: how often does the fake have the higher energy? That share is the **AUC**. 1 is perfect, 0.5 is a coin, and below 0.5 the machine holds fakes to be the real ones. Ties count half.

# %%
#| export
def _energies(*us):
    us = [torch.as_tensor(u).flatten().double() for u in us]
    if not all(map(len, us)): raise ValueError('no energies given')
    if any(u.isnan().any() for u in us): raise ValueError('an energy is NaN')
    return us

def auc(
    real,      # energies of real examples, any shape
    fake,      # energies of fake examples, any shape
)->float:      # 0 to 1
    "Chance that a random fake has a higher energy than a random real example, ties counting half. Raises ValueError for none or NaN."
    real, fake = _energies(real, fake)
    real = real.sort().values
    below, upto = torch.searchsorted(real, fake), torch.searchsorted(real, fake, right=True)
    return ((below+upto).double().mean()/2/len(real)).item()

# %%
#| export
def roc(
    real,                       # energies of real examples, any shape
    fake,                       # energies of fake examples, any shape
)->tuple[Tensor, Tensor]:       # shares of real examples accused and of fakes caught, both from 0 to 1
    "Every threshold at once: accuse what lies above it, lower it step by step. The area under the curve is `auc`."
    real, fake = _energies(real, fake)
    u, order = torch.cat([real, fake]).sort(descending=True)
    caught = (order >= len(real)).double()
    last = torch.cat([u[1:] != u[:-1], torch.ones(1, dtype=torch.bool)])            # equal energies cross the threshold together
    zero = torch.zeros(1, dtype=torch.float64)
    return tuple(torch.cat([zero, c.cumsum(0)[last]/c.sum()]) for c in (1-caught, caught))

# %% [markdown]
# The test is the definition, slow and plain: count all pairs. Rounded energies make plenty of ties.

# %%
def count_pairs(real, fake): return sum((f > r) + .5*(f == r) for r in real.tolist() for f in fake.tolist())/len(real)/len(fake)
seed_everything(0)
for shift in (-1., 0., .7, 3.):
    r, f = torch.randn(60).mul(3).round()/3, (torch.randn(45)+shift).mul(3).round()/3
    accused, found = roc(r, f)
    test_close(auc(r, f), count_pairs(r, f), eps=1e-12)
    test_close(torch.trapezoid(found, accused), auc(r, f), eps=1e-12)           # area under the curve
    test_close(auc(r, f) + auc(f, r), 1, eps=1e-12)
    test_close(auc(r.exp(), f.exp()), auc(r, f), eps=1e-12)                     # only the order counts
    assert (accused.diff() >= 0).all() and (found.diff() >= 0).all() and found[-1] == accused[-1] == 1
test_fail(lambda: auc([], [1.]), contains='no energies'); test_fail(lambda: roc([float('nan')], [1.]), contains='NaN')

# %%
energies = {n: at(16)(patches(s).flatten(1)) for n, s in suspects.items()}
fig, (a, b) = plt.subplots(1, 2, figsize=(9.4, 3.5), layout='constrained')
bins = torch.logspace(-7, 0, 71)
for i, (n, u) in enumerate(energies.items()):
    c, ls = COLORS[i], ['-', '--', '-.', ':', (0, (5, 1))][i]
    a.hist(u, bins=bins, histtype='step', color=c, linestyle=ls, lw=1.6, label=n)
    if n != 'real': b.plot(*roc(energies['real'], u), color=c, linestyle=ls, label=f'{n}: AUC {auc(energies["real"], u):.3f}')
a.set(xscale='log', xlabel='energy U of a patch', ylabel='patches', title='Who is to the right of real?'); a.legend(loc='upper right')
b.plot([0, 1], [0, 1], color='gray', lw=.8, ls='-'); b.set(xlabel='real patches accused', ylabel='fakes caught', title='ROC, k = 16', aspect='equal')
b.legend(loc='center left', bbox_to_anchor=(1, .5));

# %% [markdown]
# *To accuse what has much energy catches noise. For the other three it accuses the real patches first: their curves run below the diagonal.*
#
# Is it the fault of $k = 16$? Each patch's energy at every $k$ at once: $U_k = \frac{1}{64}\sum_{j>k} c_j^2$ with $c$ its coefficients. One running sum.

# %%
ks = torch.arange(65)
def all_k(img):
    "Energies [65, N] of an image's patches at k = 0 ... 64."
    c2 = ((patches(img).flatten(1)-pca.mean) @ pca.basis).square().T / 64
    return torch.cat([c2.flip(0).cumsum(0).flip(0), torch.zeros(1, c2.shape[1])])
Uk = {n: all_k(s) for n, s in suspects.items()}
test_close(Uk['blurred'][16], energies['blurred'], eps=1e-12)
aucs = {n: torch.tensor([auc(Uk['real'][k], u[k]) for k in range(64)]) for n, u in Uk.items() if n != 'real'}
fig, (a, b) = plt.subplots(1, 2, figsize=(9.4, 3.2), layout='constrained')
plot_line(ks[:64], {n: u.mean(1)[:64] for n, u in Uk.items()}, ax=a, xlabel='k, numbers that pass', ylabel='mean U', logy=True, title='Mean energy')
a.set_ylim(1e-11); a.legend(loc='lower left', ncols=2)
b._get_lines.get_next_color()                                                    # keep each suspect's colour
plot_line(ks[:64], aucs, ax=b, xlabel='k, numbers that pass', ylabel='AUC against real', title='A coin gives 0.5')
b.axhline(.5, color='gray', lw=.8); b.set_ylim(0, 1);

# %% [markdown]
# *No bottleneck helps. At every $k$ from 0 to 63 the blurred, the upscaled and the constant patches have less energy than the real ones.*
#
# One curve can be drawn without a computer. Noise has the same strength in all directions, so it adds $\sigma^2$ per discarded direction: $U_\text{noisy} \approx U_\text{real} + \sigma^2 (1 - k/64)$.

# %%
gap = (Uk['noisy']-Uk['real']).mean(1)
test_close(gap, .1**2*(1-ks/64), eps=3e-4)

# %% [markdown]
# ## Explore: three sliders and five suspects
#
# `k` is the bottleneck, `sigma` the noise, `b` the width of the blur; the readout is the AUC of each suspect. Two things to try. How faint must noise be to pass unseen, and does a narrow or a wide bottleneck see it better? Then look for any setting at which the blurred curve lies to the right of the real one.

# %%
@explore(k=(0, 63), sigma=(.01, .5, 'log'), b=(.3, 4.), still=[dict(k=16), dict(k=60, sigma=.02, b=.5)])
def lineup(k=16, sigma=.1, b=1.):
    sus = fakes(test_img[..., :160, :256].float(), sigma, b)
    u = {n: at(k)(patches(s).flatten(1)) for n, s in sus.items()}
    plt.gcf().set_size_inches(5.6, 3.2)
    edges = torch.linspace(-8, 0.3, 60)
    for n, e in u.items():
        h = torch.histc(e.clamp(1e-8, 1).log10(), 59, -8, .3)
        plt.step(edges[:-1], h, label=n, where='post')
    plt.xlabel('log10 of the energy U of a patch'); plt.ylabel('patches'); plt.legend(loc='upper right', fontsize=8)
    return {n: round(auc(u['real'], e), 3) for n, e in u.items() if n != 'real'}

# %% [markdown]
# *Left: the setting from above, on a part of the photograph. Right: faint noise, light blur and a wide bottleneck, which sees faint noise better. Noise can be moved; blur stays on the wrong side.*
#
# ## Why blur wins
#
# Blur turns down the fast waves. The energy *is* the fast waves. That is all. It can be said without waves, too: pull any patch towards the mean, $x_a = \mu + a\,(x-\mu)$. Its energy is $U(x_a) = a^2\, U(x)$. Half the contrast, a quarter of the energy: a fog over the picture makes it "more real".

# %%
U = at(16); x = patches(test_img).flatten(1)
test_close(U(pca.mean + .5*(x-pca.mean)), .25*U(x), eps=1e-12)

# %% [markdown]
# Is it because reconstruction error is a poor measure? Take the best energy there is for a Gaussian cloud, its own negative log-density $\frac12 (x-\mu)^\top C^{-1} (x-\mu)$, or the denoising machine with its soft bottleneck:

# %%
def gauss_energy(x): return ((x-pca.mean) @ pca.basis).square().div(pca.var).sum(1)/2       # up to a constant
judges = {'bottleneck k = 16': at(16), 'soft bottleneck 0.1': at(64, .1), 'Gaussian -log p': gauss_energy}
verdicts = {m: {n: E(patches(s).flatten(1)) for n, s in suspects.items()} for m, E in judges.items()}
print(f'{"AUC against real":22}' + ''.join(f'{n:>10}' for n in list(suspects)[1:]))
for m, u in verdicts.items(): print(f'{m:22}' + ''.join(f'{auc(u["real"], u[n]):10.3f}' for n in list(suspects)[1:]))

# %% [markdown]
# The same verdict three times. The point of *lowest* energy of a Gaussian is its mean, an even grey, and no real patch looks like this. Real patches do not sit at the bottom of the energy. They sit where there is most *room*: at temperature 1 a Gaussian in $d$ dimensions has an energy of about $d/2$, not 0. Keep this for the end: "as low as possible" and "as low as the real ones" are two different wishes.
#
# ## Could a cleverer linear machine do it?
#
# Give up "copy well" and choose any linear machine $r(x) = \mu + A(x-\mu)$ with the one aim to accuse blur. Its energy is a quadratic form, so its mean depends on the second moments $C$ only:
#
# $$\overline{U}_\text{blurred} - \overline{U}_\text{real} = \tfrac{1}{64}\,\mathrm{tr}\,\big[(I-A)^\top (I-A)\,(C_\text{blurred} - C_\text{real})\big].$$
#
# If $C_\text{blurred} - C_\text{real}$ has no positive eigenvalue, this is never positive, whatever $A$ is. Has it one?

# %%
second = lambda img: (lambda p: p.T @ p / len(p))(patches(img).flatten(1)-pca.mean)
train_suspects = fakes(train_img)
excess = {n: torch.linalg.eigh(second(train_suspects[n]) - second(train_img)) for n in ('blurred', 'upscaled')}
for n, (e, _) in excess.items():
    print(f'{n:9} eigenvalues {e[0]:+.5f} to {e[-1]:+.5f};   the positive ones add up to {e.clamp(min=0).sum():.5f}, the negative to {e.clamp(max=0).sum():.5f}')

# %% [markdown]
# Against this blur: none. **No linear autoencoder, however it is trained, gives blur the higher mean energy.** Against upscaling one direction is left, and a faint one. What does the best linear machine do with it?

# %%
best = excess['upscaled'][1][:, -1:]                                  # the one direction in which upscaled patches vary more
only = lambda img: ((patches(img).flatten(1)-pca.mean) @ best).square().squeeze(1)
linear_auc = {n: auc(only(photo(n)), only(fakes(photo(n))['upscaled'])) for n in ('astronaut', 'coffee', 'chelsea')}
print(linear_auc)

# %% [markdown]
# A coin, even on its own training photograph. A linear machine can become indifferent to blur; it cannot come to dislike it. To call *too smooth* a mistake, the energy must rise on both sides of real: too rough here, too smooth there. That takes a machine with bends in it.

# %% [markdown]
# ## A machine with bends: the ring
#
# Points on a ring in the plane. A straight axis is of no use here, but one number still says where on the ring a point is: its angle. So a network with a bottleneck of one number should copy the ring without a fault. Should it?

# %%
#| export
class MLPAE(nn.Module):
    "Autoencoder on vectors: layers with tanh down to `k` numbers and up again. Without hidden layers it is linear."
    event_dims = 1
    def __init__(self,
        d:int=2,             # values per example
        k:int=1,             # numbers that pass
        hidden=(64, 32),     # widths of the hidden layers on the way down, reversed on the way up
    ):
        super().__init__()
        if k < 1: raise ValueError(f'k must be at least 1, got {k}')
        def stack(sizes):
            layers = [m for i, o in zip(sizes, sizes[1:]) for m in (nn.Linear(i, o), nn.Tanh())]
            return nn.Sequential(*layers[:-1])
        self.enc, self.dec = stack([d, *hidden, k]), stack([k, *hidden[::-1], d])
    def forward(self, x): return self.dec(self.enc(x))

# %%
net = MLPAE(d=3, k=2)
test_eq(net.enc(torch.zeros(5, 3)).shape, (5, 2)); test_eq(net(torch.zeros(4, 5, 3)).shape, (4, 5, 3))
lin = MLPAE(d=3, k=2, hidden=())
test_close(lin(torch.ones(1, 3)) + lin(-torch.ones(1, 3)), 2*lin(torch.zeros(1, 3)), eps=1e-6)       # straight
assert ((net(torch.ones(1, 3)) + net(-torch.ones(1, 3)) - 2*net(torch.zeros(1, 3))).abs() > 1e-4).all()   # bent
test_fail(lambda: MLPAE(k=0), contains='at least 1')

# %% [markdown]
# One trained network is an anecdote. `Copies` runs several of the same shape side by side, each with its own start, for little more than the price of one; results can then be shown as bands.

# %%
#| export
class Copies(nn.Module):
    "Several networks of one shape run as one: x [B, ...] or [copies, B, ...] -> [copies, B, ...]."
    def __init__(self,
        nets,        # the networks, of one class and size
    ):
        super().__init__()
        params, _ = torch.func.stack_module_state(nets)
        self.stack = nn.ParameterDict({k.replace('.', '/'): nn.Parameter(v.detach()) for k, v in params.items()})
        self.base, self.event_dims = [nets[0]], nets[0].event_dims       # in a list: its own parameters are not ours
    def __len__(self): return len(next(iter(self.stack.values())))
    def forward(self, x):
        params = {k.replace('/', '.'): v for k, v in self.stack.items()}
        one = lambda p, x: torch.func.functional_call(self.base[0], p, (x,))
        return torch.func.vmap(one, in_dims=(0, 0 if x.dim() == self.event_dims+2 else None))(params, x)

def copies(
    make,         # called without arguments, builds one network
    n:int=5,      # how many
)->Copies:        # seeded 0 ... n-1
    "`n` networks side by side, each built after its own seed."
    def seeded(s):
        with torch.random.fork_rng(devices=[]): torch.manual_seed(s); return make()
    return Copies([seeded(s) for s in range(n)])

# %%
five, x = copies(MLPAE, 5), torch.randn(5, 7, 2)
torch.manual_seed(3); third = MLPAE()
test_close(five(x)[3], third(x[3]), eps=1e-6); test_close(five(x[0])[3], third(x[0]), eps=1e-6)
test_eq(len(five), 5); test_eq(ReconEnergy(five)(x).shape, (5, 7))
test_eq(sum(p.numel() for p in five.parameters()), 5*sum(p.numel() for p in third.parameters()))

# %% [markdown]
# And one training loop for the whole lesson. Plain copying is the default. With `sigma` the input is made noisy and the clean one has to come out: a **denoising** autoencoder. With `fakes` the energy of fakes is pushed up, as far as a `margin` and no further: EBGAN's hinge $U(\text{real}) + [m - U(\text{fake})]_+$. Without a margin it is the paper's literal $U(\text{real}) - U(\text{fake})$.

# %%
#| export
def ae_losses(
    net,            # an autoencoder
    x:Tensor,       # real examples
    sigma=0.,       # noise on the input (float, or tensor that broadcasts to x)
    fake=None,      # negatives, or None
    margin=None,    # energy up to which negatives are pushed; None: without end
    g=None,         # generator of the noise
)->tuple[Tensor, dict]:   # loss (mean over examples) and mean energies: 'real', 'fake'
    "E[U(real)] + E[max(0, margin - U(fake))] (EBGAN, Zhao et al. 2017); without a margin E[U(real)] - E[U(fake)]; `real` is copied from a noisy input if `sigma`."
    dirty = x + sigma*torch.randn(x.shape, generator=g) if isinstance(sigma, Tensor) or sigma else x
    u = (net(dirty)-x).square().flatten(-getattr(net, 'event_dims', 3)).mean(-1)
    loss, log = u.mean(), dict(real=u.detach().mean(-1))
    if fake is None: return loss, log
    u = ReconEnergy(net)(fake)
    return loss + (-u if margin is None else (margin-u).relu()).mean(), log | dict(fake=u.detach().mean(-1))

# %%
half = nn.Linear(2, 2, bias=False); half.event_dims = 1
with torch.no_grad(): half.weight.copy_(torch.eye(2)/2)                               # copies at half the size: U(x) = mean of (x/2)^2
one, two = torch.ones(4, 2), 2*torch.ones(4, 2)                                       # U = 1/4 and 1
loss = lambda **kw: ae_losses(half, one, **kw)[0].item()
test_close([loss(), loss(fake=two), loss(fake=two, margin=1.5), loss(fake=two, margin=.5)], [.25, .25-1, .25+.5, .25])
test_eq(ae_losses(half, one, fake=two)[1], dict(real=torch.tensor(.25), fake=torch.tensor(1.)))
big = ae_losses(half, torch.ones(20000, 2), sigma=2., g=torch.Generator().manual_seed(0))[0]
test_close(big.item(), .25 + 2**2/4, eps=.02)                                         # noise passes at half its size

# %%
#| export
def train_ae(
    net,             # an autoencoder, trained in place; `Copies` train side by side
    sample,          # sample(generator) -> a batch of real examples
    steps:int=500,   # of Adam
    lr:float=5e-3,   # highest learning rate: warmed up over a tenth of the steps, then falling to 0
    sigma=0.,        # noise on the input (float, or tensor that broadcasts to the batch)
    fakes=None,      # fakes(batch, generator) -> negatives
    margin=None,     # energy up to which negatives are pushed; None pushes without end
    seed:int=0,      # of batches and noise
    watch=None,      # called as watch(step, net) before every `every`-th step and after the last
    every:int=100,
)->dict:             # 'real' and 'fake': mean energies before each step, [steps] or [steps, copies]
    "Train to copy (or denoise) and, given fakes, to fail on them; see `ae_losses`."
    g, opt, log = torch.Generator().manual_seed(seed), torch.optim.Adam(net.parameters(), lr), []
    for i in progress(range(steps), 'training', leave=False):
        if watch and i % every == 0: watch(i, net)
        for p in opt.param_groups: p['lr'] = lr*min((i+1)/max(1, steps//10), (1+math.cos(math.pi*i/steps))/2)
        x = sample(g)
        loss, energies = ae_losses(net, x, sigma, fakes and fakes(x, g), margin, g)
        opt.zero_grad(); loss.backward(); opt.step()
        log.append(energies)
    if watch: watch(steps, net)
    return {k: torch.stack([e[k] for e in log]) for k in log[0]}

# %% [markdown]
# A test with a known answer: a *linear* autoencoder trained by gradient steps cannot do better than PCA, and gets there from any start (Baldi and Hornik 1989). Two dimensions, one number passes, five starts: the energy must end at the discarded eigenvalue over 2.

# %%
thin = (cloud * torch.tensor([1., .2]) @ turn).float()
five = copies(lambda: MLPAE(2, 1, hidden=()), 5)
log = train_ae(five, lambda g: thin, steps=300, lr=.05)
test_eq(log['real'].shape, (300, 5))
print('five starts:', ReconEnergy(five)(thin).mean(1).tolist(), '  PCA:', PCA(thin, 1).var[1].item()/2)
test_close(ReconEnergy(five)(thin).mean(1), (PCA(thin, 1).var[1]/2).float().expand(5), eps=2e-4)

# %% [markdown]
# Two more. A margin of 0 asks nothing of the fakes: the result is that of plain copying. With a margin the fakes' energy stops near it, while without one it goes on.

# %%
def trained(**kw):
    torch.manual_seed(1); net = MLPAE(2, 2, hidden=(8,))
    return net, train_ae(net, lambda g: thin, steps=100, lr=.02, **kw)
flip = lambda x, g: x.flip(1)
plain, zero = trained()[0], trained(fakes=flip, margin=0.)[0]
for p, q in zip(plain.parameters(), zero.parameters()): test_close(p.detach(), q.detach(), eps=1e-4)
hinged, free = trained(fakes=flip, margin=.5)[1]['fake'], trained(fakes=flip)[1]['fake']
assert .3 < hinged[-1] < 2 and free[-1] > 5*hinged[-1], (hinged[-1], free[-1])
seen = []; train_ae(plain, lambda g: thin, steps=5, every=2, watch=lambda i, net: seen.append(i)); test_eq(seen, [0, 2, 4, 5])

# %% [markdown]
# Now the ring, a little thick. Six kinds of machine, five starts each: one or two numbers pass, and the input is clean or made noisy.

# %%
def ring(*shape, g=None, width=.05):
    "Points near the unit circle, float32 [*shape, 2]."
    angle, r = 2*math.pi*torch.rand(shape, generator=g), 1 + width*torch.randn(shape, generator=g)
    return torch.stack([r*angle.cos(), r*angle.sin()], -1)

noises = [0., .1, .3]
def ring_machines(k, seeds=5):
    "Fifteen machines in one: five starts for each level of noise."
    net = copies(lambda: MLPAE(2, k), seeds*len(noises))
    train_ae(net, lambda g: ring(seeds*len(noises), 64, g=g), steps=600, lr=1e-2, sigma=torch.tensor(noises).repeat_interleave(seeds).view(-1, 1, 1))
    return net
machines = {k: ring_machines(k) for k in (1, 2)}

# %%
side = torch.linspace(-1.8, 1.8, 49)
grid = torch.stack(torch.meshgrid(side, side, indexing='xy'), -1)                  # [49, 49, 2]
angles = torch.linspace(0, 2*math.pi, 181)[:-1]
circle = torch.stack([angles.cos(), angles.sin()], -1)
def on(net, pts):
    "Energies of all copies at points [..., 2]: [noises, seeds, ...]."
    with torch.no_grad(): return ReconEnergy(net)(pts.reshape(-1, 2)).view(len(noises), -1, *pts.shape[:-1])
def downhill(net, pts):
    "-grad U of all copies at points [N, 2]: [noises, seeds, N, 2]."
    z = pts.expand(len(net), *pts.shape).clone().requires_grad_()
    return -torch.autograd.grad(ReconEnergy(net)(z).sum(), z)[0].view(len(noises), -1, *pts.shape)
surface = {k: on(net, grid) for k, net in machines.items()}
spots = grid[4:-1:5, 4:-1:5].reshape(-1, 2)
flow = {k: downhill(net, spots) for k, net in machines.items()}

# %% [markdown]
# ## Explore: the landscape of a copying machine
#
# `k` numbers pass, `sigma` is the noise in training, `seed` the start. White arrows point downhill, $-\nabla U$, all drawn equally long. Look for the place on the ring where each `k = 1` machine fails. Then look at the middle.

# %%
@explore(k=[1, 2], sigma=noises, seed=(0, 4), still=[dict(k=1, sigma=0.), dict(k=2, sigma=0.), dict(k=2, sigma=.3)])
def landscape(k=1, sigma=0., seed=0):
    i = noises.index(sigma); u = surface[k][i, seed]
    plt.gcf().set_size_inches(4.4, 3.7)
    ax = backdrop(plt.gca(), u, .6, 1.8, 'U')
    d = flow[k][i, seed]; d = d/(d.norm(dim=-1, keepdim=True)+1e-9)
    ax.quiver(*spots.T, *d.T, color='white', alpha=.7, scale=22, width=.006)
    ax.plot(*ring(150, g=torch.Generator().manual_seed(1)).T, '.', ms=3, color=COLORS[4]); ax.set(xlabel='x', ylabel='y')
    at_ring = on(machines[k], circle)[i, seed]
    read = dict(ring=at_ring.median(), seam=at_ring.max(), centre=u[24, 24], halfway=on(machines[k], .5*circle)[i, seed].mean())
    return {n: round(v.item(), 4) for n, v in read.items()}

# %% [markdown]
# *Points of the ring in orange. One number: a good trench with a **seam**, where the ends of the number line meet. Two numbers, clean: almost flat, everything is copied. Two numbers, noisy: a trench without a seam, and a second low place in the middle, where nobody lives.*

# %%
fig, (a, b) = plt.subplots(1, 2, figsize=(9.4, 3.2), layout='constrained')
for s in range(5): a.plot(angles.rad2deg(), on(machines[1], circle)[0, s], label=f'seed {s}')
a.set(xlabel='angle on the ring, degrees', ylabel='U', title='One number: where is the seam?', xticks=range(0, 361, 90)); a.legend(fontsize=8, ncols=2)
radii = torch.linspace(0, 1.8, 73)
rays = radii[:, None, None]*circle                                                 # [73, 180, 2]
profile = {k: on(net, rays).mean(-1) for k, net in machines.items()}               # [noises, seeds, 73]
plot_band(radii, {'1 number, clean': profile[1][0], '2 numbers, clean': profile[2][0], '2 numbers, noise 0.3': profile[2][2]}, ax=b,
          xlabel='distance from the centre', ylabel='U, mean over angles', title='Five seeds each')
b.set_ylim(0, .5); b.axvline(1, color='gray', lw=.8);

# %% [markdown]
# *Left: every machine of one number has a seam, each at another place; one has even cut the ring in two. Right: clean copying with two numbers hardly knows where the ring is; noise gives it walls, on both sides, in every seed.*
#
# A circle cannot be laid on a line without a cut; no training removes the seam. Width was not the way out either: with two numbers all can pass. What helps is **noise in training**: to give back a clean point, the machine has to know where clean points are. But what is the low place in the middle?

# %% [markdown]
# ## What a denoiser knows
#
# Take a clean point $x$, add noise, $y = x + \sigma n$, and ask for $x$ back. Many clean points could have become this $y$. The best answer in the mean square is their average, $r(y) = \mathbb{E}[x \mid y]$. For Gaussian noise this average obeys an identity that needs no assumption on the data (Miyasawa 1961; Vincent 2011 and Alain and Bengio 2014 for autoencoders):
#
# $$r(y) - y = \sigma^2\, \nabla \log p_\sigma(y),$$
#
# $p_\sigma$ being the density of noisy points. **The arrow from a point to its copy leads uphill in density**; divided by $\sigma^2$ it is the score of lesson 01. That is worth three checks.

# %%
#| export
def denoiser_score(
    r,             # a denoiser: y -> estimate of the clean x, same shape
    y:Tensor,      # points, any shape that r takes
    sigma:float,   # noise the denoiser was made for, > 0
)->Tensor:         # grad log p_sigma(y), same shape
    "Score of the noisy density from a denoiser, (r(y)-y)/sigma^2 (Miyasawa 1961)."
    if sigma <= 0: raise ValueError(f'a denoiser for sigma = {sigma} has no score; sigma must be positive')
    return (r(y)-y)/sigma**2

# %% [markdown]
# **Check 1, photographs as a Gaussian cloud.** Here everything is known. The noisy density has covariance $C + \sigma^2 I$, so its score is $-(C+\sigma^2 I)^{-1}(y-\mu)$. The soft bottleneck of `PCA`, with its gains $\lambda/(\lambda+\sigma^2)$, claims to be the denoiser. And nobody needs to believe the gains: a least-squares fit from noisy patches to clean ones finds the same matrix.

# %%
C = pca.basis @ pca.var.diag() @ pca.basis.T
y = v[::8] + .1*torch.randn(len(v[::8]), 64, dtype=torch.float64)
soft = at(64, .1).ae
test_close(denoiser_score(soft, y, .1), -(y-pca.mean) @ torch.linalg.inv(C + .1**2*torch.eye(64, dtype=C.dtype)), eps=1e-9)
many = v.repeat(8, 1); dirty = many + .1*torch.randn(many.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
X, Y = dirty-v.mean(0), many-v.mean(0)
fit = torch.linalg.solve(X.T @ X, X.T @ Y)
exact = pca.basis @ soft.gains().diag() @ pca.basis.T
print(f'least squares against formula: relative difference {(fit-exact).norm()/exact.norm():.4f}')
test_fail(lambda: denoiser_score(soft, y, 0.), contains='must be positive')

# %% [markdown]
# **Check 2, eight Gaussians on a ring.** Not one hill but eight; noise just widens each of them, so that density, score and denoiser still have formulas.

# %%
#| export
class Mixture:
    "Equal Gaussians of width `std` around `means`. With `sigma`, the same after noise of that strength: density, score and best denoiser in closed form."
    def __init__(self,
        means:Tensor,     # centres [K, d]
        std:float=.1,     # width of each, > 0
    ): self.means, self.std = means, std
    def sample(self, *shape, g=None):
        "Clean points [*shape, d], drawn with the generator `g`."
        m = self.means[torch.randint(len(self.means), shape, generator=g)]
        return m + self.std*torch.randn(m.shape, generator=g).to(m)
    def _log_terms(self, x, sigma): return -(x[..., None, :]-self.means).square().sum(-1)/2/(self.std**2+sigma**2)
    def _centre(self, x, sigma): return self._log_terms(x, sigma).softmax(-1) @ self.means      # the centres, weighted by responsibility
    def log_prob(self, x, sigma=0.):
        "log density at x [..., d]."
        K, d = self.means.shape
        return self._log_terms(x, sigma).logsumexp(-1) - math.log(K) - d/2*math.log(2*math.pi*(self.std**2+sigma**2))
    def score(self, x, sigma=0.):
        "Gradient of the log density at x [..., d]."
        return (self._centre(x, sigma)-x)/(self.std**2+sigma**2)
    def denoise(self, y, sigma):
        "E[clean | y]: in each component a pull towards its centre, then the average by responsibility."
        a = self.std**2/(self.std**2+sigma**2)
        return a*y + (1-a)*self._centre(y, sigma)

# %%
eight = 2*math.pi*torch.arange(8)/8
mix = Mixture(torch.stack([eight.cos(), eight.sin()], -1).double(), .1)
fine = torch.linspace(-3, 3, 241, dtype=torch.float64); cell = (fine[1]-fine[0])**2
G = torch.stack(torch.meshgrid(fine, fine, indexing='xy'), -1).view(-1, 2)
test_close(mix.log_prob(G, .3).exp().sum()*cell, 1, eps=1e-6)                       # a density
z = torch.randn(50, 2, dtype=torch.float64).requires_grad_()
test_close(torch.autograd.grad(mix.log_prob(z, .3).sum(), z)[0], mix.score(z, .3).detach(), eps=1e-9)
pts = mix.sample(20000, g=torch.Generator().manual_seed(0))
test_close(pts.T @ pts / len(pts), (.5+.01)*torch.eye(2), eps=.02)                    # ring: 1/2 per axis, plus the width

# %% [markdown]
# The independent truth for the denoiser is brute force: put clean points on a fine grid, weigh each by its density and by the chance that noise brought it to $y$, average. Then the identity:

# %%
y = torch.tensor([[0., 0.], [.5, .1], [1., .38], [-1.4, .3], [.1, -.9]], dtype=torch.float64)
weight = (mix.log_prob(G) - (y[:, None]-G).square().sum(-1)/2/.3**2).softmax(-1)      # posterior over the grid, [5, N]
test_close(mix.denoise(y, .3), weight @ G, eps=1e-4)
test_close(denoiser_score(lambda y: mix.denoise(y, .3), y, .3), mix.score(y, .3), eps=1e-10)

# %% [markdown]
# **Check 3, a network that has seen nothing but samples.** Five starts for each of three levels of noise. The error is measured where noisy points are: root mean square of the difference, relative to the score itself.

# %%
levels, seeds = [.2, .3, .5], 5
m32 = Mixture(mix.means.float(), .1)
denoisers = copies(lambda: MLPAE(2, 8, hidden=(64, 64)), seeds*3)
strengths = torch.tensor(levels).repeat_interleave(seeds).view(-1, 1, 1)
log = train_ae(denoisers, lambda g: m32.sample(seeds*3, 128, g=g), steps=800, lr=1e-2, sigma=strengths)
with torch.no_grad(): arrows = (denoisers(G.float())-G)/strengths**2                # [15, N, 2]
truth = torch.stack([mix.score(G, s) for s in levels]).repeat_interleave(seeds, 0)
p = torch.stack([mix.log_prob(G, s).exp()*cell for s in levels]).repeat_interleave(seeds, 0)
rms = lambda a: (p*a.square().sum(-1)).sum(-1).sqrt()
error = (rms(arrows-truth)/rms(truth)).view(3, seeds)

# %%
fig, axs = plt.subplots(1, 3, figsize=(10.6, 3.4), layout='constrained', width_ratios=(1, 1, .9))
coarse = torch.linspace(-1.6, 1.6, 15, dtype=torch.float64); Q = torch.stack(torch.meshgrid(coarse, coarse, indexing='xy'), -1).view(-1, 2)
show = mix.log_prob(torch.stack(torch.meshgrid(side, side, indexing='xy'), -1).double(), .3).exp()
with torch.no_grad(): learned = denoiser_score(lambda y: denoisers(y)[seeds].double(), Q.float(), .3)
for ax, s, t in zip(axs, (mix.score(Q, .3), learned), ('exact score, noise 0.3', 'learned: (r(y) - y) / 0.3²')):
    ax.imshow(show, extent=(-1.8, 1.8)*2, origin='lower', interpolation='bilinear'); ax.grid(False)
    ax.quiver(*Q.T, *s.T, color='white', scale=120, width=.006); ax.set(title=t, xlabel='x', ylabel='y')
axs[2].fill_between(levels, error.min(1).values, error.max(1).values, alpha=.2)
plot_line(levels, error.mean(1), ax=axs[2], marker='o', xlabel='noise in training', ylabel='relative error of the score', title='Five seeds each')
axs[2].set_ylim(0);

# %% [markdown]
# *Left and middle: the density as colours, exact and learned scores as arrows. Right: more noise, easier task. With little noise the eight hills are steep and close, and the network needs more steps than we give it.*
#
# ## The low place in the middle
#
# The arrow $r(y)-y$ is the score. The **energy** is its squared length, $U = \sigma^4\lVert\nabla\log p_\sigma\rVert^2/d$. It is low wherever the density is *flat*: on the hill tops, good; but also on every pass and at the bottom of every valley. In the middle of the ring all hills pull equally, the copy stays where it is, and $U = 0$. That is what the machines above showed, and no training cures it: the *perfect* denoiser does it.

# %%
@explore(sigma=(.1, .8), still=[dict(sigma=.15), dict(sigma=.3), dict(sigma=.7)])
def slope_or_height(sigma=.3):
    q = grid.double(); U = sigma**4*mix.score(q, sigma).square().mean(-1)
    height = -mix.log_prob(q, sigma)
    fig, (a, b) = plt.subplots(2, 1, figsize=(3.3, 5.4), layout='constrained')
    backdrop(a, U, .3, 1.8).set(title='U of the perfect denoiser', ylabel='y')
    b.imshow(height-height.min(), extent=(-1.8, 1.8)*2, origin='lower', interpolation='bilinear', vmax=12)
    b.grid(False); b.set(title='height, -log p', xlabel='x', ylabel='y')
    hill = mix.means[:1]
    U_hill, climb = sigma**4*mix.score(hill, sigma).square().mean(), height[24, 24]+mix.log_prob(hill, sigma)[0]
    return dict(U_centre=round(U[24, 24].item(), 9), U_hill=U_hill.item(), height_centre=climb.item())

# %% [markdown]
# *Top: slope squared, with a false low in the middle (and, at little noise, on the passes between the hills). Bottom: height. At noise 0.7 the hills merge, the valley fills, and the middle becomes a true low of both.*

# %% [markdown]
# ## Build: a convolutional machine
#
# Back to photographs. Convolutions halve the sides `depth` times, `code` channels pass at the bottom, transposed convolutions lead up again. With two halvings and four channels, one number passes for every four pixels: a bottleneck like PCA's with k = 16 of 64.
#
# **Skips** are wires around the bottleneck: what a level saw on the way down is handed to the same level on the way up. They are counted from the deepest level; `skips = depth` includes full resolution, as in the paper's U-Net. A full-resolution skip offers everything that is needed to copy anything. Will the machine take the offer?

# %%
#| export
class ConvAE(nn.Module):
    "Convolutional autoencoder on images [B, C, H, W]: down `depth` times, `code` channels, up again; U-Net skips from the deepest level up."
    event_dims = 3
    def __init__(self,
        channels:int=1,   # of the images
        width:int=8,      # channels at full resolution, doubled at each level
        depth:int=2,      # halvings; H and W must be multiples of 2**depth
        code:int=4,       # channels that pass at the bottom
        skips:int=0,      # wires around the bottleneck, 0 to depth
    ):
        super().__init__()
        if not 0 <= skips <= depth: raise ValueError(f'skips must be 0 to {depth}, got {skips}')
        self.config = dict(channels=channels, width=width, depth=depth, code=code, skips=skips)
        self.depth, self.first = depth, depth-skips                            # levels `first` ... depth-1 have a skip
        w = [width*2**i for i in range(depth+1)]
        conv = lambda i, o, stride=1: nn.Conv2d(i, o, 3, stride, 1)
        self.stem, self.out = conv(channels, w[0]), conv(w[0], channels)
        self.down = nn.ModuleList([conv(w[i], w[i+1], 2) for i in range(depth)])
        self.code, self.back = nn.Conv2d(w[-1], code, 1), nn.Conv2d(code, w[-1], 1)
        self.up = nn.ModuleList([nn.ConvTranspose2d(w[i+1], w[i], 2, 2) for i in range(depth)])
        self.mix = nn.ModuleList([conv(w[i]*(1+(i >= self.first)), w[i]) for i in range(depth)])
    def forward(self, x): return _conv_forward(self, x)

# %% [markdown]
# Down, through the narrow place, and up again, with what was kept on the way down laid beside what comes up:

# %%
#| export
def _conv_forward(net, x):
    if any(s % 2**net.depth for s in x.shape[-2:]): raise ValueError(f'sides {list(x.shape[-2:])} are not multiples of {2**net.depth}')
    h, kept = net.stem(x).relu(), []
    for down in net.down: kept.append(h); h = down(h).relu()
    h = net.back(net.code(h)).relu()
    for i in reversed(range(net.depth)):
        h = net.up[i](h)
        if i >= net.first: h = torch.cat([h, kept[i]], 1)
        h = net.mix[i](h).relu()
    return net.out(h)

# %% [markdown]
# If the bottom is plugged, a machine without skips must give the same picture whatever it sees, and one with skips must not:

# %%
def plugged(skips):
    torch.manual_seed(0); net = ConvAE(skips=skips)
    nn.init.zeros_(net.back.weight)
    a, b = torch.randn(2, 3, 1, 16, 24)
    test_eq(net(a).shape, a.shape)
    return (net(a)-net(b)).detach().abs().max().item()
test_eq(plugged(0), 0.); assert plugged(1) > 1e-4 and plugged(2) > 1e-4
test_eq(ReconEnergy(ConvAE(channels=3))(torch.zeros(2, 3, 8, 8)).shape, (2,))
test_fail(lambda: ConvAE(skips=3), contains='0 to 2'); test_fail(lambda: ConvAE()(torch.zeros(1, 1, 10, 8)), contains='multiples of 4')

# %% [markdown]
# Five photographs to learn from, two others to be asked about, all in tiles of 32x32.

# %%
tiles = torch.cat([patches(photo(n).float(), 32, 16) for n in ('astronaut', 'china', 'flower', 'grace_hopper', 'rocket')])
def crops(g, batch=16): return tiles[torch.randint(len(tiles), (batch,), generator=g)]
held_out = [fakes(photo(n).float()) for n in ('coffee', 'chelsea')]
exam = {n: torch.cat([patches(f[n], 32) for f in held_out])[::2] for n in suspects}       # every second tile: enough to judge by
print(f'{len(tiles)} tiles to learn from, {len(exam["real"])} for the exam')

# %%
def recipe(net, seed=0, against='nothing', steps=800, **kw):
    "How every convolutional machine of this lesson is trained."
    return train_ae(net, crops, steps, lr=4e-3, seed=seed, **(dict(fakes=lambda x, g: upscaled(x), margin=.2) if against == 'upscaled' else {}), **kw)

def judge(net):
    "Mean energies and AUC on the exam."
    with torch.no_grad(): u = {n: ReconEnergy(net)(t) for n, t in exam.items()}
    return {f'U_{n}': e.mean().item() for n, e in u.items()} | {f'auc_{n}': auc(u['real'], e) for n, e in u.items() if n != 'real'}

def study(skips, against='nothing', seeds=1, steps=800, every=100, keep=None):
    "Judgements while training, {name: [seeds, evaluations]}; `keep(net)` is called with the first machine."
    runs = []
    for s in range(seeds):
        torch.manual_seed(s); net, rows = ConvAE(skips=skips), []
        recipe(net, s, against, steps, every=every, watch=lambda i, net: rows.append(dict(step=i, **judge(net))))
        runs.append(rows)
        if keep and s == 0: keep(net)
    return {k: torch.tensor([[r[k] for r in rows] for rows in runs]) for k in runs[0][0]}

# %% [markdown]
# ## Scale up
#
# The full study is 25 machines of 800 steps, too long for a lesson. It is run once by the cell below (set `VGGSR_FULL=1` to repeat it) and stored; the lesson runs 100 steps of two machines beside it.

# %%
trials = [(0, 'nothing'), (1, 'nothing'), (2, 'nothing'), (0, 'upscaled'), (2, 'upscaled')]        # skips, trained against
about = lambda skips, against: dict(name='ae_energy', skips=skips, against=against, steps=800, lr=4e-3, margin=.2)
weights = lambda skips, against: data_path('models', f'ae_energy_{against}_{skips}.safetensors')

# %%
#| slow
if os.environ.get('VGGSR_FULL'):
    keep = lambda s, a: (lambda net: save_model(weights(s, a), net.state_dict(), about(s, a), half=True)) if s != 1 else None
    full = {f'{a}_{s}': study(s, a, seeds=5, keep=keep(s, a)) for s, a in trials}
    config = dict(seeds=5, steps=800, every=100, batch=16, lr=4e-3, margin=.2, tile=32)
    save_result('ae_energy', full, config, trained_on='5 bundled photographs', asked_about='coffee, chelsea')

# %%
short = {s: study(s, steps=100, every=50) for s in (0, 2)}
stored = load_result('ae_energy')
full = {m: {k: torch.tensor(t) for k, t in v.items()} for m, v in stored['values'].items()}
print({k: stored['provenance'][k] for k in ('date', 'device', 'torch')}, stored['config'])

# %%
fig, axs = plt.subplots(1, 3, figsize=(11, 3.3), layout='constrained')
curves = lambda key: {f'{s} skips': full[f'nothing_{s}'][key] for s in (0, 1, 2)}
gap = {f'{s} skips': full[f'nothing_{s}']['U_noisy']-full[f'nothing_{s}']['U_real'] for s in (0, 1, 2)}
steps = full['nothing_0']['step'][0]
plot_band(steps[1:], {n: g[:, 1:] for n, g in gap.items()}, ax=axs[0], xlabel='steps', ylabel='U(noisy) - U(real)', logy=True, title='The gap closes')
plot_band(steps, curves('auc_noisy'), ax=axs[1], xlabel='steps', ylabel='AUC noisy', title='The order stays')
plot_band(steps, curves('auc_blurred'), ax=axs[2], xlabel='steps', ylabel='AUC blurred', title='Blur stays on the wrong side')
for ax, k in zip(axs[1:], ('auc_noisy', 'auc_blurred')):
    for (s, r), c in zip(short.items(), (COLORS[0], COLORS[2])): ax.plot(r['step'][0], r[k][0], 'o', color=c, ms=5)
    ax.axhline(.5, color='gray', lw=.8); ax.set_ylim(0, 1)

# %% [markdown]
# *Bands: five seeds of the stored study. Dots: the 100 steps run just now (0 and 2 skips), whose learning rate falls to 0 by step 100.*
#
# So, do skips close the gap between real and noisy? In energy, yes: with full-resolution skips the difference falls below a tenth of what it is without, and goes on falling, because more and more of everything is copied. In *order*, no: the AUC does not fall. Whoever only ranks pictures by energy loses nothing. Whoever follows the energy's gradient gets a smaller and smaller one. And blur is on the wrong side with any number of skips.
#
# ## What this asks of a discriminator
#
# Copying alone will not do. EBGAN's answer is to show the machine fakes and to ask it to *fail* on them, up to a margin. Take upscaled tiles as fakes, margin 0.2, and nothing else changed.

# %%
fig, axs = plt.subplots(1, 2, figsize=(10.6, 3.3), layout='constrained', width_ratios=(1, 1.25))
seen = full['upscaled_2']
means = {n: seen[f'U_{n}'] for n in ('real', 'noisy', 'blurred', 'upscaled')}
plot_band(seen['step'][0], means, ax=axs[0], xlabel='steps', ylabel='mean U', logy=True, title='2 skips, against upscaled fakes')
kinds, names = list(suspects)[1:], [f'{s} skips, {"only copying" if a == "nothing" else "against upscaled"}' for s, a in trials]
for i, ((s, a), n) in enumerate(zip(trials, names)):
    last = torch.stack([full[f'{a}_{s}'][f'auc_{k}'][:, -1] for k in kinds])                # [kinds, seeds]
    at_x = torch.arange(4) + .14*(i-2)
    axs[1].vlines(at_x, last.min(1).values, last.max(1).values, color=COLORS[i], lw=3, alpha=.5)
    axs[1].plot(at_x, last.mean(1), 'osD^v'[i], color=COLORS[i], label=n, ls='')
axs[1].axhline(.5, color='gray', lw=.8); axs[1].set_title('After 800 steps: mean and range of 5 seeds')
axs[1].set(xticks=range(4), xticklabels=kinds, ylabel='AUC on other photographs', ylim=(0, 1.02))
axs[1].legend(fontsize=8, loc='center left', bbox_to_anchor=(1, .5));

# %% [markdown]
# *Left: both energies rise, real and fake; they part late, and noise comes out below everything. Right: above 0.5 is right, below is wrong.*
#
# Three things to see here. First, it works: shown blurry fakes, the machines learn to hold real tiles for the real ones. Second, it is the machines *with* skips that learn it well. To copy detail you have to get it through, and without skips the bottleneck stops real detail too. The wires that looked like a danger are what lets a discriminator like sharpness. Third, the price: noise now has *less* energy than a photograph. The machine never saw noise among the fakes, and noise is the opposite of blur. **An energy knows about the fakes that it has been shown.** In a game between generator and discriminator the fakes change as the generator learns, and each must be answered in its turn.

# %%
nets = {(s, a): load_or_train(ConvAE(skips=s), weights(s, a), lambda net: recipe(net, 0, a), about(s, a), half=True) for s, a in trials if s != 1}
some = slice(None, None, 2)                                                    # half of the exam
noise_levels, blur_levels = torch.linspace(.02, .3, 8), torch.linspace(.4, 3.2, 8)
g = torch.Generator().manual_seed(0); grain = torch.randn(exam['real'][some].shape, generator=g)
fixed = {n: exam[n][some] for n in ('real', 'upscaled', 'constant')}
variants = {f'noisy{i}': fixed['real']+s*grain for i, s in enumerate(noise_levels)}
variants |= {f'blurred{i}': blur(fixed['real'], b) for i, b in enumerate(blur_levels.tolist())}
with torch.no_grad(): table = {m: {n: ReconEnergy(net)(t) for n, t in (fixed | variants).items()} for m, net in nets.items()}

# %% [markdown]
# Each dot below is a tile: its own energy to the right, the energy of a fake made from it upwards. Dots above the line are fakes recognised. Toggle the skips, choose what the machine was trained against, and move noise and blur: which clouds cross the line?

# %%
@explore(skips=[0, 2], against=['nothing', 'upscaled'], sigma=(.02, .3, .04), b=(.4, 3.2, .4),
         still=[dict(skips=0), dict(skips=2), dict(skips=2, against='upscaled')])
def pairs(skips=0, against='nothing', sigma=.1, b=1.2):
    t = table[skips, against]
    pick = dict(noisy=f'noisy{(noise_levels-sigma).abs().argmin()}', blurred=f'blurred{(blur_levels-b).abs().argmin()}', upscaled='upscaled', constant='constant')
    plt.gcf().set_size_inches(4.2, 3.6); log = torch.log10             # numbers on plain axes draw twice as fast as log axes
    for (n, k), m, c in zip(pick.items(), 'os^v', COLORS[1:]): plt.plot(log(t['real']), log(t[k]), m, color=c, ms=3, alpha=.6, ls='', label=n)
    plt.plot([-5, 0], [-5, 0], color='gray', lw=.8, ls='-'); plt.xlim(-5, 0); plt.ylim(-6, 0)
    plt.xlabel('log10 U of the real tile'); plt.ylabel('log10 U of the fake'); plt.legend(fontsize=7, loc='lower right')
    return {n: round(auc(t['real'], t[k]), 2) for n, k in pick.items()}

# %% [markdown]
# *Only copying: noise above the line, the rest below, with or without skips. Against upscaled fakes: the clouds turn over, noise included.*

# %% [markdown]
# What would a generator do with such an energy? It follows $-\nabla U$. Let pictures follow it, a sharp one and a blurry one, 30 steps of equal length downhill. As a measure of sharpness take the energy in the fast waves, $U_{16}$ of PCA.

# %%
def repaint(net, x, steps=30, length=.004):
    "Follow -grad U from x [B, 1, H, W]; every step changes the pixels by `length`, root mean square."
    x = x.clone()
    for _ in range(steps):
        x.requires_grad_()
        g, = torch.autograd.grad(ReconEnergy(net)(x).sum(), x)
        x = (x-length*g/g.square().mean().sqrt()).detach()
    return x

starts = {n: suspects[n][..., 96:192, 224:320].float() for n in ('real', 'upscaled')}
critics = {'only copying, 0 skips': nets[0, 'nothing'], 'against upscaled, 2 skips': nets[2, 'upscaled']}
painted = {(n, 'start'): x for n, x in starts.items()} | {(n, c): repaint(net, x) for n, x in starts.items() for c, net in critics.items()}
fastness = {k: ReconEnergy(Tiled(at(16).ae))(x).item() for k, x in painted.items()}
order = [(n, c) for n in starts for c in ('start', *critics)]
fig = show_images([painted[k][0] for k in order], [f'{n if c == "start" else c}: {fastness[n, c]:.4f}' for n, c in order], ncols=3, size=2.8)

# %% [markdown]
# *Top: a sharp photograph and what two critics make of it. Bottom: the same from a blurry start. Under each name the energy in the fast waves.*
#
# The machine that only copies takes the detail out of the sharp picture and prints its own grid on both: that is what it copies best. The one that was shown blurry fakes leaves the sharp picture almost alone, and to the blurry one it adds specks. Fast waves they are, but not the cup's: the energy asks for detail and does not say which. To say that is the task of the content loss.
#
# ## Reveal

# %%
guess.reveal('a blurry version of it', 'lowest energy', 'told apart as well or better', 'less energy than real')

# %% [markdown]
# ## Break it
#
# Five machines for the ring, one healthy and four ill. Each is shown by its landscape (first of five seeds) and by the energies of points of the ring and of strangers, points anywhere in the square. Diagnose before you read the key. The illnesses: **everything passes**, **bottleneck too small**, **trained on noise instead of the ring**, **no margin**.

# %%
def square(*shape, g=None): return 3.6*torch.rand(*shape, 2, generator=g)-1.8
real, stranger = lambda g: ring(5, 128, g=g), lambda x, g: square(5, 128, g=g)
ward = dict(A=dict(make=lambda: MLPAE(2, 8), sample=lambda g: square(5, 128, g=g), sigma=.3),
            B=dict(make=lambda: MLPAE(2, 8, hidden=()), sample=real),
            C=dict(make=lambda: MLPAE(2, 8), sample=real, fakes=stranger),
            D=dict(make=lambda: MLPAE(2, 8), sample=real, fakes=stranger, margin=.3, sigma=.1),
            E=dict(make=lambda: MLPAE(2, 1, hidden=()), sample=real))
patients = {}
for name, p in ward.items():
    net = copies(p['make'], 5)
    log = train_ae(net, p['sample'], 500, 1e-2, **{k: v for k, v in p.items() if k not in ('make', 'sample')})
    patients[name] = net, log

# %%
g = torch.Generator().manual_seed(5); ring_pts, square_pts = ring(1000, g=g), square(1000, g=g)
with torch.no_grad(): seen = {n: [ReconEnergy(net)(p) for p in (ring_pts, square_pts, grid.reshape(-1, 2))] for n, (net, _) in patients.items()}
fig, axs = plt.subplots(2, 5, figsize=(11, 4.6), layout='constrained', height_ratios=(1.3, 1))
for (n, (r, s, u)), a, b in zip(seen.items(), *axs):
    backdrop(a, u[0].view(49, 49), .6, 1.8).set(title=f'{n}: U from {u[0].min():.1g} to {u[0].max():.1g}')
    a.set(xticks=[], yticks=[])
    bins = torch.logspace(-7, 5, 61)
    for e, l in ((r, 'ring'), (s, 'strangers')): b.hist(e[0].clamp(2e-7, 9e4), bins, histtype='step', label=l, lw=1.5, ls='-' if l == 'ring' else '--')
    b.set(xscale='log', xlabel='U')
axs[1, 0].set_ylabel('points'); axs[1, 2].legend(fontsize=8, loc='upper left');

# %% [markdown]
# *Same colours in all landscapes: dark is 0, yellow is 0.6 and more.*

# %%
ill = Predict(*sum(([f'Patient {n}:', ['healthy', 'everything passes', 'bottleneck too small', 'trained on noise', 'no margin']] for n in ward), []))
ill

# %%
ill.reveal('trained on noise', 'everything passes', 'no margin', 'healthy', 'bottleneck too small')

# %% [markdown]
# A has a floor the shape of the square: it knows the square, and the ring is just a part of it. B gives zero to all. E has a straight trench; the ring is not straight. C is the paper's literal objective, and worth a second look over time:

# %%
fig, axs = plt.subplots(1, 2, figsize=(9.4, 3.1), layout='constrained', sharey=True)
for ax, n, t in zip(axs, 'CD', ('C: no margin', 'D: margin 0.3')):
    plot_band(range(500), {'ring': patients[n][1]['real'].T, 'strangers': patients[n][1]['fake'].T}, ax=ax, xlabel='steps', logy=True, title=t)
axs[0].set_ylabel('mean U'); axs[1].axhline(.3, color='gray', lw=.8, ls='-');

# %% [markdown]
# *Without a margin nothing holds the strangers' energy, and it takes the energy of the ring along. With a margin the push ends where it is high enough.*
#
# And D is the cure for the low place in the middle, too. Noise alone left it there, in every seed; negatives from the middle fill it up.

# %%
middle = {'noise 0.3': on(machines[2], torch.zeros(1, 2))[2, :, 0], 'noise and negatives': seen['D'][2].view(5, 49, 49)[:, 24, 24]}
for n, u in middle.items(): print(f'{n:22} U in the middle, five seeds: {[round(v, 4) for v in u.tolist()]}')

# %% [markdown]
# ## The paper and us
#
# The paper's discriminator, VGG-UAE, is the machine of this lesson on a grand scale: a U-Net autoencoder, four skips, its encoder a frozen VGG, only the decoder trained. Four of the choices that its text leaves open meet us here.
#
# **What is to be copied, the image or the features?** Suppose only features are compared. Then whatever the encoder drops cannot count: it is neither copied nor missed. A small model of it: an encoder that keeps PCA's first 16 numbers, an autoencoder on these that keeps 8 of them.

# %%
def image_energy(x): return at(8)(x)
def feature_energy(x): c2 = ((x-pca.mean) @ pca.basis[:, :16]).square(); return c2[:, 8:].mean(1)
x = patches(test_img).flatten(1)
fast = x + .3*torch.randn(len(x), 48, dtype=torch.float64) @ pca.basis[:, 16:].T                   # strong noise, in the dropped directions only
targets = {'image': (auc(image_energy(x), image_energy(fast))), 'features': auc(feature_energy(x), feature_energy(fast))}
print('AUC for noise that the encoder drops:', {k: round(v, 3) for k, v in targets.items()})

# %% [markdown]
# To the energy on features this noise is invisible. The library's default is therefore the image; features are an option.
#
# **Four skips, or fewer?** The fear was that full-resolution skips make an identity, with no energy left to learn from. Measured above: copying alone does go that way, the gap shrinks but the order stays; and against fakes the skips are what makes the machine able to like detail at all. Figure 3's four skips stay our default. Lesson 12 measures the same on VGG features.
#
# **Sum or mean?** They differ by the factor $d$ and nothing else, but the loss is $L_{con} + \epsilon\,L_{GAN}$ with $\epsilon = 10^{-3}$, so the factor decides whether the energy is heard. A crop of 96x96 in colour has $d = 27\,648$ values: with the mean, each pixel feels $10^{-3}/27\,648 \approx 3.6 \cdot 10^{-8}$ of its own squared error.

# %%
crop = starts['real'].clone().requires_grad_()
size = {}
for how in ('mean', 'sum'): size[how] = torch.autograd.grad(ReconEnergy(nets[2, 'nothing'], how)(crop).sum(), crop)[0].norm().item()
print({k: f'{v:.3g}' for k, v in size.items()}, f"ratio {size['sum']/size['mean']:.0f} = 96 * 96")

# %% [markdown]
# **Low as possible, or low as real?** The last open choice: should the generator minimise $U(\text{fake})$, or bring it to the value of its original? In a first trial of the method (VGG-16 encoder, 150 steps on real images only) blurred pictures had less energy than real ones, as here. Their energies, as multiples of the real one, next to ours:

# %%
trial = dict(real=.0249, noisy=.0335, blurred=.0165, upscaled=.0161)                                # stored numbers of that trial
final = {f'convolutions, {s} skips': {n: full[f'nothing_{s}'][f'U_{n}'][:, -1].mean().item() for n in trial} for s in (0, 2)}
ratios = {'PCA, k = 16': {n: energies[n].mean().item() for n in trial}, **final, 'VGG-UAE, trial': trial}
ratios = {m: {n: u[n]/u['real'] for n in list(trial)[1:]} for m, u in ratios.items()}
fig, ax = plt.subplots(figsize=(7, 3), layout='constrained')
for i, (n, m) in enumerate(zip(list(trial)[1:], 'os^')):
    ax.plot([r[n] for r in ratios.values()], range(4), m, color=COLORS[i+1], ls='', label=n)
ax.axvline(1, color='gray', lw=.8, ls='-'); ax.set(yticks=range(4), yticklabels=list(ratios), xscale='log', xlabel='U / U(real)', ylim=(-.5, 3.5))
ax.legend(loc='center left', bbox_to_anchor=(1, .5));

# %% [markdown]
# *Four machines, one verdict: noise to the right of 1, blur and upscaling to the left. In the trial both are nearer to 1.*
#
# A generator that *minimises* such an energy is led to blur. Two ways out: train the decoder against the generator's own pictures, as the paper does, with something that stops it (lesson 03), or ask for the energy of real pictures instead of the lowest. The second is an exercise.

# %% [markdown]
# ## Exercises
#
# **1. A forger.** For the PCA machine at k = 16: given patches $x$, make patches with energy exactly `target` that have the *same copy* as $x$. If this is easy, what does a low energy prove?

# %%
def forge(r, x, target):
    "Patches with the same copy r(x) and energy `target`. x [N, 64] -> [N, 64]"
    raise NotImplementedError

# %%
def is_forger(f):
    r, x = at(16).ae, patches(test_img)[:50].flatten(1)
    for target in (1e-6, .3):
        fake = f(r, x, target)
        test_close(ReconEnergy(r)(fake), torch.full((50,), target, dtype=torch.float64), eps=1e-9)
        test_close(r(fake), r(x), eps=1e-9)
check(forge, is_forger)

# %% jupyter={"source_hidden": true}
def forge(r, x, target):
    "Scale what the copy misses."
    missed = x - r(x)
    return r(x) + missed*(target/missed.square().mean(-1, keepdim=True)).sqrt()
check(forge, is_forger, strict=True)

# %% [markdown]
# **2. As low as real.** Real patches do not have the lowest energy, they have a *typical* one. Write `surprise(u, real)`: large where an energy `u` is untypical, on either side, of the energies `real`. Energies differ by powers of ten; which scale is the natural one? The check takes the astronaut's energies as `real` and asks about the other photograph, at k = 32: all four fakes must come out above 0.55.

# %%
def surprise(u, real):
    "How untypical energies u [N] are, given energies of real examples [M] -> [N]"
    raise NotImplementedError

# %%
known, asked = at(32)(v), {n: at(32)(patches(s).flatten(1)) for n, s in suspects.items()}
def is_surprise(f):
    scores = {n: auc(f(asked['real'], known), f(u, known)) for n, u in asked.items() if n != 'real'}
    print({n: round(s, 3) for n, s in scores.items()})
    assert min(scores.values()) > .55, f'{min(scores, key=scores.get)} is not recognised'
check(surprise, is_surprise)

# %% jupyter={"source_hidden": true}
def surprise(u, real):
    "Distance of log energies from the median."
    return (u.log()-real.log().median()).abs()
check(surprise, is_surprise, strict=True)

# %% [markdown]
# All four at once, without a single fake in training. But look at the blurred ones: this is a weak critic, and it only counts energies. It says when to stop, not where to go.
#
# **3. From slope to height.** The energy of a denoiser has a false low in the middle of the ring, because it is a slope and not a height. Its *arrows* know better. Write `climb(r, a, b, sigma)`: the difference $\log p_\sigma(b) - \log p_\sigma(a)$ from nothing but a denoiser, by adding up the score along the straight line from a to b.

# %%
def climb(r, a, b, sigma):
    "log p_sigma(b) - log p_sigma(a) from a denoiser r; a, b [2] -> number"
    raise NotImplementedError

# %%
def is_climb(f):
    a, b = torch.zeros(2, dtype=torch.float64), torch.tensor([.9, .2], dtype=torch.float64)
    for s in (.2, .4):
        r, truth = (lambda y: mix.denoise(y, s)), mix.log_prob(b, s)-mix.log_prob(a, s)
        test_close(f(r, a, b, s), truth, eps=.01); test_close(f(r, b, a, s), -truth, eps=.01)
check(climb, is_climb)

# %% jupyter={"source_hidden": true}
def climb(r, a, b, sigma, n=400):
    "Midpoint rule: mean score along the line, times the way."
    t = (torch.arange(n, dtype=a.dtype)+.5)[:, None]/n
    return (denoiser_score(r, a + t*(b-a), sigma).mean(0) * (b-a)).sum()
check(climb, is_climb, strict=True)

# %% [markdown]
# With the *learned* denoiser the line integral depends a little on the way taken: nobody made sure that its arrows are the slope of anything. How would you find out? (Two ways from a to b.) That is the price of not having an energy, and one reason to want one.

# %% [markdown]
# ## Claims
#
# Every number and comparison that the text states.

# %%
test_close([line.read(k=k)['mean_U'] for k in (0, 1, 2)], [line.read(k=k)['discarded'] for k in (0, 1, 2)], eps=1e-9)     # closed form
test_eq(line.read(k=2, x=1.7, y=-1.9)['U'], 0.)
test_eq(by_energy, ['constant', 'upscaled', 'blurred', 'real', 'noisy'])                                                   # the line-up
for n in ('blurred', 'upscaled', 'constant'):
    assert (Uk[n].mean(1)[:64] < Uk['real'].mean(1)[:64]).all() and (aucs[n] < .5).all()                                  # at every k below 64
assert (aucs['noisy'] > .5).all()
for u in verdicts.values(): assert auc(u['real'], u['noisy']) > .8 and max(auc(u['real'], u[n]) for n in ('blurred', 'upscaled', 'constant')) < .25
assert excess['blurred'][0][-1] < 0 and (excess['upscaled'][0] > 0).sum() == 1                                            # no linear machine
assert max(abs(a-.5) for a in linear_auc.values()) < .01
assert lineup.read(k=60, sigma=.02)['noisy'] > lineup.read(k=8, sigma=.02)['noisy'] > .5                                   # wide sees faint noise better

# %%
one, clean, noisy = on(machines[1], circle)[0], profile[2][0], profile[2][2]                                              # the ring, five seeds each
assert (one.max(1).values > .5).all() and (one.median(1).values < .02).all()                                              # a seam each
half, rim = 20, 40                                                                                                     # radii 0.5 and 1
assert (noisy[:, half] > 3*clean[:, half]).all() and (noisy[:, half] > 10*noisy[:, rim]).all() and (noisy[:, 0] < .01).all()
assert (error.mean(1).diff() < 0).all() and error[2].max() < .1 and error[1].max() < .2                                   # score errors
low = slope_or_height.read(sigma=.3); assert low['U_centre'] < low['U_hill'] and low['height_centre'] > 3
assert slope_or_height.read(sigma=.7)['height_centre'] < 0
