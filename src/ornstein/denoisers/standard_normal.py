r"""The denoiser of states whose law is N(0, I): it needs no network, because everything is known in closed form."""

from __future__ import annotations

from typing import final

from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.shapes import cast, expand
from ornstein.denoisers.two_time import FlowMapDenoiser
from ornstein.processes.gaussian import FlowMatching


@final
class StandardNormal(FlowMapDenoiser):
    r"""u(x_t, t, s) = 2 (t + s - 1) x_t / (s_t (s_t + s_s)), s_t^2 = (1 - t)^2 + t^2, for x_0 ~ N(0, I).

    The flow keeps x_t / s_t, so its mean velocity is (s_t - s_s)/(t - s) x_t/s_t, here without its 0/0. From t = 1 to 0
    nothing moves: the prior's draw is the state. It stands where a codec has learned all there is to learn (GAN, VAE,
    normalising flow).
    """

    def __init__(self) -> None:
        super().__init__()
        self.process: FlowMatching = FlowMatching()

    def average(self, x_t: Tensor, t: Tensor, s: Tensor, cond: Cond = NO_COND) -> Tensor:
        t, s = expand(t, x_t), expand(s, x_t)
        at_t, at_s = (((1 - v) ** 2 + v**2).sqrt() for v in (t, s))
        (slope,) = cast(x_t, 2 * (t + s - 1) / (at_t * (at_t + at_s)))
        return slope * x_t
