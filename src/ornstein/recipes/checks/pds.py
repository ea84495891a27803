"""PDS's claim on a Gaussian field of 16 x 16 with the exact score: few steps, and a law that is known frequency by frequency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random, Stream
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess
from ornstein.processes.gaussian import VE
from ornstein.recipes.check import Check, Condition
from ornstein.samplers.base import simulate
from ornstein.samplers.pds import PDS
from ornstein.samplers.preconditioner import Spectrum

SIZE = 16
IMAGES = 200
SNR = 0.075
STEPS = (20, 40, 400)


def field_power() -> Tensor:
    """The power of each frequency (orthonormal transform), proportional to (1 + |f|)^-3 and of mean 1/4."""
    f = torch.fft.fftfreq(SIZE, 1 / SIZE, dtype=torch.float64)
    power = (1 + (f[:, None] ** 2 + f[None] ** 2).sqrt()) ** -3
    return 0.25 * power / power.mean()


def transform(x: Tensor, gain: Tensor) -> Tensor:
    """Each frequency times a real gain."""
    back: Tensor = torch.fft.ifft2(gain * torch.fft.fft2(x)).real
    return back


@final
class Field(Denoiser):
    """A Gaussian field of this power: E[x_0 | x_t] is a filter of Wiener's, alpha P/(alpha^2 P + sigma^2) at each frequency."""

    process: GaussianProcess

    def __init__(self, process: GaussianProcess, power: Tensor):
        super().__init__()
        self.process, self.power = process, power

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Dirac:
        t = expand(t, x_t)
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        return Dirac(transform(x_t, alpha * self.power / (alpha**2 * self.power + sigma**2)))


@final
class _Impulses(Random):
    """Draw number i is one pixel of a flat spectrum in row i, and nothing elsewhere."""

    def __init__(self) -> None:
        self.draws = 0

    def normal(
        self, shape: Sequence[int], *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Tensor:
        out = torch.zeros(tuple(shape), dtype=dtype)
        if self.draws < len(out):
            out[self.draws, 0, 0, 0] = SIZE  # its orthonormal transform is 1 at every frequency
        self.draws += 1
        return out.to(device)

    def uniform(
        self, shape: Sequence[int], *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Tensor:
        raise UsageError("moves by filters of Gaussian noise draw no uniforms")


def divergence(sampler: PDS, power: Tensor, steps: int) -> float:
    """KL(law of the samples || field) in nats per image, exactly.

    Score, masks and moves are filters, and so x_0 is Gaussian and its power at a frequency is the sum of the squared gains of all
    draws there, the start's among them.
    """
    grid = torch.cat([torch.linspace(1, 1e-5, steps, dtype=torch.float64), torch.zeros(1)])
    rng = _Impulses()
    x = sampler.process.sigma(grid[0]) * rng.normal((2 * steps + 2, 1, SIZE, SIZE), dtype=torch.float64)
    x = simulate(sampler, x, grid, rng)
    ratio = (torch.fft.fft2(x, norm="ortho").abs() ** 2).sum((0, 1)) / power
    return float(0.5 * (ratio - 1 - ratio.log()).sum())


def measure(seed: int) -> dict[str, float]:
    """KL with and without a preconditioner from 200 images of the field; the masks over pixels of a stationary field are flat."""
    process, power, rng = VE(0.01, 20.0, 1e-5), field_power(), Stream(seed)
    images = transform(rng.normal((IMAGES, 1, SIZE, SIZE), dtype=torch.float64), power.sqrt())
    denoiser = Field(process, power)
    spectrum = Spectrum((1, SIZE, SIZE), alpha=5.0, pixels=False)
    spectrum.add(images)
    found = {}
    for steps in STEPS:
        for name, masks in (("plain", None), ("pds", spectrum)):
            found[f"kl_{name}_{steps}"] = divergence(PDS(denoiser, masks, SNR), power, steps)
    return found


_THREE = "three times closer: the claim is that fewer steps serve as well"

CHECK = Check(
    recipe="pds",
    paper="FFHQ at 1024 x 1024 up to 29 times faster without training (29 times in the abstract; qualitative at equal quality)",
    claim="on a Gaussian field of 16 x 16 whose power falls as (1 + |f|)^-3, VE from 20 to 0.01 with the exact score, the masks "
    "bring the Kullback-Leibler divergence of the samples to a third or less at 20 and at 40 steps",
    conditions=(
        Condition("kl_pds_20", "<", "kl_plain_20", _THREE, 1 / 3),
        Condition("kl_pds_40", "<", "kl_plain_40", _THREE, 1 / 3),
    ),
    measure=measure,
)
