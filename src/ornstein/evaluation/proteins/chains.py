"""Protein backbones to be measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.digests import digest_of

ATOMS = ("N", "CA", "C", "O")
BREAK = 2.0
"""A bond C-N longer than this (in Angstrom) is a gap of the chain, no bond; ideal is 1.33."""


@final
@dataclass(frozen=True)
class Chain:
    """``xyz [L, 4, 3]``: N, CA, C and O of each residue in Angstrom."""

    xyz: np.ndarray

    @property
    def joined(self) -> np.ndarray:
        """Whether residue i is bound to residue i + 1, ``[L - 1]``."""
        return np.asarray(np.linalg.norm(self.xyz[1:, 0] - self.xyz[:-1, 2], axis=-1) < BREAK)

    def __len__(self) -> int:
        return len(self.xyz)


@final
class Chains:
    """A set of chains; they may differ in length.

    Raises:
        DataError: none, another shape, fewer than three residues, NaN or infinity (each names the chain).
    """

    def __init__(self, chains: Sequence[Chain]):
        if len(chains) == 0:
            raise DataError("there is no protein chain to measure")
        for i, chain in enumerate(chains):
            if chain.xyz.ndim != 3 or chain.xyz.shape[1:] != (4, 3):
                raise DataError(f"chain {i} must be N, CA, C, O of each residue [L, 4, 3], got shape {chain.xyz.shape}")
            if len(chain) < 3:
                raise DataError(f"chain {i} has {len(chain)} residues; at least 3 are needed")
            if not np.isfinite(chain.xyz).all():
                raise DataError(
                    f"chain {i} holds NaN or infinity, first in residue {np.argwhere(~np.isfinite(chain.xyz))[0][0]}"
                )
        self.chains = tuple(chains)

    @property
    def content_hash(self) -> str:
        """Equal for equal coordinates."""
        return digest_of(torch.from_numpy(np.ascontiguousarray(c.xyz)) for c in self.chains)

    @property
    def about(self) -> dict[str, Any]:
        """Their atoms."""
        return {"atoms": " ".join(ATOMS)}

    def __len__(self) -> int:
        return len(self.chains)

    def take(self, index: Tensor) -> Self:
        """Some of them."""
        return type(self)([self.chains[i] for i in index.tolist()])
