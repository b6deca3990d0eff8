# %%
#| default_exp adversaries

# %% [markdown]
# # Which adversary gives a steady signal?
#
# ANSWER MINUTES
#
# A discriminator is a teacher who changes her mind while she teaches. The paper behind this project says that a classifier, as in SRGAN, changes it too much: its verdict on *real* photographs jumps about from step to step. It puts an energy in the classifier's place. Here eleven such teachers face the same pupil on the same toy data, ten times each, and we measure what they say about real points: the value, its jumps, the direction in which it points.

# %% [markdown]
# ## Conventions
#
# - **The network's output is $U$**, in every method, and low means real. A GAN's discriminator is $D=\sigma(-U)$, so $U$ is minus its logit; a WGAN's critic is $-U$. All curves can then be laid side by side.
# - Losses are means over the batch. *Gap* means $\mathbb E\,U(\text{fake})-\mathbb E\,U(\text{real})$: positive while the energy can tell them apart.
# - Points live in the plane, data within about $[-2.2, 2.2]^2$. $U$ has no unit, a scalar network's is arbitrary, an autoencoder's is squared length.
# - Two players: the **generator** $G$ turns noise into points; the **energy's player** owns $U$.

# %%
#| export
import math
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, leaky_relu, normalize, softplus
from fastcore.basics import patch
from vggsr_nb.core import *

# %%
#| hide
from fastcore.test import *
from torch.distributions import Normal
plt = get_plt()

# %% [markdown]
# ## Predict
#
# Eight Gaussian blobs on a ring, a generator with 1,250 weights, and three questions before anything is computed.

# %%
guess = Predict('The paper\'s loss as printed, U(real) - U(fake), no margin, no penalty. While the game goes on, the energy of REAL points',
                    ['falls towards 0', 'settles somewhere above 0', 'rises without end'],
                'All eight blobs are found by', ['the GANs', 'the energies with a margin', 'both'],
                'The value U(real) jumps less, measured in each method\'s own unit, with', ['the GAN', 'the energy with a margin', 'no difference'])
guess

# %% [markdown]
# ## Smallest case: one place
#
# Forget networks. Stand at a single place that real points visit a share $a$ of the time and fakes a share $b$, and choose one number, the energy $u$ of this place. Each loss is then a curve in one variable:
#
# | loss | at one place | best $u$ |
# |---|---|---|
# | GAN | $a\,\mathrm{softplus}(u)+b\,\mathrm{softplus}(-u)$ | $\log(b/a)$ |
# | margin (EBGAN) | $a\,u+b\,[m-u]_+$, $u\ge0$ | $0$ if $a\ge b$, else $m$ |
# | literal (the paper) | $a\,u-b\,u$, $u\ge0$ | $0$ if $a\ge b$, else $\infty$ |
#
# The last two are energies of an autoencoder, which cannot be negative. We let gradient descent choose.

# %%
one_place = {'GAN': lambda u, a, b: a*softplus(u)+b*softplus(-u),
             'margin, m = 1': lambda u, a, b: a*u+b*(1-u).relu(),
             'literal': lambda u, a, b: a*u-b*u}

def settle(loss, a, b, steps=600, lr=.03, floor=0.):
    u, path = torch.tensor(.5, dtype=torch.float64, requires_grad=True), []
    for _ in range(steps):
        path.append(u.item())
        g, = torch.autograd.grad(loss(u, a, b), u)
        with torch.no_grad(): u.sub_(lr*g).clamp_(min=floor)
    return torch.tensor(path, dtype=torch.float64)

paths = {(a, n): settle(f, a, 1-a, floor=-9 if n == 'GAN' else 0) for a in (.7, .3) for n, f in one_place.items()}

# %%
fig, axs = plt.subplots(1, 2, figsize=(9, 3), layout='constrained', sharey=True)
for ax, a in zip(axs, (.7, .3)):
    plot_line(range(600), {n: paths[a, n] for n in one_place}, ax=ax, xlabel='step', title=f'real {a:.0%}, fake {1-a:.0%} of the visits')
    ax.axhline(math.log((1-a)/a), color='.6', lw=.8); ax.text(600, math.log((1-a)/a)-.5, 'log(b/a)', ha='right', fontsize=8, color='.4')
axs[0].set_ylabel('u'); axs[0].get_legend().remove();

# %% [markdown]
# *Which of the three never answers? On the left all agree that the place is real. On the right, where fakes are more frequent, GAN stops at the log-ratio, the margin at 1, and the literal loss climbs for ever, $b-a=0.4$ per unit of step size.*
#
# So what the three say about a place differs in kind. GAN's energy reports *how much* more frequent fakes are. The margin only reports *who* is more frequent. The literal loss reports how long you have been training.

# %%
for a in (.7, .3): test_close(paths[a, 'GAN'][-1], math.log((1-a)/a), eps=.06)
test_close([paths[.7, n][-1] for n in ('margin, m = 1', 'literal')], [0, 0], eps=1e-9)
test_close(paths[.3, 'margin, m = 1'][-1], 1, eps=.02)                    # within one step of the kink
test_close(paths[.3, 'literal'].diff(), .03*.4*torch.ones(599), eps=1e-6)   # a straight line without end

# %% [markdown]
# ## Explore: the best answer on a line
#
# Now many places: real points have density $p$, fakes $q$. With both known the best energy has a closed form. For losses without a slope in them it is the table above, place by place. Where the *slope* is penalised, integrate by parts with the cumulative shares $P$ and $Q$: $\int (p-q)\,U = -\int (P-Q)\,U'$, and minimise over $U'$:
#
# - WGAN allows $|U'|\le1$: $U' = \mathrm{sign}(P-Q)$, and the gap is the Wasserstein distance.
# - The paper's penalty $\lambda\,\mathbb E_{\text{real}}|U'|^2$ gives $U' = \dfrac{P-Q}{2\lambda p}$. Look at the denominator: **the penalty holds only where there are real points.**
# - BEGAN's balance weighs the fakes by $k$: where $p>kq$ the energy goes to 0, elsewhere to infinity. Not the loss but the controller of $k$ must keep it finite. This and the literal form have no best answer; `t` is how long they have been at it.

# %%
#| export
def best_response(
    loss:str,      # 'gan', 'wgan', 'margin', 'literal', 'penalty' or 'balance'
    p:Tensor,      # density of real points on a grid [N]
    q:Tensor,      # density of fakes on the same grid [N]
    dx:float,      # grid step
    m=1., lam=1., k=1., t=1.,   # margin; penalty weight; weight of fakes; training time (step size x steps) where there is no optimum
)->Tensor:         # U [N]
    "The energy that minimises a discriminator's loss when the densities are known; after time `t` where it never stops."
    P, Q = [(d.cumsum(0)-d/2)*dx for d in (p, q)]
    rise = dict(wgan=lambda: (P-Q).sign(), penalty=lambda: (P-Q)/(2*lam*p))      # dU/dx from the loss integrated by parts
    if loss == 'gan': return (q/p).log()
    if loss == 'margin': return m*(p < q).to(p)
    if loss == 'literal': return t*(q-p)
    if loss == 'balance': return (t*(k*q-p)).clamp(min=0)
    if loss not in rise: raise ValueError(f'no loss {loss!r}; there are gan, wgan, margin, literal, penalty, balance')
    U = rise[loss]().cumsum(0)*dx
    return U-(p*U).sum()/p.sum()

# %%
x = torch.linspace(-12, 16, 28001, dtype=torch.float64)
dx = float(x[1]-x[0])
bell = lambda at: Normal(torch.tensor(float(at), dtype=torch.float64), 1.).log_prob(x).exp()

@explore(loss=['gan', 'wgan', 'margin', 'literal', 'penalty', 'balance'], d=(.2, 4.), m=(.1, 3.), lam=(.1, 10., 'log'), k=(0., 1.), t=(.5, 20.),
         still=[dict(loss='gan'), dict(loss='margin'), dict(loss='wgan'), dict(loss='penalty'), dict(loss='penalty', d=3.)])
def answers(loss='gan', d=2., m=1., lam=1., k=.5, t=10.):
    p, q = bell(0), bell(d)
    U, seen = best_response(loss, p, q, dx, m, lam, k, t), p+q > 2e-2
    fig = plt.gcf(); fig.set_size_inches(2.95, 3.6)
    a, b = fig.subplots(2, 1, sharex=True, height_ratios=[1, 2])
    plot_line(x[seen], {'real': p[seen], 'fake': q[seen]}, ax=a, ylabel='density')
    plot_line(x[seen], U[seen], ax=b, xlabel='x', ylabel='U', color=COLORS[2])
    mean = lambda w, v: round(float((w*v).sum()*dx), 6)+0.
    force = U.diff()/dx
    return dict(gap=mean(q-p, U), U_real=mean(p, U), push=mean((q[1:]+q[:-1])/2, force))

# %% [markdown]
# *Which energies push the fakes (at $d$, right) towards the real points (at 0, left), and how hard? The readout: the gap, $U$ on real points, and `push`, the mean slope of $U$ where the fakes are.*
#
# Three things to find with the sliders. GAN pushes with $d$, all along the line. The margin's perfect answer is a cliff with flat land on both sides: a fake on the plain feels nothing, which is why real margin energies live from being *im*perfect. And in the last two pictures only $d$ has changed, from 2 to 3: under the penalty the gap grows from GAP2 to GAP3. Where fakes stand off the data, no $\lambda$ in sight tames it.
#
# Each readout has a closed form or a second, independent computation. For the penalty this is the minimisation itself, as a linear system on a coarse grid that knows nothing of $P$ and $Q$:

# %%
gap = lambda **kw: answers.read(**kw)['gap']
for d in (.5, 2., 4.):
    tv = math.erf(d/8**.5)                                                 # total variation of two unit Gaussians
    test_close(gap(loss='gan', d=d), d**2, eps=1e-5)                       # KL both ways: d^2/2 + d^2/2
    test_close(gap(loss='margin', d=d, m=.8), .8*tv, eps=1e-3)
    test_close(gap(loss='wgan', d=d), d, eps=1e-3)                         # Wasserstein-1 of a shift
    test_close(gap(loss='literal', d=d, t=7.), 7*(1-math.exp(-d**2/4))/math.pi**.5, eps=1e-5)
test_close(gap(loss='gan', d=1.)/1, answers.read(loss='gan', d=1.)['push'], eps=1e-5)   # slope of log q/p is d
test_fail(lambda: best_response('gann', x, x, dx), contains="no loss 'gann'")

# %%
def solve_penalty(d, lam, n=701, lo=-5.5, hi=8.5):
    "min over U of sum (p-q) U dx + lam sum p U'^2 dx, as a linear system."
    g = torch.linspace(lo, hi, n, dtype=torch.float64); h = g[1]-g[0]
    N = lambda at, z: Normal(torch.tensor(float(at), dtype=torch.float64), 1.).log_prob(z).exp()
    D = (torch.eye(n, dtype=torch.float64)[1:]-torch.eye(n, dtype=torch.float64)[:-1])/h
    A = 2*lam*D.T@(N(0, (g[1:]+g[:-1])/2)[:, None]*D)*h
    A[0, 0] += 1e-3                                                        # pins the free constant
    U = torch.linalg.solve(A, (N(d, g)-N(0, g))*h)
    return float(((N(d, g)-N(0, g))*U).sum()*h)

for d, lam in ((.5, 1.), (1., .3), (2., 1.)): test_close(gap(loss='penalty', d=d, lam=lam)/solve_penalty(d, lam), 1, eps=.01)
test_close(gap(loss='penalty', d=.2, lam=1.)/(.2**2/2), 1, eps=.05)        # d^2/(2 lam) for a small shift
test_close(gap(loss='penalty', d=2., lam=4.)*4, gap(loss='penalty', d=2., lam=1.), eps=1e-9)

# %% [markdown]
# ## Build: the losses
#
# ### GAN
#
# Two generators go with GAN's discriminator. The minimax one minimises exactly what the discriminator maximises; the non-saturating one is what everybody uses.

# %%
#| export
def d_gan(
    ur:Tensor,   # U(real) [..., B]
    uf:Tensor,   # U(fake) [..., B]
)->Tensor:       # [...], mean over the batch
    "GAN's discriminator (Goodfellow et al. 2014, eq. 1) with D = sigmoid(-U): -log D(real) - log(1-D(fake))."
    return softplus(ur).mean(-1)+softplus(-uf).mean(-1)

def g_minimax(
    uf:Tensor,   # U(fake) [..., B]
)->Tensor:       # [...]
    "GAN's generator, minimax: log(1-D(fake)). Its pull on U is D(fake), which fades where D is sure."
    return -softplus(-uf).mean(-1)

def g_nonsaturating(
    uf:Tensor,   # U(fake) [..., B]
)->Tensor:       # [...]
    "GAN's generator, non-saturating: -log D(fake). Its pull on U is 1-D(fake)."
    return softplus(uf).mean(-1)

# %% [markdown]
# At its optimum $U=\log q/p$ the loss is $2\log2-2\,\mathrm{JSD}$ (Goodfellow's theorem 1). For two Gaussians we can integrate the divergence on the grid and compare it with our function on samples. And no other energy does better; three are tried.

# %%
torch.manual_seed(0)
p, q, d = bell(0), bell(1.5), 1.5
mix = (p+q)/2
jsd = ((p*(p/mix).log()+q*(q/mix).log())/2).sum()*dx
real, fake = torch.randn(2, 400_000, dtype=torch.float64)+torch.tensor([[0.], [d]], dtype=torch.float64)
U_star = lambda x: d*x-d**2/2                                              # log q/p
best = d_gan(U_star(real), U_star(fake))
test_close(best, 2*math.log(2)-2*jsd, eps=5e-3)
for other in (lambda x: .8*U_star(x), lambda x: U_star(x)+.2, lambda x: U_star(x)+.2*x.sin()):
    assert d_gan(other(real), other(fake)) > best

# %% [markdown]
# What does the generator feel? The slope of its loss in $U(\text{fake})$ says how strongly it listens to the energy.

# %%
u = torch.linspace(-6, 6, 121, requires_grad=True)
pulls = {n: torch.autograd.grad(f(u[:, None]).sum(), u)[0] for n, f in
         {'minimax': g_minimax, 'non-saturating': g_nonsaturating, 'U itself (all energies)': lambda u: u.mean(-1)}.items()}
fig, ax = plt.subplots(figsize=(6, 3.2), layout='constrained')
plot_line(u.detach(), pulls, ax=ax, xlabel='U(fake): to the right the discriminator is sure of a fake', ylabel='pull on the generator', title='Who still pulls when the teacher is sure?')
ax.legend(loc='center left');

# %% [markdown]
# *Minimax lets go exactly where the fakes are bad. The energies' generator listens equally to everything, which also means: if $U$ doubles, so does the push.*

# %%
test_close(pulls['minimax'], (-u).sigmoid(), eps=1e-6)                     # = D(fake)
test_close(pulls['non-saturating'], u.sigmoid(), eps=1e-6)                 # = 1 - D(fake)
test_eq(d_gan(torch.zeros(5, 7), torch.zeros(5, 7)).shape, [5])            # one loss per lane
test_close(d_gan(torch.zeros(7), torch.zeros(7)), 2*math.log(2), eps=1e-6)

# %% [markdown]
# ### Energies: literal, with k, with a margin

# %%
#| export
def d_energy(
    ur:Tensor,            # U(real) [..., B]
    uf:Tensor,            # U(fake) [..., B]
    k:float|Tensor=1.,    # weight of the fakes, one or one per lane
)->Tensor:                # [...]
    "U(real) - k U(fake): the paper's energy (eq. 3) and the WGAN critic at k = 1, BEGAN with k in [0, 1]."
    return ur.mean(-1)-k*uf.mean(-1)

def d_margin(
    ur:Tensor,            # U(real) [..., B]
    uf:Tensor,            # U(fake) [..., B]
    m:float|Tensor=1.,    # margin > 0, in the energy's unit, one or one per lane
)->Tensor:                # [...]
    "EBGAN's discriminator (Zhao et al. 2017, eq. 1): U(real) + [m - U(fake)]+."
    m = m[..., None] if isinstance(m, Tensor) else m
    return ur.mean(-1)+(m-uf).relu().mean(-1)

def g_energy(
    uf:Tensor,   # U(fake) [..., B]
)->Tensor:       # [...]
    "The generator of WGAN, EBGAN, BEGAN and the paper: U(fake)."
    return uf.mean(-1)

# %% [markdown]
# EBGAN's theorem: at the equilibrium $p=q$ the margin loss is worth $m$, whatever constant in $[0, m]$ the energy has become. Off the equilibrium the best energy earns $m\int\min(p,q) = m\,(1-\mathrm{TV})$, less than $m$. The literal loss has no such number: scale $U$ by ten and it is ten times as good.

# %%
m, tv = .8, math.erf(1.5/8**.5)
for c in (0., .3, .8): test_close(d_margin(torch.full((9,), c), torch.full((9,), c), m), m, eps=1e-6)
cliff = lambda x: m*(x > .75)                                              # fakes are more frequent right of d/2
test_close(d_margin(cliff(real), cliff(fake), m), m*(1-tv), eps=3e-3)
for other in (lambda x: .9*cliff(x), lambda x: m*(x > .9), lambda x: m*(x/1.5).clamp(0, 1)):
    assert d_margin(other(real), other(fake), m) > m*(1-tv)+1e-3
test_close(d_energy(10*cliff(real), 10*cliff(fake)), 10*d_energy(cliff(real), cliff(fake)), eps=1e-5)
test_close(d_energy(real, fake, k=0.), real.mean(), eps=1e-12)
test_eq(d_margin(torch.zeros(3, 4), torch.zeros(3, 4), torch.tensor([1., 2., 3.])), torch.tensor([1., 2., 3.]))   # a margin per lane

# %% [markdown]
# ### Tracking, pulling away, balancing
#
# Three small pieces more. *Tracking* reads the paper's "track the energy of the data" literally: a fake's energy shall equal a real one's, not be as low as possible. *Pull-away* is EBGAN's remedy against fakes that are all alike. *Balance* is BEGAN's controller.

# %%
#| export
def g_track(
    uf:Tensor,          # U(fake) [..., B]
    ur:Tensor,          # U(real) [..., B]
    paired:bool=False,  # fake i has its own original i; False: both are sorted, the cheapest pairing
)->Tensor:              # [...]
    "'Track the energy of the data' (PAPER.md, choice 13): mean |U(fake) - U(real)|."
    if not paired: uf, ur = uf.sort(-1)[0], ur.sort(-1)[0]
    return (uf-ur).abs().mean(-1)

# %%
#| export
def pull_away(
    code:Tensor,   # codes of fakes [..., B, C]
)->Tensor:         # [...], in [0, 1]
    "EBGAN's pull-away term: mean squared cosine between the codes of different fakes (Zhao et al. 2017, eq. 4)."
    c, n = normalize(code, dim=-1), code.shape[-2]
    if n < 2: raise ValueError('the pull-away term compares fakes: it needs at least two')
    return ((c@c.mT).square().sum((-1, -2))-n)/(n*(n-1))

# %%
#| export
def balance(
    k:float|Tensor,   # present weight of the fakes, in [0, 1]
    ur:Tensor,        # U(real) [..., B]
    uf:Tensor,        # U(fake) [..., B]
    gamma:float|Tensor=.5,   # wanted U(fake)/U(real), in [0, 1]
    rate:float|Tensor=.01,   # speed of the balance, per unit of energy
)->Tensor:            # next k, in [0, 1]
    "BEGAN's balance (Berthelot et al. 2017): k + rate (gamma U(real) - U(fake)), clipped to [0, 1]."
    return torch.as_tensor(k+rate*(gamma*ur.mean(-1)-uf.mean(-1))).clamp(0, 1)

# %%
ur, uf = torch.tensor([1., 3., 2.]), torch.tensor([2., 1., 3.])
test_eq(g_track(uf, ur), torch.tensor(0.))                                 # the same energies in another order
test_close(g_track(uf, ur, paired=True), 4/3)                              # |2-1|, |1-3|, |3-2|
assert g_track(ur-9, ur) > 0                                               # too low an energy is wrong as well

# %%
torch.manual_seed(0)
code = torch.randn(6, 4)
slow = sum((code[i]@code[j]/(code[i].norm()*code[j].norm()))**2 for i in range(6) for j in range(6) if i != j)/(6*5)   # the paper's double sum
test_close(pull_away(code), slow, eps=1e-6)
test_close(pull_away(torch.ones(5, 3)), 1, eps=1e-6)                       # all alike
test_close(pull_away(torch.eye(4)), 0, eps=1e-6)                           # all different
test_eq(pull_away(torch.randn(2, 6, 4)).shape, [2])
test_fail(lambda: pull_away(code[:1]), contains='at least two')

# %%
test_close(balance(.3, torch.tensor([2.]), torch.tensor([1.]), gamma=.5), .3, eps=1e-6)        # in balance: U(fake) = gamma U(real)
test_close(balance(.3, torch.tensor([2.]), torch.tensor([.5]), gamma=.5, rate=.1), .35, eps=1e-6)   # fakes too low: weigh them more
test_eq(balance(1., torch.tensor([9.]), torch.tensor([0.]), rate=1.), torch.tensor(1.))         # clipped
test_eq(balance(0., torch.tensor([0.]), torch.tensor([9.]), rate=1.), torch.tensor(0.))

# %% [markdown]
# ### The slope penalty
#
# Lesson 13 is about it. Here we need it once around 1 (WGAN-GP, between real and fake points) and once around 0 (the paper, at real points).

# %%
#| export
def slope_penalty(
    U,                 # energy: points [..., B, n] to [..., B]
    x:Tensor,          # where the slope is measured [..., B, n]
    center:float=0.,   # wanted slope: 0 in the paper, 1 in WGAN-GP
)->Tensor:             # [...], mean over the batch, differentiable in the weights of U
    "E (|dU/dx| - center)^2; between real and fake with centre 1 (WGAN-GP), at real with centre 0 (R1, the paper)."
    x = x.detach().requires_grad_(True)
    g, = torch.autograd.grad(U(x).sum(), x, create_graph=True)
    sq = g.square().sum(-1)
    return (sq if center == 0 else ((sq+1e-12).sqrt()-center).square()).mean(-1)

# %%
a, w = torch.tensor(1.5, requires_grad=True), torch.tensor([3., 4.])
pts = torch.randn(2, 50, 2)
bowl = slope_penalty(lambda x: a*x.square().sum(-1)/2, pts)                # slope a|x|
test_close(bowl, (1.5**2*pts.square().sum(-1)).mean(-1), eps=1e-5)
test_close(torch.autograd.grad(bowl.sum(), a)[0], 2*1.5*pts.square().sum(-1).mean(-1).sum(), eps=1e-4)   # the weights feel it
test_close(slope_penalty(lambda x: x@w, pts, center=1.), torch.full((2,), 16.), eps=1e-4)               # slope 5 everywhere

# %% [markdown]
# ## Build: data and two rulers
#
# A ring of eight, a grid of twenty-five, two moons. And two questions to the fakes: how many blobs do they visit, and how far must they travel to become data? The travel distance is the sliced Wasserstein distance: project on a line, sort both sides, pair them off; average over lines. (There is also an "energy distance" in statistics; we leave it out, one energy is enough here.)

# %%
#| export
def _ring(n=8, r=1.5): a = torch.arange(n)*2*math.pi/n; return r*torch.stack([a.cos(), a.sin()], -1)
def _grid(n=5, w=1.6): return torch.cartesian_prod(*[torch.linspace(-w, w, n)]*2)
MODES = dict(ring=(_ring(), .1), grid=(_grid(), .08), blob=(torch.zeros(1, 2), .5))   # centres [K, 2] and the spread of each

def draw(
    data:str,    # 'ring' (8 Gaussians), 'grid' (25), 'moons' (two arcs) or 'blob' (one Gaussian)
    n:int,       # how many
    rng=None,    # torch.Generator; default: torch's global one
)->Tensor:       # points [n, 2], within about [-2.2, 2.2]
    "Real points of a toy data set."
    if data == 'moons':
        a, side = math.pi*torch.rand(n, generator=rng), 2*torch.randint(0, 2, (n,), generator=rng)-1
        return 1.3*side[:, None]*torch.stack([a.cos()-.5, a.sin()-.25], -1)+.08*torch.randn(n, 2, generator=rng)
    if data not in MODES: raise ValueError(f'no data set {data!r}; there are {", ".join([*MODES, "moons"])}')
    centres, sigma = MODES[data]
    return centres[torch.randint(len(centres), (n,), generator=rng)]+sigma*torch.randn(n, 2, generator=rng)

# %%
torch.manual_seed(0)
fig, axs = plt.subplots(1, 3, figsize=(9, 3.1), layout='constrained', sharex=True, sharey=True)
for ax, name in zip(axs, ('ring', 'grid', 'moons')):
    ax.scatter(*draw(name, 1500).T, s=2, color=COLORS[0]); ax.set(title=name, aspect='equal', xlabel='x1')
axs[0].set_ylabel('x2');

# %% [markdown]
# *The three data sets. Between which blobs would you expect a smooth generator to leave a trail?*

# %%
r = lambda seed: torch.Generator().manual_seed(seed)
test_eq(draw('ring', 50, r(1)), draw('ring', 50, r(1)))
big = draw('grid', 50_000, r(0))
test_close(big.std(0), (1.28+.08**2)**.5*torch.ones(2), eps=.02)            # five lines, 0.8 apart: variance 1.28
assert draw('moons', 5000, r(0)).abs().max() < 2.6
test_fail(lambda: draw('rings', 3), contains='there are ring, grid')

# %%
#| export
def modes_found(
    x:Tensor,            # generated points [..., N, 2]
    centres:Tensor,      # [K, 2]
    sigma:float,         # spread of a mode
    share:float=.25,     # a mode counts with this share of its fair N/K points
)->tuple[Tensor, Tensor]:   # modes found [...], share of points within 3 sigma of some mode [...]
    "How many modes hold points, and how many points lie on a mode (0.989 for real ones)."
    far, which = torch.cdist(x, centres.to(x)).min(-1)
    on = (far < 3*sigma).to(x)
    held = torch.zeros(*x.shape[:-2], len(centres), dtype=x.dtype).scatter_add(-1, which, on)
    return (held >= share*x.shape[-2]/len(centres)).sum(-1), on.mean(-1)

# %%
#| export
def distance(
    x:Tensor,             # points [..., N, 2]
    y:Tensor,             # points [..., N, 2]
    directions:int=32,    # on the half circle
)->Tensor:                # [...], in the unit of the points
    "Sliced Wasserstein-2 distance: root mean square way that sorted shadows must travel, over directions."
    if x.shape[-2] != y.shape[-2]: raise ValueError(f'as many points on both sides, not {x.shape[-2]} and {y.shape[-2]}')
    a = (torch.arange(directions, dtype=x.dtype)+.5)*math.pi/directions
    d = torch.stack([a.cos(), a.sin()])
    return ((x@d).sort(-2)[0]-(y@d).sort(-2)[0]).square().mean((-1, -2)).sqrt()

# %%
centres, sigma = MODES['ring']
real = draw('ring', 4000, r(0))
found, on = modes_found(real, centres, sigma)
test_eq(found, 8); test_close(on, 1-math.exp(-4.5), eps=.006)              # 3 sigma in the plane
test_eq(modes_found(real[real[:, 0] > 1.35], centres, sigma)[0], 1)         # only the rightmost blob
test_eq(modes_found(torch.zeros(2, 100, 2), centres, sigma)[0], torch.zeros(2))   # the middle of the ring is no mode
test_eq(modes_found(torch.cat([centres[:4].repeat(50, 1), centres[4:5]]), centres, sigma)[0], 4)   # one stray point is not a mode

# %%
pts, shift = torch.randn(500, 2, dtype=torch.float64), torch.tensor([.6, -.8], dtype=torch.float64)
test_close(distance(pts, pts.flip(0)), 0, eps=1e-12)
test_close(distance(pts, pts+shift), 1/2**.5, eps=1e-9)                     # a shift by 1: exactly 1/sqrt(2)
test_close(distance(pts, 3*pts), 2*(pts.square().sum(-1).mean()/2)**.5, eps=1e-9)   # stretching by 3
n = 200_000
test_close(distance(torch.randn(n, 2), 2*torch.randn(n, 2)+1), (1+1)**.5, eps=.02)   # Gaussians: |shift|^2/2 + (1-2)^2
test_fail(lambda: distance(pts, pts[:9]), contains='as many points')
floor = distance(draw('ring', 1000, r(1)), draw('ring', 1000, r(2)))         # real against real
floor

# %% [markdown]
# Two samples of 1,000 *real* ring points are already FLOOR apart: nobody can be better than that.

# %% [markdown]
# ## Build: energies, many at once
#
# One run proves nothing about a game; we want every method with ten seeds, and a dozen settings of a knob. So all networks are **stacked**: lane $i$ of a weight tensor belongs to run $i$, and one batched product moves them all. Lanes must not touch each other. That is a property we can test: a run among others equals the run alone, and equals plain PyTorch.

# %%
#| export
class Stacked(nn.Module):
    "One small MLP per lane, all in one batched product; lane i is initialised from `rngs[i]` alone."
    def __init__(self, sizes:list, rngs:list):
        super().__init__()
        self.w, self.b = nn.ParameterList(), nn.ParameterList()
        for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
            gain = math.sqrt((2 if i < len(sizes)-2 else 1)/a)
            self.w.append(torch.stack([gain*torch.randn(a, b, generator=r) for r in rngs]))
            self.b.append(torch.stack([(0 if i else .5)*torch.randn(1, b, generator=r) for r in rngs]))   # kinks not all through 0

    def forward(self, x):
        for i, (w, b) in enumerate(zip(self.w, self.b)):
            x = torch.baddbmm(b, leaky_relu(x, .1) if i else x, w)
        return x

# %% [markdown]
# Three shapes of energy. `Scalar` is a classifier's or critic's network. `Autoencoder` is EBGAN's and BEGAN's. `frozen` is the paper's shape in small: an encoder of random features that never learns (where the paper has VGG), and a decoder that does. None of the two has a bottleneck to speak of, as in the paper's figure 3; lesson 02 shows what that means.

# %%
#| export
class Scalar(nn.Module):
    "A network that answers with a number: U(x) [lanes, B]. `positive`: through a softplus, so that U > 0."
    def __init__(self, rngs:list, width=32, positive=False):
        super().__init__()
        self.net, self.positive = Stacked([2, width, width, 1], rngs), positive
    def forward(self, x):
        u = self.net(x)[..., 0]
        return softplus(u) if self.positive else u

class Autoencoder(nn.Module):
    "Reconstruction error as energy: U(x) = mean (dec(enc(x))-x)^2. `frozen`: random features that stay, only the decoder learns."
    def __init__(self, rngs:list, width=32, frozen=False, offset=False):
        super().__init__()
        self.frozen = frozen
        self.enc = Stacked([2, 2*width, 2*width] if frozen else [2, width, 2], rngs).requires_grad_(not frozen)
        self.dec = Stacked([2*width if frozen else 2, width, 2], rngs)
        self.c = nn.Parameter(torch.zeros(len(rngs), 1)) if offset else 0.       # lets a GAN's loss choose its own zero
    def code(self, x): return self.enc(x).tanh() if self.frozen else self.enc(x)
    def forward(self, x): return (self.dec(self.code(x))-x).square().mean(-1)-self.c

# %%
torch.manual_seed(0)
pts = torch.randn(3, 7, 2)
rngs = lambda seeds: [r(s) for s in seeds]
many, alone = Autoencoder(rngs([4, 5, 6]), frozen=True), Autoencoder(rngs([5]), frozen=True)
test_eq(many(pts).shape, [3, 7])
test_close(many(pts)[1], alone(pts[1:2])[0], eps=1e-6)
test_close(many(pts), (many.dec(many.enc(pts).tanh())-pts).square().sum(-1)/2, eps=1e-6)
assert not any(p.requires_grad for p in many.enc.parameters()) and (many(pts) >= 0).all()
assert (Scalar(rngs([0]), positive=True)(100*pts[:1]) >= 0).all()

# %% [markdown]
# ## Build: the game
#
# A method is a row of a table: what the energy's player minimises, what the generator minimises, which shape, where the slope is penalised. Everything else is shared: the generator (2 to 32 to 32 to 2), the batch of 128, Adam at 0.001 for both players, one step each in turn, the generator first, as in the paper's Algorithm 1. WGAN-GP alone gets the five critic steps of its authors; with one it fails in about half the runs of our trials.

# %%
#| export
SHAPES = dict(scalar=Scalar, positive=lambda r, w: Scalar(r, w, positive=True), autoencoder=Autoencoder,
              frozen=lambda r, w, **kw: Autoencoder(r, w, frozen=True, **kw))

@dataclass(frozen=True)
class Method:
    "The rules of one game. Losses take energies and the knobs `o` (tensors, one value per lane)."
    learn:object         # (U(real), U(fake), o) -> loss of the energy's player
    make:object          # (U(fake), U(real), o) -> loss of the generator
    shape:str            # of the energy: a key of `SHAPES`
    at:str=''            # where the slope is penalised: 'real', 'between' or nowhere
    u_steps:int=1        # steps of the energy's player per step of the generator
    knobs:dict=field(default_factory=dict)   # m, lam, k, gamma, rate, pt, eps where they differ from `KNOBS`

KNOBS = dict(m=1., lam=0., k=1., gamma=.5, rate=0., pt=0., eps=1.)   # rate 0: k stays; pt 0: no pull-away; eps: weight of the adversary

# %%
#| export
_gan  = lambda ur, uf, o: d_gan(ur, uf)
_lin  = lambda ur, uf, o: d_energy(ur, uf, o.k)
_marg = lambda ur, uf, o: d_margin(ur, uf, o.m)
_down = lambda uf, ur, o: g_energy(uf)
METHODS = {
    'gan':            Method(_gan, lambda uf, ur, o: g_minimax(uf), 'scalar'),
    'gan-ns':         Method(_gan, lambda uf, ur, o: g_nonsaturating(uf), 'scalar'),
    'wgan-gp':        Method(_lin, _down, 'scalar', 'between', 5, dict(lam=1.)),
    'ebgan':          Method(_marg, _down, 'autoencoder'),
    'ebgan-pt':       Method(_marg, _down, 'autoencoder', knobs=dict(pt=.1)),
    'began':          Method(_lin, _down, 'autoencoder', knobs=dict(k=0., rate=.01)),
    'energy':         Method(_lin, _down, 'frozen'),
    'energy+penalty': Method(_lin, _down, 'frozen', 'real', knobs=dict(lam=1.)),
    'energy+margin':  Method(_marg, _down, 'frozen'),
    'energy+balance': Method(_lin, _down, 'frozen', knobs=dict(k=0., rate=.01)),
    'energy+track':   Method(_lin, lambda uf, ur, o: g_track(uf, ur, o.paired), 'frozen')}

# %% [markdown]
# The rest is bookkeeping: knobs as one value per lane, random streams per seed, fixed points at which the signal is measured.

# %%
#| export
class Game:
    "A generator against an energy, on all lanes at once; a lane is one seed at one setting of the knobs."
    def __init__(self,
        method:str|Method,       # a name in `METHODS`, or rules of your own
        data:str='ring',         # see `draw`
        seeds:int|list=5,        # number of seeds, or the seeds
        batch:int=128,           # points per step
        lr:float=1e-3,           # Adam's, both players
        lr_u:float|None=None,    # the energy's own, if different
        betas=(.5, .99),         # Adam's
        u_steps:int|None=None,   # steps of the energy per step of the generator; default: the method's
        width:int=32,            # hidden units
        shape:str='',            # of the energy; default: the method's
        offset:bool=False,       # an autoencoder with a learned zero
        content:bool=False,      # super-resolution in two dimensions: G sees the first coordinate, and pays |G - x|^2
        leak:bool=False,         # the bug of the forgotten detach
        dtype=torch.float32,
        **knobs,                 # see `KNOBS`; a list makes one lane per value and seed
    ):
        if isinstance(method, str) and method not in METHODS: raise ValueError(f'no method {method!r}; there are {", ".join(METHODS)}')
        self.m = METHODS[method] if isinstance(method, str) else method
        self.data, self.batch, self.content, self.leak, self.dtype = data, batch, content, leak, dtype
        self.seeds, self.u_steps = list(range(seeds) if isinstance(seeds, int) else seeds), u_steps or self.m.u_steps
        self._set_knobs({**KNOBS, **self.m.knobs, **knobs})
        fresh = [torch.Generator().manual_seed(10_000+s) for _ in range(self.settings) for s in self.seeds]
        self.G = Stacked([1 if content else 2, width, width, 2], fresh).to(dtype)
        self.U = SHAPES[shape or self.m.shape](fresh, width, **(dict(offset=True) if offset else {})).to(dtype)
        self.learned = [p for p in self.U.parameters() if p.requires_grad]
        self.opt_g, self.opt_u = [torch.optim.Adam(ps, r, betas, foreach=True) for ps, r in ((list(self.G.parameters()), lr), (self.learned, lr_u or lr))]
        self.rngs, self.t, self.log, self.last = [torch.Generator().manual_seed(s) for s in self.seeds], 0, {}, None
        self._set_probe()

# %%
#| export
@patch
def _set_knobs(self:Game, knobs):
    "Knobs as tensors [lanes]; lists must agree in length."
    if unknown := set(knobs)-set(KNOBS): raise ValueError(f'no knob {sorted(unknown)}; there are {", ".join(KNOBS)}')
    lists = {len(v) for v in knobs.values() if isinstance(v, (list, tuple))} or {1}
    if len(lists) > 1: raise ValueError(f'lists of knobs of different lengths: {sorted(lists)}')
    self.settings, self.listed = lists.pop(), any(isinstance(v, (list, tuple)) for v in knobs.values())
    spread = lambda v: torch.as_tensor(v, dtype=self.dtype).expand(self.settings).repeat_interleave(len(self.seeds))
    self.o = SimpleNamespace(**{k: spread(v) for k, v in knobs.items()}, paired=self.content)

@patch
def _set_probe(self:Game, n=128, far=1000):
    "Points that never change and are the same for every method: real ones, real ones moved by 0.3, a box around all, noise."
    r = torch.Generator().manual_seed(99)
    lanes = lambda x: x.to(self.dtype).expand(self.settings*len(self.seeds), *x.shape)
    self.real, self.moved = lanes(draw(self.data, n, r)), lanes(.3*normalize(torch.randn(n, 2, generator=r), dim=-1))
    self.box, self.test = lanes(5*torch.rand(n, 2, generator=r)-2.5), lanes(draw(self.data, far, r))
    self.z = self.test[..., :1] if self.content else lanes(torch.randn(far, 2, generator=r))

# %%
#| export
@patch
def _batch(self:Game, chunk=50):
    "Real points, noise and mixing weights of one step, each seed from its own stream: other lanes cannot change them."
    if self.t % chunk == 0:
        n, b = self.u_steps, self.batch
        per = [(draw(self.data, chunk*(n+1)*b, r).view(chunk, n+1, b, 2), torch.randn(chunk, n+1, b, 2, generator=r),
                torch.rand(chunk, n, b, 1, generator=r)) for r in self.rngs]
        self.drawn = [torch.stack(v, 2).to(self.dtype).repeat(1, 1, self.settings, 1, 1) for v in zip(*per)]
    real, z, a = [v[self.t % chunk] for v in self.drawn]
    self.t += 1
    return real, real[..., :1] if self.content else z, a

# %% [markdown]
# One step of each player. The generator's step freezes the energy's weights; the energy's step cuts the fakes off from the generator. (Unless `leak` is set: a bug that we shall want to recognise.)

# %%
#| export
@patch
def g_step(self:Game, real, z):
    "One step of the generator; the energy stands still."
    for p in self.learned: p.requires_grad_(False)
    fake = self.G(z)
    loss = self.o.eps*self.m.make(self.U(fake), self.U(real), self.o)
    if self.content: loss = loss+(fake-real).square().mean((-1, -2))
    if self.o.pt.any(): loss = loss+self.o.pt*pull_away(self.U.code(fake))
    loss.sum().backward(); self.opt_g.step(); self.opt_g.zero_grad()
    for p in self.learned: p.requires_grad_(True)

@patch
def u_step(self:Game, real, z, a=None):
    "One step of the energy; the generator stands still (unless its output is not detached: `leak`)."
    with torch.set_grad_enabled(self.leak): fake = self.G(z)
    ur, uf = self.U(real), self.U(fake)
    loss = self.m.learn(ur, uf, self.o)
    if self.m.at == 'real': loss = loss+self.o.lam*slope_penalty(self.U, real)
    if self.m.at == 'between': loss = loss+self.o.lam*slope_penalty(self.U, a*real+(1-a)*fake, center=1.)
    self.opt_u.zero_grad(); loss.sum().backward(); self.opt_u.step()
    if self.o.rate.any(): self.o.k = torch.where(self.o.rate > 0, balance(self.o.k, ur.detach(), uf.detach(), self.o.gamma, self.o.rate), self.o.k)

@patch
def step(self:Game, generator=True):
    "One step of Algorithm 1: first the generator, then the energy (`u_steps` times)."
    real, z, a = self._batch()
    if generator: self.g_step(real[0], z[0])
    for i in range(self.u_steps): self.u_step(real[i+1], z[i+1], a[i])

# %% [markdown]
# And the measuring. On 128 real points that never change we keep: the mean of $U$; the slope $\partial U/\partial x$ and whether it **turned** by more than a right angle since the last look; and the **pull**: move each real point by 0.3 in a random direction, is it drawn back? Pull is the mean cosine between $-\partial U/\partial x$ and the way back: 1 always back, 0 no idea, negative away. That is the sign of the gradient, in a number.

# %%
#| export
@patch
def look(self:Game, far=False):
    "Measure the signal on the fixed real points; with `far` also modes and distance of 1000 fakes."
    n = self.real.shape[1]
    with torch.no_grad(): fakes = self.G(self.z if far else self.z[:, :n])
    x = torch.cat([self.real, self.real+self.moved, fakes[:, :n]], 1).requires_grad_(True)
    u = self.U(x); slope, = torch.autograd.grad(u.sum(), x)
    (ur, _, uf), (gr, gm, gf) = u.detach().split(n, 1), slope.split(n, 1)
    v = uf.clone().requires_grad_(True)
    w, = torch.autograd.grad(self.m.make(v, ur, self.o).sum(), v)                # how strongly the loss listens to U(fake)
    r = dict(real=ur.mean(-1), fake=uf.mean(-1), scale=torch.cat([ur, uf], 1).std(-1), slope=gr.norm(dim=-1).mean(-1),
             push=(n*w.abs()*gf.norm(dim=-1)).mean(-1), pull=cosine_similarity(gm, self.moved, dim=-1).mean(-1), k=self.o.k.clone(),
             turned=torch.zeros_like(self.o.k) if self.last is None else (cosine_similarity(gr, self.last, dim=-1) < 0).to(gr).mean(-1))
    with torch.no_grad(): r['box'] = self.U(self.box).std(-1)
    self.last = gr
    if far: r.update(self._far(fakes, gf, w))
    for k, v in r.items(): self.log.setdefault(k, []).append(v)

@patch
def _far(self:Game, fakes, gf, w):
    "How good 1000 fakes are; in the content game also what they cost and how loud the adversary is beside the content loss."
    r = dict(distance=distance(fakes, self.test))
    if self.data in MODES: r['modes'], r['on_mode'] = modes_found(fakes, *MODES[self.data])
    if self.content:
        n, miss = gf.shape[1], fakes-self.test
        loud = (self.o.eps[:, None, None]*w[..., None]*gf).norm(dim=(1, 2))        # d(eps g_loss)/d fakes against d(content)/d fakes
        r.update(mse=miss.square().mean((-1, -2)), ratio=loud/(miss[:, :n]/n).norm(dim=(1, 2)))
    return r

# %%
#| export
@patch
def play(self:Game, steps=500, every=10, far=10):
    "Play and measure: a dict of [seeds, T], or [settings, seeds, T] where a knob was a list. `far` measures: every `far`-th time."
    for t in range(steps+1):
        if t % every == 0: self.look(t % (every*far) == 0)
        if t < steps: self.step()
    shape = (self.settings, len(self.seeds), -1) if self.listed else (len(self.seeds), -1)
    return {k: torch.stack(v, 1).reshape(shape) for k, v in self.log.items()}

# %% [markdown]
# Now the promises. In float64, the third of five lanes is the same game as that seed alone; a setting in a list is the same game as that setting alone:

# %%
kw = dict(batch=16, dtype=torch.float64)
five, third = [Game('energy+penalty', seeds=s, **kw).play(20, every=20) for s in (5, [2])]
swept, single = [Game('energy+margin', seeds=2, m=m, **kw).play(20, every=20) for m in ([.1, 1.], 1.)]
for k in ('real', 'fake', 'slope', 'pull', 'distance'):
    test_close(five[k][2], third[k][0], eps=1e-9)
    test_close(swept[k][1], single[k], eps=1e-9)
test_eq(swept['real'].shape, [2, 2, 2])                                    # settings, seeds, looks

# %% [markdown]
# And one lane is the same game as plain PyTorch, written the way every tutorial writes a GAN:

# %%
game, plain = Game('gan-ns', seeds=1, **kw), Game('gan-ns', seeds=1, **kw)

def unstack(net):
    "The only lane of a `Stacked` as an nn.Sequential."
    layers = []
    for w, b in zip(net.w, net.b):
        lin = nn.Linear(*w.shape[1:]).double(); lin.weight.data, lin.bias.data = w[0].T.detach().clone(), b[0, 0].detach().clone()
        layers += [lin, nn.LeakyReLU(.1)]
    return nn.Sequential(*layers[:-1])

G, D = unstack(plain.G), unstack(plain.U.net)
opt_g, opt_d = [torch.optim.Adam(n.parameters(), 1e-3, (.5, .99)) for n in (G, D)]
bce = lambda u, label: nn.functional.binary_cross_entropy_with_logits(-u, torch.full_like(u, label))
for _ in range(20):
    real, z, _ = plain._batch()
    opt_g.zero_grad(); bce(D(G(z[0, 0])), 1.).backward(); opt_g.step()
    opt_d.zero_grad(); (bce(D(real[1, 0]), 1.)+bce(D(G(z[1, 0]).detach()), 0.)).backward(); opt_d.step()
    game.step()
test_close(game.U(game.real)[0], D(plain.real[0])[:, 0], eps=1e-9)
test_close(game.G(game.z)[0], G(plain.z[0]), eps=1e-9)

# %%
test_fail(lambda: Game('dcgan'), contains="no method 'dcgan'")
test_fail(lambda: Game('gan', margin=2), contains='there are m, lam')
test_fail(lambda: Game('gan', m=[1, 2], lam=[1, 2, 3]), contains='different lengths')

# %% [markdown]
# ## Do the networks reach the theory?
#
# Stop the generator: real points are a blob at 0, fakes a blob at $s$, for ever. Then each energy's player should find its optimum of the section on lines. GAN's is $\log q/p$, here a plane of slope $s/\sigma^2$. WGAN-GP's slope should be near 1. The literal loss should find none.

# %%
def teach(method, shifts, steps=300, lr=3e-3, **kw):
    "Energies against fakes that stay: a blob moved by `shifts`, one lane each."
    game = Game(method, 'blob', seeds=1, lr=lr, pt=[0.]*len(shifts), **kw)      # a list, only to have a lane per shift
    at = torch.tensor(shifts)[:, None, None]*torch.tensor([1., 0.])
    game.G, gaps = lambda z: .5*z+at, []
    for t in range(steps):
        game.step(generator=False)
        with torch.no_grad(): gaps.append((game.U(game.G(game.z)).mean(-1)-game.U(game.test).mean(-1)))
    return game, torch.stack(gaps, 1)

torch.manual_seed(0)
gan, _ = teach('gan', [.75])
wgan, _ = teach('wgan-gp', [1.5], lam=10., u_steps=1)
bare, bare_gap = teach('energy', [.75, 3.])
held, held_gap = teach('energy+penalty', [.75, 3.])

# %%
s, v = .75, .25
pts = torch.cat([gan.test, gan.G(gan.z)], 1)[0]
truth = (s*pts[:, 0]-s**2/2)/v                                             # log q/p
learned = gan.U(pts[None])[0].detach()
mix = torch.rand(1000, 1)
between = (mix*wgan.test[0]+(1-mix)*wgan.G(wgan.z)[0])[None].requires_grad_(True)
norm = torch.autograd.grad(wgan.U(between).sum(), between)[0].norm(dim=-1)[0]

fig, axs = plt.subplots(1, 3, figsize=(11, 3.2), layout='constrained')
axs[0].plot([-5, 5], [-5, 5], color='.6', lw=.8); axs[0].scatter(truth, learned, s=2, color=COLORS[0])
axs[0].set(xlabel='log q/p, exact', ylabel='U, learned', title='GAN: the log-ratio')
axs[1].hist(norm.numpy(), 40, color=COLORS[0]); axs[1].axvline(1, color=COLORS[1], ls='--'); axs[1].set(xlabel='|dU/dx| between real and fake', ylabel='points', title='WGAN-GP: slope near 1')
curves = {f'{n}, {w}': g[i] for n, g in (('literal', bare_gap), ('penalty', held_gap)) for i, w in enumerate(('fakes near', 'fakes far'))}
plot_line(range(1, 301), curves, ax=axs[2], xlabel='step', ylabel='gap', logx=True, logy=True, title='Literal: no optimum'); axs[2].legend(fontsize=7);

# %% [markdown]
# *Does a network find the closed form? GAN and WGAN-GP do. The literal gap grows as a power of the step as long as we look. The penalty stops it where the fakes overlap the data ($s=1.5\sigma$) and not where they stand apart ($6\sigma$).*

# %%
fit = torch.corrcoef(torch.stack([truth, learned]))[0, 1]
growth = [float((g[-1]/g[149]).log()/math.log(2)) for g in bare_gap]        # exponent over the last doubling of steps
print(f'GAN: correlation with log q/p {fit:.3f}; WGAN-GP: mean slope {norm.mean():.2f}')
print(f'literal: the gap doubles its steps and grows by 2^{growth[0]:.1f} (near), 2^{growth[1]:.1f} (far)')
print(f'penalty: gap {held_gap[0, 149]:.2f} -> {held_gap[0, -1]:.2f} (near), {held_gap[1, 149]:.1f} -> {held_gap[1, -1]:.1f} (far)')
assert fit > .95; test_close(norm.mean(), 1, eps=.15)

# %% [markdown]
# *(WGAN-GP's slope of 1.07 is not sloppiness. Its penalty is a spring, not a wall: minimising as above gives $1+\frac{P-Q}{2\lambda r}$ with $r$ the density of the mixed points, so about 5% too steep at $\lambda=10$.)*

# %% [markdown]
# ## How steady? Five numbers that may be compared
#
# A logit, a critic and a squared error have different units and different zeros. Dividing a spread by a mean (the coefficient of variation) would compare zeros, and a critic's zero is arbitrary. `steadiness` therefore asks only what survives $U\to cU+b$:
#
# - **wobble**: how far $\mathbb E\,U(\text{real})$ moves in ten steps (root mean square), in units of the spread of $U$ over real points and fakes at that moment. 1 means: the verdict on the same points moved as far as real and fake differ from each other.
# - **flips**: how often the movement reverses. Monotone 0, a random walk 1/2, noise around a level 2/3.
# - **turned**: the share of real points at which $\partial U/\partial x$ turned by more than 90 degrees in ten steps.
# - **pull**: is a displaced real point drawn back (see above)? The sign of the signal.
# - **size**: coefficient of variation of $|\partial U/\partial x|$ over time; a slope has a true zero, so here it is fair.

# %%
#| export
def steadiness(
    log:dict,         # of `Game.play`
    last:float=.5,    # the part of the run that counts
    scale:str='scale',   # unit: 'scale' (spread of U over real and fake points) or 'box' (over a box around them)
)->dict:              # [seeds] or [settings, seeds] each
    "How steady the signal on real data is, in numbers that do not change when U is multiplied by a factor or shifted by a constant."
    half = lambda v: v[..., int(v.shape[-1]*(1-last)):]
    du, unit = log['real'].diff(dim=-1), (log[scale][..., 1:]+log[scale][..., :-1])/2
    slope = half(log['slope'])
    return dict(wobble=half(du/unit).square().mean(-1).sqrt(), flips=half((du[..., 1:]*du[..., :-1] < 0).to(du)).mean(-1),
                turned=half(log['turned']).mean(-1), pull=half(log['pull']).mean(-1), size=slope.std(-1)/slope.mean(-1))

# %%
log = Game('gan-ns', seeds=2).play(100)
scaled = {**log, 'real': 7*log['real']-3, 'fake': 7*log['fake']-3, **{k: 7*log[k] for k in ('scale', 'box', 'slope')}}
for k, v in steadiness(log).items(): test_close(steadiness(scaled)[k], v, eps=1e-3)     # another unit, another zero
torch.manual_seed(0)
one, noise = torch.ones(1, 20_000), torch.randn(1, 20_000)
fake_log = lambda real: dict(real=real, scale=one, slope=one+.1*noise, turned=0*one, pull=one)
test_close(steadiness(fake_log(noise))['flips'], 2/3, eps=.02); test_close(steadiness(fake_log(noise.cumsum(1)))['flips'], .5, eps=.02)
test_close(steadiness(fake_log(noise))['wobble'], 2**.5, eps=.03); test_close(steadiness(fake_log(noise))['size'], .1, eps=.01)
test_eq(steadiness(fake_log(one.cumsum(1)))['flips'], torch.zeros(1))

# %% [markdown]
# Of a run we keep these numbers and a few more per seed (`verdict`), curves as short strings (`pack`), and the `landscape`: the energy over the plane as ranks, so that a logit and a squared error give comparable pictures.

# %%
#| export
def pack(
    v:Tensor,       # [..., T]
    thin:int=1,     # keep every `thin`-th value of the last axis
)->list|str:        # nested lists as deep as the leading axes, each row a string of numbers with 3 digits
    "Curves as short strings: a fifth of the bytes of JSON's lists."
    if v.dim() > 1: return [pack(o, thin) for o in v]
    return ' '.join(f'{o:.3g}' for o in v[::thin].tolist())

def unpack(
    v:list|str,     # what `pack` made
)->Tensor:          # [..., T]
    "The curves back as a tensor."
    return torch.tensor([float(o) for o in v.split()]) if isinstance(v, str) else torch.stack([unpack(o) for o in v])

# %%
#| export
def verdict(
    log:dict,    # of `Game.play`
)->dict:         # [seeds] or [settings, seeds] each
    "A run in a dozen numbers per seed: steadiness over its second half, quality over its last three measurements, energies at the end."
    end = {k: log[k][..., -3:].to(log['real']).mean(-1) for k in ('modes', 'on_mode', 'distance', 'mse', 'ratio') if k in log}
    return {**steadiness(log), 'wobble_box': steadiness(log, scale='box')['wobble'], **end, 'push': log['push'][..., -1], 'k': log['k'][..., -1],
            'real': log['real'][..., -1], 'gap': (log['fake']-log['real'])[..., -1], 'most_real': log['real'].abs().amax(-1)}

def landscape(
    game:Game,        # after playing
    lane:int=0,       # which lane
    n:int=32,         # pixels per side
    half:float=2.4,   # of the box
)->Tensor:            # percentiles [n, n], 0 lowest energy, 99 highest; row 0 is the lowest y
    "The energy over the box as ranks: the same picture for any monotone rescaling of U."
    g = torch.linspace(-half, half, n, dtype=game.dtype)
    x = torch.stack(torch.meshgrid(g, g, indexing='xy'), -1).view(1, -1, 2).expand(game.settings*len(game.seeds), -1, -1)
    with torch.no_grad(): u = game.U(x)[lane]
    return (u.argsort().argsort()*100//u.numel()).view(n, n)

# %%
wave = torch.randn(2, 3, 40)
test_close(unpack(pack(wave)), wave, eps=.01); test_eq(unpack(pack(wave, 5)).shape, [2, 3, 8])
v = verdict(log)
test_eq(set(v) >= {'wobble', 'flips', 'pull', 'modes', 'distance', 'gap'}, True); test_close(v['gap'], log['fake'][:, -1]-log['real'][:, -1], eps=1e-6)
g = Game('gan-ns', seeds=2)
ranks = landscape(g, n=16)
test_eq((ranks.min().item(), ranks.max().item()), (0, 99))
g.U.net.b[-1].data += 5.; test_eq(landscape(g, n=16), ranks)                # a constant changes no rank

# %% [markdown]
# ## The game, live
#
# Six methods, five seeds each, 400 steps. The map is the landscape (dark = low), the dots are fakes of the first seed.

# %%
LIVE = ['gan-ns', 'wgan-gp', 'ebgan', 'began', 'energy', 'energy+margin']
games = {name: Game(name) for name in LIVE}
logs = {name: g.play(400) for name, g in progress(games.items(), 'playing')}

# %%
def show_landscape(ax, ranks, fakes, title, half=2.4):
    "Energy as ranks, fakes as dots, the centres of the data as rings."
    ax.imshow(ranks, origin='lower', extent=[-half, half]*2, cmap='cividis', vmin=0, vmax=100, interpolation='bilinear')
    ax.scatter(*MODES['ring'][0].T, s=90, facecolors='none', edgecolors='white', lw=1)
    ax.scatter(*fakes, s=3, color=COLORS[1]); ax.set(xlim=(-half, half), ylim=(-half, half), xticks=[], yticks=[]); ax.grid(False)
    ax.set_title(title, fontsize=9)

fig, axs = plt.subplots(1, 6, figsize=(13, 2.5), layout='constrained')
for ax, (name, g) in zip(axs, games.items()):
    show_landscape(ax, landscape(g), g.G(g.z)[0, :200].detach().T, f'{name}: {logs[name]["modes"][:, -1].float().mean():.1f} of 8')

# %% [markdown]
# *Where is it dark, where are the dots? White rings are the eight blobs. The number is the mean over five seeds. `began` has gone where its autoencoder happens to be good. `energy`, the literal form, may look fine, and its map does not show the next picture: how its values run away.*

# %%
fig, axs = plt.subplots(1, 6, figsize=(13, 2.4), layout='constrained')
t = torch.arange(41)*10
for ax, name in zip(axs, LIVE):
    plot_band(t, {k: logs[name][k] for k in ('real', 'fake')}, ax=ax, xlabel='step', title=name)
    if ax is not axs[0]: ax.get_legend().remove()
    if name == 'energy': ax.set_yscale('log')
axs[0].set_ylabel('U');

# %% [markdown]
# *What do the teachers say about real points? Mean of five seeds and the range between them; only the literal `energy` needs a logarithmic axis. WGAN-GP's two curves hang together but wander as one: its loss knows differences only, so the level of $U$ is nobody's business.*

# %% [markdown]
# ## The game, long: ten seeds, 3000 steps
#
# Live runs are short. The long ones are functions of this lesson too; `python -m vggsr_nb.adversaries` runs them all (about 20 minutes of one core) and writes the files that are loaded below. Four parts: `long` is every method on every data set, `shape` exchanges losses and shapes, `knobs` turns one knob at a time, `content` adds the content loss.

# %%
#| export
def _long(steps, seeds, tell):
    "Every method on every data set; curves, landscape and fakes of the ring."
    out = {}
    for data, n in (('ring', seeds), ('grid', -(-seeds//2)), ('moons', -(-seeds//2))):
        for name in METHODS:
            g = Game(name, data, n); log = g.play(steps); tell(data, name)
            out.setdefault(data, {})[name] = r = dict(verdict=verdict(log))
            if data != 'ring': continue
            r.update({k: pack(log[k], 5) for k in ('real', 'fake')}, **{k: pack(log[k]) for k in ('modes', 'distance')},
                     map=pack(landscape(g, n=28)), fakes=pack((100*g.G(g.z)[0, :150]).round().T))
    return out

def _shape(steps, seeds, tell):
    "What makes the signal steady: loss against shape, pace, optimiser; and tracking against minimising."
    track, out = METHODS['energy+track'].make, dict(cross={}, pace={}, optimiser={}, track={})
    def run(part, key, name, **kw): out[part][key] = verdict(Game(name, seeds=seeds, **kw).play(steps)); tell(part, key)
    for name in ('gan-ns', 'energy+margin', 'energy+penalty'):
        for shape in ('positive' if name == 'energy+margin' else 'scalar', 'autoencoder', 'frozen'):
            run('cross', f'{name} {shape}', name, shape=shape, offset=name == 'gan-ns' and shape != 'scalar')
    for name in ('gan-ns', 'energy+margin'):
        for lr in (3e-3, 1e-3, 3e-4, 1e-4): run('pace', f'{name} {lr:g}', name, lr_u=lr)
    for key, kw in {'base': {}, 'lr 0.0003': dict(lr=3e-4), 'beta1 0.9': dict(betas=(.9, .999)), '5 energy steps': dict(u_steps=5)}.items():
        for name in ('gan-ns', 'ebgan', 'energy+penalty', 'energy+margin'): run('optimiser', f'{name}, {key}', name, **kw)
    for name in ('energy', 'energy+penalty', 'energy+margin'):
        run('track', f'{name} minimise', name)
        run('track', f'{name} track', replace(METHODS[name], make=track))
    return out

# %%
#| export
def _knobs(steps, seeds, tell):
    "One knob at a time, each value on its own lanes: the runs behind the sliders."
    steps_of = lambda lo, hi, n=12: [float(f'{lo*(hi/lo)**(i/(n-1)):.2g}') for i in range(n)]
    sweeps = dict(m=('energy+margin', steps_of(.01, 30)), lam=('energy+penalty', steps_of(.003, 30)),
                  gamma=('energy+balance', [i/10 for i in range(1, 11)]), k=('energy', [0., .1, .2, .3, .4, .5, .6, .7, .8, .9, 1., 1.2]))
    out = {}
    for knob, (name, values) in sweeps.items():
        log = Game(name, seeds=seeds, **{knob: values}).play(steps); tell(knob, name)
        out[knob] = dict(method=name, values=values, verdict=verdict(log), real=pack(log['real'], 5), fake=pack(log['fake'], 5))
    return out

def _content(steps, seeds, tell):
    "Super-resolution in two dimensions: content loss plus epsilon times the adversary."
    eps, y = [0., *[10**(i/3) for i in range(-9, 7)]], torch.linspace(-1.9, 1.9, 39)[:, None]
    games = {'gan-ns': 'gan-ns', 'energy+margin': 'energy+margin', 'margin, tracked': replace(METHODS['energy+margin'], make=METHODS['energy+track'].make)}
    out = dict(eps=eps, y=pack(y[:, 0]))
    for key, name in games.items():
        g = Game(name, 'moons', seeds, content=True, eps=eps); log = g.play(steps); tell('content', key)
        out[key] = dict(verdict=verdict(log), drawn=pack(g.G(y.expand(g.settings*seeds, -1, -1))[::seeds].detach().mT))   # first seed of each eps
    return out

# %%
#| export
PARTS = dict(long=(_long, 3000, 10), shape=(_shape, 3000, 5), knobs=(_knobs, 2000, 5), content=(_content, 2000, 5))

@command
def adversaries(
    part:str='all',    # long, shape, knobs, content or all
    steps:int=0,       # generator steps per game; 0: the part's own
    seeds:int=0,       # seeds per method; 0: the part's own
    folder:str='',     # where the results go; default: data/results
):
    "Measure what lesson 03 shows: `python -m vggsr_nb.adversaries` (about 20 minutes of one core)."
    import time
    if part != 'all' and part not in PARTS: raise UserError(f'no part {part!r} of the laboratory; there are all, {", ".join(PARTS)}')
    for name in PARTS if part == 'all' else [part]:
        run, n, s = PARTS[name]
        config, start = dict(steps=steps or n, seeds=seeds or s), time.time()
        with progress(desc=name, unit='game') as bar:
            values = run(config['steps'], config['seeds'], lambda *what: (bar.set_postfix_str(' '.join(what)), bar.update()))
        config['seconds'] = round(time.time()-start)
        save_result(f'adversaries_{name}', tidy(values), config, folder=folder or None, device='cpu')

def tidy(v)->dict|list|str:
    "Tensors inside nested dicts as strings of three digits (see `pack`)."
    return {k: tidy(o) for k, o in v.items()} if isinstance(v, dict) else pack(v) if isinstance(v, Tensor) else v

if __name__ == '__main__' and '__file__' in globals(): adversaries()

# %%
import tempfile
with tempfile.TemporaryDirectory() as d:
    adversaries('content', steps=40, seeds=1, folder=d)
    r = load_result('adversaries_content', folder=d)
test_eq(r['config']['steps'], 40); test_eq(unpack(r['values']['gan-ns']['verdict']['mse']).shape, [len(r['values']['eps']), 1])
test_fail(lambda: adversaries('short'), contains='there are all, long')

# %%
stored = {part: load_result(f'adversaries_{part}') for part in PARTS}
long, shape, knobs, content = [r['values'] for r in stored.values()]
ring = long['ring']
seeds = lambda name, k, data='ring': unpack(long[data][name]['verdict'][k])      # one number per seed
for part, r in stored.items(): print(f"{part:8s} {r['config']['steps']} steps, {r['config']['seeds']} seeds; {r['provenance']['date']}, {r['provenance']['device']}, torch {r['provenance']['torch']}")

# %%
fig, axs = plt.subplots(2, 6, figsize=(13, 4.8), layout='constrained')
for ax, (name, r) in zip(axs.flat, ring.items()):
    show_landscape(ax, unpack(r['map']), unpack(r['fakes'])/100, f'{name}: {seeds(name, "modes").mean():.1f} of 8')
axs.flat[-1].axis('off'); axs.flat[-1].text(0, .5, 'dark: low energy\nring: a blob of data\ndot: a fake, seed 0\nnumber: modes found,\nmean of all seeds', fontsize=9, va='center');

# %% [markdown]
# *The end of the long run. LANDTEXT*

# %%
FAMILIES = {'classifiers and critic': ['gan', 'gan-ns', 'wgan-gp'], 'autoencoders': ['ebgan', 'ebgan-pt', 'began'],
            'the paper\'s energy': ['energy', 'energy+penalty', 'energy+margin', 'energy+balance', 'energy+track']}
fig, axs = plt.subplots(2, 3, figsize=(12, 5), layout='constrained', sharex=True, sharey='row')
steps = stored['long']['config']['steps']
for col, (family, names) in zip(axs.T, FAMILIES.items()):
    for ax, k in zip(col, ('modes', 'distance')):
        for n in names:
            v = unpack(ring[n][k]); plot_band(torch.linspace(0, steps, v.shape[1]), v, ax=ax, label=n if k == 'modes' else None)
    col[0].set_title(family); col[1].set_xlabel('step'); col[0].legend(fontsize=7, ncols=2, loc='lower right'); col[1].set_ylim(.08, 3); col[1].set_yscale('log')
axs[0, 0].set_ylabel('modes found, of 8'); axs[1, 0].set_ylabel('distance to the data');

# %% [markdown]
# *Who gets there? Line: mean over ten seeds, band: worst and best. LEARNTEXT*
#
# ### The signal on real data over time

# %%
fig, axs = plt.subplots(2, 6, figsize=(13, 4.4), layout='constrained', sharex=True)
for ax, (name, r) in zip(axs.flat, ring.items()):
    v = {k: unpack(r[k]) for k in ('real', 'fake')}
    plot_band(torch.linspace(0, steps, v['real'].shape[1]), v, ax=ax, title=name)
    if name in ('energy', 'energy+track'): ax.set_yscale('log')
    elif (v['real'] > 0).all(): ax.set_ylim(0, 1.2)
    if name != 'gan': ax.get_legend().remove()
for ax in axs[:, 0]: ax.set_ylabel('U')
for ax in axs.flat[5:]: ax.set_xlabel('step'); ax.tick_params(labelbottom=True)
axs.flat[-1].axis('off');

# %% [markdown]
# *Mean of $U$ over 128 fixed real points and over fakes; line and band over ten seeds. Look at the axes: SIGNALTEXT*

# %%
COLUMNS = {'modes': 'modes of 8', 'distance': 'distance', 'wobble': 'wobble', 'flips': 'flips', 'turned': 'turned > 90°', 'pull': 'pull', 'size': 'size varies'}
fig, axs = plt.subplots(1, 7, figsize=(13, 3.8), layout='constrained', sharey=True)
for ax, (k, label) in zip(axs, COLUMNS.items()):
    for i, n in enumerate(ring):
        v, c = seeds(n, k), COLORS[next(j for j, names in enumerate(FAMILIES.values()) if n in names)]
        ax.plot(v, [i]*len(v), 'o', color=c, ms=4, alpha=.35); ax.plot(v.median(), i, '|', color='k', ms=13, mew=2)
    ax.set_xlabel(label)
    if k in ('distance', 'wobble', 'size'): ax.set_xscale('log')
axs[0].set_yticks(range(len(ring)), ring); axs[0].invert_yaxis();

# %% [markdown]
# *Ten seeds as dots, the median as a bar; blue classifiers and critic, red autoencoders, green the paper's energy. Which column would you put in a paper?*
#
# DOTTEXT

# %% [markdown]
# ## Reveal
#
# Of the short live run; the long one below confirms or corrects.

# %%
live = {n: {**{k: v.mean().item() for k, v in steadiness(l).items()}, 'modes': l['modes'][:, -1].float().mean().item(),
            'most U(real)': l['real'].amax().item()} for n, l in logs.items()}
for n, row in live.items(): print(f'{n:14s}', '  '.join(f'{k} {v:.3g}' for k, v in row.items()))
guess.reveal('rises without end', 'the GANs', 'the energy with a margin')

# %% [markdown]
# ## Break it
#
# Five patients, each the method `energy+margin` (or a relative) with one fault, beside the healthy run in grey. Look at the plot first. The faults, in no order:
#
# 1. *Algorithm 1's sign*: the generator climbs $U$, as the paper prints it.
# 2. *No margin*: the literal form.
# 3. *Forgotten detach*: the energy's loss also moves the generator.
# 4. *Fixed $k$*: BEGAN's controller switched off, $k$ stays where it starts, at 0.
# 5. *A teacher too fast*: minimax GAN, ten energy steps per generator step, fakes that start far away.

# %%
up = replace(METHODS['energy+margin'], make=lambda uf, ur, o: -g_energy(uf))
quick = dict(seeds=3, batch=64)

def too_fast():
    game = Game('gan', u_steps=10, lr_u=3e-3, **quick)
    with torch.no_grad(): game.G.b[-1] += 4.                                # start away from the data
    return game

patients = dict(zip('ABCDE', (Game('energy+balance', rate=0., **quick), too_fast(), Game('energy+margin', leak=True, **quick), Game(up, **quick), Game('energy', **quick))))
healthy = Game('energy+margin', **quick).play(300)
ill = {n: g.play(300) for n, g in progress(patients.items(), 'examining')}

# %%
fig, axs = plt.subplots(3, 5, figsize=(12, 6), layout='constrained', sharex='col', sharey='row')
t, far = torch.arange(31)*10, torch.arange(4)*100
for col, (n, log) in zip(axs.T, ill.items()):
    plot_band(t, {'U(real)': log['real'], 'U(fake)': log['fake']}, ax=col[0], title=f'patient {n}')
    for ax, k, x in ((col[1], 'distance', far), (col[2], 'push', t)):
        ax.plot(x, healthy[k].mean(0), color='.6', lw=3, ls='-'); plot_band(x, log[k], ax=ax)
    if n != 'A': col[0].get_legend().remove()
axs[0, 0].set_yscale('symlog', linthresh=1); axs[0, 0].set_ylim(-100, 2e5); axs[0, 0].set_yticks([-10, 0, 10, 1000, 100_000])
for ax, label, lim in zip(axs[:, 0], ('energies', 'distance to the data', 'push on the fakes'), (None, (.1, 1000), (1e-3, 1e3))):
    ax.set_ylabel(label)
    if lim: ax.set_yscale('log'); ax.set_ylim(*lim)
for ax in axs[-1]: ax.set_xlabel('step')

# %% [markdown]
# *Which patient has which fault? Top: energies of real points and fakes (linear between -1 and 1, logarithmic beyond). Middle: how far the fakes are from the data, healthy run in grey. Bottom: mean length of the gradient that reaches a fake.*
#
# Diagnosis, symptom by symptom:
#
# - **A is the fixed $k=0$.** Both energies fall to 0 together: nobody tells the autoencoder that fakes are fakes, it learns to copy anything, and the fakes gather where it copies best.
# - **B is the fast teacher.** The gap is wide open, no error in sight, and the push dies: minimax listens with weight $D(\text{fake})$, which is 0. The fakes stay where they were.
# - **C is the forgotten detach.** The energies look healthy, the push is normal, and the fakes still do not come nearer. Two pulls cancel: the energy's loss moves the *generator* up the energy as strongly as its own loss moves it down.
# - **D is the sign.** Fakes run away from the data, the energy helps them by rising ever higher, and $U(\text{real})$ looks better than in any healthy run. A curve of $U(\text{real})$ alone would not tell.
# - **E is the missing margin.** Both energies rise together, $U(\text{real})$ included, and the push with them.

# %%
end = {n: {k: v[:, -1].float().mean().item() for k, v in l.items()} for n, l in ill.items()}
assert max(end['A']['real'], end['A']['fake']) < .02                       # both energies die
assert end['B']['push'] < 1e-2 and end['B']['fake']-end['B']['real'] > 10 and end['B']['distance'] > 3
assert end['C']['distance'] > 1.4*healthy['distance'][:, -1].mean() and .2 < end['C']['push']/healthy['push'][:, -1].mean() < 5
assert end['D']['distance'] > 30 and end['D']['fake'] > 1000 and end['D']['real'] < .1
assert end['E']['real'] > 5 and end['E']['push'] > 5*healthy['push'][:, -1].mean()

# %% [markdown]
# Patient C can be computed exactly. On the same fakes the two gradients add up in the generator's memory; for the literal form their sum is zero, and nothing at all is learned:

# %%
game = Game('energy', seeds=1, dtype=torch.float64)
real, z, _ = game._batch()
def generator_gradient(detach):
    for p in game.G.parameters(): p.grad = None
    fake = game.G(z[0])
    d_energy(game.U(real[0]), game.U(fake.detach() if detach else fake)).sum().backward(retain_graph=True)   # the energy's loss first
    g_energy(game.U(fake)).sum().backward()
    return torch.cat([p.grad.flatten() for p in game.G.parameters()])

right, leaked = generator_gradient(True), generator_gradient(False)
assert right.norm() > .1
test_close(leaked, 0*leaked, eps=1e-12)

# %% [markdown]
# ## Scale up: what makes it steady?
#
# The dots of the long run mix two things. The paper's energy has another **loss** than the GAN, and another **shape**: the error of an autoencoder in place of a number. Which of the two makes it steady? So exchange them: GAN's loss on an autoencoder (with a learned zero, since a logit must be able to be negative), the margin's and the penalised loss on a plain network.

# %%
guess2 = Predict('The steadiness of `energy+margin` comes from', ['the loss', 'the shape', 'both alike'],
                 'Slowing the GAN\'s discriminator down makes it as steady as `energy+margin`, all modes kept', ['yes', 'no'])
guess2

# %%
cross, pace, optimiser, track = [{k: {n: unpack(v) for n, v in r.items()} for k, r in shape[part].items()} for part in ('cross', 'pace', 'optimiser', 'track')]
LOSSES, shapes = ('gan-ns', 'energy+margin', 'energy+penalty'), ('scalar', 'autoencoder', 'frozen')
plain = lambda n, s: f'{n} positive' if (n, s) == ('energy+margin', 'scalar') else f'{n} {s}'   # a margin needs U > 0

def dots(ax, xs, rows, k, **kw):
    "Seeds as dots, medians as a line, one line per label."
    for i, (label, row) in enumerate(rows.items()):
        at = [x+.08*(i-1) for x in xs] if kw.get('jitter', True) else xs
        for x, r in zip(at, row): ax.plot([x]*len(r[k]), r[k], 'o', color=COLORS[i], ms=4, alpha=.35)
        ax.plot(at, [r[k].median() for r in row], color=COLORS[i], label=label, ls='-' if i == 0 else DASHES[i])
    ax.set_ylabel(k)

fig, axs = plt.subplots(1, 4, figsize=(13, 3.2), layout='constrained')
for ax, k in zip(axs, ('wobble', 'modes')):
    dots(ax, range(3), {n: [cross[plain(n, s)] for s in shapes] for n in LOSSES}, k); ax.set_xticks(range(3), ['a number', 'autoencoder', 'frozen enc.'])
for ax, k in zip(axs[2:], ('wobble', 'modes')):
    dots(ax, [-4, -3.5, -3, -2.5], {n: [pace[f'{n} {lr}'] for lr in ('0.0001', '0.0003', '0.001', '0.003')] for n in LOSSES[:2]}, k, jitter=False)
    ax.set_xticks([-4, -3.5, -3, -2.5], ['.0001', '.0003', '.001', '.003']); ax.set_xlabel('learning rate of the energy')
for ax in axs[[0, 2]]: ax.set_yscale('log')
axs[0].set_title('shape against loss'); axs[2].set_title('pace'); axs[0].legend(fontsize=7);

# %% [markdown]
# *Left pair: each line is a loss, each column a shape. Do the lines follow the column or keep their order? Right pair: the GAN on a number and the margin on the frozen shape, with slower and faster energies.*
#
# CROSSTEXT

# %%
med = lambda row, k: row[k].median().item()
print('wobble of shape x loss:', {n: [round(med(cross[plain(n, s)], 'wobble'), 3) for s in shapes] for n in LOSSES})
print('modes  of shape x loss:', {n: [round(cross[plain(n, s)]['modes'].mean().item(), 1) for s in shapes] for n in LOSSES})
print('optimiser:', {k: round(med(r, 'wobble'), 3) for k, r in optimiser.items()})
guess2.reveal('the shape', 'no')

# %% [markdown]
# ### A slider per knob
#
# Each position of these sliders is a stored run of 2000 steps with five seeds; the slider picks the nearest. Left: the energies over time. Middle: where they end, over the knob. Right: how good the fakes are. The vertical line is where you are.

# %%
def knob_figure(knob, value):
    "Stored runs over one knob; the nearest one in detail."
    r = knobs[knob]; vals = torch.tensor(r['values']); i = int((vals-value).abs().argmin()) if knob in ('gamma', 'k') else int((vals.log()-math.log(value)).abs().argmin())
    v = {k: unpack(o) for k, o in r['verdict'].items()}
    fig = plt.gcf(); fig.set_size_inches(10, 2.7); a, b, c = fig.subplots(1, 3)
    real, fake = unpack(r['real']), unpack(r['fake'])
    plot_band(torch.linspace(0, stored['knobs']['config']['steps'], real.shape[-1]), {'U(real)': real[i], 'U(fake)': fake[i]}, ax=a, xlabel='step', ylabel='U', title=f'{r["method"]}, {knob} = {vals[i]:.3g}', logy=True)
    plot_band(vals, {'U(real)': v['real'].T, '|gap|': v['gap'].abs().T}, ax=b, xlabel=knob, ylabel='at the end', logy=True)
    plot_band(vals, v['modes'].T, ax=c, label='modes', xlabel=knob, ylabel='modes of 8'); c.set_ylim(0, 8.2)
    for ax in (b, c):
        ax.axvline(vals[i], color='k', lw=.8, ls='-')
        if knob in ('m', 'lam'): ax.set_xscale('log')
    mean = lambda k: v[k][i].mean().item()
    return {'nearest': float(vals[i]), 'U_real': mean('real'), 'gap': mean('gap'), 'modes': mean('modes'), 'distance': mean('distance'), 'wobble': mean('wobble')}

# %%
@explore(m=(.01, 30., 'log'), still=[dict(m=.03), dict(m=1.), dict(m=30.)], live=False)
def margin(m=1.): return knob_figure('m', m)

# %% [markdown]
# *The margin `m` of `energy+margin`. MARGINTEXT*

# %%
@explore(lam=(.003, 30., 'log'), still=[dict(lam=.003), dict(lam=1.)], live=False)
def penalty(lam=1.): return knob_figure('lam', lam)

# %% [markdown]
# *The penalty $\lambda$ at real points (`energy+penalty`). LAMTEXT*

# %%
@explore(k=(0., 1.2, .1), still=[dict(k=0.), dict(k=.5), dict(k=1.)], live=False)
def fixed_k(k=.5): return knob_figure('k', k)

# %% [markdown]
# *A fixed weight `k` of the fakes in the literal form. KTEXT*

# %%
@explore(gamma=(.1, 1., .1), still=[dict(gamma=.5)], live=False)
def balanced(gamma=.5): return knob_figure('gamma', gamma)

# %% [markdown]
# *BEGAN's $\gamma$ (`energy+balance`). GAMMATEXT*
#
# ### Epsilon: super-resolution in two dimensions
#
# The paper's generator has a second loss, the content loss, and $\varepsilon$ weighs the adversary against it: $L = L_{con}+\varepsilon\,L_{GAN}$. Here is the smallest picture of it. A "photograph" is a point $(x_1, x_2)$ of the moons; its "low resolution" is $x_1$ alone. The generator sees $x_1$ and answers with a point; the content loss is its squared distance to the original. Where both moons lie above the same $x_1$, the best answer by content is halfway between them, where no data are: that is blur.

# %%
def show_epsilon(eps=1., method='energy+margin'):
    r, all_eps = content[method], torch.tensor(content['eps'])
    i = int((all_eps-eps).abs().argmin()) if eps < 5e-4 else 1+int((all_eps[1:].log()-math.log(eps)).abs().argmin())
    v = {k: unpack(o) for k, o in r['verdict'].items() if k in ('mse', 'distance', 'ratio')}
    fig = plt.gcf(); fig.set_size_inches(9, 2.9); a, b, c = fig.subplots(1, 3)
    a.scatter(*draw('moons', 600, torch.Generator().manual_seed(0)).T, s=2, color='.7')
    a.scatter(*unpack(r['drawn'])[i], s=12, color=COLORS[1]); a.set(xlabel='x1: all that G sees', ylabel='x2', title=f'{method}, eps = {all_eps[i]:.2g}')
    for ax, k in ((b, 'mse'), (c, 'distance')):
        plot_band(all_eps[1:], v[k][1:].T, ax=ax, xlabel='eps', ylabel=k, logx=True, logy=True); ax.axvline(max(all_eps[i], 1e-3), color='k', lw=.8, ls='-')
        ax.axhline(v[k][0].mean(), color='.6', lw=.8, ls='-')
    return {'nearest': float(all_eps[i]), **{k: o[i].mean().item() for k, o in v.items()}}

epsilon = explore(eps=(1e-3, 100., 'log'), method=['energy+margin', 'gan-ns', 'margin, tracked'], live=False,
                  still=[dict(eps=.001), dict(eps=1.), dict(eps=100.), dict(eps=1., method='gan-ns')])(show_epsilon)

# %% [markdown]
# *Left: the answers of seed 0 for 39 values of $x_1$, over the data. Middle: distance to the own original (content). Right: distance of all answers from the data; both over $\varepsilon$, the grey line is $\varepsilon=0$. The readout `ratio` is $\|\varepsilon\,\partial L_{GAN}/\partial x\| : \|\partial L_{con}/\partial x\|$ on the fakes.*
#
# EPSTEXT

# %% [markdown]
# ## The paper and us
#
# PAPERTEXT

# %%
rows = [(n, *(seeds(n, k) for k in ('real', 'gap', 'most_real', 'modes', 'distance', 'wobble'))) for n in FAMILIES["the paper's energy"]]
print(f'{"":15s}{"U(real)":>9s}{"gap":>9s}{"most U":>9s}{"modes":>7s}{"dist.":>7s}{"wobble":>8s}   (medians of ten seeds; modes: mean)')
for n, *v in rows: print(f'{n:15s}'+''.join(f'{x.mean() if i == 3 else x.median():{w}.3g}' for i, (x, w) in enumerate(zip(v, (9, 9, 9, 7, 7, 8)))))
print('\nminimise against track, five seeds: modes (mean), distance (median), U(real) at the end (median)')
for k, r in track.items(): print(f'{k:25s}{r["modes"].mean():6.1f}{med(r, "distance"):7.2f}{med(r, "real"):9.3g}')

# %% [markdown]
# ## Exercises
#
# **1.** Least squares GAN in our convention: the energy of real points shall be $-1$, of fakes $+1$, errors squared. Write the loss of the energy's player. At one place its optimum has a closed form, which the check knows.

# %%
def d_least_squares(ur, uf):
    raise NotImplementedError                                              # ur, uf: [..., B]; give back [...]

# %%
def test_least_squares(f):
    test_eq(f(torch.zeros(3, 8), torch.zeros(3, 8)).shape, [3])
    for a in (.2, .5, .9):                                                 # a place with share a real, 1-a fake: best u = (1-a) - a
        u = torch.tensor(1-2*a, dtype=torch.float64, requires_grad=True)
        value = a*f(u.expand(1, 4), torch.ones(1, 4).double())+(1-a)*f(-torch.ones(1, 4).double(), u.expand(1, 4))
        slope, = torch.autograd.grad(value.sum(), u)
        assert abs(slope) < 1e-9, f'with {a:.0%} real points the loss should be flat at u = {1-2*a:.1f}, its slope there is {slope:.2g}'
        assert value.sum() < a*f(u.detach().expand(1, 4)+.3, torch.ones(1, 4).double()).sum()+(1-a)*f(-torch.ones(1, 4).double(), u.detach().expand(1, 4)+.3).sum(), 'a maximum, not a minimum'

check(d_least_squares, test_least_squares);

# %% jupyter={"source_hidden": true}
def solution_1(ur, uf): return (ur+1).square().mean(-1)+(uf-1).square().mean(-1)

check(solution_1, test_least_squares, strict=True);

# %% [markdown]
# **2.** A margin in units of the data. A fixed $m$ must fit a scale that nobody knows beforehand. Write a margin loss whose margin is $c$ times the *present* mean energy of the real points, and take care that the energy's player cannot profit from raising that energy. Which line of PyTorch says "a number, not a lever"?

# %%
def d_relative_margin(ur, uf, c=3.):
    raise NotImplementedError

# %%
def test_relative_margin(f):
    ur, uf = torch.tensor([[.1, .3]], requires_grad=True), torch.tensor([[.5, .9]], requires_grad=True)
    value = f(ur, uf, c=3.)
    assert value.shape == (1,), f'one number per lane: shape [1], not {list(value.shape)}'
    gr, gf = torch.autograd.grad(value.sum(), (ur, uf))
    test_close(value.item(), .2+(.6-.5)/2, eps=1e-6)                       # the margin is 0.6: only one fake is below it
    assert (gr-.5).abs().max() < 1e-6, 'raising U(real) must not move the margin: detach it'
    test_close(gf, torch.tensor([[-.5, 0.]]), eps=1e-6)
    test_close(f(10*ur, 10*uf, c=3.), 10*value, eps=1e-5)                  # another unit, the same game

check(d_relative_margin, test_relative_margin);

# %% jupyter={"source_hidden": true}
def solution_2(ur, uf, c=3.): return d_margin(ur, uf, c*ur.detach().mean(-1))

check(solution_2, test_relative_margin, strict=True);

# %% [markdown]
# **3.** Forgotten detach, second opinion. A non-saturating GAN with the leak sees two gradients on its fakes: its own loss's and the discriminator's. Give the total pull on $U(\text{fake})$ as a function of $u=U(\text{fake})$. At which $u$ does the generator stop caring, and which fakes are pushed *away* from the data?

# %%
def leaked_pull(u):
    raise NotImplementedError                                              # d/du of everything that reaches the generator, per fake

# %%
def test_leaked(f):
    u = torch.linspace(-5, 5, 41, dtype=torch.float64, requires_grad=True)
    truth, = torch.autograd.grad((g_nonsaturating(u[:, None])+d_gan(torch.zeros(41, 1).double(), u[:, None])).sum(), u)
    got = torch.as_tensor(f(u.detach()))
    assert got.shape == truth.shape and (got-truth).abs().max() < 1e-6, f'at u = 1 the two add up to {truth[24]:.3f}, not {got.flatten()[24]:.3f}'

check(leaked_pull, test_leaked);

# %% jupyter={"source_hidden": true}
def solution_3(u): return u.sigmoid()-(-u).sigmoid()                        # = tanh(u/2): zero at 0, fakes with u < 0 are pushed up the energy

check(solution_3, test_leaked, strict=True);
test_close(solution_3(torch.tensor(1.3)), math.tanh(.65), eps=1e-6)

# %% [markdown]
# **4.** Your own method. Build a `Method` (any losses, any shape, any penalty) that finds on average six of eight modes after 300 steps with three seeds. Your least squares from exercise 1 are a good start; one step of the energy per step of the generator is not enough of it. Can you do it with less wobble than `gan-ns`?

# %%
def my_method():
    raise NotImplementedError                                              # give back a Method

# %%
def test_method(f):
    m = f()
    assert isinstance(m, Method), f'a Method, not {type(m).__name__}'
    log = Game(m, seeds=3).play(300)
    found, wobble = log['modes'][:, -1].float().mean(), steadiness(log)['wobble'].mean()
    print(f'{found:.1f} modes, distance {log["distance"][:, -1].mean():.2f}, wobble {wobble:.2f}')
    assert found >= 6, f'{found:.1f} modes found, six are asked for'

check(my_method, test_method);

# %% jupyter={"source_hidden": true}
def solution_4(): return Method(lambda ur, uf, o: solution_1(ur, uf), lambda uf, ur, o: (uf+1).square().mean(-1), 'scalar', u_steps=3)

check(solution_4, test_method, strict=True);

# %% [markdown]
# ## Claims
#
# Every number of the text, from the live runs and the stored ones.

# %%
CLAIMS = True
