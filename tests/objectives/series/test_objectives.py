"""Objectives of series: what bears loss, and that missing values teach nothing."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ornstein.codecs.standard import DISTANCES, Line, Standard, interpolated
from ornstein.core.batch import Batch
from ornstein.core.cond import Cond
from ornstein.core.errors import DataError, UsageError
from ornstein.core.rng import Rng, Stream
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import EDMScaling
from ornstein.networks.series import Emission
from ornstein.objectives.series import Autoregressive, Imputation
from ornstein.objectives.times import Fixed
from ornstein.processes.gaussian import EDM


class Recorder(torch.nn.Module):
    """A network that predicts 0 and remembers what it was asked."""

    def forward(self, x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        self.x, self.cond = x, cond
        return torch.zeros_like(x)


def half(observed: Tensor, rng: object) -> Tensor:
    """Even steps stay known."""
    given = observed.clone()
    given[..., 1::2] = False
    return given


def batch() -> Batch:
    x = torch.arange(24.0).reshape(2, 2, 6) ** 1.5
    x[0, 1, 1] = x[1, 0, 2] = math.nan
    return Batch(x, {"position": torch.arange(6.0).expand(2, -1)})


LINE = Line([0.5 + 0.1 * i for i in range(2 * len(DISTANCES))])


@pytest.mark.parametrize("line", [None, Line(), LINE])
def test_loss_is_on_hidden_observed_cells(line: Line | None) -> None:
    codec = Standard((10.0, 20.0), (2.0, 4.0))
    net = Recorder()
    denoiser = Preconditioned(net, EDM(0.01, 3.0), EDMScaling(0.5))
    data = batch()
    value = Imputation(denoiser, codec, Fixed(1.0), half, anchor=line)(data, Stream(0)).value
    cond = net.cond
    state = codec.encode(data.x, Stream(0))
    hidden = torch.zeros(2, 2, 6, dtype=torch.bool)
    hidden[..., 1::2] = True
    assert torch.equal(cond["sought"], hidden & data.x.isfinite())
    assert torch.equal(cond["given"], ~hidden & data.x.isfinite())
    torch.testing.assert_close(cond["values"], torch.where(cond["given"], state, 0.0))
    # The network says 0, so the loss is the mean square of the target over the sought cells, c_skip and c_out by hand.
    anchor, spread = (cond["anchor"], cond["spread"]) if line else (torch.zeros(()), torch.ones(()))
    x_0 = (torch.where(data.x.isfinite(), state, 0.0) - anchor) / spread
    x_t = net.x * math.sqrt(9 + 0.25)
    target = (x_0 - 0.25 / 9.25 * x_t) / (3 * 0.5 / math.sqrt(9.25))
    torch.testing.assert_close(value, (target**2)[cond["sought"]].mean(), rtol=1e-4, atol=1e-5)


def test_infinite_values_are_refused() -> None:
    data = batch()
    data.x[0, 0, 0] = math.inf
    denoiser = Preconditioned(Recorder(), EDM(), EDMScaling())
    with pytest.raises(DataError, match="infinite"):
        Imputation(denoiser, Standard((0.0, 0.0), (1.0, 1.0)), Fixed(1.0), half)(data, Stream(0))


def test_interpolation_is_numpys() -> None:
    import numpy as np

    g = torch.Generator().manual_seed(0)
    values, given = torch.randn(5, 3, 9, generator=g), torch.rand(5, 3, 9, generator=g) < 0.4
    given[0, 0] = False
    position = torch.rand(5, 9, generator=g).cumsum(-1)
    found, distance = interpolated(values, given, position)
    for b in range(5):
        for k in range(3):
            m = given[b, k].numpy()
            wanted = np.interp(position[b], position[b][m], values[b, k][m]) if m.any() else np.zeros(9)
            np.testing.assert_allclose(found[b, k], wanted, atol=1e-5)
    assert bool(distance[0, 0].isinf().all()) and bool(distance[1:].isfinite().any())


def test_the_distance_to_what_is_known_is_that_of_a_brownian_motion() -> None:
    position = torch.tensor([[0.0, 1.0, 3.0, 4.0, 9.0]])
    given = torch.tensor([[[True, False, False, True, False]]])
    _, distance = interpolated(torch.zeros(1, 1, 5), given, position)
    torch.testing.assert_close(distance[0, 0, [1, 2, 4]], torch.tensor([3 / 4, 3 / 4, 5.0]))


def test_a_line_tells_what_it_misses_by_the_distance() -> None:
    values, given = torch.zeros(1, 2, 70), torch.zeros(1, 2, 70, dtype=torch.bool)
    given[0, 0, [0, 2]] = True
    found = Line([*range(1, 7), *range(11, 17)])(values, given, torch.arange(70.0)[None])
    spread = found["spread"][0]
    assert float(spread[0, 1]) == 1.0  # half a step away, the first of the distances
    assert float(spread[0, 4]) == pytest.approx(3.0)  # two steps
    assert float(spread[0, 5]) == pytest.approx(3 + math.log2(1.5))  # three, between two and four
    assert float(spread[0, 69]) == 6.0  # as far as the last and farther
    assert bool((spread[1] == 1).all()) and bool(
        (found["anchor"][0, 1] == 0).all()
    )  # nothing known: the column's own law
    with pytest.raises(UsageError, match="6 positive numbers for each column"):
        Line([1.0, 2.0])
    with pytest.raises(UsageError, match="that of 1 columns, the series have 2"):
        Line([1.0] * 6)(values, given, torch.arange(70.0)[None])


def test_standard_keeps_gaps_and_adds_the_anchor_back() -> None:
    codec, rng = Standard((1.0, 2.0), (3.0, 4.0)), Rng([0])
    x = torch.tensor([[[1.0, math.nan], [2.0, 10.0]]])
    state = codec.encode(x, rng)
    torch.testing.assert_close(state, torch.tensor([[[0.0, math.nan], [0.0, 2.0]]]), equal_nan=True)
    cond = {"anchor": torch.ones(1, 2, 2), "spread": torch.full((1, 2, 2), 0.5)}
    assert float(codec.encode(x, rng, cond)[0, 1, 1]) == pytest.approx(2.0)
    torch.testing.assert_close(codec.decode(codec.encode(x, rng, cond), cond), x, equal_nan=True)
    assert float(codec.log_volume(x)[0]) == pytest.approx(-2 * math.log(12))
    with pytest.raises(UsageError, match="positive standard deviation"):
        Standard((0.0,), (0.0,))
    with pytest.raises(DataError, match="expected series"):
        codec.encode(torch.zeros(1, 3, 2), rng)


def test_a_forecaster_sees_the_past_only_and_learns_from_what_was_observed() -> None:
    torch.manual_seed(0)
    net = Emission(2, hidden=5, channels=4, blocks=1)
    torch.nn.init.normal_(net.leave.weight)
    denoiser = Preconditioned(net, EDM(0.01, 3.0), EDMScaling(0.5))
    objective = Autoregressive(denoiser, Standard((10.0, 20.0), (8.0, 8.0)), Fixed(0.3))
    data = batch()
    value = objective(data, Stream(0)).value
    filled = Batch(data.x.nan_to_num(7e4), data.cond)
    assert not torch.allclose(objective(filled, Stream(0)).value, value)
    last = data.x.clone()
    last[..., -1] += 1  # a change at the end moves the loss of the last step only: a sixth of it and less
    moved = objective(Batch(last, data.cond), Stream(0)).value
    assert float((moved - value).detach().abs()) > 0
    value.backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in net.parameters())
