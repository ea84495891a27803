r"""Correctors: Markov chains that leave p_t as it is, run at one time; with or without accepting moves by the density.

``corrector.run(denoiser, x, t, rng, cond)`` returns the moved state and the mean chance of acceptance of each sample, ``[B]``.
Steps are in units of the noise: a Langevin step is a fraction of sigma_t^2, a leapfrog step one of sigma_t.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast, sum_rest
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.density import Density
from ornstein.processes.base import GaussianProcess


class Corrector(ABC):
    """Moves at a fixed time that leave its law unchanged, exactly or nearly."""

    density: ClassVar[bool] = False
    """Whether the moves ask for the density."""

    def check(self, denoiser: Denoiser) -> None:
        """Refuse a denoiser that lacks what the moves need."""
        if self.density and not isinstance(denoiser, Density):
            raise CapabilityError(
                f"{type(self).__name__} accepts and rejects by the density, which {type(denoiser).__name__} does not know: "
                "give a denoiser with log_density(x_t, t, cond), or use Langevin()"
            )

    @property
    @abstractmethod
    def evaluations(self) -> int:
        """Network calls of one run."""

    @abstractmethod
    def run(self, denoiser: Denoiser, x: Tensor, t: Tensor, rng: Random, cond: Cond = NO_COND) -> tuple[Tensor, Tensor]:
        """The moved state, and the mean chance of acceptance ``[B]`` (1 where nothing is rejected)."""


def _score(denoiser: Denoiser, x: Tensor, t: Tensor, cond: Cond) -> Tensor:
    process = denoiser.process
    assert isinstance(process, GaussianProcess)
    return process.score(x, t, denoiser(x, t, cond))


def _noise_level(denoiser: Denoiser, x: Tensor, t: Tensor) -> Tensor:
    process = denoiser.process
    assert isinstance(process, GaussianProcess)
    (sigma,) = cast(x, process.sigma(t))
    return sigma


def _at_least_one(moves: int) -> None:
    if moves < 1:
        raise UsageError(f"a corrector makes at least 1 move, got {moves}")


@final
@dataclass(frozen=True)
class Langevin(Corrector):
    r"""x <- x + h score + sqrt(2 h) z without rejection: biased by a fraction h/(2 var) of each variance.

    ``rule="level"``: h = 2 (snr sigma_t)^2. ``rule="norm"``: h = 2 (snr |z|/|score|)^2 for each sample, at most sigma_t^2,
    for which the first is the expectation in many dimensions; in few the step follows the score so closely that the chain
    has another law, so use it on images. Song et al. 2021, 2011.13456, algorithms 4 and 5 (both with alpha_t = 1).
    """

    snr: float = 0.16
    moves: int = 1
    rule: Literal["level", "norm"] = "level"

    def __post_init__(self) -> None:
        _at_least_one(self.moves)
        if not self.snr > 0:
            raise UsageError(f"the signal-to-noise ratio of Langevin moves must be positive, got {self.snr}")
        if self.rule not in ("level", "norm"):
            raise UsageError(f"rule must be 'level' or 'norm', got '{self.rule}'")

    @property
    def evaluations(self) -> int:
        return self.moves

    def run(self, denoiser: Denoiser, x: Tensor, t: Tensor, rng: Random, cond: Cond = NO_COND) -> tuple[Tensor, Tensor]:
        sigma = _noise_level(denoiser, x, t)
        for _ in range(self.moves):
            score, z = _score(denoiser, x, t, cond), rng.normal_like(x)
            h = 2 * (self.snr * sigma) ** 2
            if self.rule == "norm":
                one = (-1, *[1] * (x.ndim - 1))
                ratio = sum_rest(z**2).sqrt() / sum_rest(score**2).sqrt().clamp_min(1e-12)
                h = torch.minimum(2 * (self.snr * ratio.reshape(one)) ** 2, sigma**2)
            x = x + h * score + (2 * h).sqrt() * z
        return x, torch.ones(x.shape[0], dtype=torch.float64, device=x.device)


def _accept(x: Tensor, y: Tensor, log_ratio: Tensor, rng: Random) -> tuple[Tensor, Tensor, Tensor]:
    """y with chance min(1, exp(log_ratio)) in each sample, else x; which were taken, and the chance."""
    chance = torch.nan_to_num(log_ratio, nan=-torch.inf).clamp(max=0).exp()
    u = rng.uniform((x.shape[0],), dtype=torch.float64, device=x.device)
    taken = (u < chance).reshape(-1, *[1] * (x.ndim - 1))
    return torch.where(taken, y, x), taken, chance


@final
@dataclass(frozen=True)
class MALA(Corrector):
    r"""Langevin moves y = x + h s(x) + sqrt(2h) z, h = step sigma_t^2, taken with chance

    min(1, exp(log p(y) - log p(x) - |x - y - h s(y)|^2/(4h) + |y - x - h s(x)|^2/(4h))): p_t is left exactly as it is.
    Roberts & Tweedie 1996; Du et al. 2023, 2302.11552.
    """

    density: ClassVar[bool] = True
    step: float = 0.1
    moves: int = 2

    def __post_init__(self) -> None:
        _at_least_one(self.moves)
        if not self.step > 0:
            raise UsageError(f"the step of MALA must be positive, got {self.step}")

    @property
    def evaluations(self) -> int:
        return self.moves + 1

    def run(self, denoiser: Denoiser, x: Tensor, t: Tensor, rng: Random, cond: Cond = NO_COND) -> tuple[Tensor, Tensor]:
        assert isinstance(denoiser, Density)
        h = self.step * _noise_level(denoiser, x, t) ** 2
        score, log = _score(denoiser, x, t, cond), denoiser.log_density(x, t, cond)
        total = torch.zeros(x.shape[0], dtype=torch.float64, device=x.device)
        for _ in range(self.moves):
            z = rng.normal_like(x)
            y = x + h * score + (2 * h).sqrt() * z
            score_y, log_y = _score(denoiser, y, t, cond), denoiser.log_density(y, t, cond)
            back = sum_rest(((x - y - h * score_y) ** 2 / (4 * h)).double())
            ratio = log_y.double() - log.double() - back + sum_rest((z**2 / 2).double())
            x, taken, chance = _accept(x, y, ratio, rng)
            score, log = torch.where(taken, score_y, score), torch.where(taken.flatten(), log_y, log)
            total = total + chance
        return x, total / self.moves


@final
@dataclass(frozen=True)
class HMC(Corrector):
    r"""Hamiltonian moves: p ~ N(0, I), ``leaps`` leapfrog steps of size step sigma_t, taken with chance

    min(1, exp(log p(y) - |p'|^2/2 - log p(x) + |p|^2/2)). ``accept=False`` takes every end, which needs no density and is
    biased at the second order of the step. Neal 2011; Du et al. 2023, 2302.11552.
    """

    density: ClassVar[bool] = True
    step: float = 0.5
    leaps: int = 3
    moves: int = 1
    accept: bool = True

    def __post_init__(self) -> None:
        _at_least_one(self.moves)
        if not self.step > 0:
            raise UsageError(f"the step of HMC must be positive, got {self.step}")
        if self.leaps < 1:
            raise UsageError(f"HMC takes at least 1 leapfrog step, got {self.leaps}")

    @property
    def evaluations(self) -> int:
        return 1 + self.leaps * self.moves

    def check(self, denoiser: Denoiser) -> None:
        if self.accept:
            Corrector.check(self, denoiser)

    def run(self, denoiser: Denoiser, x: Tensor, t: Tensor, rng: Random, cond: Cond = NO_COND) -> tuple[Tensor, Tensor]:
        e = self.step * _noise_level(denoiser, x, t)
        score = _score(denoiser, x, t, cond)
        total = torch.zeros(x.shape[0], dtype=torch.float64, device=x.device)
        for _ in range(self.moves):
            p = rng.normal_like(x)
            y, score_y, energy = x, score, sum_rest((p**2 / 2).double())
            for _ in range(self.leaps):
                p = p + e / 2 * score_y
                y = y + e * p
                score_y = _score(denoiser, y, t, cond)
                p = p + e / 2 * score_y
            if not self.accept:
                x, score, total = y, score_y, total + 1
                continue
            assert isinstance(denoiser, Density)
            change = denoiser.log_density(y, t, cond).double() - denoiser.log_density(x, t, cond).double()
            x, taken, chance = _accept(x, y, change + energy - sum_rest((p**2 / 2).double()), rng)
            score, total = torch.where(taken, score_y, score), total + chance
        return x, total / self.moves
