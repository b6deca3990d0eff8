"""The gradient penalty on the real energy: lessons 12 and 13 each test their half, this tests them together."""
import pytest, torch
from vggsr_nb.gradient_penalty import gradient_penalty, penalty_points
from vggsr_nb.vgg import VGG
from vggsr_nb.vgg_uae import VGGUAE


@pytest.fixture(params=['image', 'features'])
def uae(request):
    torch.manual_seed(0)
    return VGGUAE(VGG('mini', 'random', 'relu3_4'), target=request.param, width=8).double()


@pytest.fixture
def x(): return torch.rand(2, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))*2-1


@pytest.mark.parametrize('kw', [dict(), dict(center=.01), dict(wrt='parameters'), dict(wrt='parameters', per='batch')])
def test_gradient_of_the_penalty_over_the_decoder(uae, x, kw):
    p = [q for n, q in uae.decoder.named_parameters() if n.endswith('weight')]
    d = [torch.randn(q.shape, dtype=q.dtype, generator=torch.Generator().manual_seed(2)) for q in p]
    g = torch.autograd.grad(gradient_penalty(uae, x, **kw), p, allow_unused=True)
    exact = sum((a*b).sum() for a, b in zip(g, d) if a is not None).item()

    def at(h):
        with torch.no_grad(): [q.add_(h*v) for q, v in zip(p, d)]
        value = gradient_penalty(uae, x, create_graph=False, **kw).item()
        with torch.no_grad(): [q.sub_(h*v) for q, v in zip(p, d)]
        return value
    h = 1e-7
    assert exact == pytest.approx((at(h)-at(-h))/(2*h), rel=1e-4, abs=1e-12)


def test_value_from_energies_alone(uae, x):
    g = torch.Generator().manual_seed(3)
    x, h = x[:1], 1e-6
    with torch.no_grad():
        slopes = []
        for _ in range(4):                                     # directional derivatives against the gradient whose square is the penalty
            v = torch.randn(x.shape, dtype=x.dtype, generator=g)
            slopes.append((v, ((uae(x+h*v)-uae(x-h*v))/(2*h)).item()))
    xg = x.clone().requires_grad_()
    grad, = torch.autograd.grad(uae(xg).sum(), xg)
    for v, s in slopes: assert (grad*v).sum().item() == pytest.approx(s, rel=1e-4, abs=1e-9)
    assert gradient_penalty(uae, x).item() == pytest.approx(grad.square().sum().item(), rel=1e-9)


def test_energies_of_a_training_step_can_be_handed_over(uae, x):
    real = penalty_points(x).requires_grad_()
    U = uae.energy(real, uae.features(real, extra=['relu2_1']))
    assert gradient_penalty(U, real).item() == pytest.approx(gradient_penalty(uae, x).item(), rel=1e-9)


def test_only_the_decoder_is_penalised(uae, x):
    gradient_penalty(uae, x).backward()
    assert all(p.grad is None for p in uae.enc.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in uae.decoder.parameters())


def test_bfloat16_keeps_small_slopes():
    torch.manual_seed(0)
    uae, x = VGGUAE(VGG('mini', 'random', 'relu3_4'), width=8), torch.rand(2, 3, 32, 32)
    full = gradient_penalty(uae, x).item()
    with torch.autocast('cpu', torch.bfloat16): half = gradient_penalty(uae, x)
    assert half.dtype == torch.float32 and half.item() == pytest.approx(full, rel=.05)


def test_channels_last_and_odd_sizes_are_twice_differentiable():
    torch.manual_seed(0)
    uae = VGGUAE(VGG('mini', 'random')).to(memory_format=torch.channels_last)
    x = torch.rand(1, 3, 37, 50).to(memory_format=torch.channels_last)
    gradient_penalty(uae, x).backward()
    assert all(torch.isfinite(p.grad).all() for p in uae.decoder.parameters() if p.grad is not None)
