"""The magnitude-preserving network keeps what its name says."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ornstein.networks import ClassCondition, MPUNet
from ornstein.networks.layers.magnitude import (
    MPAttention,
    MPConv,
    MPFourier,
    MPLinear,
    MPWeight,
    mp_cat,
    normalize_rows,
    pixel_norm,
)


def rms(x: Tensor) -> float:
    """Root mean square of all entries."""
    return x.float().square().mean().sqrt().item()


def test_layers_keep_unit_magnitude() -> None:
    x, v = torch.randn(8, 64, 12, 12), torch.randn(512, 64)
    assert rms(MPConv(64, 128, 1)(x)) == pytest.approx(1, abs=0.03)
    assert rms(MPConv(64, 128, 3)(x)[..., 1:-1, 1:-1]) == pytest.approx(1, abs=0.03)
    assert rms(MPLinear(64, 256)(v)) == pytest.approx(1, abs=0.03)
    assert rms(MPFourier(512)(torch.randn(256))) == pytest.approx(1, abs=0.05)
    assert rms(pixel_norm(7 * x)) == pytest.approx(1, abs=1e-3)
    joined = mp_cat(x, torch.randn(8, 16, 12, 12))
    assert rms(joined) == pytest.approx(1, abs=0.03)
    # Both parts matter alike to what follows, however many channels they have.
    assert joined[:, :64].square().sum() / joined[:, 64:].square().sum() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("widths", [(64, 128), (32, 64, 64)])
def test_every_block_keeps_unit_magnitude(widths: tuple[int, ...]) -> None:
    net = MPUNet(channels=3, widths=widths, blocks=2, head=32, conditions=(ClassCondition("label", 10),)).eval()
    for p in (net.out_gain, *(b.emb_gain for b in (*net.encoder, *net.decoder))):
        nn.init.ones_(p)
    seen: dict[str, float] = {}
    for name, module in net.named_modules():
        if (name.startswith(("encoder.", "decoder.")) and name.count(".") == 1) or isinstance(module, MPAttention):
            module.register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: rms(out)}))
    out = net(torch.randn(16, 3, 16, 16), torch.randn(16), {"label": torch.arange(16) % 10})
    assert len(seen) > 10
    # Modulation by 1 + c, |c| = 1, adds a factor of sqrt(2) to the residual branch; borders of zeros take a little away.
    assert all(0.7 < value < 1.5 for value in seen.values()), seen
    assert 0.6 < rms(out) < 1.5


def test_training_keeps_the_weights_on_the_sphere() -> None:
    net = MPUNet(channels=1, widths=(16, 32), blocks=1, head=16).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    x, t = torch.randn(4, 1, 8, 8), torch.randn(4)
    for _ in range(3):
        (net(x, t) - x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    layers = [m for m in net.modules() if isinstance(m, MPWeight)]
    moved = [rms(m.weight) for m in layers]
    assert max(abs(m - 1) for m in moved) > 1e-3
    before = net.eval()(x, t)
    net.train()(x, t)
    for m in layers:
        torch.testing.assert_close(m.weight, normalize_rows(m.weight))
    torch.testing.assert_close(net.eval()(x, t), before)  # the effective weights were on it all along


@torch.no_grad()
def test_weights_kept_for_inference_follow_every_change() -> None:
    net = MPUNet(channels=1, widths=(16,), blocks=1, head=16, attention=()).eval()
    nn.init.ones_(net.out_gain)
    x, t = torch.randn(2, 1, 8, 8), torch.randn(2)

    def fresh() -> Tensor:
        with torch.enable_grad():  # keeps nothing
            return net(x, t).detach()

    def same() -> None:
        torch.testing.assert_close(net(x, t), fresh(), rtol=0, atol=0)

    net(x, t)
    kept = net.stem._effective
    assert kept is not None
    net(x, t)
    assert net.stem._effective is kept
    net.stem.weight.mul_(torch.rand(16, 1, 1, 1) - 0.5)
    same()
    net.out_gain.mul_(2)
    same()
    net.load_state_dict({k: v + 0.1 for k, v in net.state_dict().items()})
    same()
    net.load_state_dict({k: v - 0.3 for k, v in net.state_dict().items()}, assign=True)
    same()
    net.stem.weight.data = torch.randn_like(net.stem.weight)
    same()
    other = {k: v + 0.1 for k, v in net.state_dict().items()}
    called = torch.func.functional_call(net, other, (x, t))
    net.load_state_dict(other)
    torch.testing.assert_close(called, fresh(), rtol=0, atol=0)
    same()
    half = net(x, t)
    with torch.autocast("cpu", torch.bfloat16):
        assert 0 < (net(x, t) - half).abs().max() < 0.1
    same()
    two = pickle.loads(pickle.dumps(net))
    assert two.stem._effective is None
    nn.init.zeros_(two.out_gain)
    assert not two(x, t).any()
    same()


@torch.no_grad()
def test_weights_in_the_order_of_the_library_change_nothing() -> None:
    net = MPUNet(channels=1, widths=(16, 24), blocks=1, head=8).eval()
    nn.init.ones_(net.out_gain)

    def both(size: int, batch: int) -> tuple[Tensor, Tensor]:
        x, t = torch.randn(batch, 1, size, size), torch.randn(batch)
        with torch.autocast("cpu", torch.bfloat16):
            first = net(x, t)
            assert all(m._effective.value.is_mkldnn for m in net.modules() if isinstance(m, MPConv) and m._effective)
            with torch.enable_grad():
                return first, net(x, t).detach()

    torch.testing.assert_close(*both(8, 3), rtol=0, atol=0)
    torch.testing.assert_close(*both(8, 1), rtol=0, atol=0)
    torch.testing.assert_close(*both(12, 3), rtol=0, atol=0)
    with torch.autocast("cpu", torch.bfloat16), FlopCounterMode(display=False) as counter:
        net(torch.randn(1, 1, 12, 12), torch.randn(1))
    assert counter.get_total_flops() > 2 * 12**2 * 16 * 2 * 9  # the counter sees the convolutions


def test_several_forward_passes_before_one_backward() -> None:
    net = MPUNet(channels=1, widths=(16,), blocks=1, head=16, attention=()).train()
    nn.init.ones_(net.out_gain)
    x, t = torch.randn(4, 1, 8, 8), torch.randn(4)
    with torch.no_grad():
        net.stem.weight.mul_(3)
    (net(x, t) + net(x, t + 1)).square().mean().backward()
    assert net.stem.weight.grad is not None and net.stem.weight.grad.any()


def test_the_gradient_does_not_change_a_weight_s_length() -> None:
    layer = MPLinear(16, 8)
    layer(torch.randn(32, 16)).square().mean().backward()
    assert layer.weight.grad is not None and layer.weight.grad.any()
    torch.testing.assert_close((layer.weight.grad * layer.weight).sum(1), torch.zeros(8), atol=1e-5, rtol=0)
