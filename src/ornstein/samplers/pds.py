"""Preconditioned diffusion sampling: predictor and corrector of the score SDEs with a preconditioner from the data."""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.levels import every, start_with_signal
from ornstein.samplers.preconditioner import PreconditionedLangevin, Spectrum


@final
class PDS(DenoisingSampler):
    r"""At each t a move x <- x + h M M' score + sqrt(2h) M z, then x_s = (2 - a) x + g^2 M M' score + g M z.

    a = alpha_t/alpha_s, g^2 = sigma_t^2 - a^2 sigma_s^2: reverse diffusion with a Langevin corrector, preconditioned by M of
    ``spectrum``; without one M = 1. The moves leave p_t as it is for every M, the predictor's step does not: with many steps
    a bias remains, and so it is a sampler for few. ``first`` draws the start anew as M x_1, as the authors do: for a start that
    is pure noise. The step to t = 0 returns E[x_0]. Order 0 for the moves' own bias. Ma et al. 2022, 2207.02196, algorithm 1.
    State: None before the first step, True after it.
    """

    needs = GaussianProcess
    order: ClassVar[int] = 0
    evaluations: ClassVar[int] = 2
    stochastic: ClassVar[bool] = True

    def __init__(
        self,
        denoiser: Denoiser,
        spectrum: Spectrum | None = None,
        snr: float = 0.16,
        rule: Literal["level", "norm"] = "level",
        first: bool = True,
    ):
        super().__init__(denoiser)
        if not isinstance(first, bool):
            raise UsageError(f"first must be true or false, got {first!r}")
        self.spectrum, self.first = spectrum, first
        self.corrector = PreconditionedLangevin(spectrum, snr=snr, rule=rule)

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p, m = self.process, self.spectrum
        if state is None and self.first and m is not None:
            x_t = m.noise(x_t)
        x_t, _ = self.corrector.run(self.denoiser, x_t, t, rng, cond)
        posterior = self.denoiser(x_t, t, cond)
        pull, z = p.score(x_t, t, posterior), rng.between(x_t, t, s)
        if m is not None:
            pull, z = m.drift(pull), m.noise(z)
        var = p.sigma(t) ** 2 * -torch.expm1(p.log_snr(t) - p.log_snr(s))
        a, g2, g = cast(x_t, p.alpha(t) / p.alpha(s), var, var.sqrt())
        x_s = (2 - a) * x_t + g2 * pull + g * z
        return torch.where(every(s > 0, t), x_s, posterior.mean), True

    def start(self) -> float:
        return start_with_signal(self.process)
