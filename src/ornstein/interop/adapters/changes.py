r"""What an adapter adds to a weight: low rank, a product of two low ranks, a Kronecker product, or all of it.

==========  ==============================================  =================================
LoRA        W + s B A                                       Hu et al. 2021, 2106.09685
LoHa        W + s (A_1 B_1) * (A_2 B_2), entry by entry     Hyeon-Woo et al. 2022, 2108.06098
LoKr        W + s kron(C, A B)                              Yeh et al. 2023, 2309.14859
DoRA        m (W + dW) / |W + dW|, norms by row             Liu et al. 2024, 2402.09353
==========  ==============================================  =================================
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor


class Change(ABC):
    """A change of one weight, as ``[out, in, ...]``."""

    @abstractmethod
    def delta(self, shape: torch.Size) -> Tensor:
        """dW in float32, of the weight's shape.

        Raises:
            ValueError: it is of another shape.
        """

    def applied(self, weight: Tensor) -> Tensor:
        """The changed weight, in float32."""
        return weight.float() + self.delta(weight.shape)

    @property
    def inside(self) -> int | None:
        """How many inputs the change was made for, where it shows."""
        return None


def _as(delta: Tensor, shape: torch.Size) -> Tensor:
    if delta.numel() != shape.numel() or delta.shape[0] != shape[0]:
        raise ValueError(f"{_text(delta.shape)} for {_text(shape)}")
    return delta.reshape(shape)


def _text(shape: torch.Size) -> str:
    return " x ".join(map(str, shape))


@final
@dataclass(frozen=True)
class LowRank(Change):
    """s up down; for convolutions ``up [o, r, 1, 1]``, ``down [r, i, h, w]``, or with a core ``mid [r, r, h, w]`` between."""

    up: Tensor
    down: Tensor
    scale: float
    mid: Tensor | None = None

    def delta(self, shape: torch.Size) -> Tensor:
        up, down = self.up.float().flatten(1), self.down.float()
        if self.mid is not None:
            whole = torch.einsum("or,rshw,si->oihw", up, self.mid.float(), down.flatten(1))
        else:
            if up.shape[1] != down.shape[0]:
                raise ValueError(f"{_text(up.shape)} after {_text(down.shape)}")
            whole = (up @ down.flatten(1)).reshape(len(up), *down.shape[1:])
        return _as(whole * self.scale, shape)

    @property
    def inside(self) -> int | None:
        return self.down.shape[1]


@final
@dataclass(frozen=True)
class Hadamard(Change):
    """s (w1_a w1_b) * (w2_a w2_b); for convolutions each factor may have a core t ``[r, r, h, w]``."""

    w1_a: Tensor
    w1_b: Tensor
    w2_a: Tensor
    w2_b: Tensor
    scale: float
    t1: Tensor | None = None
    t2: Tensor | None = None

    def delta(self, shape: torch.Size) -> Tensor:
        one = factor(self.w1_a, self.w1_b, self.t1)
        two = factor(self.w2_a, self.w2_b, self.t2)
        if one.shape != two.shape:
            raise ValueError(f"{_text(one.shape)} times {_text(two.shape)}")
        return _as(one * two * self.scale, shape)


def factor(a: Tensor, b: Tensor, core: Tensor | None) -> Tensor:
    if core is None:
        if a.shape[1] != b.shape[0]:
            raise ValueError(f"{_text(a.shape)} after {_text(b.shape)}")
        return a.float() @ b.float()
    return torch.einsum("ijhw,ip,jr->prhw", core.float(), a.float(), b.float())


@final
@dataclass(frozen=True)
class Kronecker(Change):
    """s kron(w1, w2); w2 may be a convolution's."""

    w1: Tensor
    w2: Tensor
    scale: float

    def delta(self, shape: torch.Size) -> Tensor:
        one, two = self.w1.float(), self.w2.float()
        one = one.reshape(*one.shape, *[1] * (two.ndim - one.ndim))
        return _as(torch.kron(one.contiguous(), two.contiguous()) * self.scale, shape)


@final
@dataclass(frozen=True)
class Whole(Change):
    """The difference itself."""

    difference: Tensor

    def delta(self, shape: torch.Size) -> Tensor:
        return _as(self.difference.float(), shape)


@final
@dataclass(frozen=True)
class Normed(Change):
    """DoRA: another change, after which each row has the norm that was learned.

    ``magnitude`` has one number per output, or per input (an older habit of LyCORIS); its size tells which.
    """

    of: Change
    magnitude: Tensor
    by_input: bool = False

    def delta(self, shape: torch.Size) -> Tensor:
        return self.of.delta(shape)

    def applied(self, weight: Tensor) -> Tensor:
        changed = self.of.applied(weight)
        axis = 1 if self.by_input else 0
        others = [d for d in range(changed.ndim) if d != axis]
        size = [1] * changed.ndim
        size[axis] = changed.shape[axis]
        if self.magnitude.numel() != changed.shape[axis]:
            raise ValueError(f"{self.magnitude.numel()} norms for {changed.shape[axis]}")
        norm = torch.linalg.vector_norm(changed, dim=others, keepdim=True)
        return changed * (self.magnitude.float().reshape(size) / norm)

    @property
    def inside(self) -> int | None:
        return self.of.inside
