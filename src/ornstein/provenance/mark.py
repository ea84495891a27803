"""What an invisible mark is: it changes pictures a little, and says later whether a picture is one of those."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError, UsageError

PUBLIC_KEY = "ornstein"
"""The key that everyone knows: with it, anyone can see that a picture was generated. A secret one shows whose it is."""

LARGEST_PAYLOAD = 2**32 - 1


@final
@dataclass(frozen=True)
class Detection:
    """What was found in one picture.

    ``score`` is compared with ``threshold``; both are in units of the method. ``payload`` is the number that was written, None
    where the method carries none or where it could not be read.
    """

    method: str
    found: bool
    score: float
    threshold: float
    payload: int | None = None


class Mark(ABC):
    """A method of marking. Pictures are uint8 ``[C, H, W]`` with C = 1 (grey), 3 (RGB) or 4 (RGB and opacity, kept as it is)."""

    name: str
    smallest: int
    """Sides below this are not marked: what can be hidden there does not survive. See docs/guide/provenance.md."""

    @abstractmethod
    def embed(self, x: Tensor, payload: int = 0) -> Tensor:
        """The marked picture, of the same shape; ``payload`` in 0 .. 2^32 - 1 is written where the method can carry it."""

    @abstractmethod
    def detect(self, x: Tensor) -> Detection:
        """Whether a picture carries this mark with this key."""

    def fits(self, height: int, width: int) -> bool:
        """Whether pictures of that size are large enough."""
        return min(height, width) >= self.smallest

    def mark(self, x: Tensor, payload: int = 0) -> Tensor:
        """:meth:`embed`, after checks.

        Raises:
            CapabilityError: not a picture in bytes, or one that is too small.
            UsageError: the payload is not a number of 32 bits.
        """
        check(x)
        if not self.fits(*x.shape[1:]):
            raise CapabilityError(
                f"a picture of {x.shape[2]} x {x.shape[1]} pixels cannot hold a {self.name} mark: its sides must be at least "
                f"{self.smallest}. Its settings are still written into the file"
            )
        if not 0 <= payload <= LARGEST_PAYLOAD:
            raise UsageError(f"the payload of a mark lies in 0 .. {LARGEST_PAYLOAD}, got {payload}")
        return self.embed(x, payload)


def check(x: Tensor) -> None:
    """Refuse what is not one picture in bytes."""
    if x.dtype != torch.uint8 or x.ndim != 3 or x.shape[0] not in (1, 3, 4):
        raise CapabilityError(
            f"a mark goes into one picture, uint8 [C, H, W] with 1, 3 or 4 channels; got {x.dtype} {tuple(x.shape)}"
        )


def luminance(x: Tensor) -> Tensor:
    """float32 ``[H, W]``, 0..255, of one picture: Rec. 601, as JPEG has it."""
    if x.shape[0] == 1:
        return x[0].float()
    return torch.einsum("chw,c->hw", x[:3].float(), torch.tensor([0.299, 0.587, 0.114]))
