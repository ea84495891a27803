"""Data consistency after each step: what is measured is replaced by the measurement, noised to the level reached."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.core.measurement import Measurement
from ornstein.core.rng import Random
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess
from ornstein.samplers.ancestral import Ancestral
from ornstein.samplers.base import DenoisingSampler, State

LOUD = 0.5
"""Standard deviation of the noise in A^+ y, for data in [-1, 1], beyond which there is nothing left to put back."""


@final
class Consistent(DenoisingSampler):
    r"""x_s <- (I - P) x_s + P q_s-draw(A^+ y), P = A^+ A, after each ancestral step.

    P is a projection, so the step contracts errors of the start: that is why a chain may begin at a middle level, from a
    first guess (come closer, diffuse faster). For masks Song et al.'s replacement, for reductions ILVR. Choi et al. 2021,
    2108.02938; Chung et al. 2022, 2112.05146, eqs. 13 and 14.
    """

    needs = GaussianProcess
    order: ClassVar[int] = 1
    stochastic: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, measurement: Measurement):
        super().__init__(denoiser)
        self.operator, self.inner = measurement.linear("ccdf"), Ancestral(denoiser)
        svd = self.operator.svd
        if svd is not None and measurement.noise > 0:
            s, kept = svd.kept(measurement.y)
            grown = measurement.noise / float(s.where(kept, s.max()).min())
            if grown > LOUD:
                raise UsageError(
                    f"ccdf puts A^+ y in place of what is measured, and the inverse of {self.operator.name} makes its noise "
                    f"{grown:.2g} large; use ddrm, diffpir or pigdm"
                )
        self.known = self.operator.estimate(measurement.y)

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        x_s, _ = self.inner.step(x_t, t, s, None, rng, cond)
        drawn = self.process.marginal(self.known.to(x_s), s).sample(rng)
        return x_s + self.operator.project(drawn - x_s), None
