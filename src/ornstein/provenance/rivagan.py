"""The mark of RivaGAN: two published networks, one that hides 32 bits in a picture and one that reads them.

Zhang, Xu, Cuesta-Infante & Veeramachaneni 2019, "Robust Invisible Video Watermarking with Attention", 1909.01285. All 32 bits
are a word that the key decides, so that it can be told from what the reader sees in an unmarked picture: it carries no payload.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import final

import numpy as np
import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.provenance import weights
from ornstein.provenance.mark import PUBLIC_KEY, Detection, Mark, check

BITS = 32
_READ = 768  # side of the part of a large picture that is read: the reader takes some seconds for it
_ONE = 0.52  # from where on the reader's answer is a one: that of the package which carries the networks

Network = Callable[[dict[str, np.ndarray]], np.ndarray]
"""Inputs by name to the one output."""


def word(key: str) -> np.ndarray:
    """The 32 bits of a key, float32 0 or 1."""
    digest = hashlib.shake_256(b"rivagan " + key.encode()).digest(BITS // 8)
    return np.unpackbits(np.frombuffer(digest, dtype=np.uint8)).astype(np.float32)


@final
class RivaGAN(Mark):
    """``threshold``: how many of the 32 bits must agree. By chance 27 do for one word in 18,000.

    ``networks`` are the hider and the reader, by default the published ones.
    """

    name = "rivagan"
    smallest = 128

    def __init__(
        self, key: str = PUBLIC_KEY, threshold: int = 27, networks: tuple[Network, Network] | None = None
    ) -> None:
        if not key:
            raise UsageError("the key of a mark is empty; give any text, or leave it out for the public key")
        if not BITS // 2 < threshold <= BITS:
            raise UsageError(f"the threshold is a number of bits in {BITS // 2 + 1} .. {BITS}, got {threshold}")
        self.threshold = threshold
        self._word = word(key)
        self._hide, self._read = networks or _published()

    def embed(self, x: Tensor, payload: int = 0) -> Tensor:
        hidden = self._hide({"frame": _frame(x), "data": self._word[None]})
        y = torch.from_numpy(hidden[0, ::-1, 0].copy()).clamp(-1, 1)
        colours = ((y + 1) * 127.5).round().to(torch.uint8)
        if x.shape[0] == 1:  # the networks are of colours: a grey picture gets the mean of what they would do
            colours = colours.float().mean(0, keepdim=True).round().to(torch.uint8)
        return torch.cat([colours, x[3:]])

    def detect(self, x: Tensor) -> Detection:
        check(x)
        bits = self._read({"frame": _frame(x[:, :_READ, :_READ])})[0] > _ONE
        agree = int((bits == (self._word > 0.5)).sum())
        return Detection(self.name, agree >= self.threshold, float(agree), float(self.threshold))


def _frame(x: Tensor) -> np.ndarray:
    """float32 ``[1, 3, 1, H, W]`` in [-1, 1], blue first."""
    colours = x[:3].expand(3, -1, -1).float() / 127.5 - 1
    return colours.flip(0)[None, :, None].contiguous().numpy()


def _published() -> tuple[Network, Network]:
    hide, read = (weights.session(file) for file in weights.files("rivagan"))
    return (lambda given: hide.run(None, given)[0]), (lambda given: read.run(None, given)[0])
