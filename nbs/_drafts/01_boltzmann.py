# %%
#| default_exp boltzmann

# %% [markdown]
# # How does an energy become a probability, and how is it learned?
#
# Take any function that is low where things are usual and high where they are odd. Divide it by a temperature, flip its sign, exponentiate, divide by the total: that is a probability. To learn such a function from examples, push it down at the examples and up at its own samples, until the two cannot be told apart.
#
# RUNTIME The lesson before this one, `00_core`, only provides tools. You need to know what a derivative is.
#
# ## Conventions
# - **Low energy means likely** (later: *real*). An energy is a function `U` that takes points and gives back one number each; `E` is a tensor of such numbers on a grid.
# - `T` is the temperature and `beta = 1/T`. Where nothing is said, `T = 1`.
# - Logarithms are natural, so information and likelihood come in nats. Averages are means, never sums, over points.

# %%
#| export
import math, torch
from functools import partial
from torch import Tensor, nn
from vggsr_nb.core import *

# %%
#| hide
import time, copy
from fastcore.test import *
plt = get_plt()

# %% [markdown]
# ## Predict
# Four guesses, before anything is computed. None of them needs a formula; write them down even if you are unsure, because a wrong guess is remembered longer than a right sentence.

# %%
guess = Predict(
    'We add 100 to the energy everywhere. The probabilities', ['all shrink', 'stay as they are', 'all grow'],
    'Two wells, one deeper. We double the temperature. The deeper well', ['gains', 'loses', 'keeps its share'],
    'Noisy walkers roll downhill in steps that are somewhat too long. After a very long time they are distributed', ['exactly right', 'wrongly, for ever'],
    'In 1000 dimensions, the typical sample of a bell-shaped density lies', ['near the point of lowest energy', 'far from it'])
guess

# %% [markdown]
# ## The smallest case: three seats
#
# A café has three seats. The first is comfortable (energy 0), the second less so (1), the third is in a draught (2). Which one will the next guest take? Boltzmann's rule gives each seat the weight $e^{-E/T}$ and divides by the sum of all weights, which is called the **partition function** $Z$:
#
# $$p_i = \frac{e^{-E_i/T}}{Z},\qquad Z = \sum_j e^{-E_j/T}.$$

# %%
seats = torch.tensor([0., 1., 2.], dtype=torch.float64)
def choose(E, T):
    weight = (-E/T).exp()
    return weight/weight.sum()
temperatures = [.2, 1., 5.]
for i, T in enumerate(temperatures):
    plt.bar(torch.arange(3)+.25*(i-1), choose(seats, T), .25, label=f'T = {T}', color=COLORS[i], hatch=['', '//', '..'][i], edgecolor='white')
plt.xticks(range(3), ['comfortable, E = 0', 'so-so, E = 1', 'draughty, E = 2']); plt.ylabel('probability'); plt.legend(title='temperature');

# %% [markdown]
# *What does the temperature do? Cold guests always take the best seat; hot guests hardly care. At T = 1 each unit of energy costs a factor of e = 2.718 in probability.*
#
# You already know this function: it is the softmax of $-E/T$. And with two seats it is the logistic function of their energy *difference*, so that only differences can matter:

# %%
p = choose(seats, 1.)
test_close(p[0]/p[1], math.e, eps=1e-12)
test_close(choose(seats[:2], .7)[0], torch.sigmoid(torch.tensor(1/.7, dtype=torch.float64)), eps=1e-12)   # closed form
test_close(choose(seats+100, 1.), p, eps=1e-12)

# %% [markdown]
# ## Why an exponential?
#
# Two cafés that have nothing to do with each other: the energies of the two choices **add**, their probabilities **multiply**. A rule $w(E)$ that turns one into the other must satisfy $w(E_1+E_2) = w(E_1)\,w(E_2)$. Up to the choice of $T$, the exponential is the only continuous function that does. Try another rule that also falls with energy, say $1/(1+E)$:

# %%
pairs = seats[:, None] + seats[None]                       # energies of all nine pairs of seats
for name, w in {'exp(-E)': lambda E: (-E).exp(), '1/(1+E)': lambda E: 1/(1+E)}.items():
    together = w(pairs)/w(pairs).sum()
    apart = torch.outer(w(seats), w(seats))/w(seats).sum()**2
    print(f'{name}: the two cafés disturb each other by {(together-apart).abs().max():.3f}')

# %% [markdown]
# With the wrong rule, the draught in one café would change where people sit in the other.
#
# ## Explore: two wells
#
# Seats on a line, infinitely many of them. The smallest landscape with a choice in it has two wells, one a little deeper: $E(x) = (x^2-1)^2 + a\,x + c$. The sum over seats becomes an integral, and `dx` is the width of a seat on our grid.

# %%
def double_well(x, a=.3, c=0.): return (x**2-1)**2 + a*x + c
x = torch.linspace(-3, 3, 2401, dtype=torch.float64)       # 2400 steps: later 80 of them make a bin
dx = float(x[1]-x[0])

# %% [markdown]
# The first building block is the logarithm of $Z$. It is computed by `logsumexp`, which takes the largest term out of the sum, because $e^{-E/T}$ itself overflows as soon as $-E/T$ passes 709. The density follows from it.

# %%
#| export
def log_partition(
    E:Tensor,      # energies on a grid, any shape
    dx:float,      # volume of a grid cell
    T:float=1.,    # temperature, > 0 (a 0-d tensor if you want its gradient)
)->Tensor:         # log Z, 0-d, in nats
    "Logarithm of the partition function Z = sum of exp(-E/T) dx. Raises ValueError unless T > 0."
    if not T > 0: raise ValueError(f'temperature must be positive, got {T}')
    return (-E/T).flatten().logsumexp(0) + math.log(dx)

def boltzmann(
    E:Tensor,      # energies on a grid, any shape
    dx:float,      # volume of a grid cell
    T:float=1.,    # temperature, > 0
)->Tensor:         # density on the grid; sums to 1/dx
    "Boltzmann density p = exp(-E/T)/Z of energies given on a grid. Raises ValueError unless T > 0."
    return (-E/T - log_partition(E, dx, T)).exp()

# %% [markdown]
# It is a density, the constant drops out, overflow is no issue, and a temperature of zero is refused. For a single parabola $E = kx^2/2$ the integral is known: $Z = \sqrt{2\pi T/k}$, and $p$ is the Gaussian of variance $T/k$.

# %%
E = double_well(x)
test_close((boltzmann(E, dx)*dx).sum(), 1, eps=1e-12)
test_close(boltzmann(E+100, dx), boltzmann(E, dx), eps=1e-12)                      # prediction 1
test_close(log_partition(E-1e5, dx), log_partition(E, dx)+1e5, eps=1e-8)           # exp(1e5) would be infinite
for k, T in ((1., .1), (20., .5), (50., 2.)):
    test_close(log_partition(k*x**2/2, dx, T), .5*math.log(2*math.pi*T/k), eps=1e-10)
    test_close(boltzmann(k*x**2/2, dx, T), (-k*x**2/2/T).exp()*(k/(2*math.pi*T))**.5, eps=1e-10)
test_fail(lambda: boltzmann(E, dx, T=0), contains='positive')
test_fail(lambda: log_partition(E, dx, T=-1), contains='got -1')

# %% [markdown]
# Now play: one slider per symbol. The dotted line is the **score**, $s(x) = \frac{d}{dx}\log p(x) = -E'(x)/T$: it says in which direction, and how strongly, probability grows. Try to answer before moving: which sliders move the score, which move $\log Z$, and which move neither the density nor the score?

# %%
@explore(T=(.05, 3., 'log'), a=(-1., 1., .05), c=(-100., 100., 5.), still=[dict(T=.1), dict(T=.5), dict(T=2.)])
def wells(T=.5, a=.3, c=0.):
    E = double_well(x, a, c)
    p, near = boltzmann(E, dx, T), x.abs() < 1.9
    fig, (top, low) = plt.subplots(2, 1, figsize=(4.7, 4.1), sharex=True, gridspec_kw=dict(hspace=.12, left=.15, right=.85, top=.86))
    plot_line(x[near], E[near], ax=top, ylabel='energy E')
    plot_line(x[near], p[near], ax=low, xlabel='x', ylabel='density p', color=COLORS[1], linestyle='-')
    low.fill_between(x, p, where=x < 0, color=COLORS[1], alpha=.25); low.set(ylim=(0, None), xlim=(-1.9, 1.9))
    right = low.twinx(); right.grid(False); right.spines['right'].set_visible(True)
    right.plot(x, -torch.gradient(E, spacing=dx)[0]/T, ':', color=COLORS[2]); right.set(ylabel='score -E\'/T (dotted)', ylim=(-60, 60))
    return dict(left_well=float((p*dx)[x < 0].sum()), log_Z=float(log_partition(E, dx, T)), total=float(p.sum()*dx))

# %% [markdown]
# *The same landscape at three temperatures. The shaded area is the probability of the left well: 0.997 when cold, 0.739 in between, 0.562 when hot. The deeper well loses as it gets warmer. The slider `c` moves log Z and nothing else.*

# %%
left = lambda **kw: wells.read(**kw)['left_well']
test_close([left(T=.1), left(T=.5), left(T=2.)], [.997, .739, .562], eps=1e-3)     # prediction 2
test_close(left(T=.5, c=100.), left(T=.5), eps=1e-12)
test_close(wells.read(c=100.)['log_Z'], wells.read()['log_Z']-100/.5, eps=1e-9)
test_close(left(T=.5, a=0.), .5, eps=1e-3)                                         # no tilt, no preference

# %% [markdown]
# ## Build: what log Z knows
#
# $Z$ looks like a nuisance, a number that makes things sum to one. In fact its logarithm holds every average as a derivative. Two helpers first: the average of any function under $p$, and the **free energy** $F = -T\log Z$.

# %%
#| export
def expectation(
    f:Tensor,      # values of the function on the same grid as E
    E:Tensor,      # energies on a grid, any shape
    dx:float,      # volume of a grid cell
    T:float=1.,    # temperature, > 0
)->Tensor:         # 0-d
    "Average <f> under the Boltzmann density of E."
    return (f*boltzmann(E, dx, T)).sum()*dx

def free_energy(
    E:Tensor,      # energies on a grid, any shape
    dx:float,      # volume of a grid cell
    T:float=1.,    # temperature, > 0
)->Tensor:         # 0-d, in units of energy
    "Free energy F = -T log Z: what a region weighs, depth and room together."
    return -T*log_partition(E, dx, T)

# %% [markdown]
# Three identities, each worth a minute with pencil and paper (write $Z$ as an integral and differentiate under it):
#
# $$\frac{d\log Z}{d\beta} = -\langle E\rangle, \qquad F = \langle E\rangle - T\,S \ \text{ with the entropy } S = -\langle\log p\rangle, \qquad \frac{dF}{d\theta} = \Big\langle\frac{\partial E}{\partial\theta}\Big\rangle .$$
#
# The third is the one to remember. For any knob $\theta$ in the energy, turning the knob changes the free energy by the average of what it changes in the energy, averaged over the model's *own samples*. Half of learning is this identity. Here each is checked by finite differences of $\log Z$ alone, with the tilt $a$ as the knob:

# %%
T, d = .5, 1e-4
mean_E = expectation(E, E, dx, T)
log_Z = lambda beta: log_partition(E, dx, 1/beta)
test_close((log_Z(1/T+d)-log_Z(1/T-d))/(2*d), -mean_E, eps=1e-6)

p = boltzmann(E, dx, T)
S = -expectation(p.log(), E, dx, T)
test_close(free_energy(E, dx, T), mean_E-T*S, eps=1e-10)

F = lambda a: free_energy(double_well(x, a), dx, T)
test_close((F(.3+d)-F(.3-d))/(2*d), expectation(x, E, dx, T), eps=1e-6)            # dE/da = x
mean_E, T*S, F(.3)

# %% [markdown]
# ## Depth against room
#
# $F = \langle E\rangle - TS$ says that probability is not depth alone. A well counts for its depth *and* for its room, and heat gives weight to the room. Take a narrow deep well and a wide shallow one, both parabolas. Where does the probability go?

# %%
def two_widths(x, depth=.5, ratio=25., k=1.):
    "A well at -3, deeper by `depth` and stiffer by `ratio` than the one at 3."
    return torch.minimum(ratio*k*(x+3)**2/2-depth, k*(x-3)**2/2)
xw = torch.linspace(-5, 9, 2001, dtype=torch.float64)
dw = float(xw[1]-xw[0])

@explore(T=(.05, 1., 'log'), depth=(0., 2., .1), ratio=(1., 100., 'log'), still=[dict(T=.15), dict(T=.3107), dict(T=.6)])
def room(T=.3107, depth=.5, ratio=25.):
    E = two_widths(xw, depth, ratio)
    p = boltzmann(E, dw, T)
    narrow = float((p*dw)[xw < -1.5].sum())
    ax = plt.figure(figsize=(4.7, 3)).add_axes([.14, .15, .72, .69])
    plot_line(xw, p, ax=ax, xlabel='x', ylabel='density p', color=COLORS[1], linestyle='-')
    ax.fill_between(xw, p, where=xw < -1.5, color=COLORS[1], alpha=.25); ax.set_ylim(0, None)
    right = ax.twinx(); right.grid(False); right.spines['right'].set_visible(True)
    right.plot(xw, E.where(E < 3, torch.nan), '--', color=COLORS[0]); right.set(ylabel='energy (dashed)', ylim=(-depth-.1, 3))
    return dict(narrow_well=narrow)

# %% [markdown]
# *Which well wins? The peak of the density sits in the deeper well at every one of these temperatures, but at T = 0.31 half the probability has moved into the wider one, and at T = 0.6 most of it.*
#
# The parabola's $Z$ gives the reason in closed form. Each well has $F_i = E_i - \frac T2\log\frac{2\pi T}{k_i}$, and the share of the narrow one is the logistic function of the difference in $F/T$, just as with two seats:

# %%
def narrow_share(T, depth, ratio): return 1/(1+math.exp(-depth/T + .5*math.log(ratio)))
for T in (.1, .2, .3107): test_close(room.read(T=T)['narrow_well'], narrow_share(T, .5, 25.), eps=2e-3)
test_close(room.read(T=.6)['narrow_well'], .31, eps=.01)
test_eq(float(xw[boltzmann(two_widths(xw), dw, .6).argmax()].round()), -3)         # the peak is still in the narrow well

# %% [markdown]
# ## Nobody lives at the bottom
#
# The bottom of the bowl $E = \lVert x\rVert^2/2$ is the single most probable point. In many dimensions there is so much more room a little higher up that no sample is ever found there. Every dimension carries $T/2$ of energy on average, whatever its stiffness (this is called equipartition), and the relative spread shrinks like $1/\sqrt d$:

# %%
seed_everything(0)
for i, d in enumerate((1, 10, 100, 1000)):
    energy = torch.randn(4000, d).square().sum(1)/2/d
    plt.hist(energy, bins=torch.linspace(0, 1.2, 80).tolist(), density=True, histtype='step', lw=1.5, color=COLORS[i], linestyle=['-', '--', '-.', ':'][i], label=f'd = {d}')
    lowest = float(energy.min())
plt.axvline(.5, color='grey', lw=.8); plt.ylim(0, 20); plt.xlabel('energy per dimension, E/d, at T = 1'); plt.ylabel('density'); plt.legend();

# %% [markdown]
# *Energies of 4000 samples. The bottom has energy 0. Where are the samples of the 1000-dimensional bowl? All of them near 0.5 per dimension, none below 0.4.*
#
# Keep this picture for later. A network told to *minimise* the energy heads for the bottom, a place where no real sample lives. A picture has thousands of dimensions; its bottom is a smooth, empty one.

# %%
assert lowest > .4
for k in (1., 7., 30.): test_close(expectation(k*x**2/2, k*x**2/2, dx, .2), .1, eps=1e-8)   # T/2 whatever k is

# %% [markdown]
# ## The score needs no Z
#
# In one dimension we can afford the integral over everything. For a picture of 64 x 64 pixels the grid would have more points than anything can hold, so from now on $Z$ is out of reach. The score is not: $\nabla\log p = -\nabla U/T - \nabla\log Z$, and the last term is zero because $Z$ does not depend on $x$. One pass of autograd gives it.

# %%
#| export
def _energy_grad(U, x):
    "Energies [B] and their gradient in x, both detached."
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        u = U(x)
        if u.shape != x.shape[:1]: raise ValueError(f'an energy gives one number per point: expected shape {tuple(x.shape[:1])}, got {tuple(u.shape)}')
        return u.detach(), torch.autograd.grad(u.sum(), x)[0]

def score(
    U,             # energy: points [B, ...] -> [B]
    x:Tensor,      # points [B, ...]
    T:float=1.,    # temperature, > 0
)->Tensor:         # like x, detached
    "Score of the Boltzmann density, grad log p = -grad U / T, by autograd. Raises ValueError where U is not one number per point."
    return -_energy_grad(U, x)[1]/T

# %% [markdown]
# Checked against the slope of $\log p$ on the grid, normalised the hard way. A constant in the energy changes not one bit:

# %%
E, inner = double_well(x), slice(1, -1)
by_hand = torch.gradient(boltzmann(E, dx, .5).log(), spacing=dx)[0]
test_close(score(double_well, x, .5)[inner], by_hand[inner], eps=1e-3)
test_eq(score(lambda x: double_well(x, c=100.), x, .5), score(double_well, x, .5))
test_fail(lambda: score(lambda x: x.sum(), x), contains='one number per point')
test_fail(lambda: score(lambda x: x, torch.zeros(5, 2)), contains='expected shape (5,)')

# %% [markdown]
# ## Walking instead of integrating
#
# How does one draw samples without $Z$? Let a walker roll downhill and kick it at random (Langevin, 1908):
#
# $$x \leftarrow x - h\,\nabla U(x) + \sqrt{2hT}\;\xi,\qquad \xi\sim N(0, 1).$$
#
# Downhill alone would end at the bottom, kicks alone would wander off. With exactly this balance of the two, the walkers spread like $e^{-U/T}$ as the step $h$ goes to zero.
#
# For a finite step the balance is slightly off. The cure is old as well (Metropolis): treat the step as a proposal and sometimes refuse it, so that the flow from $x$ to $y$ equals the flow from $y$ to $x$. The proposal is accepted with probability $\min\!\big(1,\ \frac{p(y)\,q(y\to x)}{p(x)\,q(x\to y)}\big)$, where $Z$ cancels. With this correction the method is called MALA.

# %%
#| export
def _log_accept(x, y, u, v, gx, gy, h, T):
    "Log of Metropolis' ratio for the Langevin proposal x -> y, energies u -> v and gradients gx -> gy."
    square = lambda d: d.square().flatten(1).sum(1) if d.dim() > 1 else d.square()
    return (u-v)/T - (square(x-y+h*gy) - square(y-x+h*gx))/(4*h*T)

# %%
#| export
@torch.no_grad()
def langevin(
    U,                      # energy: points [B, ...] -> [B]
    x:Tensor,               # where the walkers start, [B, ...]: one chain per row
    steps:int,              # number of steps
    h:float,                # step size, in units of x^2 per energy
    T:float=1.,             # temperature; 0 gives plain gradient descent
    adjust:bool=False,      # refuse some steps (MALA), which removes the bias of h
    trajectory:bool=False,  # give back every position
)->Tensor:                  # last positions [B, ...], or [steps+1, B, ...]
    "Langevin dynamics x <- x - h grad U + sqrt(2 h T) noise, all chains at once. Raises ValueError for h <= 0, T < 0, or `adjust` at T = 0."
    if h <= 0 or T < 0 or (adjust and T == 0): raise ValueError(f'langevin needs h > 0 and T >= 0 (T > 0 with adjust), got h={h}, T={T}')
    u, g = _energy_grad(U, x)
    path = [x]
    for _ in range(steps):
        y = x - h*g + math.sqrt(2*h*T)*torch.randn_like(x)
        v, gy = _energy_grad(U, y)
        if adjust:
            ok = torch.rand_like(u).log() < _log_accept(x, y, u, v, g, gy, h, T)
            far = ok.view(-1, *[1]*(x.dim()-1))
            x, u, g = torch.where(far, y, x), torch.where(ok, v, u), torch.where(far, gy, g)
        else: x, u, g = y, v, gy
        if trajectory: path.append(x)
    return torch.stack(path) if trajectory else x

# %% [markdown]
# In the parabola $U = kx^2/2$ the drift must shrink $x$ by $(1-hk)$ per step, exactly, and one kick from the bottom must be exactly $\sqrt{2hT}\,\xi$. Both are checked without statistics; after them only the wiring of many dimensions and the errors are left to test.

# %%
bowl = lambda x, k=1.: k*x.square()/2
walk = partial(langevin, bowl, h=.1)
start = torch.linspace(-2, 2, 5, dtype=torch.float64)
test_close(walk(start, 7, T=0), start*.9**7, eps=1e-12)
seed_everything(1); kick = torch.randn(5, dtype=torch.float64)
seed_everything(1); test_close(walk(start*0, 1, T=.3), math.sqrt(2*.1*.3)*kick, eps=1e-12)
test_eq(langevin(lambda x: x.square().sum((1, 2)), torch.zeros(4, 3, 2), 5, .1, trajectory=True, adjust=True).shape, (6, 4, 3, 2))
test_fail(lambda: walk(start, 1, T=0, adjust=True), contains='T > 0')
test_fail(lambda: langevin(bowl, start, 1, h=-1), contains='h=-1')
test_fail(lambda: langevin(lambda x: x, torch.zeros(4, 2), 1, .1), contains='one number per point')

# %% [markdown]
# Six walkers in the double well, all started in the shallow right one:

# %%
seed_everything(3)
walkers = langevin(double_well, torch.ones(1000), 1500, h=.02, T=.35, trajectory=True)
fig, (a, b) = plt.subplots(1, 2, figsize=(9, 2.9), width_ratios=[4, 1], sharey=True, layout='constrained')
for i in range(6): a.plot(torch.arange(1501)*.02, walkers[:, i], lw=.6, color=COLORS[i], linestyle='-')
a.set(xlabel='time (steps times h)', ylabel='x', ylim=(-2, 2))
b.hist(walkers[-1], bins=40, density=True, orientation='horizontal', color=COLORS[0], alpha=.35, label='1000 walkers')
b.plot(boltzmann(double_well(x), dx, .35), x, color=COLORS[1], linestyle='-', label='exp(-E/T)/Z'); b.set_xlabel('density'); b.legend(fontsize=7);

# %% [markdown]
# *Left: a walker trembles in one well for a while, then suddenly crosses. Right: where 1000 walkers are at the end, over the density that no walker has ever computed.*
#
# ## Play with the step
#
# How far is the histogram from the truth? The **total variation** distance is half the area between two densities: the probability that would have to be moved. It lies between 0 (same) and 1 (disjoint).

# %%
#| export
def tv_distance(
    p:Tensor,      # density on a grid
    q:Tensor,      # density on the same grid
    dx:float,      # volume of a grid cell
)->Tensor:         # 0-d, in [0, 1]
    "Total variation distance, half of the integral of |p - q|: the share of probability that would have to move."
    if p.shape != q.shape: raise ValueError(f'two densities on one grid, got shapes {tuple(p.shape)} and {tuple(q.shape)}')
    return (p-q).abs().sum()*dx/2

# %%
test_eq(tv_distance(torch.tensor([2., 0.]), torch.tensor([0., 2.]), .5), 1.)
p, q = (torch.distributions.Normal(m, 1.).log_prob(x).exp() for m in (-.1, .1))
test_close(tv_distance(p, q, dx), math.erf(.1/2**.5), eps=3e-3)                   # closed form for two Gaussians
test_fail(lambda: tv_distance(p, q[1:], dx), contains='one grid')

# %% [markdown]
# For walkers we compare shares per bin. Those that left the plot, or became infinite, count as wrong.

# %%
bins = 30
def shares(walkers):
    "Share of the walkers in each of `bins` bins on [-3, 3]; strays belong to none."
    return torch.histc(walkers[walkers.isfinite()].double(), bins, -3, 3)/len(walkers)
def exact_shares(T=.5, a=.3): return (boltzmann(double_well(x, a), dx, T)*dx)[:-1].view(bins, -1).sum(1)
def wrong(walkers, T=.5, a=.3):
    s, e = shares(walkers), exact_shares(T, a)
    return float((s-e).abs().sum()/2 + (1-s.sum())/2)

# %%
middle = torch.linspace(-2.9, 2.9, bins)
@explore(h=(1e-4, .5, 'log'), T=(.1, 2., 'log'), a=(-1., 1., .05), steps=(10, 500), adjust=bool,
         still=[dict(h=.001), dict(h=.03), dict(h=.2), dict(h=.2, adjust=True)])
def walkers_on_wells(h=.03, T=.5, a=.3, steps=400, adjust=False):
    seed_everything(0)
    w = langevin(partial(double_well, a=a), torch.ones(2000), steps, h, T, adjust)
    ax = plt.figure(figsize=(3.6, 3.3)).add_axes([.19, .14, .77, .72])
    ax.stairs(shares(w), torch.linspace(-3, 3, bins+1), fill=True, color=COLORS[0], alpha=.4, label='walkers')
    plot_line(middle, exact_shares(T, a), ax=ax, label='exact', xlabel='x', ylabel='share per bin', color=COLORS[1], linestyle='-', marker='.')
    return dict(TV=wrong(w, T, a), left_well=float((w < 0).float().mean()), lost=int((~(w.abs() < 3)).sum()))

# %% [markdown]
# *400 steps for 2000 walkers that start at x = 1. Which of the four is too short, which too long? At h = 0.001 they have not had time to cross. At h = 0.2 a walker on the steep outer wall overshoots, lands higher up on the other side, and is thrown out to infinity. With refusals the same long step does no harm.*

# %% [markdown]
# ## How wrong is a finite step?
#
# In the parabola the answer is exact. Each step multiplies $x$ by $(1-hk)$ and adds noise of variance $2hT$, so the variance obeys $v \leftarrow (1-hk)^2 v + 2hT$. It stops changing at
#
# $$v = \frac{2hT}{1-(1-hk)^2} = \frac Tk\cdot\frac{1}{1-hk/2}.$$
#
# The truth is $T/k$. The factor behind it does not depend on how long we run: **a step that is too long gives the wrong distribution for ever**. And at $h = 2/k$ nothing holds the walker any more.

# %%
seed_everything(0)
k, T, n = 4., .5, 40000
hs = torch.tensor([.02, .05, .1, .2, .3, .4])
formula = lambda h: T/k/(1-h*k/2)
settle = lambda h, adjust: langevin(partial(bowl, k=k), torch.randn(n)*(T/k)**.5, 60, float(h), T, adjust).var()
plain, refused = (torch.stack([settle(h, adj) for h in hs]) for adj in (False, True))
fine = torch.linspace(.001, .43, 100)
ax = plot_line(fine, formula(fine)*k/T, label='1/(1 - hk/2)', xlabel='step size h', ylabel='variance / true variance', title='Stiffness k = 4: the limit is h = 0.5')
ax.plot(hs, plain*k/T, 'o', color=COLORS[1], label='40 000 walkers'); ax.plot(hs, refused*k/T, 's', color=COLORS[2], label='the same, with refusals'); ax.axhline(1, color='grey', lw=.8); ax.legend();

# %% [markdown]
# *How long may a step be? At a tenth of the limit the variance is 5 % too large, at half of it twice too large. Refusing steps (squares) removes the error at any step.*
#
# A standard error of a variance is $v\sqrt{2/n}$, so the points must agree with the formula to a few times 0.7 %:

# %%
v = torch.tensor(1., dtype=torch.float64)
for _ in range(2000): v = (1-.3*k)**2*v + 2*.3*T
test_close(v, formula(.3), eps=1e-12)                                              # the recursion ends at the formula
assert ((plain/formula(hs)-1).abs() < 4.5*(2/n)**.5).all()
assert ((refused*k/T-1).abs() < .05).all()                                         # refused steps repeat: fewer independent samples
test_close([formula(h)*k/T for h in (.05, .25)], [1.111, 2.], eps=1e-3)

# %% [markdown]
# ## Too short, too long
#
# So make the step tiny? Then it takes for ever to get anywhere. With a fixed budget of 400 steps there are two different errors, and starting walkers in two ways separates them: one crowd starts spread as it should be (only bias can hurt it), the other starts in the wrong well (it also has to get out).

# %%
seed_everything(0)
n, steps = 3000, 400
hs = torch.logspace(-4, -.4, 13)
right_start = x[torch.multinomial(boltzmann(double_well(x), dx, .5), n, replacement=True)].float()
floor = wrong(right_start)                                                         # what 3000 perfect samples give
starts = {'start spread right': (right_start, False), 'start at x = 1': (torch.ones(n), False), 'start at x = 1, refusals': (torch.ones(n), True)}
errors = {k: torch.tensor([wrong(langevin(double_well, s, steps, float(h), .5, adj)) for h in hs]) for k, (s, adj) in starts.items()}
ax = plot_line(hs, errors, xlabel='step size h', ylabel='total variation to exact', logx=True, logy=True, marker='.')
ax.axhline(floor, color='grey', lw=.8); ax.text(1.1e-4, floor*1.08, 'perfect samples', fontsize=7, color='grey');

# %% [markdown]
# *Where is the best step, and why is there one at all? To its left the walkers have not mixed, to its right the bias grows until everything is lost. Starting right hides the first error completely: a sampler that looks fine from a good start may not be mixing at all.*

# %%
spread, stuck, ok = errors.values()
assert spread[0] < 1.8*floor and stuck[0] > .6             # a tiny step: no bias, but no travel either
assert spread[-1] > .9 and stuck[-1] > .9                  # a long one: lost
best = float(hs[stuck.argmin()]); print(f'floor {floor:.3f}, best step {best:.3f} with TV {stuck.min():.3f}')

# %% [markdown]
# ## Crossing a barrier
#
# The time to mix is the time to cross. Between the wells the energy has to be borrowed from the kicks, and the chance of a sufficient row of lucky kicks falls like $e^{-\Delta E/T}$. On a line the mean time to get from $x_0$ down to $b$ is a double integral, so there is an exact answer to compare with:
#
# $$\tau = \frac1T\int_b^{x_0}\! dy\; e^{E(y)/T}\int_y^{\infty}\! dz\; e^{-E(z)/T}.$$

# %%
E = double_well(x)
x_left, x_right = (float(x[side][E[side].argmin()]) for side in (x < 0, x > 0))
barrier = float(E[(x > x_left) & (x < x_right)].max() - E[x > 0].min())
def exact_time(T):
    outer = (-E/T).exp().flip(0).cumsum(0).flip(0)*dx
    between = (x >= x_left) & (x <= x_right)
    return float(((E/T).exp()*outer)[between].sum()*dx/T)
def walked_time(T, h=.01, steps=2000, n=400):
    path = langevin(double_well, torch.full((n,), x_right), steps, h, T, adjust=True, trajectory=True)
    there = (path < x_left).cummax(0).values                                       # stays true after the first visit
    return float((~there).sum()*h/there[-1].sum())                                 # time spent waiting per crossing

# %%
seed_everything(0)
Ts = torch.tensor([.2, .25, .3, .4, .6, 1.])
walked = torch.tensor([walked_time(float(T)) for T in Ts])
fine = torch.linspace(.15, 1.2, 60)
ax = plot_line(1/fine, [exact_time(float(T)) for T in fine], label='double integral', xlabel='1/T', ylabel='mean time from right to left', logy=True)
ax.plot(1/Ts, walked, 'o', color=COLORS[1], label='walkers'); ax.legend();

# %% [markdown]
# *Why is the line straight on a logarithmic scale? Its slope is the height of the barrier, 0.72. Halving the temperature squares the waiting. A barrier of 20 units would not be crossed within the age of anything.*

# %%
times = torch.tensor([exact_time(float(T)) for T in Ts])
assert ((walked/times-1).abs() < .25).all(), walked/times
slope = (math.log(exact_time(.06))-math.log(exact_time(.07)))/(1/.06-1/.07)
test_close(barrier, .72, eps=.01); test_close(slope, barrier, eps=.03)

# %% [markdown]
# ## Learning: push down at the data, push up at the samples
#
# So far the energy was given. Now there are only examples, 500 points on a line, and an energy is wanted that explains them. Let us start with no opinion at all: a flat energy, one number for each of 61 bins. Draw the histogram of the data, and beside it the histogram of what the energy itself would produce. Then do the obvious:
#
# - where there are more data than samples, **lower** the energy a little;
# - where there are more samples than data, **raise** it a little.
#
# Repeat. That is all of learning; the rest of this section says why it is right, and what to do when there are too many bins to list.

# %%
seed_everything(0)
where = torch.linspace(-3, 3, 61, dtype=torch.float64)
data = torch.cat([-1.6+.35*torch.randn(250), .5+.25*torch.randn(150), 1.9+.3*torch.randn(100)]).double()
p_data = torch.histc(data, 61, -3.05, 3.05)/len(data)
table, history = torch.zeros(61, dtype=torch.float64), []
for _ in range(301):
    history.append(table.clone())
    table = table - 20*(p_data - (-table).softmax(0))                              # down at the data, up at the samples
nll = lambda table: float((p_data*table).sum() + table.neg().logsumexp(0))
entropy = float(-(p_data*p_data.log()).nan_to_num().sum())

# %%
@explore(step=(0, 300), still=[dict(step=0), dict(step=5), dict(step=300)])
def tabled(step=5):
    table, p = history[step], (-history[step]).softmax(0)
    fig, (a, b) = plt.subplots(2, 1, figsize=(4.7, 4.1), sharex=True, gridspec_kw=dict(hspace=.12, left=.17, right=.97, top=.86))
    a.plot(where, table-table.min(), color='black', drawstyle='steps-mid'); a.set(ylabel='energy above lowest', ylim=(-.3, 7))
    edges = torch.linspace(-3.05, 3.05, 62)
    b.stairs(p_data, edges, fill=True, color=COLORS[0], alpha=.6, label='data: push down')
    b.stairs(-p, edges, fill=True, color=COLORS[1], alpha=.6, label='samples: push up')
    b.plot(where, p_data-p, color='black', lw=1, label='what is left of it'); b.set(xlabel='x', ylabel='share per bin', ylim=(-.11, .11)); b.legend(fontsize=7, loc='lower right')
    return dict(surprise=nll(table), entropy_of_data=entropy, largest_push=float((p_data-p).abs().max()))

# %% [markdown]
# *One energy per bin. When does learning stop? When the two pushes cancel everywhere: then the model's samples are distributed like the data, and the average surprise has come down to the entropy of the data, which no model can beat. Where there is no data the energy keeps rising, ever more slowly, because fewer and fewer samples land there to push it up.*

# %% [markdown]
# ### Why this rule?
#
# The natural demand on a model is that the examples be likely: the average of $-\log p_\theta(x) = U_\theta(x) + \log Z_\theta$ over the data (at $T = 1$) should be small. This average surprise is the negative log likelihood. Its gradient follows from the third identity above, since $\log Z = -F$:
#
# $$\frac{\partial}{\partial\theta}\langle -\log p_\theta\rangle_{\text{data}} = \Big\langle\frac{\partial U}{\partial\theta}\Big\rangle_{\text{data}} - \Big\langle\frac{\partial U}{\partial\theta}\Big\rangle_{\text{model}} .$$
#
# For a table, $\theta$ is the energy of a bin, and the right hand side is the share of the data in it minus the share of the model: exactly our rule. For any other energy it reads the same. $Z$ has gone; what is left to do is sampling.

# %%
table = history[7].clone().requires_grad_()
loss = (p_data*table).sum() + table.neg().logsumexp(0)                             # exact -log likelihood
test_close(torch.autograd.grad(loss, table)[0], p_data-(-table).softmax(0), eps=1e-12)
test_close(nll(history[0]), math.log(61), eps=1e-12)                               # flat: every bin is a surprise of log 61
assert entropy < nll(history[300]) < entropy+.02

# %% [markdown]
# ## Points in the plane
#
# A table with a hundred bins per pixel is hopeless, so a network takes its place. Three sets of points in the plane serve as data. Each comes from a known density, so that what is learned can be compared with the truth.

# %%
#| export
def toy_data(
    name:str,       # 'rings', 'moons' or 'checkerboard'
    n:int,          # how many points
    seed:int=0,     # the same seed gives the same points
)->Tensor:          # [n, 2], float32, within about [-2.3, 2.3]
    "Points in the plane from a known density. Raises ValueError for an unknown name."
    if name not in ('rings', 'moons', 'checkerboard'): raise ValueError(f"toy data are 'rings', 'moons' and 'checkerboard', not {name!r}")
    g = torch.Generator().manual_seed(seed)
    u, v, w = torch.rand(3, n, generator=g)
    noise = torch.randn(n, 2, generator=g)
    if name == 'checkerboard':
        column, row = (4*u).floor(), (2*v).floor()
        return torch.stack([4*u-2, 2*v + row + column % 2 - 2], 1)
    if name == 'rings':
        r = torch.where(w < 1/3, .7, 1.7) + .1*noise[:, 0]
        return torch.stack([r*(2*math.pi*u).cos(), r*(2*math.pi*u).sin()], 1)
    return _moon(math.pi*u, torch.where(w < .5, 1., -1.)) + .12*noise

def _moon(t, side): return side[..., None]*torch.stack([1.3*t.cos()-.65, 1.3*t.sin()-.325], -1)

# %%
#| export
def toy_log_density(
    name:str,       # as for `toy_data`
    x:Tensor,       # points [..., 2]
)->Tensor:          # log density [...], -inf outside the checkerboard's fields
    "The density that `toy_data` draws from, in nats: the truth to compare with. Raises ValueError for an unknown name."
    if name == 'checkerboard':
        field = ((x.floor().sum(-1) % 2) == 0) & (x.abs() <= 2).all(-1)
        return torch.where(field, -math.log(8.), -math.inf)
    normal = lambda d, s: -.5*(d/s)**2 - math.log(s*math.sqrt(2*math.pi))
    if name == 'rings':
        r = x.norm(dim=-1)
        return torch.logaddexp(normal(r-.7, .1)+math.log(1/3), normal(r-1.7, .1)+math.log(2/3)) - (2*math.pi*r).log()
    if name != 'moons': raise ValueError(f"toy data are 'rings', 'moons' and 'checkerboard', not {name!r}")
    t = (torch.arange(200)+.5).to(x)*math.pi/200                                   # integrate along both moons
    at = torch.cat([_moon(t, t*0+1), _moon(t, t*0-1)])
    return normal(x[..., None, :]-at, .12).sum(-1).logsumexp(-1) - math.log(400)

# %% [markdown]
# One grid helper for the plane, and the checks: the densities integrate to one, and the histogram of the points agrees with them.

# %%
#| export
def grid2d(
    lim:float=4.,    # the square [-lim, lim]^2
    n:int=160,       # cells per side
)->tuple[Tensor, float]:   # cell centres [n, n, 2] (rows are y, columns x), area of a cell
    "Cell centres of a square grid in the plane, for sums that stand for integrals."
    a = (torch.arange(n)+.5)*2*lim/n - lim
    return torch.stack(torch.meshgrid(a, a, indexing='xy'), -1), (2*lim/n)**2

# %%
names = ('rings', 'moons', 'checkerboard')
pts, cell = grid2d(3., 120)
test_eq(pts.shape, (120, 120, 2)); test_close(pts[0, -1], torch.tensor([2.975, -2.975]), eps=1e-5)
for name in names:
    p = toy_log_density(name, pts).exp()
    test_close(p.sum()*cell, 1, eps=3e-3)
    d = toy_data(name, 40000)
    i, j = (((d+3)/.5).long().clamp(0, 11)).unbind(1)
    counts = torch.zeros(12, 12).index_put_((j, i), torch.tensor(1/len(d)), accumulate=True)
    blocks = (p*cell).view(12, 10, 12, 10).sum((1, 3))
    assert tv_distance(counts, blocks, 1) < .02, name
test_eq(toy_data('moons', 5, seed=2), toy_data('moons', 5, seed=2))
test_fail(lambda: toy_data('spiral', 5), contains='spiral'); test_fail(lambda: toy_log_density('spiral', pts), contains='spiral')

# %%
def show_energy(ax, U, title='', lim=3., top=6., points=None):
    "Energies on [-lim, lim]^2 above the lowest, cut off at `top`; bright is low."
    im = ax.imshow((U-U.min()).clamp(max=top), extent=(-lim, lim, -lim, lim), origin='lower', cmap='cividis_r', vmin=0, vmax=top)
    if points is not None: ax.plot(*points.T, 'o', color=COLORS[1], ms=2, mec='none')
    ax.set_title(title, fontsize=9); ax.set_xticks([-2, 0, 2]); ax.set_yticks([-2, 0, 2]); ax.grid(False)
    return im
fig, axs = plt.subplots(1, 3, figsize=(9, 3), layout='constrained')
for ax, name in zip(axs, names): im = show_energy(ax, -toy_log_density(name, pts), f'{name} and its true energy', points=toy_data(name, 400)); ax.set_xlabel('x')
axs[0].set_ylabel('y'); fig.colorbar(im, ax=axs, label='-log p, above the lowest (nats)');

# %% [markdown]
# *What would be a perfect energy? Minus the logarithm of the density, up to a constant. Bright is low. Between the rings there is a barrier, and outside the checkerboard's fields the true energy is infinite.*
#
# The network is a small one with smooth activations, because its slope is what moves the walkers. A wide bowl is added to its output. Far out the network grows like a straight line and the bowl like a square, so the bowl wins and $Z$ is finite whatever the weights are.

# %%
#| export
class MLPEnergy(nn.Module):
    "A small network as energy, plus a bowl |x|^2 / (2 bowl^2) that keeps Z finite: points [B, dim] -> [B]."
    def __init__(self,
        width:int=64,      # units in each of the two hidden layers
        dim:int=2,         # dimension of the points
        bowl:float=2.,     # standard deviation of the density that the bowl alone would have; math.inf for none
        wiggle:float=3.,   # scale of the first layer: how finely the landscape may bend at the start
    ):
        super().__init__()
        self.config = dict(name='mlp_energy', width=width, dim=dim, bowl=bowl, wiggle=wiggle)
        self.net = nn.Sequential(nn.Linear(dim, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1))
        with torch.no_grad():
            for p in self.net[0].parameters(): p *= wiggle
        self.bowl = bowl
    def forward(self, x): return self.net(x).squeeze(-1) + x.square().sum(-1)/(2*self.bowl**2)

# %%
#| export
@torch.no_grad()
def log_likelihood(
    U,             # energy: points [B, 2] -> [B]
    x:Tensor,      # points in the plane [B, 2]
    lim:float=4.,  # the square on which Z is summed
    n:int=160,     # cells per side
)->float:          # mean over the points, nats
    "Mean log likelihood of points in the plane under exp(-U)/Z, with Z summed on a grid: -U(x) - log Z."
    pts, cell = grid2d(lim, n)
    E = U(pts.to(x).view(-1, 2))
    return float(-U(x).mean() - log_partition(E, cell))

# %% [markdown]
# For the bare bowl the likelihood is that of a Gaussian. And the constant, once more, makes no difference:

# %%
seed_everything(0)
gauss = lambda x: x.square().sum(-1)/(2*.7**2)
z = .7*torch.randn(500, 2)
test_close(log_likelihood(gauss, z), float(torch.distributions.Normal(0, .7).log_prob(z).sum(1).mean()), eps=1e-4)
U = MLPEnergy()
test_eq(U(z).shape, (500,)); test_eq(MLPEnergy(**{k: v for k, v in U.config.items() if k != 'name'})(z).shape, (500,))
test_close(log_likelihood(lambda x: U(x)+100, z), log_likelihood(U, z), eps=1e-4)
far = torch.tensor([[1e4, 0.], [0., -1e4]])
assert (U(far) > 1e6).all()                                                        # the bowl wins

# %% [markdown]
# ## Is it really the gradient?
#
# The claim "push down at data, push up at samples" is now tested on a network. On one side the exact mean of $-\log p$, with $Z$ summed over a grid, differentiated by brute force: move one weight by a little, look how it changes. On the other side the two pushes.

# %%
seed_everything(0)
U = MLPEnergy(width=8).double()
d, (pts, cell) = toy_data('moons', 300).double(), grid2d(4., 80)
flat = pts.double().view(-1, 2)
exact = lambda: U(d).mean() + log_partition(U(flat), cell)                         # mean of -log p
p = boltzmann(U(flat), cell).detach()*cell
pushes = torch.autograd.grad(U(d).mean() - (p*U(flat)).sum(), list(U.parameters()))
for w, g in zip(U.parameters(), pushes):
    i, eps = int(g.abs().argmax()), 1e-5
    with torch.no_grad():
        w.view(-1)[i] += eps; up = exact(); w.view(-1)[i] -= 2*eps; down = exact(); w.view(-1)[i] += eps
    test_close((up-down)/(2*eps), g.view(-1)[i], eps=1e-7)

# %% [markdown]
# They agree to 1e-7 in every layer. With samples instead of the grid, the push up is an estimate, and its error shrinks as it should, like one over the square root of their number:

# %%
def estimate(n):
    samples = flat[torch.multinomial(p, n, replacement=True)]
    return torch.cat([g.flatten() for g in torch.autograd.grad(U(d).mean()-U(samples).mean(), list(U.parameters()), allow_unused=False)])
exact_grad = torch.cat([g.flatten() for g in pushes])
off = {n: torch.stack([(estimate(n)-exact_grad).norm() for _ in range(20)]).square().mean().sqrt()/exact_grad.norm() for n in (100, 10000)}
print({n: f'{v:.1%} off' for n, v in off.items()})
test_close(off[100]/off[10000], 10, eps=4)

# %% [markdown]
# ## Contrastive divergence
#
# Where do samples come from in practice? From walkers, and walkers take time. Hinton's shortcut (2002): start them **at the data** and let them take only $k$ steps. If the model is right already, they stay where they are, distributed like the data, and the two pushes cancel. If it is wrong, they start to flow away, and where they flow to is pushed up. This is contrastive divergence, CD-$k$.
#
# The other way (Tieleman, 2008) never restarts them: walkers are **kept from one update to the next** in a replay buffer, and a few are replaced by fresh noise, which searches places far from the data.

# %%
#| export
def cd_loss(
    real:Tensor,      # energies of data points, any shape
    fake:Tensor,      # energies of the model's samples, any shape
    alpha:float=0.,   # weight of the mean square of all energies, which keeps their level near zero
)->Tensor:            # 0-d; means over points
    "Push down at data, push up at samples: mean U(real) - mean U(fake) + alpha (mean U(real)^2 + mean U(fake)^2)."
    return real.mean() - fake.mean() + alpha*(real.square().mean() + fake.square().mean())

class Replay:
    "Walkers kept between updates; a share of those drawn is replaced by fresh noise."
    def __init__(self,
        n:int,             # how many walkers are kept
        dim:int=2,         # their dimension
        fresh:float=.05,   # share replaced by noise at each draw
        spread:float=2.,   # standard deviation of that noise
    ): self.x, self.fresh, self.spread = spread*torch.randn(n, dim), fresh, spread
    def draw(self, batch):
        "`batch` walkers to be moved; remembers which."
        self.at = torch.randperm(len(self.x))[:batch]
        x = self.x[self.at]
        return torch.where(torch.rand(len(x), 1) < self.fresh, self.spread*torch.randn_like(x), x)
    def put(self, x):
        "Keep where they have moved to; gives them back."
        self.x[self.at] = x.detach()
        return x

# %%
real, fake = torch.tensor([1., 3.], requires_grad=True), torch.tensor([5.], requires_grad=True)
test_eq(cd_loss(real, fake).item(), -3.)
cd_loss(real, fake).backward()
test_eq(real.grad, [.5, .5]); test_eq(fake.grad, [-1.])                            # descent: real down, fake up
test_eq(cd_loss(real+100, fake+100).item(), -3.)                          # a constant is not seen ...
assert cd_loss(real+100, fake+100, alpha=.01) > cd_loss(real, fake, alpha=.01)+100   # ... but for alpha
seed_everything(0)
pool = Replay(1000, fresh=.2); old = pool.x.clone()
drawn = pool.draw(500); kept = (drawn == old[pool.at]).all(1)
assert 60 < (~kept).sum() < 140                                                    # about a fifth is new
pool.put(drawn+9); test_eq(pool.x[pool.at], drawn+9); test_eq(int((pool.x == old).all(1).sum()), 500)

# %% [markdown]
# Here are both ideas at work on an energy that has learned nothing yet. Its landscape is almost flat, so the walkers that start at the data spread out:

# %%
seed_everything(0)
U, moons = MLPEnergy(), toy_data('moons', 400)
fig, axs = plt.subplots(1, 4, figsize=(10, 2.9), layout='constrained', sharex=True, sharey=True)
for ax, k in zip(axs, (1, 10, 100, None)):
    fake = langevin(U, moons, k, .01, adjust=True) if k else langevin(U, 2*torch.randn(400, 2), 100, .01, adjust=True)
    ax.plot(*moons.T, 'o', ms=1.6, color=COLORS[0], label='data: push down'); ax.plot(*fake.T, '^', ms=1.8, color=COLORS[1], label='walkers: push up')
    ax.set(title=f'k = {k} from the data' if k else 'long walk from noise', xlabel='x', xlim=(-5, 5), ylim=(-5, 5))
axs[0].set_ylabel('y'); axs[0].legend(fontsize=7, loc='upper left');

# %% [markdown]
# *What do the pushes teach in each case? With k = 1 only "make the edge of the data a little steeper". With k = 100 "everything out to here is wrong". Walkers from noise reach every place the energy allows, also those that no walker from the data would find.*
#
# The training loop is ten lines: draw data, draw walkers, let them walk, descend.

# %%
#| export
def copy_state(
    net:nn.Module,   # any module
)->dict:             # name -> detached copy
    "A copy of a network's weights that later training leaves alone."
    return {k: v.detach().clone() for k, v in net.state_dict().items()}

def cd_step(
    U:nn.Module,      # the energy
    opt,              # its optimiser
    real:Tensor,      # data points [B, ...]
    fake:Tensor,      # samples [B, ...]
    alpha:float=0.,   # see `cd_loss`
)->Tensor:            # mean energies of data and samples before the step, [2]
    "One descent step of `cd_loss`."
    u, v = U(real), U(fake)
    opt.zero_grad(); cd_loss(u, v, alpha).backward(); opt.step()
    return torch.stack([u.mean(), v.mean()]).detach()

# %%
#| export
def train_cd(
    U:nn.Module,              # the energy, trained in place
    data:Tensor,              # points [N, dim]
    steps:int=600,            # updates
    k:int=10,                 # Langevin steps per update
    h:float=.01,              # their step size
    start:str='data',         # where walkers start: 'data' (CD-k) or 'replay' (persistent)
    adjust:bool=True,         # refuse steps that break the balance (MALA)
    alpha:float=.01,          # see `cd_loss`
    lr:float=5e-3,            # Adam's learning rate, falling linearly to zero over the second half
    batch:int=256,            # data points, and walkers, per update
    keep:tuple=(),            # numbers of updates after which a copy of the weights is kept
)->dict:                      # lists 'real', 'fake' (mean energies per update) and 'kept': {updates: state}
    "Learn an energy from points by contrastive divergence. Raises ValueError for an unknown `start`."
    if start not in ('data', 'replay'): raise ValueError(f"walkers start at 'data' or in a 'replay' buffer, not at {start!r}")
    opt, pool = torch.optim.Adam(U.parameters(), lr, betas=(.9, .99)), Replay(batch, data.shape[1])
    walk = partial(langevin, U, steps=k, h=h, adjust=adjust)
    log, kept = [], {0: copy_state(U)} if 0 in keep else {}
    for i in range(steps):
        opt.param_groups[0]['lr'] = lr*min(1, 2*(steps-i)/steps)
        real = data[torch.randint(len(data), (batch,))]
        fake = walk(real) if start == 'data' else pool.put(walk(pool.draw(batch)))
        log.append(cd_step(U, opt, real, fake, alpha))
        if i+1 in keep: kept[i+1] = copy_state(U)
    return dict(zip(('real', 'fake'), torch.stack(log).T.tolist()), kept=kept)

# %%
seed_everything(0)
quick = dict(steps=20, k=2, batch=64)
U = MLPEnergy(); first = copy_state(U)
log = train_cd(U, toy_data('rings', 500), keep=(0, 10), **quick)
test_eq([len(log['real']), len(log['fake']), sorted(log['kept'])], [20, 20, [0, 10]])
for name in first: test_eq(log['kept'][0][name], first[name])                      # a copy, not a view of moving weights
seed_everything(0); again = MLPEnergy(); test_eq(train_cd(again, toy_data('rings', 500), **quick)['real'], log['real'])
fresh = MLPEnergy(); langevin(fresh, torch.zeros(3, 2), 2, .1, adjust=True)
assert all(p.grad is None for p in fresh.parameters())                             # walking leaves no gradients behind
train_cd(MLPEnergy(dim=3), torch.randn(100, 3), start='replay', **quick)           # any dimension
test_fail(lambda: train_cd(U, toy_data('rings', 9), start='noise'), contains="not at 'noise'")

# %% [markdown]
# ## Watch it form
#
# Three networks of 4417 weights, 400 updates each. Copies of the weights are kept on the way.

# %%
moments = (0, 10, 30, 60, 100, 200, 300, 400)
def learn(name, seed=0, **kw):
    seed_everything(seed)
    U = MLPEnergy()
    return U, train_cd(U, toy_data(name, 10000), **{**dict(steps=400, keep=moments), **kw})
learned = {name: learn(name) for name in names}

# %%
truth = {name: float(toy_log_density(name, toy_data(name, 4000, seed=1)).mean()) for name in names}   # nobody can do better
pts, cell = grid2d(3., 100)
@torch.no_grad()
def frames(name):
    "Energies on the grid and log likelihood of unseen points, at every kept moment."
    net, held_out = MLPEnergy(), toy_data(name, 4000, seed=1)
    for state in learned[name][1]['kept'].values():
        net.load_state_dict(state)
        yield net(pts.view(-1, 2)).view(100, 100), log_likelihood(net, held_out)
film = {name: list(frames(name)) for name in names}

# %%
fig, axs = plt.subplots(3, 5, figsize=(9.6, 6), layout='constrained', sharex=True, sharey=True)
for row, name in zip(axs, names):
    for ax, i in zip(row, (0, 1, 4, 5, 7)):
        im = show_energy(ax, film[name][i][0], f'{moments[i]} updates: {film[name][i][1]:.2f} nats')
    row[0].set_ylabel(name)
fig.colorbar(im, ax=axs, label='U above its lowest value (nats); bright is low', shrink=.6);

# %% [markdown]
# *What does the network learn first, what last? The outline within ten or thirty updates, then the gaps, then the edges. The number is the mean log likelihood of unseen points; the true densities reach -1.83, -1.46 and -2.08, and nothing can do better.*
#
# With a kernel you can move through the film. Orange points are walkers that started from noise in the landscape of that moment.

# %%
@torch.no_grad()
def cast(name):
    "Where 300 walkers from noise arrive in the landscape of each kept moment."
    net = MLPEnergy()
    for state in learned[name][1]['kept'].values():
        net.load_state_dict(state); seed_everything(0)
        yield langevin(net, 2*torch.randn(300, 2), 100, .01, adjust=True)
actors = {name: list(cast(name)) for name in names}

# %%
@explore(data=list(names), moment=(0, 7), still=[dict(data=n, moment=m) for n, m in (('rings', 5), ('moons', 4), ('checkerboard', 7))])
def forming(data='rings', moment=4):
    E, nats = film[data][moment]
    ax = plt.figure(figsize=(4, 4.2)).add_axes([.12, .1, .85, .75])
    show_energy(ax, E, points=actors[data][moment]); ax.set(xlabel='x', ylabel='y', xlim=(-3, 3), ylim=(-3, 3))
    return dict(updates=moments[moment], nats=nats, best_possible=truth[data])

# %% [markdown]
# *Where do walkers go that know nothing of the data? To the bright valleys. Move `moment` for the rings: once the valleys are steep, the share of walkers in each ring is decided by where they started, because 100 steps are too few to cross. It is the barrier of the double well, in two dimensions.*

# %%
gap = {name: truth[name]-film[name][-1][1] for name in names}
E_true = -toy_log_density('checkerboard', toy_data('checkerboard', 10)); test_close(E_true, math.log(8), eps=1e-5)   # 8 fields of area 1
for name in names:
    nats = [f[1] for f in film[name]]
    assert nats[-1] > nats[2] and 0 < gap[name] < .45, (name, nats)
{name: f'{gap[name]:.2f} nats below the truth' for name in names}

# %% [markdown]
# ## Reveal

# %%
guess.reveal('stay as they are', 'loses', 'wrongly, for ever', 'far from it')

# %% [markdown]
# ## Break it: four sick samplers
#
# Each of these has one mistake. The line is the truth, $T = 0.5$, and all walkers start evenly spread. The code that made them is folded away, because it would tell. Diagnose from the plots.

# %% jupyter={"source_hidden": true}
seed_everything(0)
even = torch.linspace(-1.9, 1.9, 4000)
sick = {'A': langevin(lambda x: -double_well(x), even, 25, .005, .5), 'B': langevin(double_well, even, 400, .13, .5),
        'C': langevin(double_well, even, 2000, .01, 0.), 'D': langevin(double_well, even, 3000, .01, .25)}
fig, axs = plt.subplots(1, 4, figsize=(10, 2.6), sharey=True, layout='constrained')
for ax, (name, w) in zip(axs, sick.items()):
    ax.stairs(shares(w).clamp(max=.3), torch.linspace(-3, 3, bins+1), fill=True, color=COLORS[0], alpha=.4)
    ax.plot(middle, exact_shares(), color=COLORS[1], linestyle='-')
    ax.set(title=f'{name}: {int((~(w.abs() < 3)).sum())} of 4000 lost', xlabel='x', ylim=(0, .3))
axs[0].set_ylabel('share per bin (cut at 0.3)');

# %% [markdown]
# *Blue: walkers. Orange: truth.*
#
# <details><summary>Diagnosis (click)</summary>
#
# **A** climbs: the sign of the gradient is wrong. The wells empty, the walkers gather on the barrier and run off to infinity on both sides. **B** takes steps that are too long: the wells are blurred, and walkers have been thrown out. **C** has no noise: every walker sits at the bottom of the well that it started above, so the shares tell where we began and nothing about depth. **D** is the subtle one. It looks healthy, but both peaks are too sharp and the left well has too much: the kicks were $\sqrt{hT}$, without the 2, and that is a sampler for half the temperature.
# </details>

# %%
share_left = {k: float((w < 0).float().mean()) for k, w in sick.items()}
assert (sick['A'].abs() < .3).float().mean() > 2*exact_shares()[13:17].sum()       # A: a crowd on the barrier
assert (~(sick['B'].abs() < 3)).sum() > 100                                        # B: many lost
test_close(share_left['C'], float((even < x[(x.abs() < .5)][E[(x.abs() < .5)].argmax()]).float().mean()), eps=2e-3)   # C: where they began
test_close(share_left['D'], left(T=.25), eps=.12); assert share_left['D'] > left(T=.5)+.05

# %% [markdown]
# ## Break it: four sick trainings
#
# All on the rings, and again the code is folded. **A** shows mean energies while it learns. **B** and **C** show a landscape with its data. **D** shows the mean energy of the data for three seeds, with and without something.

# %% jupyter={"source_hidden": true}
wild = learn('rings', adjust=False, k=1, steps=350, alpha=0., lr=.01, keep=())[1]       # A
rings, outer = toy_data('rings', 10000), toy_data('rings', 15000)
outer = outer[outer.norm(dim=1) > 1.2]
def resume(start, k):
    "Go on from the rings' energy, but with data of the outer ring only."
    U = copy.deepcopy(learned['rings'][0]); seed_everything(0)
    return U, train_cd(U, outer, 300, k, start=start, lr=2e-3)
ghost = resume('data', 1)[0]                                                       # B

# %% jupyter={"source_hidden": true}
seed_everything(0)
flipped = MLPEnergy()                                                              # C
opt = torch.optim.Adam(flipped.parameters(), 2e-3)
for _ in range(10):
    real = rings[torch.randint(len(rings), (256,))]
    fake = langevin(flipped, real, 10, .01, adjust=True)
    cd_step(flipped, opt, fake, real)
drift = {alpha: torch.tensor([learn('rings', seed=s, k=1, steps=250, alpha=alpha, keep=())[1]['real'] for s in range(3)]) for alpha in (0., .01)}   # D

# %%
def landscape(U):
    with torch.no_grad(): return U(pts.view(-1, 2)).view(100, 100)
fig, axs = plt.subplots(1, 4, figsize=(10.6, 2.9), layout='constrained')
plot_line(torch.arange(350), {'real': wild['real'], 'fake': wild['fake']}, ax=axs[0], xlabel='updates', ylabel='mean energy', title='A')
axs[0].set_yscale('symlog', linthresh=1)
show_energy(axs[1], landscape(ghost), 'B', points=outer[:300]); show_energy(axs[2], landscape(flipped), 'C', points=rings[:300], top=8.)
for i, (alpha, runs) in enumerate(drift.items()):
    axs[3].plot(runs.T, color=COLORS[i], lw=.8, linestyle='-')
    axs[3].plot([], color=COLORS[i], linestyle='-', label='without' if alpha == 0 else 'with')
axs[3].set(xlabel='updates', ylabel='mean energy of data', title='D'); axs[3].legend();

# %% [markdown]
# *What went wrong in each?*
#
# <details><summary>Diagnosis (click)</summary>
#
# **A**: plain Langevin steps in a landscape that grows steeper while it learns. Once the step is too long for the walls, walkers jump out of the valley by themselves. The loss takes this for a success (fakes high, data low), makes the walls steeper still, and the energies run away. Refusing steps, shorter steps or a penalty on the energies hold it back; here all three were left out. **B**: the energy had learned both rings, then the data of the inner one were taken away. One-step walkers that start at the data never get there, so nobody pushes the old valley up: low energy in a place where there are no data, and the training loss sees nothing. **C**: the sign of the loss is wrong, data are pushed up. **D**: `alpha` is missing in one group. The likelihood does not see a constant, so nothing holds it and the level of the energies wanders.
# </details>
#
# The ghost in B deserves a number. How much probability sits in the inner disc, where there are no data any more? And does it help to keep the walkers, give them ten steps at a time, and replace some by noise?

# %%
inner = pts.norm(dim=-1) < 1.2
def ghostly(U): return float((boltzmann(landscape(U), cell)*cell)[inner].sum())
hunted = resume('replay', 10)[0]
fig, axs = plt.subplots(1, 3, figsize=(9, 3), layout='constrained')
for ax, (title, U) in zip(axs, {'before': learned['rings'][0], '300 updates of CD-1 from data': ghost, '300 updates with replay, k = 10': hunted}.items()):
    show_energy(ax, landscape(U), f'{title}\n{ghostly(U):.3f} inside', points=outer[:300]); ax.set_xlabel('x')
axs[0].set_ylabel('y');

# %% [markdown]
# *Orange: the data that are left. Who finds the ghost? Only walkers that are not tied to the data. An energy is only corrected where somebody stands to push it up.*

# %%
assert ghostly(ghost) > .2 and ghostly(hunted) < .01
assert ghostly(ghost) > 50*ghostly(hunted)
assert wild['fake'][-1] > 1000 > 10 > wild['fake'][50]                             # A runs away
assert toy_log_density('rings', rings).mean() - log_likelihood(flipped, rings) > 1  # C
test_close(drift[.01][:, -50:].abs().mean(), 0, eps=.2); assert drift[0.][:, -50:].abs().mean() > 3*drift[.01][:, -50:].abs().mean()

# %% [markdown]
# ## Scale up
#
# One run is an anecdote. The stored study below trains each of four recipes with five seeds on each data set. As a reference, one of them is not contrastive at all: **exact** follows the true gradient, with $Z$ summed over a grid, which only the plane allows. `stored` loads the result, or measures it where it is missing (about STUDYTIME).

# %%
def stored(name, measure, **config):
    "The stored result of this name; measured with measure(**config) and stored if missing."
    if not data_path('results', f'{name}.json').exists():
        tic = time.time(); values = measure(**config)
        save_result(name, values, config, device='cpu', seconds=round(time.time()-tic))
    return load_result(name)

def train_exact(U, data, steps, lr=5e-3, batch=256, keep=()):
    "Like `train_cd`, but the push up is exact: all grid points, weighted by their probability."
    opt, (pts, cell), kept = torch.optim.Adam(U.parameters(), lr, betas=(.9, .99)), grid2d(3.5, 56), {}
    for i in range(steps):
        opt.param_groups[0]['lr'] = lr*min(1, 2*(steps-i)/steps)
        E = U(pts.view(-1, 2))
        loss = U(data[torch.randint(len(data), (batch,))]).mean() + log_partition(E, cell)
        opt.zero_grad(); loss.backward(); opt.step()
        if i+1 in keep: kept[i+1] = copy_state(U)
    return dict(kept=kept)

# %%
recipes = {'CD-1': partial(train_cd, k=1), 'CD-10': train_cd, 'replay': partial(train_cd, start='replay'), 'exact': train_exact}
def study(seeds=5, steps=1000, keep=(25, 50, 100, 200, 400, 600, 800, 1000)):
    "Nats below the truth on unseen points at each kept moment, for every recipe, data set and seed."
    def run(recipe, name, seed):
        seed_everything(seed); U = MLPEnergy()
        states = recipes[recipe](U, toy_data(name, 10000), steps=steps, keep=keep)['kept']
        out = []
        for s in states.values(): U.load_state_dict(s); out.append(truth[name]-log_likelihood(U, toy_data(name, 4000, seed=1)))
        return out
    return {r: {n: [run(r, n, s) for s in range(seeds)] for n in names} for r in recipes}
result = stored('boltzmann_cd', study, seeds=5, steps=1000, keep=(25, 50, 100, 200, 400, 600, 800, 1000))
gaps = {r: {n: torch.tensor(v) for n, v in d.items()} for r, d in result['values'].items()}

# %%
fig, axs = plt.subplots(1, 3, figsize=(10, 3.3), layout='constrained', sharey=True)
for ax, name in zip(axs, names):
    plot_band(result['config']['keep'], {r: g[name].clamp(1e-3, 3) for r, g in gaps.items()}, ax=ax, xlabel='updates', title=name, logx=True, logy=True)
axs[0].set_ylabel('nats below the truth (cut at 3)');

# %% [markdown]
# STUDYTEXT
#
# The gap on this plot is the Kullback-Leibler divergence from the truth to the model, estimated on 4000 unseen points. Below 0.01 nats it drowns in the noise of these points.
#
# And the longest run: 256 units and LONGSTEPS updates for each data set, trained once and shipped. `load_or_train` would train them anew if the files were missing.

# %%
def train_long(name, net):
    seed_everything(0)
    train_cd(net, toy_data(name, 50000), steps=4000)
def long(name):
    net = MLPEnergy(128)
    return load_or_train(net, data_path('models', f'boltzmann_{name}.safetensors'), partial(train_long, name), net.config, half=True)
masters = {name: long(name) for name in names}
fig, axs = plt.subplots(1, 3, figsize=(9.4, 3), layout='constrained')
for ax, (name, U) in zip(axs, masters.items()):
    nats = truth[name]-log_likelihood(U, toy_data(name, 4000, seed=1))
    p, q = boltzmann(landscape(U), cell), toy_log_density(name, pts).exp()
    im = show_energy(ax, landscape(U), f'{name}: {nats:.3f} nats below the truth,\nTV to the truth {tv_distance(p, q, cell):.3f}'); ax.set_xlabel('x')
axs[0].set_ylabel('y'); fig.colorbar(im, ax=axs, label='U above its lowest (nats)');

# %% [markdown]
# *How good can it get? Compare with the true energies shown above with the data. A smooth network cannot make the cliffs of the checkerboard infinitely steep, and that is where its last error sits.*
#
# ## The paper and us
#
# The paper behind this project writes $p(x)\propto e^{-U(x)/T}$, calls $U$ the energy of a picture, and takes for $U$ the reconstruction error of an autoencoder. The next lesson builds one. The idea fits in a few lines: suppose an autoencoder has learned the unit circle so well that it returns, for any point, the nearest point of the circle. Its error is $U(x) = (\lVert x\rVert-1)^2$, and nobody asked it to be an energy.

# %%
circle = lambda x: (x - x/x.norm(dim=-1, keepdim=True)).square().sum(-1)           # input minus reconstruction, squared
seed_everything(0)
samples = langevin(circle, torch.randn(1000, 2), 300, .01, T=.02, adjust=True)
fig, ax = plt.subplots(figsize=(4.2, 3.2), layout='constrained')
im = show_energy(ax, circle(pts), 'error of an autoencoder that knows a circle', top=2., points=samples[:400])
ax.set(xlabel='x', ylabel='y'); fig.colorbar(im, label='U');

# %% [markdown]
# *Orange: Langevin samples at T = 0.02. The error became a probability: a ring of width $\sqrt{T/2} = 0.1$ around what the autoencoder can reproduce.*
#
# Here $Z = 2\pi\sqrt{\pi T}$ up to a vanishing correction, checked below. For an autoencoder of pictures nobody knows $Z$, and the paper never needs it.

# %%
fine_pts, fine_cell = grid2d(2., 400)
test_close(log_partition(circle(fine_pts), fine_cell, T=.02), math.log(2*math.pi*math.sqrt(math.pi*.02)), eps=1e-3)
test_close(samples.norm(dim=1).std(), .1, eps=.01)

# %% [markdown]
# ### Likelihood ignores the constant, a margin does not (choice 3)
#
# The paper's loss for the energy is $\langle U\rangle_{\text{real}} - \langle U\rangle_{\text{fake}}$ plus a penalty. It looks like contrastive divergence, with one difference: the fakes come from a *generator*, not from $U$ itself. Three losses for the same energies, $U = s\,E + c$ with a scale $s$ and a constant $c$. The data are distributed like $e^{-E}$, so $s = 1$ is right. The fakes are fixed and spread evenly.
#
# - **likelihood**: $\langle U\rangle_{\text{real}} + \log Z$
# - **literal**: $\langle U\rangle_{\text{real}} - \langle U\rangle_{\text{fake}}$
# - **margin**, as in EBGAN: $\langle U\rangle_{\text{real}} + \langle [m-U]_+\rangle_{\text{fake}}$

# %%
E0 = double_well(x) - double_well(x).min()                                         # lowest value 0, like an error
box = (x.abs() <= 2).double()
real_p, fake_p = boltzmann(E0, dx)*dx, box/box.sum()
def losses(s, c, m):
    U = s*E0 + c
    real = (real_p*U).sum()
    return dict(likelihood=float(real + log_partition(U, dx)), literal=float(real - (fake_p*U).sum()),
                margin=float(real + (fake_p*(m-U).clamp(min=0)).sum()))

@explore(s=(.1, 10., 'log'), c=(0., 5., .25), m=(0., 10., .25), still=[dict(s=1., c=0., m=2.), dict(s=1., c=2., m=2.)])
def three_losses(s=1., c=0., m=2.):
    fig, axs = plt.subplots(1, 2, figsize=(7, 3.2), sharey=True, gridspec_kw=dict(left=.09, right=.98, top=.84, bottom=.16, wspace=.08))
    ss, cs = torch.logspace(-1, 1, 40), torch.linspace(0, 5, 30)
    for ax, grid, at, label in ((axs[0], ss, lambda v: (float(v), c, m), 'scale s'), (axs[1], cs, lambda v: (s, float(v), m), 'constant c')):
        rows = [losses(*at(v)) for v in grid]
        plot_line(grid, {k: [r[k] for r in rows] for k in rows[0]}, ax=ax, xlabel=label)
        ax.axvline(s if grid is ss else c, color='grey', lw=.8); ax.set_ylim(-6, 8)
    axs[0].set_xscale('log'); axs[0].minorticks_off(); axs[0].set_ylabel('loss'); axs[1].get_legend().remove()
    return losses(s, c, m)

# %% [markdown]
# *Which of the three losses has a lowest point in s? Which notices c? The likelihood is lowest at s = 1, the truth, and flat in c. The literal difference is flat in c as well and falls for ever as s grows. The margin has a lowest point, and cares about c.*
#
# Why is the likelihood safe where the literal form is not? The two have the same gradient *as long as the fakes are samples of U*. Scale the energy up and its own samples move down into the wells, so the push up takes place lower down. Fixed fakes stay where they are and can be pushed up without end. That is the paper's open choice 3: the loss $U(\text{real})-U(\text{fake})$ has no lower bound, and something must hold it: a margin, a balance, or a penalty.
#
# A margin compares $U$ with a number, $m$, so the zero of the energy matters. An autoencoder's error has a natural zero, perfect reconstruction. A free network's output has none.

# %%
ss = torch.logspace(-1, 1, 41).tolist()
table = {k: torch.tensor([losses(s, 0., 2.)[k] for s in ss]) for k in ('likelihood', 'literal', 'margin')}
test_close(ss[int(table['likelihood'].argmin())], 1, eps=1e-5)                     # the truth
assert (table['literal'].diff() < 0).all()                                         # no lowest point ...
test_close(losses(1000., 0., 2.)['literal'], 1000*losses(1., 0., 2.)['literal'], eps=1e-6)   # ... at any scale
assert 0 < int(table['margin'].argmin()) < 40                                      # a lowest point in between
a, b = losses(1., 0., 2.), losses(1., 2., 2.)
test_close(a['likelihood'], b['likelihood'], eps=1e-12); test_close(a['literal'], b['literal'], eps=1e-12); assert b['margin'] > a['margin']+.5

# %% [markdown]
# ### The sign (choice 1)
#
# In the algorithm as printed, the generator descends along $-\langle U(\text{fake})\rangle$; in the formulas it minimises $+U(\text{fake})$. You have seen both: the second is a walker rolling downhill, the first is sampler A. On the energy learned for the rings, starting from noise:

# %%
seed_everything(0)
U, noise = masters['rings'], 1.2*torch.randn(1000, 2)
mean_U = lambda x: float(U(x).detach().mean())
down = langevin(U, noise, 100, .003, T=0.)
up = langevin(lambda x: -U(x), noise, 10, .003, T=0.)
real_U, start_U = mean_U(toy_data('rings', 1000, seed=1)), mean_U(noise)
print(f'data {real_U:.1f}, noise {start_U:.1f}, after + sign {mean_U(down):.1f}, after - sign {mean_U(up):.1f}')

# %% [markdown]
# With the minus sign the fakes run up the energy, away from everything real. We take $+\epsilon\,U(\text{fake})$.
#
# ### Minimise or track? (choice 13)
#
# Look at the numbers again. With the plus sign the fakes end *below* the data: they sit at the bottom of the valley, where no data live, exactly as the 1000-dimensional bowl warned. Real samples have the energy that temperature gives them. A generator that only minimises produces something more typical than reality, which in pictures means smooth. The paper's prose speaks of *tracking* the energy of the data, which is the other reading: bring $U(\text{fake})$ to $U(\text{real})$, not below. The code offers both, and a later lesson measures them.

# %%
assert mean_U(up) > start_U+1 and mean_U(down) < real_U-.3 < start_U

# %% [markdown]
# | choice of the paper | what this lesson adds | ours |
# |---|---|---|
# | 1: sign of the generator's gradient | minus climbs away from the data | `+ epsilon * U(fake)` |
# | 3: the loss has no lower bound | true for fixed fakes at any scale; likelihood and margin have a lowest point | measured in `17_stability`; the literal form stays available |
# | 13: minimise or track | minimising ends below the energy of real samples | minimise; track as an option |
#
# **Next**, in `02_ae_energy`: an autoencoder's error as the energy. Nothing in it is pushed up anywhere. After this lesson you can guess what that costs.
#
# ## Exercises
#
# **1. Heat capacity.** How fast does the mean energy grow with temperature? Differentiate $\langle E\rangle$ by $T$ under the integral, and you will find an average that needs no derivative. Write it.

# %%
def heat_capacity(E, dx, T):
    "d<E>/dT of the Boltzmann density of E, without differences in T."
    raise NotImplementedError

# %%
def is_heat_capacity(f):
    for T in (.2, 1.): test_close(f(.5*5*x**2, dx, T), .5, eps=1e-3)               # a parabola: <E> = T/2
    for T, d in ((.1, 1e-4), (.4, 1e-4), (1.5, 1e-4)):
        slope = (expectation(E, E, dx, T+d) - expectation(E, E, dx, T-d))/(2*d)
        assert abs(f(E, dx, T)-slope) < 1e-3, f'at T = {T} the slope of <E> is {slope:.3f}, not {float(f(E, dx, T)):.3f}'
check(heat_capacity, is_heat_capacity)

# %% jupyter={"source_hidden": true}
def heat_capacity(E, dx, T):
    mean = expectation(E, E, dx, T)
    return expectation((E-mean)**2, E, dx, T)/T**2                                 # the variance of E over T squared
check(heat_capacity, is_heat_capacity, strict=True)

# %% [markdown]
# **2. The temperature of the swap.** For the two parabolas above, at which temperature do the narrow deep well and the wide shallow one hold the same probability? (`depth` is how much deeper the narrow one is, `ratio` how much stiffer.)

# %%
def swap_temperature(depth, ratio):
    "Temperature at which both wells hold one half."
    raise NotImplementedError

# %%
def is_swap(f):
    test_close(f(.5, 25.), .3107, eps=1e-3)
    for depth, ratio in ((.3, 10.), (.4, 60.)):
        share = room.read(T=float(f(depth, ratio)), depth=depth, ratio=ratio)['narrow_well']
        assert abs(share-.5) < .01, f'depth {depth}, ratio {ratio}: the narrow well holds {share:.2f} there'
check(swap_temperature, is_swap)

# %% jupyter={"source_hidden": true}
def swap_temperature(depth, ratio): return 2*depth/math.log(ratio)                 # depth/T = log(ratio)/2
check(swap_temperature, is_swap, strict=True)

# %% [markdown]
# **3. How long may a step be?** You sample a parabola of stiffness `k` without refusing steps and can accept a variance that is too large by the fraction `excess` (0.1 for ten percent). What is the longest step?

# %%
def longest_step(k, excess):
    "Largest h at which unadjusted Langevin has variance (1 + excess) T/k."
    raise NotImplementedError

# %%
def is_longest(f):
    for k, excess in ((1., .1), (4., .1), (10., .5)):
        h, v = f(k, excess), 0.
        for _ in range(5000): v = (1-h*k)**2*v + 2*h                               # T = 1
        assert abs(v*k-1-excess) < 1e-3, f'at k = {k} the variance is too large by {v*k-1:.3f}, not by {excess}'
check(longest_step, is_longest)

# %% jupyter={"source_hidden": true}
def longest_step(k, excess): return 2/k*excess/(1+excess)                          # solve 1/(1 - hk/2) = 1 + excess
check(longest_step, is_longest, strict=True)

# %% [markdown]
# **4. A free energy from samples.** $Z$ is out of reach, but a *ratio* of two is not. Show that $F_2 - F_1 = -T\log\big\langle e^{-(U_2-U_1)/T}\big\rangle_1$, the average being over samples of the first energy (Zwanzig, 1954), and compute it from the energies of those samples. It must survive a constant of 10 000.

# %%
def free_energy_change(u1, u2, T):
    "F2 - F1 from both energies [N] of the same samples, drawn from exp(-u1/T)."
    raise NotImplementedError

# %%
def is_change(f):
    seed_everything(0)
    E1, E2, T = double_well(x, .3), double_well(x, -.2), .8
    at = torch.multinomial(boltzmann(E1, dx, T), 20000, replacement=True)
    true = float(free_energy(E2, dx, T)-free_energy(E1, dx, T))
    for c in (0., 1e4):
        got = float(f(E1[at], E2[at]+c, T))
        assert abs(got-c-true) < .02, f'expected about {true+c:.3f}, got {got:.3f}'
check(free_energy_change, is_change)

# %% jupyter={"source_hidden": true}
def free_energy_change(u1, u2, T): return -T*((-(u2-u1)/T).logsumexp(0) - math.log(len(u1)))
check(free_energy_change, is_change, strict=True)

# %% [markdown]
# ## Claims
#
# Every number that the text states, once more and from scratch where that is cheap.

# %%
test_close([left(T=.1), left(T=.5), left(T=2.)], [.997, .739, .562], eps=1e-3)
test_close(room.read(T=.3107)['narrow_well'], .5, eps=.01); assert room.read(T=.6)['narrow_well'] < .5
test_close([formula(h)*4/.5 for h in (.05, .25)], [1/.9, 2], eps=1e-9)
assert walkers_on_wells.read(h=.03)['TV'] < .1 < .4 < walkers_on_wells.read(h=.001)['TV'] and walkers_on_wells.read(h=.2)['TV'] > .9
test_close(barrier, .72, eps=.01)
