"""CFG++: guidance on the estimate of x_0 alone, the noise staying unconditional."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from ornstein.denoisers.denoiser import Denoiser
from ornstein.guidance.branches import Branched, require_affine
from ornstein.processes.base import Affine


@final
class CFGPP(Branched):
    r"""x_s = alpha_s (u + scale (c - u)) + sigma_s eps_u in a step from t to s: scale in [0, 1], as interpolation.

    That step is DDIM's under CFG with the scale(t) = scale / (1 - sqrt(SNR_t / SNR_s)), which is how it is written here: s
    is the time that follows t in ``grid``, the one that the sampler is given. Chung et al. 2024, 2406.08070, algorithm 2
    and section 3.3.
    """

    process: Affine

    def __init__(self, denoiser: Denoiser, scale: float, grid: Tensor, interval: tuple[float, float] = (0.0, 1.0)):
        super().__init__(denoiser, scale, interval)
        require_affine("CFG++", denoiser)
        self.grid = torch.as_tensor(grid, dtype=torch.float64).flatten().sort().values

    @property
    def plain(self) -> bool:
        return False

    def combine(self, x_t: Tensor, t: Tensor, c: Tensor, u: Tensor) -> Tensor:
        grid = self.grid.to(t.device)
        before = torch.searchsorted(grid, t.contiguous() * (1 - 1e-12)) - 1
        s = grid[before.clamp_min(0)]
        # No later time on the grid: the step ends in the data, where SNR_s is infinite.
        gap = torch.where((before < 0) | (s <= 0), -torch.inf, self.process.log_snr(t) - self.process.log_snr(s))
        return u + (self.scale / -torch.expm1(gap / 2)).to(u) * (c - u)
