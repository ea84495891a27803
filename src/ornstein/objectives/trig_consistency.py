"""Continuous-time consistency training: the tangent of the consistency function along the flow must vanish."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from ornstein.codecs.base import Codec
from ornstein.core import cond as conditions
from ornstein.core.batch import Batch
from ornstein.core.cond import Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import cast, expand, mean_rest
from ornstein.denoisers.consistency import TrigFlow
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.objectives.followers import Counter
from ornstein.objectives.forward_mode import forward_mode
from ornstein.processes.base import GaussianProcess


def tangent(
    denoiser: Preconditioned, y: Tensor, tau: Tensor, velocity: Tensor, cond: Cond, warm: float = 1.0
) -> tuple[Tensor, Tensor]:
    r"""F and g = -cos^2 (d F - dy/dtau) - warm cos sin (y + d dF/dtau), which is cos(tau) df/dtau at warm = 1.

    On the circle y = cos(tau) x_0 + sin(tau) d eps, with dF/dtau along (dy/dtau, 1). Lu & Song 2024, eq. 6 to 8.
    """
    scaling = denoiser.parametrization
    assert isinstance(scaling, TrigFlow)
    d = scaling.sigma_data
    with forward_mode():
        point = forward_ad.make_dual(y, velocity)
        now = forward_ad.make_dual(tau, torch.ones_like(tau))
        out, rate = forward_ad.unpack_dual(circle_output(denoiser, point, now, cond))
    if rate is None:
        raise CapabilityError(
            "the network gives no derivative with respect to its input and time: forward-mode is cut off"
        )
    c2, cs = cast(y, tau.cos() ** 2, warm * tau.cos() * tau.sin())
    return out, -c2 * (d * out.detach() - velocity) - cs * (y + d * rate.detach())


def circle_output(denoiser: Preconditioned, y: Tensor, tau: Tensor, cond: Cond) -> Tensor:
    """F(y/d; tau): the network at a point of the circle, which the process reaches at sigma/alpha = d tan(tau)."""
    scaling = denoiser.parametrization
    assert isinstance(scaling, TrigFlow)
    noise = tau.reshape(-1).expand(len(y)).to(y.dtype)
    return denoiser.network(y / scaling.sigma_data, noise, cond)


@final
class TrigConsistency:
    r"""E e^{w(tau)} |F - F^- - g/(|g| + c)|^2 / D - w(tau): sCM in training, tau = arctan(e^n/d), n ~ N(mean, std^2).

    Its gradient is that of the consistency loss in the limit of neighbours that coincide. g is normalised, and its second part
    is phased in over ``warmup`` steps, without which early training is unstable; w is a learned weight. The velocity is that of
    the data (training); of a ``teacher``, d F_teacher (distillation). Lu & Song 2024, 2410.11081, algorithm 1.
    """

    def __init__(
        self,
        denoiser: Preconditioned,
        codec: Codec,
        counter: Counter,
        weight: nn.Module,
        *,
        mean: float = -1.0,
        std: float = 1.4,
        warmup: int = 10_000,
        c: float = 0.1,
        teacher: Preconditioned | None = None,
        cond_dropout: float = 0.0,
    ):
        if not isinstance(denoiser.parametrization, TrigFlow) or not isinstance(denoiser.process, GaussianProcess):
            raise CapabilityError(
                "continuous-time consistency needs TrigFlow on a Gaussian process, got "
                f"{type(denoiser.parametrization).__name__} on {type(denoiser.process).__name__}"
            )
        if teacher is not None and (
            not isinstance(teacher.parametrization, TrigFlow)
            or teacher.parametrization.sigma_data != denoiser.parametrization.sigma_data
        ):
            raise UsageError("teacher and student must both be TrigFlow with the same sigma_data")
        if not std > 0 or not c > 0 or warmup < 1:
            raise UsageError(f"std and c must be positive and warmup at least 1, got {std}, {c} and {warmup}")
        if not 0 <= cond_dropout < 1:
            raise UsageError(f"cond_dropout must lie in [0, 1), got {cond_dropout}")
        self.denoiser, self.codec, self.counter, self.weight = denoiser, codec, counter, weight
        self.mean, self.std, self.warmup, self.c = mean, std, warmup, c
        self.teacher, self.cond_dropout = teacher, cond_dropout
        self.sigma_data = denoiser.parametrization.sigma_data

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        warm = min(1.0, self.counter.next() / self.warmup)
        cond = batch.cond
        with torch.no_grad():
            x_0 = self.codec.encode(batch.x, rng, cond)
        if self.cond_dropout and cond:
            cond = conditions.drop(cond, rng.uniform((len(batch),)) >= self.cond_dropout)
        level = self.mean + self.std * rng.normal((len(x_0),), dtype=torch.float64)
        tau = expand(torch.atan(level.exp() / self.sigma_data).to(x_0.device), x_0)
        cos, sin = cast(x_0, tau.cos(), tau.sin())
        z = self.sigma_data * rng.normal_like(x_0)
        y = cos * x_0 + sin * z
        if self.teacher is None:
            velocity = cos * z - sin * x_0
        else:
            with torch.no_grad():
                velocity = self.sigma_data * circle_output(self.teacher, y, tau, cond)
        out, g = tangent(self.denoiser, y, tau, velocity, cond, warm)
        norm = g.flatten(1).norm(dim=1).reshape(-1, *[1] * (g.ndim - 1))
        g = g / (norm + self.c)
        error = mean_rest((out - out.detach() - g) ** 2)
        w = self.weight(tau.reshape(-1).to(x_0.dtype))
        value = (w.exp() * error - w).mean()
        t = (2 / math.pi * tau).reshape(-1)
        return Loss(value, {"tangent": float(norm.detach().mean())}, (t, error.detach()))


@final
class LearnedWeight(nn.Module):
    """w(tau): a logarithmic weight as a small network of Fourier features, which evens out the loss over noise levels."""

    frequencies: Tensor

    def __init__(self, features: int = 16):
        super().__init__()
        self.register_buffer("frequencies", torch.arange(features).float())
        self.out = nn.Linear(2 * features, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, tau: Tensor) -> Tensor:
        """``[B] -> [B]``."""
        angle = 2 * tau[:, None] * self.frequencies
        return self.out(torch.cat([angle.cos(), angle.sin()], 1))[:, 0]
