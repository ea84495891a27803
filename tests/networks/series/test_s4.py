"""The state space: its convolution is its recurrence, and looks ahead only where it should."""

from __future__ import annotations

import copy

import pytest
import torch

from ornstein.core.errors import UsageError
from ornstein.networks.series.s4 import S4D


@pytest.mark.parametrize("both_ways", [False, True])
@pytest.mark.parametrize("length", [1, 7, 40])
def test_convolution_is_the_recurrence(both_ways: bool, length: int) -> None:
    torch.manual_seed(0)
    layer = S4D(3, state=8, both_ways=both_ways)
    u = torch.randn(2, 3, length)
    torch.testing.assert_close(layer(u), layer.scan(u), rtol=0, atol=1e-5)


@torch.no_grad()
def test_one_way_is_causal_and_both_ways_are_not() -> None:
    torch.manual_seed(0)
    u = torch.randn(1, 2, 20)
    later = u.clone()
    later[..., 12] += 1
    for both_ways in (False, True):
        layer = S4D(2, state=4, both_ways=both_ways)
        change = (layer(later) - layer(u)).abs().amax((0, 1))
        assert float(change[12]) > 1e-2
        assert (float(change[:12].max()) < 1e-5) is not both_ways


@torch.no_grad()
def test_the_kernel_is_that_of_its_definition() -> None:
    """One channel, one state: k_l = 2 Re(C Bbar Abar^l) by numbers."""
    layer = S4D(1, state=1, both_ways=False)
    a, step = complex(-0.5, 0.0), float(layer.log_step.exp())
    layer.c.copy_(torch.tensor([1.0, 0.0]).reshape(1, 1, 1, 2))
    bar = torch.exp(torch.tensor(step * a)).real
    wanted = 2 * (bar - 1) / a.real * bar ** torch.arange(5)
    torch.testing.assert_close(layer.kernel(5)[0, 0], wanted)


def test_impossible_sizes() -> None:
    with pytest.raises(UsageError, match="channels and states of at least 1"):
        S4D(2, state=0)


@torch.no_grad()
def test_a_kept_kernel_follows_every_change() -> None:
    torch.manual_seed(0)
    layer = S4D(3, 4).eval()

    def same(length: int) -> None:
        u = torch.randn(2, 3, length)
        first = layer(u)
        torch.testing.assert_close(first, copy.deepcopy(layer)(u), rtol=0, atol=0)
        kept = layer._kept
        torch.testing.assert_close(layer(u), first, rtol=0, atol=0)
        assert kept is not None and layer._kept is kept

    same(12)
    same(20)
    for p in (layer.log_step, layer.log_decay, layer.frequency, layer.c):
        p.mul_(0.7)
        same(20)
    layer.load_state_dict({k: v + 0.1 for k, v in layer.state_dict().items()})
    same(20)
    layer.c.data = torch.randn_like(layer.c)
    same(20)
    assert copy.deepcopy(layer)._kept is None
