r"""How well a system denoises at each noise level: E |E[x_0 | x_t] - x_0|^2 / dim against t, on images it is given."""

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
    process = system.process
    if not isinstance(process, Affine):
        raise CapabilityError(
            f"{type(process).__name__} has no signal-to-noise ratio, so there is no error by noise level"
        )
    device = system.device
    batch = images.to(device)
    cond = {k: v for k, v in batch.cond.items() if k == "label"} if system.classes else {}
    x_0 = system.codec.encode(batch.x, Rng(range(seed, seed + len(batch))), cond)
    if times is None:
        times = get_grid("log_snr")(process, LEVELS, float(process.t_max), None)[:-1].tolist()  # all but the data's own
    out = []
    for t in times:
        time = expand(torch.tensor(t, dtype=torch.float64, device=device), x_0)
        x_t = process.marginal(x_0, time).sample(Rng(range(seed, seed + len(x_0))))
        guess: Tensor = system.denoiser(x_t, time, cond).mean
        each = (guess - x_0).double().square().flatten(1).mean(1)
        spread = float(each.std()) / len(each) ** 0.5 if len(each) > 1 else 0.0
        snr = process.log_snr(torch.tensor(t, dtype=torch.float64))
        out.append(NoiseError(t, float(snr.mean()), float(each.mean()), spread))
    return out
