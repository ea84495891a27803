r"""Exact likelihood by the probability flow.

With y = x_t/alpha_t, sigma = sigma_t/alpha_t = tan a and z = y cos a, the flow of every affine process with one amplitude for all
coordinates is the same equation, smooth from the data (a = 0) to pure noise (a = pi/2):

    dz/da = v = eps cos a - x_0 sin a,    log p_0(x) = log p_T(z_T) + int div v da + log |dz/dx| at the start.
"""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from ornstein.core import cond as conditions
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Score
from ornstein.core.errors import CapabilityError, unknown
from ornstein.core.rng import Random
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.likelihood.base import Estimator
from ornstein.likelihood.divergence import exact, hutchinson, rademacher
from ornstein.likelihood.rk45 import integrate
from ornstein.processes.base import Affine

EXACT_UP_TO = 64
"""Coordinates up to which the trace is computed rather than estimated, unless something else is asked for."""


@final
class ProbabilityFlow(Estimator):
    r"""log p(x) by change of variables along the probability flow. Song et al. 2021, 2011.13456, section 4.3.

    No network is asked below t_min. From the data to there eps grows linearly in sigma (it is -sigma times the score), so
    that the first stretch is y + sigma/2 eps(y), its log-determinant sigma/2 div eps, both with an error of order sigma^4;
    the usual recipe, which takes x to be a draw at t_min, is wrong by order sigma^2.

    Args:
        trace: "exact" (one backward pass a coordinate), "hutchinson" (one in all; draws a sign a coordinate), or None: exact up
            to 64 coordinates.
        tolerance: of a step. ``steps`` takes so many equal ones in a instead.
    """

    needs = Affine
    advice: ClassVar[str] = (
        "A categorical process has method 'discrete'; any process with a reverse kernel has the bound of its chain, "
        "method 'vlb' with steps."
    )
    bound = False

    def __init__(
        self,
        denoiser: Denoiser,
        *,
        trace: Literal["exact", "hutchinson"] | None = None,
        tolerance: float = 1e-5,
        steps: int | None = None,
    ):
        super().__init__(denoiser)
        if trace not in (None, "exact", "hutchinson"):
            raise unknown("trace", trace, ("exact", "hutchinson"))
        self.trace, self.tolerance, self.steps = trace, tolerance, steps
        if self.process.alpha(torch.tensor(0.5, dtype=torch.float64)).numel() != 1:
            raise CapabilityError(
                f"the likelihood by the flow needs one alpha for all coordinates; {type(denoiser.process).__name__} has "
                "one for each. Use the bound of its chain, method 'vlb' with steps"
            )

    def exact_for(self, x: Tensor) -> bool:
        """Whether the trace is exact for such data."""
        return self.trace == "exact" or (self.trace is None and x[0].numel() <= EXACT_UP_TO)

    def weighs(self, x: Tensor) -> bool:
        return self.exact_for(x)

    def noisy(self, x: Tensor) -> bool:
        return not self.exact_for(x)

    def angle(self, t: float) -> Tensor:
        """atan(sigma_t/alpha_t), also where alpha_t = 0."""
        time = torch.tensor(t, dtype=torch.float64)
        return torch.atan2(self.process.sigma(time), self.process.alpha(time))

    def predict(self, z: Tensor, a: Tensor, dtype: torch.dtype, cond: Cond) -> tuple[Tensor, Tensor, Tensor]:
        """eps and x_0 at angle ``a [n]`` and the angle as the process has it, float64, of z's rank."""
        p = self.process
        t = p.time(-2 * a.tan().abs().log()).clamp(p.t_min, p.t_max)
        t = expand(t, z)
        alpha, sigma = p.alpha(t), p.sigma(t)
        x_t = z * (alpha**2 + sigma**2).sqrt()
        posterior = self.denoiser(x_t.to(dtype), t, cond)
        if isinstance(posterior, Score):
            raise CapabilityError(
                f"this denoiser knows a score alone, which on {type(p).__name__} is no flow from noise to data: it has no "
                "likelihood. Train one that predicts eps, x_0 or v"
            )
        x_0 = posterior.mean.double()
        return (x_t - alpha * x_0) / sigma, x_0, torch.atan2(sigma, alpha)

    def draws(self, x: Tensor, rng: Random, cond: Cond = NO_COND, repeats: int = 1) -> Tensor:
        if self.exact_for(x):
            return self._once(x, None, cond).expand(repeats, -1)
        return torch.stack([self._once(x, rademacher(x.double(), rng), cond) for _ in range(repeats)])

    def _once(self, x: Tensor, probe: Tensor | None, cond: Cond) -> Tensor:
        p = self.process
        begin, end = float(self.angle(p.t_min)), float(self.angle(p.t_max))
        start = torch.full((len(x),), begin, dtype=torch.float64, device=x.device)
        y, cos, tan = x.double(), float(torch.cos(start[0])), float(torch.tan(start[0]))

        def noise(y: Tensor) -> Tensor:
            return self.predict(y * cos, start, x.dtype, cond)[0]

        eps, div = exact(noise, y) if probe is None else hutchinson(noise, y, probe)
        log_det = tan / 2 * div + x[0].numel() * torch.log(torch.cos(start))
        z = cos * (y + tan / 2 * eps)

        def field(a: Tensor, z: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            part = conditions.rows(cond, rows)

            def velocity(z: Tensor) -> Tensor:
                eps, x_0, at = self.predict(z, a, x.dtype, part)
                return at.cos() * eps - at.sin() * x_0

            return exact(velocity, z) if probe is None else hutchinson(velocity, z, probe[rows])

        z, log_det = integrate(field, z, log_det, start, end, tolerance=self.tolerance, steps=self.steps)
        top = torch.tensor(p.t_max, dtype=torch.float64)
        scale = (p.alpha(top) ** 2 + p.sigma(top) ** 2).sqrt()
        prior = p.prior(x.shape)
        return prior.log_prob((z * scale).cpu()).to(x.device) + x[0].numel() * scale.log() + log_det
