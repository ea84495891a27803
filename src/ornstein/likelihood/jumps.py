"""The bound of a continuous-time Markov chain on a finite set."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import kl
from ornstein.core.rng import Random
from ornstein.core.shapes import expand, sum_rest
from ornstein.likelihood.base import Estimator
from ornstein.likelihood.chain import certain, ends, wide_posterior
from ornstein.likelihood.decoder import States
from ornstein.processes.base import Rate


@final
class JumpBound(Estimator):
    r"""log p(x) >= -KL(q(x_T|x)||p(x_T)) + E log p(x|x_{t_min}) - int E sum_y [r log(r/m) - r + m] dt.

    r(y) is the reverse rate from x_t to y given x, m(y) the model's, both from :meth:`Rate.reverse_rate`; the integrand is
    the rate of the relative entropy of two jump processes. Times are uniform, stratified over the repeats. Campbell et al.
    2022, 2205.14987, proposition 2; masked language models are the case of an absorbing limit (Sahoo et al. 2024, 2406.07524).
    """

    needs = Rate
    advice: ClassVar[str] = "A Gaussian process has methods 'ode' and 'vlb'."

    def draws(self, x: Tensor, rng: Random, cond: Cond = NO_COND, repeats: int = 1) -> Tensor:
        p = self.process
        low, high = float(p.t_min), float(p.t_max)
        last = torch.tensor(low, dtype=torch.float64, device=x.device)
        prior = kl(*ends(p, x, torch.tensor(high, dtype=torch.float64, device=x.device)))
        known = certain(x, p)
        out = []
        for r in range(repeats):
            u = rng.uniform((len(x),), dtype=torch.float64, device=x.device)
            t = expand(low + (high - low) * (r + u) / repeats, x)
            x_t = p.marginal(x, t).sample(rng)
            true = p.reverse_rate(x_t, t, known)
            model = p.reverse_rate(x_t, t, wide_posterior(self.denoiser(x_t, t, cond)))
            here = torch.nn.functional.one_hot(x_t, true.shape[-1]).bool()
            terms = torch.special.xlogy(true, true) - torch.special.xlogy(true, model) - true + model
            loss = (high - low) * sum_rest(terms.masked_fill(here, 0).sum(-1))
            end = self.denoiser(p.marginal(x, expand(last, x)).sample(rng), last, cond)
            out.append(States().log_prob(x, p, last, end) - loss - prior)
        return torch.stack(out)
