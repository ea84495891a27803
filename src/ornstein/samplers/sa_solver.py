r"""SA-Solver: stochastic Adams methods, a predictor and a corrector that share one evaluation a step."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.base import DenoisingSampler, State

_TERMS = 20


def moments(rate: Tensor, count: int) -> Tensor:
    r"""int_0^1 e^{-rate v} v^j dv for j < count, in a last dimension: a series for small rates, a recursion for others."""
    small = rate.clamp(max=1.0)
    series = []
    for j in range(count):
        term, total = torch.ones_like(rate), torch.zeros_like(rate)
        for n in range(_TERMS):
            total = total + term / (j + 1 + n)
            term = -term * small / (n + 1)
        series.append(total)
    large = rate.clamp(min=1.0)
    end, values = (-large).exp(), [-torch.expm1(-large) / large]
    for j in range(1, count):
        values.append((j * values[-1] - end) / large)
    return torch.where((rate < 1).unsqueeze(-1), torch.stack(series, -1), torch.stack(values, -1))


def adams(k: Tensor, h: Tensor, nodes: list[Tensor]) -> list[Tensor]:
    r"""Weights b_i of k int_0^h e^{-k u} P(u) du = sum_i b_i P(u_i), P a polynomial; ``nodes`` are u_i = lambda_s - lambda_i."""
    places = torch.stack([u / h for u in nodes], -1)
    powers = torch.stack([places**j for j in range(len(nodes))], -2)
    wanted = (k * h).unsqueeze(-1) * moments(k * h, len(nodes))
    return list(torch.linalg.solve(powers, wanted).unbind(-1))


@final
class SASolver(DenoisingSampler):
    r"""x_s = sigma_s/sigma_t e^{-tau^2 h} x_t + alpha_s sum_i b_i x_0^i + sigma_s sqrt(1 - e^{-2 tau^2 h}) z.

    The b_i integrate the polynomial through values of x_0 at lambda_i against its weight, (1 + tau^2) e^{-(1 + tau^2) u}, u =
    lambda_s - lambda: of ``predictor`` former values, and once x_s has been evaluated, of ``corrector`` values with that one,
    with the same z. tau is the noise's strength for times in ``between``, 0 elsewhere (1 is the reverse SDE, 0 the flow).
    ``simple`` replaces the integral of order 2 by the authors' O(h^3) variant: h^2/2 and h/2 for the linear term. Steps from
    alpha = 0 and to sigma = 0 are first order. Xue et al. 2023, 2309.05019, algorithm 1.
    """

    needs = GaussianProcess
    order: ClassVar[int] = 2
    stochastic: ClassVar[bool] = True
    history: ClassVar[int] = 1

    def __init__(
        self,
        denoiser: Denoiser,
        tau: float = 1.0,
        predictor: int = 2,
        corrector: int = 2,
        between: tuple[float, float] = (0.0, 1.0),
        simple: bool = True,
    ):
        super().__init__(denoiser)
        if tau < 0:
            raise UsageError(f"tau, the strength of the noise, must be >= 0, got {tau}")
        if not 1 <= predictor <= 4 or not 0 <= corrector <= 4:
            raise UsageError(
                f"predictor has an order in 1 .. 4, corrector in 0 (none) .. 4; got {predictor}, {corrector}"
            )
        if not 0 <= between[0] <= between[1] <= 1:
            raise UsageError(f"between is an interval of times in [0, 1], got {between[0]:g} to {between[1]:g}")
        self.tau, self.predictor, self.corrector = tau, predictor, corrector
        self.between, self.simple = between, simple

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        p = self.process
        here = p.log_snr(t) / 2, self.denoiser(x_t, t, cond).mean
        former = ()
        if state is not None:
            (x, z, begin, end, strength), former = state
            if self.corrector > 0:
                x_t = self._adams(x, z, begin, end, strength, [here, *former][: self.corrector])
        known = (here, *former)[: max(self.predictor, self.corrector - 1)]
        low, high = self.between
        tau2 = torch.where((t >= low) & (t <= high), self.tau**2, 0.0).to(t)
        z = rng.between(x_t, t, s) if self.tau > 0 else torch.zeros_like(x_t)
        return self._adams(x_t, z, t, s, tau2, list(known[: self.predictor])), ((x_t, z, t, s, tau2), known)

    def _adams(
        self, x_t: Tensor, z: Tensor, t: Tensor, s: Tensor, tau2: Tensor, known: list[tuple[Tensor, Tensor]]
    ) -> Tensor:
        p = self.process
        level, end = p.log_snr(t) / 2, p.log_snr(s) / 2
        h = end - level
        decay = torch.where(tau2 > 0, tau2 * h, torch.zeros_like(h))
        keep, noise = p.sigma(s) / p.sigma(t) * (-decay).exp(), p.sigma(s) * (-torch.expm1(-2 * decay)).sqrt()
        a, c = cast(x_t, keep, noise)
        x_s = a * x_t + c * z
        for weight, (_, x_0) in zip(self._weights(1 + tau2, h, level, end, known), known, strict=True):
            (b,) = cast(x_t, p.alpha(s) * weight)
            x_s = x_s + b * x_0
        return x_s

    def _weights(
        self, k: Tensor, h: Tensor, level: Tensor, end: Tensor, known: list[tuple[Tensor, Tensor]]
    ) -> list[Tensor]:
        """b_i of the values in ``known``; all on the value at t or nearest to it where a level is infinite."""
        plain = -torch.expm1(-k * h)
        nodes = [end - other for other, _ in known]
        finite = torch.isfinite(h)
        for u in nodes:
            finite = finite & torch.isfinite(u)
        first = next((i for i, (other, _) in enumerate(known) if bool((other == level).all())), 0)
        alone = [plain if i == first else torch.zeros_like(plain) for i in range(len(known))]
        if len(known) == 1 or not bool(finite.any()):
            return alone
        safe = torch.where(finite, h, torch.ones_like(h))
        nodes = [torch.where(finite, u, torch.full_like(u, float(i))) for i, u in enumerate(nodes)]
        if self.simple and len(known) == 2:
            # The value at t, plus the line's slope times what the variant takes for the integral of lambda - lambda_t.
            slope = k * safe**2 / 2 / (nodes[1] - nodes[0])
            weights = [slope, -slope]
            weights[first] = weights[first] - torch.expm1(-k * safe)
        else:
            weights = adams(k, safe, nodes)
        return [torch.where(finite, w, b) for w, b in zip(weights, alone, strict=True)]
