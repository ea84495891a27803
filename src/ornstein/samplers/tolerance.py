"""Steps of a solver's own choosing between two times, one length for each sample, so that an error estimate stays small."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ornstein.core.errors import OrnsteinError, UsageError
from ornstein.core.shapes import cast

Attempt = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""``(x, u, next) -> (x_next, error)``: the solution that goes on and an estimate of its local error, x's shape both."""


@dataclass(frozen=True)
class Tolerance:
    r"""Accepts a step if e = rms(error/(absolute + relative max(|x|, |x_next|))) <= 1; the next is 0.9 e^{-1/q} as long.

    q is the order of the local error; the factor stays in [0.2, 5]. Hairer, Norsett & Wanner 1993, section II.4.
    """

    relative: float
    absolute: float
    attempts: int = 10_000
    """how many before it gives up, in one step of the grid"""

    def __post_init__(self) -> None:
        for name, value in (("tolerance", self.relative), ("absolute", self.absolute)):
            if not value > 0:
                raise UsageError(f"{name} must be > 0: it bounds the error of a step; got {value}")

    def integrate(
        self, attempt: Attempt, x: Tensor, u: Tensor, end: Tensor, length: Tensor, q: int
    ) -> tuple[Tensor, Tensor]:
        """Carry x from u to ``end``; returns it with the length of the next step.

        ``u``, ``end`` and ``length`` have a number for each sample and the rank of x. A sample that has arrived waits: it is
        attempted along, over its last interval, and the result discarded.
        """
        begin, direction = u, torch.sign(end - u)
        for _ in range(self.attempts):
            active = u != end
            if not bool(active.any()):
                return x, length
            size = torch.minimum(length, (end - u).abs())
            following = torch.where(length >= (end - u).abs(), end, u + direction * size)
            x_next, error = attempt(x, torch.where(active, u, begin), torch.where(active, following, end))
            (low,) = cast(x, torch.tensor(self.absolute, dtype=torch.float64))
            scale = low + self.relative * torch.maximum(x.abs(), x_next.abs())
            e = ((error / scale).double().flatten(1) ** 2).mean(1).sqrt().reshape(u.shape)
            if not bool((torch.isfinite(e) | ~active).all()):
                row = int((~torch.isfinite(e) & active).flatten().nonzero()[0])
                raise OrnsteinError(
                    f"sample {row} stopped being finite between {float(u.flatten()[row]):.4g} and "
                    f"{float(following.flatten()[row]):.4g} of the solver's clock: the network's answer there is not finite"
                )
            accept = active & (e <= 1)
            x = torch.where(accept, x_next, x)
            u = torch.where(accept, following, u)
            length = torch.where(active, size * (0.9 * e.clamp_min(1e-12) ** (-1 / q)).clamp(0.2, 5), length)
        raise OrnsteinError(
            f"the tolerance {self.relative:g} was not met in {self.attempts} attempts; raise the tolerance, or check that the "
            "network's answers are smooth"
        )


def per_row(t: Tensor, x: Tensor) -> Tensor:
    """A time for each sample, of x's rank."""
    return t.expand(len(x), *[1] * (x.ndim - 1)) if t.ndim == 0 else t
