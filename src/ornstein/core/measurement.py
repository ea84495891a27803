r"""What is known of an image that is sought: y = A(x) + noise e, e ~ N(0, I).

An :class:`Operator` is A; a :class:`Linear` one has an adjoint and a pseudoinverse too, by its singular values where they are
known (:class:`SVD`), by conjugate gradients otherwise. Nothing here knows diffusion; x is on the scale of the state.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.linear_solve import conjugate_gradient

SMALLEST = 1e-3
"""Singular values below this times the largest are taken as 0: their directions are lost in rounding, not measured."""


class Operator(ABC):
    """A map from states ``[B, *shape]`` to what is measured of them ``[B, ...]``. Immutable."""

    differentiable: ClassVar[bool] = True
    """whether autograd's derivative says how y moves with x (not for rounding)"""
    name: str = ""

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """A(x), without noise."""

    @abstractmethod
    def estimate(self, y: Tensor) -> Tensor:
        """A rough x from y alone, of x's shape: A^+ y, or what comes nearest to it."""


class SVD(ABC):
    """A = U S V': coordinates c = V'x of orthonormal directions, of which A keeps each times its value.

    ``values`` has the shape of c without the batch (or broadcasts to it); ``data`` puts U'y where the values are and 0
    elsewhere.
    """

    values: Tensor

    @abstractmethod
    def turn(self, x: Tensor) -> Tensor:
        """V'x."""

    @abstractmethod
    def unturn(self, c: Tensor) -> Tensor:
        """V c."""

    @abstractmethod
    def data(self, y: Tensor) -> Tensor:
        """U'y, among the coordinates c."""

    @abstractmethod
    def undata(self, c: Tensor) -> Tensor:
        """U c."""

    def kept(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """The values, and whether each is measured (not 0), in the dtype and on the device of ``like``."""
        s = self.values.to(device=like.device)
        return s.to(like.dtype), s > SMALLEST * s.max()


class Linear(Operator):
    """A linear operator."""

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """A'y: <A x, y> = <x, A'y>."""

    @property
    def svd(self) -> SVD | None:
        """Singular values and directions, where they are known in closed form or cheap."""
        return None

    def normal_solve(self, y: Tensor, signal: Tensor | float, noise: Tensor | float) -> Tensor:
        """(signal A A' + noise I)^-1 y; both are variances, numbers or ``[B, 1, ...]``. With noise 0 on the range of A only."""
        if (svd := self.svd) is not None:
            c = svd.data(y)
            s, kept = svd.kept(c)
            signal, noise = (rank_of(v, c) for v in (signal, noise))
            whole = signal * s**2 + noise
            seen = svd.undata(torch.where(kept, c / whole.where(kept & (whole > 0), torch.ones_like(whole)), 0.0))
            rest = y - svd.undata(torch.where(kept, c, 0.0))
            noise = rank_of(noise, y)
            return seen + torch.where(noise > 0, rest / noise.clamp_min(1e-30), 0.0)
        a, b = rank_of(signal, y), rank_of(noise, y)
        return conjugate_gradient(lambda v: a * self(self.adjoint(v)) + b * v, y)

    def estimate(self, y: Tensor) -> Tensor:
        """A^+ y, the x of least norm that explains y best."""
        if (svd := self.svd) is not None:
            c = svd.data(y)
            s, kept = svd.kept(c)
            return svd.unturn(torch.where(kept, c / s.where(kept, torch.ones_like(s)), 0.0))
        return conjugate_gradient(lambda x: self.adjoint(self(x)), self.adjoint(y))

    def project(self, x: Tensor) -> Tensor:
        """A^+ A x: the part of x that is measured."""
        return self.estimate(self(x))


def rank_of(value: Tensor | float, like: Tensor) -> Tensor:
    """A number or one per sample against ``[B, ...]``, in its dtype."""
    value = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    return value.reshape(-1, *[1] * (like.ndim - 1)) if value.ndim else value


@dataclass(frozen=True)
class Measurement:
    """y ``[B, ...]`` of a batch, the operator that made it, and the standard deviation of its noise, on the scale of y."""

    y: Tensor
    operator: Operator
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.noise < math.inf:
            raise UsageError(f"the noise of a measurement is a standard deviation >= 0, got {self.noise}")
        if not bool(self.y.isfinite().all()):
            raise DataError("the measurement holds values that are not finite")

    def residual(self, x: Tensor) -> Tensor:
        """y - A(x)."""
        found = self.operator(x)
        if found.shape != self.y.shape:
            raise DataError(
                f"the measurement has the shape {tuple(self.y.shape)}, and {self.operator.name} makes "
                f"{tuple(found.shape)} of a state {tuple(x.shape)}"
            )
        return self.y.to(found) - found

    def linear(self, method: str) -> Linear:
        """The operator, refused unless it is linear."""
        if not isinstance(self.operator, Linear):
            instead = "dps, red_diff" if self.operator.differentiable else "pigdm"
            raise CapabilityError(
                f"{method} needs a linear operator, and {self.operator.name} is not. Methods that take it: {instead}"
            )
        return self.operator

    def spectrum(self, method: str) -> SVD:
        """The operator's singular values, refused where they are not known."""
        svd = self.linear(method).svd
        if svd is None:
            raise CapabilityError(
                f"{method} needs the singular values of {self.operator.name}, which are not known in closed form. "
                "Methods that do without: pigdm, mmps, diffpir, dps"
            )
        return svd
