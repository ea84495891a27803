r"""A preconditioner for Langevin moves, from statistics of the data, and the corrector that uses it.

With any fixed matrix M, dx = M M' score dt + sqrt(2) M dw leaves the same law as M = 1; a good one makes all directions
equally curved, so that longer steps are stable. Ma et al. 2022, 2207.02196, theorem 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast, sum_rest
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.correctors import Corrector


@final
class Spectrum(nn.Module):
    r"""M v = F^-1[R_f F[R_p v]] on images ``[B, C, H, W]``, R = ((K / max K + alpha - 1)/alpha)^-1 for both masks.

    K_f = ln(1 + mean |F x|^2) with the unnormalised transform and K_p = mean x^2, over some images in the model's own range (the
    authors take 200): :meth:`add`. R runs from 1 to alpha/(alpha - 1), and is largest where the data are weak.
    ``pixels=False`` leaves R_p = 1. 2207.02196, eqs. 11 to 14.
    """

    power: Tensor
    square: Tensor
    count: Tensor

    def __init__(self, shape: tuple[int, int, int], alpha: float = 5.0, pixels: bool = True):
        super().__init__()
        if len(shape) != 3 or min(shape) < 1:
            raise UsageError(f"a spectrum is that of images, (channels, height, width); got {tuple(shape)}")
        if not alpha > 1:
            raise UsageError(f"alpha must exceed 1, or weak frequencies get infinite masks; got {alpha}")
        self.shape, self.alpha, self.pixels = tuple(shape), alpha, pixels
        # In units of the number of values, so that powers fit half precision.
        self.register_buffer("power", torch.zeros(shape))
        self.register_buffer("square", torch.zeros(shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def add(self, x: Tensor) -> None:
        """Take encoded images into the means."""
        self._check(x)
        if not bool(torch.isfinite(x).all()):
            raise DataError("the images hold NaN or infinity; mend them before their spectrum is measured")
        k = int(self.count)
        total = k + len(x)
        power = torch.fft.fft2(x.double(), norm="ortho").abs() ** 2
        for mean, new in ((self.power, power), (self.square, x.double() ** 2)):
            mean.copy_((mean.double() * k + new.sum(0)) / total)
        self.count.fill_(total)

    def _check(self, x: Tensor) -> None:
        if tuple(x.shape[1:]) != self.shape:
            raise UsageError(f"the masks are those of images of {self.shape}, got {tuple(x.shape[1:])}")

    def _mask(self, k: Tensor) -> Tensor:
        if not bool((k >= 0).all()) or not float(k.max()) > 0:
            raise UsageError("masks are made of powers that are at least 0 and not all 0; measure the spectrum anew")
        return self.alpha / (k / k.max() + self.alpha - 1)

    def masks(self) -> tuple[Tensor, Tensor]:
        """R_f and R_p, each ``[C, H, W]`` float64."""
        if int(self.count) == 0:
            raise CapabilityError("no spectrum was measured yet: train the system, or give images to Spectrum.add")
        size = self.shape[1] * self.shape[2]
        frequencies = self._mask((1 + size * self.power.double()).log())
        return frequencies, self._mask(self.square.double()) if self.pixels else torch.ones_like(frequencies)

    def noise(self, z: Tensor) -> Tensor:
        """M z."""
        self._check(z)
        rf, rp = cast(z, *self.masks())
        return _filtered(rf, rp * z)

    def drift(self, v: Tensor) -> Tensor:
        """M M' v."""
        self._check(v)
        rf, rp = cast(v, *self.masks())
        return _filtered(rf, rp**2 * _filtered(rf, v))


def _filtered(mask: Tensor, x: Tensor) -> Tensor:
    """F^-1[mask F[x]]: real and symmetric as an operator, for the mask is that of real images."""
    back: Tensor = torch.fft.ifft2(mask * torch.fft.fft2(x)).real
    return back


@final
@dataclass(frozen=True)
class PreconditionedLangevin(Corrector):
    r"""x <- x + h M M' score + sqrt(2 h) M z, h = 2 (snr sigma_t)^2, or by the norms of both terms; M from ``spectrum``.

    ``rule="norm"``: h = 2 (snr |M z|/|M M' score|)^2 for each sample, at most sigma_t^2, the authors' rule. As h goes to 0 the
    law is p_t whatever M is. Without a spectrum M = 1 and this is :class:`~ornstein.samplers.Langevin`.
    """

    spectrum: Spectrum | None = None
    snr: float = 0.16
    moves: int = 1
    rule: str = "level"

    def __post_init__(self) -> None:
        if self.moves < 1:
            raise UsageError(f"a corrector makes at least 1 move, got {self.moves}")
        if not self.snr > 0:
            raise UsageError(f"the signal-to-noise ratio of Langevin moves must be positive, got {self.snr}")
        if self.rule not in ("level", "norm"):
            raise UsageError(f"rule must be 'level' or 'norm', got '{self.rule}'")

    @property
    def evaluations(self) -> int:
        return self.moves

    def run(self, denoiser: Denoiser, x: Tensor, t: Tensor, rng: Random, cond: Cond = NO_COND) -> tuple[Tensor, Tensor]:
        process = denoiser.process
        assert isinstance(process, GaussianProcess)
        (sigma,) = cast(x, process.sigma(t))
        for _ in range(self.moves):
            pull, z = process.score(x, t, denoiser(x, t, cond)), rng.normal_like(x)
            if self.spectrum is not None:
                pull, z = self.spectrum.drift(pull), self.spectrum.noise(z)
            h = 2 * (self.snr * sigma) ** 2
            if self.rule == "norm":
                ratio = sum_rest(z**2).sqrt() / sum_rest(pull**2).sqrt().clamp_min(1e-12)
                h = torch.minimum(2 * (self.snr * ratio.reshape(-1, *[1] * (x.ndim - 1))) ** 2, sigma**2)
            x = x + h * pull + (2 * h).sqrt() * z
        return x, torch.ones(x.shape[0], dtype=torch.float64, device=x.device)
