"""Consistency training and distillation: neighbouring points of one path must have the same end."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, final

import torch
from torch import Tensor

from ornstein.codecs.base import Codec
from ornstein.core import cond as conditions
from ornstein.core.batch import Batch
from ornstein.core.cond import Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import cast, expand, mean_rest, sum_rest
from ornstein.denoisers.consistency import ConsistencyScaling
from ornstein.denoisers.denoiser import Denoiser, Preconditioned
from ornstein.objectives.followers import Counter, Follower
from ornstein.processes.gaussian import EDM
from ornstein.samplers.grids import karras

Curriculum = Callable[[int], float]
"""A number that depends on how many steps of training were made."""


class NeighbourLaw(ABC):
    """Draws pairs of neighbouring noise levels; which are neighbours may depend on the step of training."""

    @abstractmethod
    def __call__(self, rng: Random, n: int, step: int) -> tuple[Tensor, Tensor]:
        """sigma of the noisier and of the cleaner point, ``[n]`` float64 each."""


@final
class GridNeighbours(NeighbourLaw):
    r"""sigma_{i+1}, sigma_i of Karras's grid of N(step) levels; i uniform, or by the mass of N(mean, std^2) in ln sigma.

    The second law is that of Song & Dhariwal 2023, 2310.14189, eq. 10; (mean, std) = (-1.1, 2).
    """

    def __init__(self, process: EDM, levels: Curriculum, law: tuple[float, float] | None = None):
        if law is not None and not law[1] > 0:
            raise UsageError(f"the spread of the law of ln sigma must be positive, got {law[1]}")
        self.process, self.levels, self.law = process, levels, law

    def __call__(self, rng: Random, n: int, step: int) -> tuple[Tensor, Tensor]:
        count = int(self.levels(step))
        if count < 2:
            raise UsageError(f"neighbours need a grid of at least 2 levels, got {count}")
        sigma = self.process.sigma(karras(self.process, count)[:-1]).flip(0)
        if self.law is None:
            i = rng.integers(count - 1, (n,))
        else:
            mean, std = self.law
            below = torch.erf((sigma.log() - mean) / (math.sqrt(2) * std))
            i = rng.categorical((below[1:] - below[:-1]).clamp_min(1e-300).log().expand(n, -1))
        return sigma[i + 1], sigma[i]


@final
class NearingNeighbours(NeighbourLaw):
    r"""sigma log-normal, its neighbour sigma (1 - q^{-(stage + 1)} (1 + 8 sigmoid(-sigma))) or epsilon, whichever is more.

    The stage rises with training, and the neighbours come together. Geng et al. 2024, 2406.14548.
    """

    def __init__(self, process: EDM, stage: Curriculum, mean: float = -1.1, std: float = 2.0, q: float = 2.0):
        if not q > 1:
            raise UsageError(f"q, by which neighbours approach in each stage, must exceed 1, got {q}")
        self.process, self.stage, self.mean, self.std, self.q = process, stage, mean, std, q

    def __call__(self, rng: Random, n: int, step: int) -> tuple[Tensor, Tensor]:
        p = self.process
        sigma = (self.mean + self.std * rng.normal((n,), dtype=torch.float64)).exp()
        # strictly above epsilon: there the two would coincide
        sigma = sigma.clamp(1.001 * p.sigma_min, p.sigma_max)
        gap = self.q ** -(int(self.stage(step)) + 1) * (1 + 8 * torch.sigmoid(-sigma))
        return sigma, (sigma * (1 - gap)).clamp_min(p.sigma_min)


def constant(value: float) -> Curriculum:
    """The same at every step."""
    return lambda k: value


def rising_rate(rate: float, levels: Curriculum, first: int) -> Curriculum:
    """mu(k) = exp(s_0 ln mu_0 / N(k)): the slow copy becomes slower as the grid becomes finer. Song et al. 2023."""
    if not 0 < rate < 1:
        raise UsageError(f"the first rate of a slow copy must lie in (0, 1), got {rate}")
    return lambda k: math.exp(first * math.log(rate) / levels(k))


def root_levels(total: int, s_0: int = 2, s_1: int = 150) -> Curriculum:
    """N(k) = ceil(sqrt(k/K ((s_1 + 1)^2 - s_0^2) + s_0^2) - 1) + 1. Song et al. 2023, appendix C."""
    _rising(s_0, s_1)
    return lambda k: math.ceil(math.sqrt(min(k / total, 1) * ((s_1 + 1) ** 2 - s_0**2) + s_0**2) - 1) + 1


def doubling_levels(total: int, s_0: int = 10, s_1: int = 1280) -> Curriculum:
    """N(k) = min(s_0 2^{floor(k/K')}, s_1) + 1, K' = floor(K/(log2 floor(s_1/s_0) + 1)). Song & Dhariwal 2023, eq. 12."""
    _rising(s_0, s_1)
    each = max(1, total // (int(math.log2(s_1 // s_0)) + 1))
    return lambda k: min(s_0 * 2 ** min(k // each, 60), s_1) + 1


def _rising(s_0: int, s_1: int) -> None:
    if not 1 <= s_0 <= s_1:
        raise UsageError(f"a curriculum of levels needs 1 <= s_0 <= s_1, got {s_0} and {s_1}")


@final
class Consistency:
    r"""E w d(f(x_hi, sigma_hi), sg f^-(x_lo, sigma_lo)) at neighbouring levels of one path.

    In training x_lo = x_0 + sigma_lo z with the *same* x_0 and z as x_hi; with a ``teacher``, x_lo is one Heun step of its flow
    down from x_hi. f^- is the slow copy ``target``, or f itself where there is none. Both calls share their dropout masks.
    Song et al. 2023, 2303.01469; Song & Dhariwal 2023, 2310.14189.

    Args:
        distance: "l2" (mean square), "pseudo_huber" (sqrt(|a - b|^2 + c^2) - c, c = 0.00054 sqrt(D) by default).
        weight: "one", or "inverse_gap", 1/(sigma_hi - sigma_lo).
        rate: of the slow copy, which may depend on the step.
    """

    def __init__(
        self,
        denoiser: Preconditioned,
        codec: Codec,
        neighbours: NeighbourLaw,
        counter: Counter,
        *,
        distance: Literal["l2", "pseudo_huber"] = "l2",
        weight: Literal["one", "inverse_gap"] = "one",
        huber: float | None = None,
        target: Follower[Preconditioned] | None = None,
        rate: Curriculum | None = None,
        teacher: Denoiser | None = None,
        cond_dropout: float = 0.0,
    ):
        process = denoiser.process
        if not isinstance(process, EDM) or not isinstance(denoiser.parametrization, ConsistencyScaling):
            raise CapabilityError(
                "a consistency function needs the process EDM and ConsistencyScaling, got "
                f"{type(process).__name__} and {type(denoiser.parametrization).__name__}"
            )
        if abs(denoiser.parametrization.epsilon - process.sigma_min) > 1e-9:
            raise UsageError(
                f"the boundary lies at epsilon = {denoiser.parametrization.epsilon:g}, the process's sigma_min is "
                f"{process.sigma_min:g}: make them the same"
            )
        if teacher is not None and not isinstance(teacher.process, EDM):
            raise CapabilityError(f"the teacher must be of the process EDM, not of {type(teacher.process).__name__}")
        if teacher is not None and teacher.process.sigma_max != process.sigma_max:
            raise UsageError(
                f"teacher and student differ in sigma_max: {teacher.process.sigma_max:g} and {process.sigma_max:g}"
            )
        if (target is None) != (rate is None):
            raise UsageError("a slow copy (target) and its rate belong together: give both or neither")
        if not 0 <= cond_dropout < 1:
            raise UsageError(f"cond_dropout must lie in [0, 1), got {cond_dropout}")
        self.denoiser, self.codec, self.neighbours, self.counter = denoiser, codec, neighbours, counter
        self.distance, self.weight, self.huber = distance, weight, huber
        self.target, self.rate, self.teacher, self.cond_dropout = target, rate, teacher, cond_dropout
        self.process = process

    @torch.no_grad()
    def _downhill(self, teacher: Denoiser, x: Tensor, hi: Tensor, lo: Tensor, cond: Cond) -> Tensor:
        """One Heun step of the teacher's flow in sigma: dx/dsigma = (x - D(x))/sigma."""
        top = self.process.sigma_max
        up, down = cast(x, hi, lo)
        slope = (x - teacher(x, hi / top, cond).mean) / up
        guess = x + (down - up) * slope
        return x + (down - up) * (slope + (guess - teacher(guess, lo / top, cond).mean) / down) / 2

    def _apart(self, a: Tensor, b: Tensor) -> Tensor:
        if self.distance == "l2":
            return mean_rest((a - b) ** 2)
        c = 0.00054 * math.sqrt(a[0].numel()) if self.huber is None else self.huber
        return (sum_rest((a - b) ** 2) + c**2).sqrt() - c

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        step = self.counter.next()
        if self.target is not None and self.rate is not None:
            self.target.follow(self.denoiser, self.rate(step))
        cond = batch.cond
        with torch.no_grad():
            x_0 = self.codec.encode(batch.x, rng, cond)
        if self.cond_dropout and cond:
            cond = conditions.drop(cond, rng.uniform((len(batch),)) >= self.cond_dropout)
        hi, lo = (expand(s.to(x_0.device), x_0) for s in self.neighbours(rng, len(x_0), step))
        z = rng.normal_like(x_0)
        up, down = cast(x_0, hi, lo)
        x_hi = x_0 + up * z
        x_lo = x_0 + down * z if self.teacher is None else self._downhill(self.teacher, x_hi, hi, lo, cond)
        slow = self.denoiser if self.target is None else self.target.copy
        slow.train(self.denoiser.training)
        before = torch.get_rng_state()
        f_hi = self.denoiser(x_hi, hi / self.process.sigma_max, cond).mean
        torch.set_rng_state(before)  # the same dropout masks in both branches
        with torch.no_grad():
            f_lo = slow(x_lo, lo / self.process.sigma_max, cond).mean
        apart = self._apart(f_hi, f_lo)
        gap = (hi - lo).reshape(-1).to(apart)
        loss = apart / gap if self.weight == "inverse_gap" else apart
        t = (hi / self.process.sigma_max).detach().reshape(-1)
        return Loss(loss.mean(), {"apart": float(apart.detach().mean())}, (t, apart.detach()))
