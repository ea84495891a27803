"""Guidance by a weaker model of the same kind."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Posterior
from ornstein.core.errors import UsageError
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.guidance.branches import moved
from ornstein.processes.base import Affine


@final
class Autoguidance(Denoiser):
    r"""E[x_0] = D_0 + scale (D_1 - D_0), D_0 a smaller or less trained model with the same condition; scale 1 is D_1 itself.

    In scores \nabla log p_1 (p_1/p_0)^{scale - 1}: away from what only the weak model believes, and so from its errors, not
    towards a class; it needs no condition. The two must share data, process and kind of error (capacity and training time;
    not dropout). Karras et al. 2024, 2406.02507, eq. 4.
    """

    def __init__(self, denoiser: Denoiser, weak: Denoiser, scale: float, interval: tuple[float, float] = (0.0, 1.0)):
        super().__init__()
        low, high = interval
        if not 0 <= low < high <= 1:
            raise UsageError(f"a guidance interval needs 0 <= low < high <= 1 in t, got {interval}")
        if scale < 0:
            raise UsageError(f"autoguidance needs scale >= 0, got {scale}: below 1 it leans to the weak model")
        check_same(denoiser.process, weak.process)
        self.denoiser, self.weak, self.process = denoiser, weak, denoiser.process
        self.scale, self.interval = scale, (low, high)

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        t = expand(t, x_t)
        inside = (t >= self.interval[0]) & (t <= self.interval[1])
        strong = self.denoiser(x_t, t, cond)
        if self.scale == 1 or not bool(inside.any()):
            return strong
        d_1, d_0 = strong.mean, self.weak(x_t, t, cond).mean
        if d_0.shape != d_1.shape:
            raise UsageError(f"the weak model's samples have shape {tuple(d_0.shape[1:])}, not {tuple(d_1.shape[1:])}")
        return moved(strong, torch.where(inside, d_0 + self.scale * (d_1 - d_0), d_1))


def check_same(a: Any, b: Any) -> None:
    """Refuse two processes that differ: their estimates belong to different noise."""
    same = type(a) is type(b)
    if same and isinstance(a, Affine) and isinstance(b, Affine):
        t = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
        same = all(torch.allclose(f(t), g(t), rtol=1e-6) for f, g in ((a.alpha, b.alpha), (a.sigma, b.sigma)))
    if not same:
        names = " and ".join(dict.fromkeys((type(a).__name__, type(b).__name__)))
        raise UsageError(f"the models were trained on different noise ({names}): they must share process and schedule")
