"""Importance weights of whole reverse paths."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Random
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.likelihood.base import Estimator
from ornstein.likelihood.chain import certain, chain, ends, wide, wide_posterior
from ornstein.likelihood.decoder import Decoder, Density, States
from ornstein.processes.base import Reversible


@final
class PathWeights(Estimator):
    r"""log w = log p(x_T)/q(x_T|x) + sum log p(x_s|x_t)/q(x_s|x_t, x) + log p(x|x_1), along one path drawn from q(. | x).

    E[w] = p(x): the mean of log w is the bound of the chain, log of the mean of K weights the importance-weighted one, which
    is tighter and tends to log p(x) (Burda et al. 2016, 1509.00519). A draw asks the network ``steps`` times.
    """

    needs = Reversible
    advice: ClassVar[str] = "An affine process has the likelihood by the flow, method 'ode'."

    def __init__(self, denoiser: Denoiser, steps: int, decoder: Decoder | None = None):
        super().__init__(denoiser)
        self.grid, self.decoder = chain(denoiser.process, steps), decoder

    def weighs(self, x: Tensor) -> bool:
        return True

    def draws(self, x: Tensor, rng: Random, cond: Cond = NO_COND, repeats: int = 1) -> Tensor:
        return torch.stack([self._path(x, rng, cond) for _ in range(repeats)])

    def _path(self, x: Tensor, rng: Random, cond: Cond) -> Tensor:
        p, grid = self.process, self.grid.to(x.device)
        decoder = self.decoder or (Density() if x.is_floating_point() else States())
        q, prior = ends(p, x, grid[0])
        x_t = q.sample(rng)
        total = prior.log_prob(x_t.cpu()).to(x.device) - q.log_prob(x_t)
        known = certain(x, p)
        for t, s in pairwise(grid):
            t, s = expand(t, x), expand(s, x)
            asked = x_t.to(x.dtype) if x.is_floating_point() else x_t
            posterior = wide_posterior(self.denoiser(asked, t, cond))
            if float(s.max()) == 0:
                return total + decoder.log_prob(x, p, t, posterior)
            back = p.reverse(wide(x_t), t, s, known)
            x_s = back.sample(rng)
            total = total + p.reverse(wide(x_t), t, s, posterior).log_prob(x_s) - back.log_prob(x_s)
            x_t = x_s
        raise AssertionError("a chain ends at 0")
