"""Regression of the velocity of lines between two ends that a batch supplies: any source, any coupling, given pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor

from ornstein.codecs.base import Codec
from ornstein.core import cond as conditions
from ornstein.core.batch import Batch
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import cast, expand, mean_rest
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import Velocity
from ornstein.objectives.couplings import Coupling, independent
from ornstein.objectives.times import Times
from ornstein.processes.gaussian import FlowMatching

Ends = Callable[[Batch[Any], Random], tuple[Tensor, Tensor]]
"""``batch -> (x_0, x_1)``: the ends of the lines at t = 0 and t = 1, paired row by row."""


def from_noise(codec: Codec, coupling: Coupling = independent) -> Ends:
    """x_0 is the encoded batch, x_1 Gaussian noise in the order that the coupling gives."""

    def ends(batch: Batch[Any], rng: Random) -> tuple[Tensor, Tensor]:
        x_0 = codec.encode(batch.x, rng, batch.cond)
        return x_0, coupling(x_0, rng.normal_like(x_0))

    return ends


def given_pairs(batch: Batch[Any], rng: Random) -> tuple[Tensor, Tensor]:
    """Both ends lie in the batch, under ``x_0`` and ``x_1``: reflow, or data at both ends."""
    return batch.x["x_0"], batch.x["x_1"]


@final
class Interpolating:
    r"""E |v(x_t, t) - (x_1 - x_0 + gamma_t' z)|^2 on x_t = (1 - t) x_0 + t x_1 + gamma_t z, gamma_t = gamma sqrt(t (1
    - t)).

    The regression's optimum is the velocity of a flow between the laws of both ends, whatever they are and however they
    are coupled. gamma > 0 adds latent noise that vanishes at the ends: the two-sided stochastic interpolant of Albergo,
    Boffi & Vanden-Eijnden 2023, 2303.08797. Given pairs make it reflow: Liu et al. 2022, 2209.03003.
    """

    def __init__(
        self, denoiser: Preconditioned, ends: Ends, times: Times, gamma: float = 0.0, cond_dropout: float = 0.0
    ):
        if not isinstance(denoiser.process, FlowMatching) or not isinstance(denoiser.parametrization, Velocity):
            raise CapabilityError(
                "lines between given ends need FlowMatching and Velocity, got "
                f"{type(denoiser.process).__name__} and {type(denoiser.parametrization).__name__}"
            )
        if gamma < 0:
            raise UsageError(f"the latent noise gamma must be >= 0, got {gamma}")
        if not 0 <= cond_dropout < 1:
            raise UsageError(f"cond_dropout must lie in [0, 1), got {cond_dropout}")
        self.denoiser, self.ends, self.times = denoiser, ends, times
        self.gamma, self.cond_dropout = gamma, cond_dropout

    def __call__(self, batch: Batch[Any], rng: Random) -> Loss:
        cond = batch.cond
        with torch.no_grad():
            x_0, x_1 = self.ends(batch, rng)
        if x_0.shape != x_1.shape:
            raise UsageError(f"the two ends differ in shape: {tuple(x_0.shape)} and {tuple(x_1.shape)}")
        if not bool(torch.isfinite(x_0).all() and torch.isfinite(x_1).all()):
            raise DataError("a pair holds values that are not finite; look at the model or the data that made it")
        if self.cond_dropout and cond:
            cond = conditions.drop(cond, rng.uniform((len(x_0),)) >= self.cond_dropout)
        t = expand(self.times(rng, len(x_0)).to(x_0.device), x_0)
        if self.gamma:
            t = t.clamp(1e-3, 1 - 1e-3)  # gamma_t' is infinite at both ends
        a, b = cast(x_0, 1 - t, t)
        x_t, target = a * x_0 + b * x_1, x_1 - x_0
        if self.gamma:
            root = (t * (1 - t)).sqrt()
            g, d_g = cast(x_0, self.gamma * root, self.gamma * (1 - 2 * t) / (2 * root))
            z = rng.normal_like(x_0)
            x_t, target = x_t + g * z, target + d_g * z
        error = mean_rest((self.denoiser.output(x_t, t, cond) - target) ** 2)
        return Loss(error.mean(), levels=(t.detach().reshape(-1), error.detach()))
