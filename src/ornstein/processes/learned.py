r"""A learned schedule: gamma(t) = -log SNR_t, monotone by construction."""

from __future__ import annotations

import math
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.errors import UsageError
from ornstein.processes.schedules import Schedule


@final
class Learned(Schedule):
    r"""gamma(t) = gamma_0 + (gamma_1 - gamma_0) (g(t) - g(0))/(g(1) - g(0)), alpha_t^2 = sigmoid(-gamma(t)).

    g(t) = w_1 t + sum_k w_3k (2 sigmoid(w_2k (2t - 1) + b_k) - 1)/K with positive weights: a line and K sigmoids. The ends are
    parameters of their own (:meth:`ends`), for by them alone the continuous bound changes; what lies between
    (:meth:`interior`) changes only its variance. Kingma et al. 2021, 2107.00630, appendix H. sigma_0 is not 0: log SNR_0 =
    -gamma_0.
    """

    def __init__(self, gamma_0: float = -13.3, gamma_1: float = 5.0, width: int = 1024, fixed_ends: bool = False):
        super().__init__()
        if not gamma_0 < gamma_1:
            raise UsageError(f"a learned schedule needs gamma_0 < gamma_1, got {gamma_0} and {gamma_1}")
        if width < 1:
            raise UsageError(f"width must be at least 1, got {width}")
        self.low = nn.Parameter(torch.tensor(float(gamma_0)), requires_grad=not fixed_ends)
        self.log_range = nn.Parameter(torch.tensor(math.log(gamma_1 - gamma_0)), requires_grad=not fixed_ends)
        self.line = nn.Parameter(torch.tensor(1.0))
        self.inner = nn.Parameter(torch.randn(width).abs())
        self.shift = nn.Parameter(torch.randn(width))
        self.outer = nn.Parameter(0.01 * torch.randn(width).abs())

    def ends(self) -> list[nn.Parameter]:
        """What the bound is minimised over: the two ends, where they are not fixed."""
        return [p for p in (self.low, self.log_range) if p.requires_grad]

    def interior(self) -> list[nn.Parameter]:
        """What the variance of the bound is minimised over."""
        return [self.line, self.inner, self.shift, self.outer]

    def _weights(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.line.double().abs(), self.inner.double().abs(), self.shift.double(), self.outer.double().abs()

    def _g(self, t: Tensor) -> Tensor:
        w1, w2, b, w3 = self._weights()
        return w1 * t + ((2 * torch.sigmoid(w2 * (2 * t[..., None] - 1) + b) - 1) * w3).mean(-1)

    def _slope(self, t: Tensor) -> Tensor:
        w1, w2, b, w3 = self._weights()
        s = torch.sigmoid(w2 * (2 * t[..., None] - 1) + b)
        return w1 + (4 * s * (1 - s) * w2 * w3).mean(-1)

    def _scale(self) -> tuple[Tensor, Tensor]:
        start, end = self._g(torch.tensor([0.0, 1.0], dtype=torch.float64, device=self.low.device))
        return start, self.log_range.double().exp() / (end - start)

    def gamma(self, t: Tensor) -> Tensor:
        """-log SNR_t."""
        start, scale = self._scale()
        return self.low.double() + scale * (self._g(t) - start)

    def d_gamma(self, t: Tensor) -> Tensor:
        """d gamma / dt > 0."""
        return self._scale()[1] * self._slope(t)

    def log_alpha(self, t: Tensor) -> Tensor:
        return 0.5 * F.logsigmoid(-self.gamma(t))

    def d_log_alpha(self, t: Tensor) -> Tensor:
        return -0.5 * torch.sigmoid(self.gamma(t)) * self.d_gamma(t)

    def time(self, log_snr: Tensor) -> Tensor:
        """By bisection: gamma has no closed inverse."""
        low, high = torch.zeros_like(log_snr), torch.ones_like(log_snr)
        for _ in range(60):
            middle = (low + high) / 2
            above = self.gamma(middle) > -log_snr
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        return (low + high) / 2
