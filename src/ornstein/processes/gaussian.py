r"""The Gaussian processes: variance preserving, variance exploding, sub-VP, EDM, flow matching.

Each is two amplitudes and their derivatives; everything else is in :class:`GaussianProcess`.
"""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.core.shapes import cast
from ornstein.processes.base import GaussianProcess
from ornstein.processes.schedules import Linear, Schedule


@final
class VP(GaussianProcess):
    r"""Variance preserving: sigma_t^2 = 1 - alpha_t^2, dx = -beta/2 x dt + sqrt(beta) dw, beta = -2 d log alpha/dt.

    The process of DDPM and of the VP SDE. Ho et al. 2020; Song et al. 2021, eq. 25.
    """

    def __init__(self, schedule: Schedule | None = None, t_min: float = 1e-3):
        super().__init__()
        self.schedule = schedule if schedule is not None else Linear()
        self.t_max = self.schedule.t_max
        self.t_min = t_min

    def alpha(self, t: Tensor) -> Tensor:
        return self.schedule.log_alpha(t).exp()

    def sigma(self, t: Tensor) -> Tensor:
        return (-torch.expm1(2 * self.schedule.log_alpha(t))).sqrt()

    def d_alpha(self, t: Tensor) -> Tensor:
        return self.alpha(t) * self.schedule.d_log_alpha(t)

    def d_sigma(self, t: Tensor) -> Tensor:
        # sigma sigma' = -alpha alpha'
        return -self.alpha(t) * self.d_alpha(t) / self.sigma(t)

    def log_snr(self, t: Tensor) -> Tensor:
        log_alpha = self.schedule.log_alpha(t)
        return 2 * log_alpha - torch.log(-torch.expm1(2 * log_alpha))

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        (a,) = cast(x, self.schedule.d_log_alpha(t))
        return a * x

    def diffusion_sq(self, t: Tensor) -> Tensor:
        r"""beta_t = -2 d log alpha / dt."""
        return -2 * self.schedule.d_log_alpha(t)

    def time(self, log_snr: Tensor) -> Tensor:
        return self.schedule.time(log_snr)


@final
class SubVP(GaussianProcess):
    r"""Sub-VP: alpha of a VP process with linear beta, sigma_t = 1 - alpha_t^2: below VP's noise at every t.

    Song et al. 2021, eq. 29.
    """

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0, t_min: float = 1e-3):
        super().__init__()
        self.schedule = Linear(beta_min, beta_max)
        self.t_min = t_min

    def alpha(self, t: Tensor) -> Tensor:
        return self.schedule.log_alpha(t).exp()

    def sigma(self, t: Tensor) -> Tensor:
        return -torch.expm1(2 * self.schedule.log_alpha(t))

    def d_alpha(self, t: Tensor) -> Tensor:
        return self.alpha(t) * self.schedule.d_log_alpha(t)

    def d_sigma(self, t: Tensor) -> Tensor:
        return -2 * self.alpha(t) * self.d_alpha(t)

    def time(self, log_snr: Tensor) -> Tensor:
        # r = alpha/sigma = alpha/(1 - alpha^2): alpha = (sqrt(1 + 4 r^2) - 1)/(2 r) = 2 r/(1 + sqrt(1 + 4 r^2)).
        # 1 - alpha^2 = alpha/r; so log alpha without cancellation near the data is log1p(-alpha/r)/2.
        r = (0.5 * log_snr).exp()
        alpha = 2 * r / (1 + (1 + 4 * r**2).sqrt())
        log_alpha = 0.5 * torch.log1p(-alpha / r)
        log_alpha = torch.where(alpha > 0.5, log_alpha, alpha.log())
        vp_log_snr = 2 * log_alpha - torch.log(-torch.expm1(2 * log_alpha))
        return self.schedule.time(vp_log_snr)


@final
class VE(GaussianProcess):
    r"""Variance exploding: alpha = 1, sigma_t^2 = sigma_min^2 ((sigma_max/sigma_min)^{2t} - 1).

    Song et al. 2021, eq. 30, write sigma_t = sigma_min (sigma_max/sigma_min)^t, which is not 0 at t = 0; this is the
    exact solution of the same SDE from x_0 (their eq. 31), so that the marginal at 0 is the data.
    """

    def __init__(self, sigma_min: float = 0.01, sigma_max: float = 50.0, t_min: float = 1e-3):
        super().__init__()
        if not 0 < sigma_min < sigma_max:
            raise UsageError(f"VE needs 0 < sigma_min < sigma_max, got {sigma_min} and {sigma_max}")
        self.sigma_min, self.sigma_max, self.t_min = sigma_min, sigma_max, t_min
        self._rate = 2 * math.log(sigma_max / sigma_min)

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return self.sigma_min * torch.expm1(self._rate * t).sqrt()

    def d_alpha(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t)

    def d_sigma(self, t: Tensor) -> Tensor:
        return 0.5 * self.sigma_min**2 * self._rate * (self._rate * t).exp() / self.sigma(t)

    def diffusion_sq(self, t: Tensor) -> Tensor:
        return self.sigma_min**2 * self._rate * (self._rate * t).exp()

    def time(self, log_snr: Tensor) -> Tensor:
        return torch.log1p((-log_snr).exp() / self.sigma_min**2) / self._rate


@final
class EDM(GaussianProcess):
    r"""alpha = 1, sigma_t = sigma_max t: noise is the clock. Karras et al. 2022.

    Grids are usually written in sigma (``ornstein.samplers.grids.karras``); ``sigma_min`` is the last level at which
    the network is asked.
    """

    def __init__(self, sigma_min: float = 0.002, sigma_max: float = 80.0):
        super().__init__()
        if not 0 < sigma_min < sigma_max:
            raise UsageError(f"EDM needs 0 < sigma_min < sigma_max, got {sigma_min} and {sigma_max}")
        self.sigma_min, self.sigma_max = sigma_min, sigma_max
        self.t_min = sigma_min / sigma_max

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return self.sigma_max * t

    def d_alpha(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t)

    def d_sigma(self, t: Tensor) -> Tensor:
        return torch.full_like(t, self.sigma_max)

    def diffusion_sq(self, t: Tensor) -> Tensor:
        return 2 * self.sigma_max**2 * t

    def time(self, log_snr: Tensor) -> Tensor:
        return (-0.5 * log_snr).exp() / self.sigma_max


@final
class FlowMatching(GaussianProcess):
    r"""alpha = 1 - t, sigma = t: straight lines between data and noise.

    Lipman et al. 2022; Liu et al. 2022. Their papers run time the other way (0 noise, 1 data) and predict
    x_1 - x_0 = -v of ours: here v = d x_t / dt = eps - x_0, as everywhere in this library (and in Stable Diffusion 3).
    The signal vanishes at t = 1; a velocity is finite there, and so sampling starts at ``t_max`` = 1.
    """

    def __init__(self, t_min: float = 1e-3, t_max: float = 1.0):
        super().__init__()
        self.t_min, self.t_max = t_min, t_max

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        return t.clone()

    def d_alpha(self, t: Tensor) -> Tensor:
        return -torch.ones_like(t)

    def d_sigma(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def diffusion_sq(self, t: Tensor) -> Tensor:
        return 2 * t / (1 - t)

    def time(self, log_snr: Tensor) -> Tensor:
        return torch.sigmoid(-0.5 * log_snr)
