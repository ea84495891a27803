"""Networks of series: shapes, what a cell that is not there does, and what is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ornstein.core.errors import UsageError
from ornstein.networks.series import Emission, GridTransformer, StructuredStateSpace

B, K, L = 3, 4, 10
WIDTHS = {"calendar": 2, "static": 2, "classes": 2, "width": 8}
MAKERS: dict[str, Callable[[], nn.Module]] = {
    "grid": lambda: GridTransformer(K, **WIDTHS, heads=2, layers=2, hidden=8),
    "context": lambda: GridTransformer(K, **WIDTHS, heads=2, layers=1, hidden=8, context=1),
    "s4": lambda: StructuredStateSpace(K, **WIDTHS, layers=2, state=4, units=True),
    "convolution": lambda: StructuredStateSpace(K, **WIDTHS, layers=2, mixer="convolution", units=True),
}


def network(name: str) -> nn.Module:
    """Untrained, with a last layer that is not zero."""
    torch.manual_seed(0)
    made = MAKERS[name]()
    for p in made.parameters():
        nn.init.normal_(p, std=0.3) if not p.any() else None
    return made


def told() -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(1)
    given = torch.rand(B, K, L, generator=g) < 0.5
    return {
        "values": torch.randn(B, K, L, generator=g) * given,
        "given": given,
        "sought": ~given & (torch.rand(B, K, L, generator=g) < 0.7),
        "position": torch.arange(L).float().expand(B, -1),
        "calendar": torch.randn(B, L, 2, generator=g),
        "static": torch.randn(B, 2, generator=g),
        "label": torch.tensor([0, 1, -1]),
        "anchor": torch.randn(B, K, L, generator=g),
        "spread": torch.rand(B, K, L, generator=g) + 0.1,
    }


@pytest.mark.parametrize("name", MAKERS)
def test_noise_counts_only_where_a_cell_is_sought(name: str) -> None:
    net, cond = network(name), told()
    x, t = torch.randn(B, K, L), torch.tensor([10.0, 500.0, 900.0])
    out = net(x, t, cond)
    assert out.shape == x.shape
    elsewhere = torch.where(cond["sought"], x, x + 7)
    torch.testing.assert_close(net(elsewhere, t, cond), out)
    assert not torch.allclose(net(torch.where(cond["sought"], x + 1, x), t, cond), out)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("what", ["values", "position", "calendar", "static", "label", "anchor", "spread"])
def test_every_condition_is_heard(name: str, what: str) -> None:
    net, cond = network(name), told()
    x, t = torch.randn(B, K, L), torch.tensor([10.0, 500.0, 900.0])
    other = {**cond, what: cond[what].flip(0) * 2 if what != "label" else cond[what].flip(0)}
    if what == "position":
        other[what] = cond[what] ** 1.2
    assert not torch.allclose(net(x, t, other), net(x, t, cond))


@pytest.mark.parametrize("name", MAKERS)
def test_without_conditions_all_is_sought(name: str) -> None:
    net = network(name)
    x, t = torch.randn(B, K, L), torch.full((B,), 300.0)
    same = {"sought": torch.ones(B, K, L), "given": torch.zeros(B, K, L), "position": torch.arange(L).float()[None]}
    torch.testing.assert_close(net(x, t), net(x, t, same))


@torch.no_grad()
def test_the_grid_attends_along_both_axes_and_keeps_samples_apart() -> None:
    net = network("grid")
    x, t = torch.randn(B, K, L), torch.full((B,), 300.0)
    moved = x.clone()
    moved[0, 1, 2] += 20
    change = (net(moved, t) - net(x, t)).abs()
    assert float((change[0] > 0).float().mean()) > 0.9, "cells hear of one another, but for what rounding hides"
    assert bool((change[0, 3] > 0).any()) and bool((change[0, :, 9] > 0).any())
    assert float(change[1:].max()) == 0


def test_the_paper_has_as_many_parameters() -> None:
    """Tashiro et al. 2021 count 415 thousand for 36 columns; our two mask inputs and the columns' vectors are a few hundred."""
    assert sum(p.numel() for p in GridTransformer(36, placed=False).parameters()) == pytest.approx(415_000, rel=0.005)


def test_an_emission_reads_its_state_and_a_ring_of_any_size() -> None:
    torch.manual_seed(0)
    for k in (1, 2, 5):
        net = Emission(k, further=2, lags=(2,), hidden=6, channels=4, blocks=3)
        nn.init.normal_(net.leave.weight)
        x, observed = torch.randn(B, k, L), torch.rand(B, k, L) < 0.7
        inputs = net.inputs(x, observed, torch.randn(B, L, 2))
        assert inputs.shape == (B, L, 3 * k + 2)
        torch.testing.assert_close(inputs[:, 2:, 2 * k : 3 * k], x.transpose(1, 2)[:, :-2])
        states, _ = net.advance(inputs)
        ahead, memory = net.advance(inputs[:, :6])
        torch.testing.assert_close(ahead, states[:, :6])  # causal
        torch.testing.assert_close(net.advance(inputs[:, 6:], memory)[0], states[:, 6:])
        y, t = torch.randn(B, k), torch.full((B,), 300.0)
        outs = [net(y, t, {"state": states[:, i]}) for i in (0, 5)]
        assert outs[0].shape == (B, k) and not torch.allclose(*outs)
    with pytest.raises(UsageError, match="give cond"):
        net(y, t)


def test_wrong_shapes_are_refused() -> None:
    for name in MAKERS:
        with pytest.raises(UsageError, match=r"takes series \[B, 4, L\]"):
            network(name)(torch.randn(B, 5, L), torch.zeros(B))
        with pytest.raises(UsageError, match=r"'static' of shape \(2,\)"):
            network(name)(torch.randn(B, K, L), torch.zeros(B), {**told(), "static": torch.zeros(B, 3)})
    with pytest.raises(UsageError, match="multiple of heads"):
        GridTransformer(K, width=9, heads=2)
    with pytest.raises(UsageError, match="lags are at least 1"):
        Emission(2, lags=(0,))


@pytest.mark.parametrize("name", MAKERS)
def test_what_all_samples_share_is_given_once(name: str) -> None:
    net, cond = network(name), told()
    shared = {k: v[:1] for k, v in cond.items()}
    repeated = {k: v.expand(B, *v.shape[1:]) for k, v in shared.items()}
    x, t = torch.randn(B, K, L), torch.tensor([10.0, 500.0, 900.0])
    torch.testing.assert_close(net(x, t, shared), net(x, t, repeated))


@torch.no_grad()
def test_the_context_is_that_of_what_is_known_at_every_level() -> None:
    """Blocks of the context hear nothing of noise or level, and those after them hear of the context."""
    net, cond = network("context"), told()
    found: list[Tensor] = []
    assert isinstance(net, GridTransformer) and net.grasp is not None
    net.grasp.register_forward_hook(lambda _m, _i, out: found.append(out))
    x, t = torch.randn(B, K, L), torch.tensor([10.0, 500.0, 900.0])
    first = net(x, t, cond)
    net(x + 1, t.flip(0), cond)
    assert torch.equal(*found)
    shared = {k: v[:1] for k, v in cond.items()}
    net(x, t, shared)
    assert len(found[-1]) == 1, "what all draws share goes through the context once"
    net.grasp.bias.add_(1.0)
    assert not torch.allclose(net(x, t, cond), first)


def test_a_placed_grid_tells_when_and_where_before_it_attends() -> None:
    """One block: without the placement its attention over time is blind to the order of the steps that it mixes."""
    x, t = torch.randn(B, K, L), torch.full((B,), 500.0)
    turned = {"position": torch.arange(L).flip(0).float().expand(B, -1)}
    for placed in (True, False):
        torch.manual_seed(0)
        net = GridTransformer(K, width=8, heads=2, layers=1, hidden=8, placed=placed)
        mixed: list[Tensor] = []
        net.blocks[0].over_time.register_forward_hook(lambda _m, _i, out, mixed=mixed: mixed.append(out))
        net(x, t), net(x, t, turned)
        assert torch.equal(*mixed) != placed
