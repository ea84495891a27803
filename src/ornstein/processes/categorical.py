r"""Noise on a finite set: each coordinate keeps its value with probability keep_t and else is a draw from a limit law.

Uniform limits (multinomial diffusion), absorbing ones (masks) and skewed ones are the same three formulas, each O(K).
States are int64 ``[B, ...]`` in ``0 .. K - 1``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from ornstein.core.distributions import Categorical, Dirac, Posterior
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast, sum_rest
from ornstein.processes.base import Rate, Reversible
from ornstein.processes.schedules import Schedule


@final
class LinearKeep(Schedule):
    r"""keep_t = alpha_t^2 = 1 - t: the same expected number of coordinates changes in every equal step.

    The schedule of absorbing D3PM (Austin et al. 2021, beta_n = 1/(T - n + 1)) and of masked language models.
    """

    def log_alpha(self, t: Tensor) -> Tensor:
        return 0.5 * torch.log1p(-t)

    def d_log_alpha(self, t: Tensor) -> Tensor:
        return -0.5 / (1 - t)

    def time(self, log_snr: Tensor) -> Tensor:
        return torch.sigmoid(-log_snr)


@final
class Corrupted(Categorical):
    r"""keep delta_{x_0} + (1 - keep) limit, without building its ``[B, ..., K]`` table unless ``logits`` is asked for."""

    def __init__(self, x_0: Tensor, keep: Tensor, limit: Tensor):
        self.x_0, self.keep, self.limit = x_0, keep, limit

    @property
    def logits(self) -> Tensor:  # type: ignore[override]
        """log q, ``[B, ..., K]``; -inf where a state cannot be reached."""
        keep = self.keep.expand(self.x_0.shape).unsqueeze(-1)
        kept = torch.nn.functional.one_hot(self.x_0, len(self.limit)).to(self.limit)
        return (keep * kept + (1 - keep) * self.limit).log()

    def sample(self, rng: Random) -> Tensor:
        u = rng.uniform(self.x_0.shape, dtype=torch.float64, device=self.x_0.device)
        v = rng.uniform(self.x_0.shape, dtype=torch.float64, device=self.x_0.device)
        # A state without mass is never drawn: searching to the right skips steps of the cumulative sum of height 0.
        cdf = self.limit.double().cumsum(0)
        last = int(self.limit.nonzero().max())
        fresh = torch.searchsorted(cdf, v * cdf[-1], right=True).clamp_(max=last)
        return torch.where(u < self.keep, self.x_0, fresh)

    def log_prob(self, x: Tensor) -> Tensor:
        prob = (1 - self.keep) * self.limit[x] + self.keep * (x == self.x_0)
        return sum_rest(prob.log().expand(x.shape))


@final
class CategoricalProcess(Reversible, Rate):
    r"""q(x_t | x_0) = keep_t delta_{x_0} + (1 - keep_t) limit, keep_t = alpha_t^2 of a schedule, per coordinate.

    Between two times the chain has the same form, with keep_t / keep_s; its generator is beta_t (limit_y - delta_xy),
    beta = -d log keep/dt. Hoogeboom et al. 2021 (uniform); Austin et al. 2021 (absorbing); Sahoo et al. 2024.
    """

    limit: Tensor

    def __init__(self, limit: Tensor, schedule: Schedule | None = None, t_min: float = 1e-3):
        super().__init__()
        limit = torch.as_tensor(limit, dtype=torch.float64)
        if limit.ndim != 1 or len(limit) < 2 or bool((limit < 0).any()) or not bool(limit.sum() > 0):
            raise UsageError("a limit law is a list of at least two weights >= 0, not all 0")
        self.register_buffer("limit", limit / limit.sum(), persistent=False)
        self.schedule = schedule if schedule is not None else LinearKeep()
        self.t_max, self.t_min = self.schedule.t_max, t_min

    @classmethod
    def uniform(cls, k: int, schedule: Schedule | None = None) -> CategoricalProcess:
        """Values turn into any of the K with equal probability: multinomial diffusion."""
        return cls(torch.ones(k), schedule)

    @classmethod
    def absorbing(cls, k: int, schedule: Schedule | None = None) -> CategoricalProcess:
        """Values turn into the mask, which is state K - 1 and stays."""
        if k < 2:
            raise UsageError(f"an absorbing process needs at least one value beside the mask, got k = {k}")
        limit = torch.zeros(k)
        limit[-1] = 1
        return cls(limit, schedule)

    @property
    def states(self) -> int:
        """K."""
        return len(self.limit)

    def keep(self, t: Tensor) -> Tensor:
        """The probability with which a coordinate still has its value."""
        return (2 * self.schedule.log_alpha(t)).exp()

    def beta(self, t: Tensor) -> Tensor:
        """-d log keep/dt: how often, per unit of time, a coordinate is drawn anew."""
        return -2 * self.schedule.d_log_alpha(t)

    def prior(self, shape: Sequence[int]) -> Corrupted:
        """The limit law in every coordinate."""
        x = torch.zeros(tuple(shape), dtype=torch.int64, device=self.limit.device)
        return Corrupted(x, torch.zeros((), dtype=torch.float64, device=x.device), self.limit)

    def marginal(self, x_0: Tensor, t: Tensor) -> Corrupted:
        return Corrupted(x_0, self.keep(t), self.limit.to(x_0.device))

    def _probs(self, posterior: Posterior, x_t: Tensor) -> Tensor:
        """The posterior as a table ``[B, ..., K]``."""
        if isinstance(posterior, Categorical):
            return posterior.probs
        if isinstance(posterior, Dirac):
            return torch.nn.functional.one_hot(posterior.x, self.states).to(torch.get_default_dtype())
        raise CapabilityError(
            f"a process on {self.states} states needs a Categorical posterior (logits) or a Dirac on states, "
            f"got {type(posterior).__name__}"
        )

    def _tilted(self, x_t: Tensor, t: Tensor, posterior: Posterior) -> tuple[Tensor, Tensor, Tensor]:
        """w_l = p_l / q(x_t | l), the one-hot x_t, and where limit_{x_t} = 0: ``[B, ..., K]``, same, ``[B, ..., 1]``."""
        probs = self._probs(posterior, x_t)
        here = torch.nn.functional.one_hot(x_t, self.states).to(probs)
        keep = _last(self.keep(t))
        limit_here = self.limit.to(x_t.device)[x_t].unsqueeze(-1)
        never = limit_here == 0
        base, keep = cast(probs, (1 - keep) * limit_here, keep)
        likelihood = keep * here + base
        weights = probs / torch.where(never, torch.ones_like(likelihood), likelihood)
        return weights, here, never

    def reverse(self, x_t: Tensor, t: Tensor, s: Tensor, posterior: Posterior) -> Categorical:
        r"""sum_l p_l q(x_s = j | x_t, l) = (kappa delta_{j x_t} + (1 - kappa) limit_{x_t}) (keep_s w_j + (1 - keep_s) limit_j W).

        kappa = keep_t / keep_s, w_l = p_l / q(x_t | l), W = sum_l w_l. A value that noise never produces (limit_{x_t} = 0:
        any but the mask in an absorbing process) is that of x_0 for certain, and stays whatever the posterior says.
        """
        weights, here, never = self._tilted(x_t, t, posterior)
        log_s, log_t = 2 * self.schedule.log_alpha(s), 2 * self.schedule.log_alpha(t)
        kappa, fresh = _last((log_t - log_s).exp()), _last(-torch.expm1(log_t - log_s))
        keep_s, gone_s = _last(log_s.exp()), _last(-torch.expm1(log_s))
        limit_here = self.limit.to(x_t.device)[x_t].unsqueeze(-1)
        kappa, jump, keep_s, gone = cast(weights, kappa, fresh * limit_here, keep_s, gone_s * self.limit.to(x_t.device))
        probs = (kappa * here + jump) * (keep_s * weights + gone * weights.sum(-1, keepdim=True))
        return Categorical(log(torch.where(never, here, probs)))

    def rate(self, x: Tensor, t: Tensor) -> Tensor:
        """The generator's row: beta_t limit_y for y other than x, and minus their sum at x."""
        here = torch.nn.functional.one_hot(x, self.states).to(self.limit)
        return _last(self.beta(t)) * (self.limit.to(x.device) - here)

    def ratio(self, x_t: Tensor, t: Tensor, posterior: Posterior) -> Tensor:
        r"""p_t(y)/p_t(x_t) = E_{x_0 ~ posterior}[q(y | x_0)/q(x_t | x_0)] = keep_t w_y + (1 - keep_t) limit_y W.

        Where limit_{x_t} = 0 the posterior does not determine the ratio, and no reverse jump leaves x_t: the row is then 1
        at x_t and 0 elsewhere.
        """
        weights, here, never = self._tilted(x_t, t, posterior)
        keep = _last(self.keep(t))
        keep, gone = cast(weights, keep, (1 - keep) * self.limit.to(x_t.device))
        return torch.where(never, here, keep * weights + gone * weights.sum(-1, keepdim=True))

    def reverse_rate(self, x_t: Tensor, t: Tensor, posterior: Posterior) -> Tensor:
        limit_here = self.limit.to(x_t.device)[x_t].unsqueeze(-1)
        ratio = self.ratio(x_t, t, posterior)
        (into,) = cast(ratio, _last(self.beta(t)) * limit_here)
        here = torch.nn.functional.one_hot(x_t, self.states).to(ratio)
        jumps = into * ratio * (1 - here)
        return jumps - here * jumps.sum(-1, keepdim=True)


def log(probs: Tensor) -> Tensor:
    """log p with -inf at 0, where its gradient is 0 and not infinite times 0."""
    some = probs > 0
    return torch.where(some, probs, 1.0).log().masked_fill(~some, -torch.inf)


def _last(t: Tensor) -> Tensor:
    """A time of x's rank against a table ``[B, ..., K]``."""
    return t if t.ndim == 0 else t.unsqueeze(-1)
