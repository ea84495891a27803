r"""How well a system denoises at each noise level, and how hard training pulls there, on images it is given.

The error is E |E[x_0 | x_t] - x_0|^2 / dim against t; the pull, the norm of the loss's gradient in the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ornstein.core.batch import Batch
from ornstein.core.errors import CapabilityError
from ornstein.core.rng import Rng
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.processes.base import Affine
from ornstein.recipes.system import System
from ornstein.samplers.grids import get_grid

LEVELS = 16


@dataclass(frozen=True)
class NoiseError:
    """At one time: the log signal-to-noise ratio, the mean squared error, and its standard error over images."""

    t: float
    log_snr: float
    error: float
    stderr: float


@torch.no_grad()
def error_by_noise(
    system: System, images: Batch[Any], seed: int = 0, times: Sequence[float] | None = None
) -> list[NoiseError]:
    """Mean squared error of the denoiser's mean at each time, the same noise at all of them.

    The error of an ideal denoiser is the posterior variance; that of a constant guess is the data's variance, which bounds
    a sensible curve from above. ``times``: default 16, evenly spaced in log-SNR.

    Raises:
        CapabilityError: the process has no signal-to-noise ratio.
    """
    process = _affine(system)
    x_0, cond = _encoded(system, images, seed)
    if times is None:
        times = levels(process)
    out = []
    for t in times:
        time = expand(torch.tensor(t, dtype=torch.float64, device=x_0.device), x_0)
        x_t = process.marginal(x_0, time).sample(Rng(range(seed, seed + len(x_0))))
        guess: Tensor = system.denoiser(x_t, time, cond).mean
        each = (guess - x_0).double().square().flatten(1).mean(1)
        spread = float(each.std()) / len(each) ** 0.5 if len(each) > 1 else 0.0
        snr = process.log_snr(torch.tensor(t, dtype=torch.float64))
        out.append(NoiseError(t, float(snr.mean()), float(each.mean()), spread))
    return out


@dataclass(frozen=True)
class NoiseGradient:
    """At one time: the log signal-to-noise ratio, the loss of the network's output, and the norm of its gradient."""

    t: float
    log_snr: float
    loss: float
    norm: float


def gradient_by_noise(
    system: System, images: Batch[Any], seed: int = 0, times: Sequence[float] | None = None
) -> list[NoiseGradient]:
    r"""|\nabla_theta E |out - target|^2 / dim| at each time: which noise levels move the weights, before any weighting.

    The regression of the network's output that the parametrisation names, with the same noise at all times. Weights and
    their gradients are left as they were.

    Raises:
        CapabilityError: the process has no signal-to-noise ratio, or the denoiser is no plain network.
    """
    process, denoiser = _affine(system), system.denoiser
    if not isinstance(denoiser, Preconditioned):
        raise CapabilityError(f"{type(denoiser).__name__} regresses no output of a network, so it has no such gradient")
    x_0, cond = _encoded(system, images, seed)
    weights = [p for p in denoiser.network.parameters() if p.requires_grad]
    out = []
    for t in levels(process) if times is None else times:
        time = expand(torch.tensor(t, dtype=torch.float64, device=x_0.device), x_0)
        x_t = process.marginal(x_0, time).sample(Rng(range(seed, seed + len(x_0))))
        with torch.enable_grad():
            target = denoiser.parametrization.target(process, x_0, x_t, time)
            loss = (denoiser.output(x_t, time, cond) - target).square().mean()
            pulls = torch.autograd.grad(loss, weights, allow_unused=True)
        norm = torch.stack([p.double().square().sum() for p in pulls if p is not None]).sum().sqrt()
        snr = process.log_snr(torch.tensor(t, dtype=torch.float64))
        out.append(NoiseGradient(t, float(snr.mean()), float(loss.detach()), float(norm)))
    return out


def levels(process: Affine) -> list[float]:
    """16 times evenly spaced in log-SNR, noisiest first, t = 0 left out."""
    times: list[float] = get_grid("log_snr")(process, LEVELS, float(process.t_max), None)[:-1].tolist()
    return times


def _affine(system: System) -> Affine:
    process = system.process
    if not isinstance(process, Affine):
        raise CapabilityError(
            f"{type(process).__name__} has no signal-to-noise ratio, so there is no error by noise level"
        )
    return process


def _encoded(system: System, images: Batch[Any], seed: int) -> tuple[Tensor, dict[str, Tensor]]:
    """The images as states, with their labels where the system reads them."""
    batch = images.to(system.device)
    cond = {k: v for k, v in batch.cond.items() if k == "label"} if system.classes else {}
    return system.codec.encode(batch.x, Rng(range(seed, seed + len(batch))), cond), cond
