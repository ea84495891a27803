r"""First hitting: a Brownian motion that starts inside and stops, after a random time, exactly on the target set.

Generation runs it forwards, from the start (t = 1) through tau = -log t to the target (t = 0, tau infinite). Known to end in
x_0 it is a Doob bridge, and here its law at any time is drawn without simulating paths. Ye, Wu & Liu 2022, 2209.01170.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from ornstein.core.distributions import Dirac, Distribution, Posterior, Score
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import sum_rest
from ornstein.processes import bessel
from ornstein.processes.base import Process, Reversible

CLIP = 1e-3
"""distances in a drift's denominators are at least this"""


@final
class Signs(Distribution):
    """Independent -1 and 1 with P(1) = sigmoid(logits)."""

    def __init__(self, logits: Tensor):
        self.logits = logits

    @property
    def mean(self) -> Tensor:
        return torch.tanh(self.logits / 2)

    @property
    def var(self) -> Tensor:
        return 1 - self.mean**2

    def sample(self, rng: Random) -> Tensor:
        u = rng.uniform(self.logits.shape, dtype=torch.float64, device=self.logits.device)
        return torch.where(u < torch.sigmoid(self.logits.double()), 1.0, -1.0).to(self.logits)

    def log_prob(self, x: Tensor) -> Tensor:
        return sum_rest(F.logsigmoid(x * self.logits))


def durations(t: Tensor, s: Tensor) -> Tensor:
    """tau_s - tau_t = log(t/s), infinite at s = 0."""
    return torch.where(s > 0, torch.log(t / torch.where(s > 0, s, torch.ones_like(s))), torch.inf)


@final
class StoppedBits(Distribution):
    """Where each coordinate of z is after a duration, knowing that it leaves at ``ends``; a coordinate at -1 or 1 stays there."""

    def __init__(self, z: Tensor, ends: Posterior, duration: Tensor):
        self.z, self.ends, self.duration = z, ends, duration

    def _seen(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Positions on (0, 1) with the exit at 1, and durations on that scale."""
        a = ((1 + y * self.z) / 2).double()
        return a, (self.duration / 4).expand(a.shape)

    def sample(self, rng: Random) -> Tensor:
        z = self.z
        y = self.ends.sample(rng).to(z)
        a, d = self._seen(y)
        u = rng.uniform(z.shape, dtype=torch.float64, device=z.device)
        moved = bessel.step(a, d, u)
        # What has stopped is exactly on the target; rounding may not put there what has not.
        inside = (2 * moved - 1).to(z).clamp(-1 + 1e-6, 1 - 1e-6)
        moved_z = torch.where(moved >= 1, y, y * inside)
        frozen = z.abs() >= 1
        return torch.where(frozen, z, torch.where(d > 0, moved_z, z))

    def log_prob(self, x: Tensor) -> Tensor:
        """Against the measure that is Lebesgue's inside and 1 at each end; known where the end is."""
        if not isinstance(self.ends, Dirac):
            raise CapabilityError("a bridge whose end is drawn too has no density here; give the end")
        a, d = self._seen(self.ends.x)
        at = ((1 + self.ends.x * x) / 2).double()
        left = 1 - bessel.law(a, torch.ones_like(a), d)[0]
        density = bessel.law(a, at, d)[1] / 2
        return sum_rest(torch.where(at >= 1, left, density).log())


@final
class FirstHittingBits(Reversible):
    r"""{-1, 1}^d: every coordinate is a Brownian motion from ``begin`` that stops at -1 or at 1, alone.

    Known to stop at y it drifts by y/(1 + y z). A posterior over bits gives the step: ends are drawn, then the bridge to them
    (exact for what is independent given z; the error is of the length of the step). In the unit cube of the paper this is the
    same with z -> (1 + z)/2 and a quarter of the time.
    """

    def __init__(self, begin: float = 0.0, t_min: float = 1e-3):
        super().__init__()
        if not -1 < begin < 1:
            raise UsageError(f"begin must lie inside (-1, 1), between the targets; got {begin:g}")
        self.begin, self.t_min = begin, t_min

    def prior(self, shape: Sequence[int]) -> Dirac:
        """The starting point."""
        return Dirac(torch.full(tuple(shape), self.begin))

    def marginal(self, x_0: Tensor, t: Tensor) -> StoppedBits:
        if not x_0.is_floating_point() or not bool((x_0.abs() == 1).all()):
            raise DataError("the target set is -1 and 1: data must be floats with these values alone")
        return StoppedBits(torch.full_like(x_0, self.begin), Dirac(x_0), durations(torch.ones_like(t), t))

    def reverse(self, x_t: Tensor, t: Tensor, s: Tensor, posterior: Posterior) -> StoppedBits:
        return StoppedBits(x_t, posterior, durations(t, s))

    def prior_logits(self, z: Tensor) -> Tensor:
        """log h_1(z)/h_-1(z) less its value at the start: what a coordinate says of its own end."""
        inner = z.clamp(-1 + 1e-6, 1 - 1e-6)
        return 2 * torch.atanh(inner) - 2 * math.atanh(self.begin)


class HittingDrift(Process):
    """Processes that a network's drift carries to the target: what :class:`ornstein.samplers.first_hitting.FirstHitting` asks."""

    @abstractmethod
    def pull(self, z: Tensor, posterior: Posterior) -> Tensor:
        """The drift per unit of tau."""

    @abstractmethod
    def stopped(self, z: Tensor) -> Tensor:
        """``[B]`` bool: which samples are on the target."""

    @abstractmethod
    def land(self, z: Tensor) -> Tensor:
        """What has gone through the boundary, back on it."""


@final
class StoppedInBall(Distribution):
    """Where a Brownian motion from the centre of the ball is after a duration, knowing that it leaves at ``ends [B, 3, ...]``.

    Radius: :mod:`ornstein.processes.bessel`; direction given the radius: Poisson's kernel, by its inverse.
    """

    def __init__(self, ends: Tensor, duration: Tensor):
        self.ends, self.duration = ends, duration

    def sample(self, rng: Random) -> Tensor:
        y = self.ends.double()
        u = rng.uniform((len(y), 3, *y.shape[2:]), dtype=torch.float64, device=y.device)
        radius, cosine, azimuth = u[:, :1], u[:, 1:2], u[:, 2:]
        d = self.duration.expand(y.shape)[:, :1]
        r = bessel.step(torch.zeros_like(radius), d, radius)
        inner = torch.where(r < 1, r, torch.full_like(r, 0.5))
        small = inner < 1e-4
        safe = torch.where(small, torch.full_like(inner, 0.5), inner)
        distance = 1 / (2 * safe * cosine / (1 - safe**2) + 1 / (1 + safe))
        x = torch.where(small, 2 * cosine - 1, (1 + safe**2 - distance**2) / (2 * safe)).clamp(-1, 1)
        first, second = _frame(y)
        turn = 2 * math.pi * azimuth
        across = (1 - x**2).sqrt()
        z = r * (x * y + across * (turn.cos() * first + turn.sin() * second))
        return torch.where(r >= 1, y, z).to(self.ends)


def _frame(y: Tensor) -> tuple[Tensor, Tensor]:
    """Two unit vectors across y, along dimension 1."""
    away = torch.where(y[:, :1].abs() < 0.9, 1.0, 0.0).to(y)
    other = torch.cat([away, 1 - away, torch.zeros_like(away)], 1)
    first = F.normalize(torch.linalg.cross(y, other, dim=1), dim=1)
    return first, torch.linalg.cross(y, first, dim=1)


@final
class FirstHittingSphere(HittingDrift):
    r"""The unit sphere in space: Brownian motion from the centre that stops on it; points ``[B, 3]`` or ``[B, 3, n]``.

    Known to stop at y it drifts by grad log (1 - |z|^2)/|z - y|^3 = -2 z/(1 - |z|^2) - 3 (z - y)/|z - y|^2 (Poisson's kernel). A
    network gives the mean of that drift over ends, a :class:`Score`.
    """

    def __init__(self, dimension: int = 3, t_min: float = 1e-3):
        super().__init__()
        if dimension != 3:
            raise UsageError(
                f"the law of this process is known here on the sphere in 3 dimensions, not in {dimension}"
                + (": in one dimension it is two points, FirstHittingBits" if dimension == 1 else "")
            )
        self.t_min = t_min

    def prior(self, shape: Sequence[int]) -> Dirac:
        """The centre."""
        return Dirac(torch.zeros(tuple(shape)))

    def marginal(self, x_0: Tensor, t: Tensor) -> StoppedInBall:
        if x_0.ndim < 2 or x_0.shape[1] != 3:
            raise DataError(f"points in space are [B, 3, ...], got {tuple(x_0.shape)}")
        off = float((x_0.norm(dim=1) - 1).abs().max())
        if not off < 1e-4:
            raise DataError(f"the target set is the unit sphere; a point is {off:.3g} off it")
        return StoppedInBall(x_0, durations(torch.ones_like(t), t))

    def pull(self, z: Tensor, posterior: Posterior) -> Tensor:
        if isinstance(posterior, Score):
            return posterior.score
        if not isinstance(posterior, Dirac):
            raise CapabilityError(f"on the sphere a posterior is Score or Dirac, not {type(posterior).__name__}")
        off = z - posterior.x
        inside = (1 - z.square().sum(1, keepdim=True)).clamp_min(CLIP)
        return -2 * z / inside - 3 * off / off.square().sum(1, keepdim=True).clamp_min(CLIP**2)

    def stopped(self, z: Tensor) -> Tensor:
        there: Tensor = (z.norm(dim=1) >= 1 - 1e-6).reshape(len(z), -1).all(1)
        return there

    def land(self, z: Tensor) -> Tensor:
        norm = z.norm(dim=1, keepdim=True)
        return torch.where(norm >= 1 - 1e-6, z / norm, z)
