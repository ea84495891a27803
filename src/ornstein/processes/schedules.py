r"""Variance-preserving schedules: how fast the signal's amplitude alpha_t falls, with sigma_t^2 = 1 - alpha_t^2.

A schedule gives ``log_alpha`` and its derivative in closed form and inverts ``log_snr``. Discrete-time papers index
n = 1..T; here step n is the time t = n/T, and :class:`Table` holds such a list of betas.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from ornstein.core.errors import UsageError


class Schedule(nn.Module, ABC):
    """alpha_t of a variance-preserving process, alpha_0 = 1."""

    t_max: float = 1.0

    @abstractmethod
    def log_alpha(self, t: Tensor) -> Tensor:
        """log alpha_t <= 0."""

    @abstractmethod
    def d_log_alpha(self, t: Tensor) -> Tensor:
        """d log alpha / dt."""

    @abstractmethod
    def time(self, log_snr: Tensor) -> Tensor:
        """t at which log(alpha^2 / (1 - alpha^2)) has this value."""


class Linear(Schedule):
    r"""beta(t) = beta_min + (beta_max - beta_min) t, log alpha_t = -(beta_min t + (beta_max - beta_min) t^2 / 2) / 2.

    The continuous limit of DDPM's linear betas (1e-4 .. 0.02, T = 1000). Song et al. 2021, appendix C.
    """

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0):
        super().__init__()
        if not 0 <= beta_min < beta_max:
            raise UsageError(f"a linear schedule needs 0 <= beta_min < beta_max, got {beta_min} and {beta_max}")
        self.beta_min, self.beta_max = beta_min, beta_max

    def log_alpha(self, t: Tensor) -> Tensor:
        return -0.5 * (self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t**2)

    def d_log_alpha(self, t: Tensor) -> Tensor:
        return -0.5 * (self.beta_min + (self.beta_max - self.beta_min) * t)

    def time(self, log_snr: Tensor) -> Tensor:
        # alpha^2 = sigmoid(log_snr), so B = -2 log alpha = softplus(-log_snr); the root is written without cancellation.
        b = torch.nn.functional.softplus(-log_snr)
        d = self.beta_max - self.beta_min
        return 2 * b / (self.beta_min + (self.beta_min**2 + 2 * d * b).sqrt())


class Cosine(Schedule):
    r"""alpha_t = cos(pi/2 (t + s)/(1 + s)) / cos(pi/2 s/(1 + s)). Nichol & Dhariwal 2021, eq. 17.

    The signal vanishes at t = 1, where a prediction of eps cannot be inverted: sampling starts at ``t_max``.
    """

    def __init__(self, s: float = 0.008, t_max: float = 0.999):
        super().__init__()
        if s < 0:
            raise UsageError(f"a cosine schedule needs s >= 0, got {s}")
        self.s, self.t_max = s, t_max
        self._cos0 = math.cos(math.pi / 2 * s / (1 + s))

    def _angle(self, t: Tensor) -> Tensor:
        return (t + self.s) / (1 + self.s) * (math.pi / 2)

    def log_alpha(self, t: Tensor) -> Tensor:
        return (self._angle(t).cos().clamp_min(0) / self._cos0).log()

    def d_log_alpha(self, t: Tensor) -> Tensor:
        return -self._angle(t).tan() * (math.pi / 2) / (1 + self.s)

    def time(self, log_snr: Tensor) -> Tensor:
        alpha = torch.sigmoid(log_snr).sqrt()
        return (torch.acos((alpha * self._cos0).clamp(-1, 1)) * (2 / math.pi) * (1 + self.s) - self.s).clamp(0, 1)


class Sigmoid(Schedule):
    r"""alpha_t^2 = (v_1 - sigmoid((start + t (end - start))/tau)) / (v_1 - v_0), v_i the sigmoid at both ends.

    Jabri, Fleet & Chen 2022, 2212.11972, algorithm 1 (start -3, end 3, tau 1). The signal vanishes at t = 1.
    """

    def __init__(self, start: float = -3.0, end: float = 3.0, tau: float = 1.0, t_max: float = 0.999):
        super().__init__()
        if not (start < end and tau > 0):
            raise UsageError(f"a sigmoid schedule needs start < end and tau > 0, got {start}, {end} and {tau}")
        self.start, self.end, self.tau, self.t_max = start, end, tau, t_max
        self._v0, self._v1 = 1 / (1 + math.exp(-start / tau)), 1 / (1 + math.exp(-end / tau))

    def _sigmoid(self, t: Tensor) -> Tensor:
        return torch.sigmoid((self.start + t * (self.end - self.start)) / self.tau)

    def log_alpha(self, t: Tensor) -> Tensor:
        return 0.5 * ((self._v1 - self._sigmoid(t)).clamp_min(0) / (self._v1 - self._v0)).log()

    def d_log_alpha(self, t: Tensor) -> Tensor:
        v = self._sigmoid(t)
        return -0.5 * v * (1 - v) * (self.end - self.start) / self.tau / (self._v1 - v)

    def time(self, log_snr: Tensor) -> Tensor:
        v = self._v1 - torch.sigmoid(log_snr) * (self._v1 - self._v0)
        return ((torch.logit(v) * self.tau - self.start) / (self.end - self.start)).clamp(0, 1)


_TABLE: dict[str, Any] = {"dtype": torch.float64, "device": "cpu"}
"""Tables are made of numbers even where a network is built without memory, on the meta device."""


class Table(Schedule):
    r"""T betas of a discrete-time paper: alpha_{n/T}^2 = prod_{i <= n} (1 - beta_i), exact at t = n/T.

    Between two steps alpha is interpolated linearly, which stays finite where the last beta is 1 (zero terminal SNR).
    The constructors are the published tables.
    """

    _gap: Tensor

    def __init__(self, betas: Tensor):
        super().__init__()
        betas = torch.as_tensor(betas, **_TABLE)
        if betas.ndim != 1 or len(betas) < 2 or not bool(((betas > 0) & (betas <= 1)).all()):
            raise UsageError("betas must be a list of at least two numbers in (0, 1]")
        log_alpha = 0.5 * torch.cumsum(torch.log1p(-betas), 0)
        self.register_buffer("_gap", torch.cat([torch.zeros(1, **_TABLE), -torch.expm1(log_alpha)]), persistent=False)
        self.steps = len(betas)
        if bool(betas[-1] == 1):
            self.t_max = 1.0 - 1e-3 / self.steps  # alpha_1 = 0: a hair before it, where everything is finite

    @classmethod
    def linear(cls, steps: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> Table:
        """DDPM's betas, rescaled by 1000/T so that the total noise does not depend on T. Ho et al. 2020."""
        scale = 1000 / steps
        return cls(torch.linspace(beta_1 * scale, min(beta_T * scale, 0.999), steps, **_TABLE))

    @classmethod
    def scaled_linear(cls, steps: int = 1000, beta_1: float = 0.00085, beta_T: float = 0.012) -> Table:
        """Linear in sqrt(beta): latent and stable diffusion. Rombach et al. 2022."""
        return cls(torch.linspace(beta_1**0.5, beta_T**0.5, steps, **_TABLE) ** 2)

    @classmethod
    def cosine(cls, steps: int = 1000, s: float = 0.008, max_beta: float = 0.999) -> Table:
        """Nichol & Dhariwal 2021: betas from the cosine curve, clipped at 0.999."""
        t = torch.linspace(0, 1, steps + 1, **_TABLE)
        bar = torch.cos((t + s) / (1 + s) * (math.pi / 2)) ** 2
        return cls((1 - bar[1:] / bar[:-1]).clamp(max=max_beta))

    @classmethod
    def sigmoid(cls, steps: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> Table:
        """betas on a sigmoid from -6 to 6 (the molecular-conformation papers; diffusers' ``sigmoid``)."""
        return cls(torch.sigmoid(torch.linspace(-6, 6, steps, **_TABLE)) * (beta_T - beta_1) + beta_1)

    @classmethod
    def harmonic(cls, steps: int = 1000, beta_1: float = 1e-3) -> Table:
        """beta_n = 1/m, m from T down to 2 in equal steps, and ``beta_1`` more at the first: an equal part of what is left of
        the signal is lost at each. The released code of Sohl-Dickstein et al. 2015."""
        if steps < 2:
            raise UsageError(f"a chain needs at least 2 steps, got {steps}")
        betas = 1 / torch.linspace(steps, 2, steps, **_TABLE)
        betas[0] += beta_1
        return cls(betas)

    def betas(self) -> Tensor:
        """The table back, ``[T]``."""
        alpha = 1 - self._gap
        return 1 - (alpha[1:] / alpha[:-1]) ** 2

    def zero_terminal_snr(self) -> Table:
        r"""Shift and scale alpha so that alpha_1 = 0 and alpha_{1/T} stays. Lin et al. 2023, algorithm 1."""
        alpha = 1 - self._gap[1:]
        alpha = (alpha - alpha[-1]) * (alpha[0] / (alpha[0] - alpha[-1]))
        bar = torch.cat([torch.ones(1, **_TABLE), alpha**2])
        return Table(1 - bar[1:] / bar[:-1])

    def _locate(self, t: Tensor) -> tuple[Tensor, Tensor]:
        n = (t * self.steps).clamp(0, self.steps)
        low = n.floor().clamp(max=self.steps - 1).long()
        return low, n - low

    def log_alpha(self, t: Tensor) -> Tensor:
        gap = self._gap.to(t.device)
        low, part = self._locate(t)
        return torch.log1p(-(gap[low] + part * (gap[low + 1] - gap[low])))

    def d_log_alpha(self, t: Tensor) -> Tensor:
        gap = self._gap.to(t.device)
        low, part = self._locate(t)
        slope = gap[low + 1] - gap[low]
        return -self.steps * slope / (1 - gap[low] - part * slope)

    def time(self, log_snr: Tensor) -> Tensor:
        gap_table = self._gap.to(log_snr.device)
        # 1 - alpha from log_snr without cancellation: alpha = exp(-softplus(-log_snr)/2)
        gap = -torch.expm1(-0.5 * torch.nn.functional.softplus(-log_snr))
        low = (torch.searchsorted(gap_table, gap.contiguous(), right=True) - 1).clamp(0, self.steps - 1)
        part = (gap - gap_table[low]) / (gap_table[low + 1] - gap_table[low])
        return ((low + part) / self.steps).clamp(0, 1)
