"""Windows that agree: on a law whose pixels are independent nothing changes, and what they refuse."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac, Gaussian, Posterior
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Rng
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.windows import Windows
from ornstein.processes import VP
from ornstein.processes.blur import Blur
from ornstein.recipes import house
from ornstein.recipes.windows import widened
from ornstein.samplers.ancestral import Ancestral
from ornstein.samplers.base import simulate


class Pixels(Denoiser):
    """Independent N(0, 1/4) pixels, told a level of each row's own; counts its largest batch."""

    def __init__(self, spread: bool = True):
        super().__init__()
        self.process, self.spread, self.most, self.seen = VP(), spread, 0, NO_COND

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        assert x_t.shape[-2:] == (8, 8)
        self.most, self.seen = max(self.most, len(x_t)), cond
        t = expand(t, x_t)
        alpha, var = self.process.alpha(t), self.process.sigma(t) ** 2
        whole = 0.25 * alpha**2 + var
        mean = (0.25 * alpha / whole).to(x_t) * x_t
        return Gaussian(mean, (0.25 * var / whole).to(x_t).expand_as(x_t)) if self.spread else Dirac(mean)


class Means(Denoiser):
    """Says the mean of what it sees, everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.process = VP()

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        return Dirac(x_t.mean((-2, -1), keepdim=True).expand_as(x_t))


def direct(x_t: Tensor, t: Tensor) -> Tensor:
    p = VP()
    alpha, var = p.alpha(t), p.sigma(t) ** 2
    return 0.25 * alpha / (0.25 * alpha**2 + var) * x_t


@pytest.mark.parametrize("spread", [True, False])
def test_independent_pixels_are_what_they_were(spread: bool) -> None:
    inner = Pixels(spread)
    x = torch.randn(3, 2, 19, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    posterior = Windows(inner, (8, 8), together=7)(x, t)
    torch.testing.assert_close(posterior.mean, direct(x, t.reshape(3, 1, 1, 1)))
    assert inner.most <= 7 and isinstance(posterior, Gaussian) == spread
    if spread:
        assert float(posterior.var.amin((1, 2, 3)).sub(posterior.var.amax((1, 2, 3))).abs().max()) < 1e-12


def test_a_window_weighs_less_at_its_edge_and_gradients_pass() -> None:
    x = torch.zeros(1, 1, 8, 12, dtype=torch.float64)
    x[..., 8:] = 1.0  # seen by the right window alone
    x.requires_grad_()
    mean = Windows(Means(), (8, 8), overlap=0.5)(x, torch.tensor(0.5)).mean
    # Columns 4 .. 7 are shared: the right window's ramp 1, 2, 3, 4 against the left's 4, 3, 2, 1.
    expected = torch.tensor([0, 0, 0, 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5, 0.5], dtype=torch.float64)
    torch.testing.assert_close(mean[0, 0, 0].detach(), expected)
    mean.sum().backward()
    assert float(x.grad.min()) > 0


def test_conditions_are_cut_or_told_to_every_window() -> None:
    inner = Pixels()
    x = torch.zeros(2, 1, 8, 16)
    picture = torch.arange(16.0).expand(2, 3, 8, 16)
    Windows(inner, (8, 8))(x, torch.tensor(0.5), {"picture": picture, "label": torch.tensor([4, 5])})
    assert inner.seen["label"].tolist() == [4, 5] * 3
    assert inner.seen["picture"][::2, 0, 0, 0].tolist() == [0, 4, 8]


def test_windows_cover_the_whole_with_their_overlap() -> None:
    for size in (8, 9, 11, 12, 17, 40):
        tops = [top for top, _ in Windows(Pixels(), (8, 8), overlap=0.25).corners(size, 8)]
        assert tops[0] == 0 and tops[-1] == size - 8
        assert all(b - a <= 6 for a, b in pairwise(tops))


def test_a_draw_of_a_large_picture_has_the_models_law() -> None:
    move = Ancestral(Windows(Pixels(), (8, 8)))
    with torch.no_grad():
        grid = torch.linspace(1, 0, 60, dtype=torch.float64)
        x = simulate(move, Rng(range(8)).normal((8, 1, 20, 20)), grid, Rng(range(8)))
    assert abs(float(x.std()) - 0.5) < 0.03


REFUSED = {
    "share in \\[0, 1\\), got 1": lambda: Windows(Pixels(), (8, 8), overlap=1.0),
    "number of at least 1": lambda: Windows(Pixels(), (8, 8), together=0),
    "4 x 20 is smaller than the model's 8 x 8": lambda: Windows(Pixels(), (8, 8)).corners(4, 20),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_refused(message: str) -> None:
    with pytest.raises(UsageError, match=message):
        REFUSED[message]()


def test_a_process_with_a_level_for_each_coordinate_is_refused() -> None:
    inner = Pixels()
    inner.process = Blur(8)
    with pytest.raises(CapabilityError, match=r"Blur gives each coordinate .* a noise level of its own"):
        Windows(inner, (8, 8))


def test_a_widened_system_shares_its_weights() -> None:
    small = house.build("ddpm", settings={"size": 8, "channels": 1, "widths": (32,), "blocks": 1})
    wide = widened(small, 12, 20)
    assert wide.data_shape == (1, 12, 20) and wide.sample(2, steps=2).tensor.shape == (2, 1, 12, 20)
    assert widened(small, 8, 8) is small
    one = {p.data_ptr() for p in small.denoiser.parameters()}
    assert {p.data_ptr() for p in wide.denoiser.parameters()} == one
    with pytest.raises(UsageError, match="makes pictures of 8 x 8; windows cover larger ones, not 20 x 4"):
        widened(small, 4, 20)
