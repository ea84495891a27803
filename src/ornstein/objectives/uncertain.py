r"""The denoising loss divided by a learned estimate of itself: every noise level counts alike."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from ornstein.core.batch import Batch
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import expand, per_sample
from ornstein.objectives.denoising import Denoising


@final
class Uncertain:
    r"""E_t[L_t e^{-u(t)} + u(t)], L_t the weighted denoising loss; at its minimum u(t) = log E[L_t].

    ``uncertainty`` maps c_noise of the parametrisation, ``[B]``, to u. It trains beside the denoiser and is of no use
    afterwards. Kendall et al. 2018; Karras et al. 2024, 2312.02696, eq. 15.
    """

    def __init__(self, denoising: Denoising, uncertainty: nn.Module):
        self.denoising, self.uncertainty = denoising, uncertainty

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        t, error, weighted = self.denoising.draws(batch, rng)
        u: Tensor = self.uncertainty(self.noise(t, len(batch)).float()).to(weighted)
        value = (weighted * (-u).exp() + u).mean()
        logs = {"weighted": weighted.detach().mean().item(), "uncertainty": u.detach().mean().item()}
        return Loss(value, logs, (t.detach().reshape(-1), error.detach()))

    def noise(self, t: Tensor, batch: int) -> Tensor:
        """c_noise at the times, ``[B]``."""
        denoiser = self.denoising.denoiser
        _, noise = denoiser.parametrization.inputs(denoiser.process, expand(t, t), t)
        return per_sample(noise, batch)
