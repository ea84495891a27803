"""Clips of sound to be measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.digests import digest_of

LEAST_SECONDS = 0.05


@final
@dataclass(frozen=True)
class Clip:
    """``wave [T]`` in [-1, 1], ``rate`` in Hz; ``text``: what is said in it, where that is known."""

    wave: np.ndarray
    rate: int
    text: str = ""

    @property
    def silent(self) -> bool:
        """Whether every value is the same: no sound, whatever the offset."""
        return bool(np.ptp(self.wave) == 0)


@final
class Clips:
    """A set of clips of one sampling rate.

    Raises:
        DataError: none, NaN, several channels or rates, a clip shorter than 50 ms (each names the clip).
    """

    def __init__(self, clips: Sequence[Clip]):
        if len(clips) == 0:
            raise DataError("there is no clip to measure")
        for i, clip in enumerate(clips):
            if clip.wave.ndim != 1:
                raise DataError(
                    f"clip {i} must be one channel [T], got shape {clip.wave.shape}; mix the channels first"
                )
            if not np.isfinite(clip.wave).all():
                raise DataError(f"clip {i} holds NaN or infinity; it is broken")
            if clip.rate <= 0:
                raise DataError(f"clip {i} has a sampling rate of {clip.rate} Hz")
            if len(clip.wave) < LEAST_SECONDS * clip.rate:
                lasts = 1000 * len(clip.wave) / clip.rate
                raise DataError(f"clip {i} lasts {lasts:.0f} ms; at least {1000 * LEAST_SECONDS:.0f} are needed")
        rates = sorted({clip.rate for clip in clips})
        if len(rates) > 1:
            raise DataError(
                f"the clips have several sampling rates ({', '.join(map(str, rates))} Hz); resample them to one"
            )
        self.clips, self.rate = tuple(clips), rates[0]

    @staticmethod
    def of(x: Tensor, rate: int, texts: Sequence[str] | None = None) -> Clips:
        """Clips of one length, ``[N, T]`` or ``[N, 1, T]``."""
        waves = (x[:, 0] if x.ndim == 3 and x.shape[1] == 1 else x).double().cpu().numpy()
        if waves.ndim != 2:
            raise DataError(f"clips are [N, T] or [N, 1, T], got {tuple(x.shape)}")
        if texts is not None and len(texts) != len(waves):
            raise DataError(f"{len(texts)} texts for {len(waves)} clips")
        return Clips([Clip(wave, rate, "" if texts is None else texts[i]) for i, wave in enumerate(waves)])

    @property
    def content_hash(self) -> str:
        """Equal for equal waves, rate and texts."""
        return digest_of(
            p for c in self.clips for p in (torch.from_numpy(np.ascontiguousarray(c.wave)), str(c.rate), c.text)
        )

    @property
    def about(self) -> dict[str, Any]:
        """The sampling rate."""
        return {"rate": self.rate}

    def __len__(self) -> int:
        return len(self.clips)

    def take(self, index: Tensor) -> Self:
        """Some of them."""
        return type(self)([self.clips[i] for i in index.tolist()])


def require_one_rate(samples: Clips, other: Clips, name: str) -> None:
    """Refuse sets of two sampling rates."""
    if samples.rate != other.rate:
        raise DataError(
            f"the samples have {samples.rate} Hz and the {name} {other.rate} Hz; resample one of them: every measure here "
            "depends on the rate"
        )
