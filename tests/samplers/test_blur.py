"""Sampling under blur with a network whose answers are exact but bounded, as every network's are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import ornstein
from ornstein.codecs.bases import InPixels, dct, idct
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Stream
from ornstein.core.shapes import expand
from ornstein.denoisers import Eps, Parametrization, Preconditioned, V
from ornstein.processes.blur import Blur
from ornstein.samplers import simulate
from ornstein.samplers.ancestral import Ancestral
from ornstein.samplers.grids import uniform

SIZE, BOUND = 8, 2.5


class Bounded(nn.Module):
    """Shown pixels, the exact answer for independent coefficients of the given variances, cut off at ``BOUND``."""

    def __init__(self, process: Blur, parametrization: Parametrization, law: Tensor):
        super().__init__()
        self.process, self.parametrization, self.law = process, parametrization, law

    def forward(self, x: Tensor, noise: Tensor, cond: Cond = NO_COND) -> Tensor:
        u, t = dct(x), expand(noise / 1000, x)
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        mean = alpha * self.law / (alpha**2 * self.law + sigma**2) * u
        return idct(self.parametrization.target(self.process, mean, u, t).clamp(-BOUND, BOUND))


def largest(parametrization: Parametrization) -> tuple[float, Tensor]:
    """The largest coefficient of samples in deviations of the data, and the spectrum against the data's."""
    k = torch.arange(SIZE, dtype=torch.float64)
    law = 1 / (1 + (k[:, None] ** 2 + k**2).sqrt()) ** 2
    process = Blur(SIZE)
    denoiser = Preconditioned(InPixels(Bounded(process, parametrization, law)), process, parametrization)
    rng = Stream(0)
    x = simulate(Ancestral(denoiser), rng.normal((400, 1, SIZE, SIZE), dtype=torch.float64), uniform(process, 100), rng)
    return float((x.abs() / law.sqrt()).max()), x.square().mean((0, 1)) / law


def test_v_keeps_what_eps_lets_run_away() -> None:
    """64 coefficients of 400 samples: by v none is far from the data, by eps some leave it by orders of magnitude."""
    by_v, spectrum = largest(V())
    assert by_v < 6  # of 25,600 normal draws the largest is at 4.2
    assert float(spectrum.min()) > 0.5 and float(spectrum.max()) < 1.3
    assert largest(Eps())[0] > 1000


@pytest.mark.parametrize(("settings", "kind"), [({}, V), ({"prediction": "eps"}, Eps)])
def test_the_recipe_predicts_v_unless_asked(settings: dict[str, str], kind: type) -> None:
    sizes = {"widths": [8], "blocks": 1, "size": 8, "channels": 1}
    system = ornstein.build("blur-diffusion", settings={**sizes, **settings})
    assert isinstance(system.denoiser.parametrization, kind)
