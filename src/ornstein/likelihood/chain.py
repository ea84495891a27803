"""The variational bound in discrete time, for every process with a reverse kernel."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Categorical, Dirac, Distribution, Posterior, kl
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.likelihood.base import Estimator
from ornstein.likelihood.decoder import Decoder, Density, States
from ornstein.processes.base import Process, Reversible


def certain(x_0: Tensor, process: Process) -> Posterior:
    """The posterior that knows x_0, in float64."""
    if x_0.is_floating_point():
        return Dirac(x_0.double())
    states = int(process.states)  # type: ignore[arg-type]
    return Categorical(torch.nn.functional.one_hot(x_0, states).double().log())


def chain(process: Process, steps: int) -> Tensor:
    """Equal steps in t from ``t_max`` to 0, as in the papers of discrete time: ``[steps + 1]``."""
    if steps < 1:
        raise UsageError(f"steps must be at least 1, got {steps}")
    return torch.linspace(process.t_max, 0, steps + 1, dtype=torch.float64)


@final
class ChainBound(Estimator):
    r"""log p(x) >= -KL(q(x_T|x)||p(x_T)) + E log p(x|x_1) - sum_{t > 1} KL(q(x_s|x_t, x)||p(x_s|x_t)), a chain of ``steps``.

    p(x_s|x_t) is the process's reverse kernel under the denoiser's posterior: the model that ancestral sampling draws from.
    A draw takes one step of the sum, stratified over the repeats, and weighs it by their number. Sohl-Dickstein et al. 2015;
    Ho et al. 2020, eq. 5 (Gaussian); Austin et al. 2021, eq. 1 (categorical).
    """

    needs = Reversible
    advice: ClassVar[str] = "An affine process has the likelihood by the flow, method 'ode'."

    def __init__(self, denoiser: Denoiser, steps: int, decoder: Decoder | None = None):
        super().__init__(denoiser)
        self.grid, self.decoder = chain(denoiser.process, steps), decoder

    def draws(self, x: Tensor, rng: Random, cond: Cond = NO_COND, repeats: int = 1) -> Tensor:
        p, grid = self.process, self.grid.to(x.device)
        decoder = self.decoder or (Density() if x.is_floating_point() else States())
        prior = kl(*ends(p, x, grid[0]))
        inner = len(grid) - 2
        out = []
        for r in range(repeats):
            t = grid[-2]
            posterior = self.denoiser(p.marginal(x, expand(t, x)).sample(rng), t, cond)
            value = decoder.log_prob(x, p, t, posterior) - prior
            if inner:
                u = rng.uniform((len(x),), dtype=torch.float64, device=x.device)
                i = ((r + u) / repeats * inner).long().clamp(max=inner - 1)
                value = value - inner * self._step(x, expand(grid[i], x), expand(grid[i + 1], x), rng, cond)
            out.append(value)
        return torch.stack(out)

    def _step(self, x: Tensor, t: Tensor, s: Tensor, rng: Random, cond: Cond) -> Tensor:
        p = self.process
        x_t = p.marginal(x, t).sample(rng)
        posterior = wide_posterior(self.denoiser(x_t, t, cond))
        return kl(p.reverse(wide(x_t), t, s, certain(x, p)), p.reverse(wide(x_t), t, s, posterior))


def ends(process: Process, x: Tensor, t: Tensor) -> tuple[Distribution, Distribution]:
    """q(x_T | x) and the prior, in float64."""
    prior = process.prior(x.shape)
    return process.marginal(wide(x), expand(t, x)), prior


def wide(x: Tensor) -> Tensor:
    """Floating-point states in float64; tokens as they are."""
    return x.double() if x.is_floating_point() else x


def wide_posterior(posterior: Posterior) -> Posterior:
    """A posterior in float64: a KL is a difference of numbers that nearly cancel."""
    if isinstance(posterior, Categorical):
        return Categorical(posterior.logits.double())
    if isinstance(posterior, Dirac):
        return Dirac(posterior.x.double())
    return posterior
