"""Guidance by the same network with some of its layers perturbed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import final

from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Posterior
from ornstein.core.errors import CapabilityError
from ornstein.core.perturb import Perturbation, perturbed
from ornstein.denoisers.denoiser import Denoiser, Preconditioned
from ornstein.guidance.autoguidance import Autoguidance


@final
class Perturbed(Denoiser):
    r"""E[x_0] = D_p + scale (D - D_p), D_p the network with ``layers`` perturbed; scale 1 is D itself.

    ``identity``: self-attention in which each place sees itself alone, perturbed-attention guidance (Ahn et al. 2024,
    2403.17377, whose s is scale - 1). ``skip``: blocks left out, skip-layer guidance (Hyung et al. 2024, 2411.18664).
    Neither needs a condition or another model. The perturbed network is a view that shares the parameters; layers have the
    names of :func:`ornstein.core.perturb.layers`, by default the middle one.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        scale: float,
        kind: Perturbation = "identity",
        layers: Sequence[str] | None = None,
        interval: tuple[float, float] = (0.0, 1.0),
    ):
        super().__init__()
        if not isinstance(denoiser, Preconditioned):
            raise CapabilityError(
                f"perturbed guidance needs the network itself, a Preconditioned denoiser, got {type(denoiser).__name__}; "
                "put other wrappers around it"
            )
        weak = copy.copy(denoiser)
        weak._modules = dict(denoiser._modules) | {"network": perturbed(denoiser.network, kind, layers)}
        self.guided, self.process = Autoguidance(denoiser, weak, scale, interval), denoiser.process

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        return self.guided(x_t, t, cond)
