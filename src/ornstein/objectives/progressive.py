r"""Progressive distillation: one step of the student for two of the teacher."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor

from ornstein.codecs.base import Codec
from ornstein.core import cond as conditions
from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, UsageError, unknown
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import cast, expand, mean_rest
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine
from ornstein.samplers.levels import exponential_euler


def two_steps(teacher: Denoiser, z_t: Tensor, t: Tensor, step: float, cond: Cond = NO_COND) -> Tensor:
    """Two DDIM steps of the teacher, from t over t - step/2 to t - step."""
    process = teacher.process
    assert isinstance(process, Affine)
    middle, s = t - step / 2, (t - step).clamp_min(0)
    s = torch.where(s < 1e-9, torch.zeros_like(s), s)
    z = exponential_euler(process, z_t, t, middle, teacher(z_t, t, cond).mean)
    return exponential_euler(process, z, middle, s, teacher(z, middle, cond).mean)


def reached_from(process: Affine, z_t: Tensor, t: Tensor, z_s: Tensor, s: Tensor) -> Tensor:
    r"""The x_0 for which one DDIM step leads from z_t to z_s: (z_s - r z_t)/(alpha_s - r alpha_t), r = sigma_s/sigma_t."""
    r = process.sigma(s) / process.sigma(t)
    a, b = cast(z_t, r, process.alpha(s) - r * process.alpha(t))
    return (z_s - a * z_t) / b


@final
class ProgressiveDistillation:
    r"""w(t) |x~ - x_0(z_t, t)|^2, x~ such that the student's step from t to t - 1/N ends where two of the teacher's do.

    t = n/N, n ~ U{1 .. N}. ``weight``: "truncated" is max(SNR, 1), "snr_plus_one" is SNR + 1, that is 1 on the error of v.
    Salimans & Ho 2022, 2202.00512, algorithm 2.
    """

    def __init__(
        self,
        student: Denoiser,
        teacher: Denoiser,
        codec: Codec,
        steps: int,
        weight: Literal["truncated", "snr_plus_one"] = "truncated",
        cond_dropout: float = 0.0,
    ):
        if not isinstance(student.process, Affine):
            raise CapabilityError(
                f"distilling DDIM steps needs an Affine process; {type(student.process).__name__} is not"
            )
        if steps < 1:
            raise UsageError(f"a student takes at least 1 step, got {steps}")
        if weight not in ("truncated", "snr_plus_one"):
            raise unknown("weight", weight, ("truncated", "snr_plus_one"))
        if not 0 <= cond_dropout < 1:
            raise UsageError(f"cond_dropout must lie in [0, 1), got {cond_dropout}")
        self.student, self.teacher, self.codec, self.steps = student, teacher, codec, steps
        self.weight, self.cond_dropout = weight, cond_dropout

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        process, cond = self.student.process, batch.cond
        assert isinstance(process, Affine)  # checked when this was made
        with torch.no_grad():
            x_0 = self.codec.encode(batch.x, rng, cond)
            if self.cond_dropout and cond:
                cond = conditions.drop(cond, rng.uniform((len(batch),)) >= self.cond_dropout)
            n = rng.integers(self.steps, (len(batch),)).double().to(x_0.device) + 1
            t, s = expand(n / self.steps, x_0), expand((n - 1) / self.steps, x_0)
            z_t = process.marginal(x_0, t).sample(rng)
            z_s = two_steps(self.teacher, z_t, t, 1 / self.steps, cond)
            target = reached_from(process, z_t, t, z_s, s)
        error = mean_rest((self.student(z_t, t, cond).mean - target) ** 2)
        snr = process.log_snr(t).exp().reshape(-1)
        weight = snr.clamp_min(1) if self.weight == "truncated" else snr + 1
        weighted = weight.to(error) * error
        return Loss(weighted.mean(), levels=(t.detach().reshape(-1), error.detach()))
