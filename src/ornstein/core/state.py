"""What diffusion moves: a tensor, a dict of tensors (mixed data), or sequences of different lengths.

Contracts that carry a state are generic in it and mean a tensor when nothing is said: ``Process`` is
``Process[Tensor]``, an edit process of text is ``Process[Ragged]``, frames of a protein are ``SDE[dict[str, Tensor]]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from typing_extensions import TypeVar

from ornstein.core.errors import DataError, UsageError


@dataclass(frozen=True)
class Ragged:
    """Sequences of different lengths: ``tokens [B, capacity]``, of which row i's first ``lengths[i]`` count.

    The capacity belongs to the process, not to the batch. Were it the longest row's length, the number of draws that a
    row makes, and with it its sample, would depend on who shares its batch.
    """

    tokens: Tensor
    lengths: Tensor

    def __post_init__(self) -> None:
        if self.tokens.ndim < 2 or self.lengths.shape != self.tokens.shape[:1]:
            raise UsageError(
                f"a Ragged state takes tokens [B, capacity] and lengths [B], got {tuple(self.tokens.shape)} and "
                f"{tuple(self.lengths.shape)}"
            )

    @classmethod
    def pack(cls, sequences: Sequence[Sequence[int]], capacity: int, pad: int = 0) -> Ragged:
        """Sequences of integers, padded to the capacity."""
        tokens = torch.full((len(sequences), capacity), pad)
        for i, sequence in enumerate(sequences):
            if len(sequence) > capacity:
                raise DataError(
                    f"sequence {i} has {len(sequence)} tokens; the capacity is {capacity}: cut it or raise that"
                )
            tokens[i, : len(sequence)] = torch.tensor(sequence, dtype=torch.int64)
        return cls(tokens, torch.tensor([len(s) for s in sequences], dtype=torch.int64))

    def __len__(self) -> int:
        return self.tokens.shape[0]

    @property
    def mask(self) -> Tensor:
        """``[B, capacity]`` bool: the slots that count."""
        return torch.arange(self.tokens.shape[1], device=self.lengths.device) < self.lengths.unsqueeze(1)

    def tolist(self) -> list[list[int]]:
        """The sequences, without their padding."""
        rows: list[list[int]] = [row[:n].tolist() for row, n in zip(self.tokens, self.lengths.tolist(), strict=True)]
        return rows


AnyState = Tensor | Ragged | Mapping[str, Tensor]
"""Every kind of state. The batch is the first dimension of each tensor in it."""

X = TypeVar("X", bound=AnyState, default=Tensor)
"""The kind of state that a process, denoiser or sampler is made for; a tensor when nothing is said."""


def leaves(x: AnyState) -> list[Tensor]:
    """The tensors of a state."""
    if isinstance(x, Tensor):
        return [x]
    return [x.tokens, x.lengths] if isinstance(x, Ragged) else list(x.values())


def batch_size(x: AnyState) -> int:
    """How many samples a state holds."""
    sizes = {leaf.shape[0] for leaf in leaves(x)}
    if len(sizes) != 1:
        raise UsageError(f"the parts of a state differ in batch size: {sorted(sizes)}")
    return sizes.pop()


def to_device(x: X, device: torch.device | str) -> X:
    """The state on a device."""
    moved: AnyState
    if isinstance(x, Tensor):
        moved = x.to(device)
    elif isinstance(x, Ragged):
        moved = Ragged(x.tokens.to(device), x.lengths.to(device))
    else:
        moved = {name: part.to(device) for name, part in x.items()}
    return cast(X, moved)


def rows(x: X, index: Tensor | slice) -> X:
    """A part of the batch."""
    part: AnyState
    if isinstance(x, Tensor):
        part = x[index]
    elif isinstance(x, Ragged):
        part = Ragged(x.tokens[index], x.lengths[index])
    else:
        part = {name: leaf[index] for name, leaf in x.items()}
    return cast(X, part)


def finite(x: AnyState) -> Tensor:
    """``[B]`` bool: the samples whose every number is finite."""
    return totals(x).isfinite()


def totals(x: AnyState) -> Tensor:
    """``[B]``: the sum of each sample's numbers, finite where all of them are (in one pass and few operations)."""
    first, *others = (leaf.reshape(leaf.shape[0], -1).sum(1, dtype=_wide(leaf)) for leaf in leaves(x))
    for other in others:
        first = first + other
    return first


def _wide(x: Tensor) -> torch.dtype | None:
    """The dtype to sum in: float32 for half precision, its own otherwise."""
    return torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else None
