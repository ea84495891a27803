"""The variational bound in continuous time."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Gaussian, Posterior, kl
from ornstein.core.errors import CapabilityError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast, expand, sum_rest
from ornstein.denoisers.denoiser import Denoiser
from ornstein.likelihood.base import Estimator
from ornstein.likelihood.decoder import Decoder, Density
from ornstein.processes.base import GaussianProcess

LEAST_LOG_SNR = -20.0
"""Where the signal is gone, the rest of the way to log-SNR minus infinity is left to the prior's term."""


@final
class VariationalBound(Estimator):
    r"""log p(x) >= -KL(q(x_T|x)||p(x_T)) + E log p(x|x_{t_min}) - 1/2 int SNR |x - x_0(x_t)|^2 d log SNR.

    Invariant to the schedule between its ends, tight where the denoiser is exact. Levels are drawn uniformly in log-SNR,
    stratified over the repeats; there the integrand is |eps - eps(x_t)|^2, of order dims. Kingma et al. 2021, 2107.00630.
    """

    needs = GaussianProcess
    advice: ClassVar[str] = "A categorical process has method 'discrete'."

    def __init__(self, denoiser: Denoiser, decoder: Decoder | None = None):
        super().__init__(denoiser)
        self.decoder = decoder if decoder is not None else Density()
        half = torch.tensor(0.5, dtype=torch.float64)
        if self.process.alpha(half).numel() != 1 or self.process.sigma(half).numel() != 1:
            raise CapabilityError(
                "the bound in continuous time needs one log-SNR for all coordinates; "
                f"{type(denoiser.process).__name__} has one for each. Give steps: the bound of a chain takes it"
            )

    def draws(self, x: Tensor, rng: Random, cond: Cond = NO_COND, repeats: int = 1) -> Tensor:
        p = self.process
        top, low = self._top()
        last = torch.tensor(p.t_min, dtype=torch.float64, device=x.device)
        high = float(p.log_snr(last))
        start = expand(torch.tensor(top), x)
        prior = kl(p.marginal(x.double(), start), Gaussian(torch.zeros_like(x).double(), p.sigma(start) ** 2))
        out = []
        for r in range(repeats):
            u = rng.uniform((len(x),), dtype=torch.float64, device=x.device)
            level = low + (r + u) / repeats * (high - low)
            guess, extra = self._ask(x, p.time(level).clamp(p.t_min, top), rng, cond)
            loss = level.exp() * sum_rest((guess.mean.double() - x.double()) ** 2) - level.sigmoid() * extra
            end, extra = self._ask(x, last, rng, cond)
            found = self.decoder.log_prob(x, p, last, end)
            if isinstance(self.decoder, Density):
                found = found + 0.5 * extra
            out.append(found - 0.5 * (high - low) * loss - prior)
        return torch.stack(out)

    def _ask(self, x: Tensor, t: Tensor, rng: Random, cond: Cond) -> tuple[Posterior, Tensor]:
        """The posterior at a draw of x_t, and |eps|^2 - dims of that draw.

        The latter has mean 0 and, where the signal is strong, rises with the squared error: it takes most of the noise away.
        """
        t = expand(t, x)
        eps = rng.normal_like(x)
        alpha, sigma = cast(x, self.process.alpha(t), self.process.sigma(t))
        return self.denoiser(alpha * x + sigma * eps, t, cond), sum_rest(eps.double() ** 2) - x[0].numel()

    def _top(self) -> tuple[float, float]:
        """The first time of the bound, and its log-SNR."""
        p = self.process
        time = torch.tensor(p.t_max, dtype=torch.float64)
        level = float(p.log_snr(time))
        if level >= LEAST_LOG_SNR:
            return float(time), level
        return float(p.time(torch.tensor(LEAST_LOG_SNR, dtype=torch.float64))), LEAST_LOG_SNR
