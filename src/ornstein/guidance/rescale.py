"""Classifier-free guidance whose noise estimate keeps the conditional one's deviation."""

from __future__ import annotations

from typing import final

from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.guidance.branches import Branched, require_affine
from ornstein.processes.base import Affine


def rescaled(process: Affine, x_t: Tensor, t: Tensor, x_0: Tensor, c: Tensor, phi: float) -> Tensor:
    r"""x_0 with eps <- eps (phi std(eps_c) / std(eps) + 1 - phi), deviations over a sample. Lin et al. 2023, eq. 15-16."""
    eps, eps_c = process.eps(x_t, t, x_0), process.eps(x_t, t, c)
    rest = list(range(1, x_t.ndim))
    ratio = eps_c.std(dim=rest, keepdim=True) / eps.std(dim=rest, keepdim=True)
    eps = eps * (phi * ratio + 1 - phi)
    a, b = cast(x_t, 1 / process.alpha(t), process.sigma(t) / process.alpha(t))
    return a * x_t - b * eps


@final
class RescaledCFG(Branched):
    """CFG, then ``rescale`` phi of the way to the conditional noise estimate's deviation, against over-exposure.

    Lin et al. 2023, 2305.08891, section 3.4 (phi 0.7), on eps. Where alpha_t = 0 eps says nothing of x_0, and CFG stands alone.
    """

    process: Affine

    def __init__(
        self, denoiser: Denoiser, scale: float, rescale: float = 0.7, interval: tuple[float, float] = (0.0, 1.0)
    ):
        super().__init__(denoiser, scale, interval)
        if not 0 <= rescale <= 1:
            raise UsageError(f"guidance rescale lies in [0, 1], got {rescale}")
        self.rescale = rescale
        require_affine("guidance rescale", denoiser)

    def combine(self, x_t: Tensor, t: Tensor, c: Tensor, u: Tensor) -> Tensor:
        x_0 = u + self.scale * (c - u)
        signal = self.process.alpha(t) > 0
        if not bool(signal.any()):
            return x_0
        return rescaled(self.process, x_t, t, x_0, c, self.rescale).where(signal, x_0)
