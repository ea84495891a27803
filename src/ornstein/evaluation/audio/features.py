"""What a Frechet distance of audio is taken in: statistics of log-mel bands offline, or any function of a clip."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from ornstein.evaluation.audio.clips import Clip
from ornstein.evaluation.audio.spectrum import log_mel

AudioExtractor = Callable[[Clip], Tensor]
"""A clip -> rows of features ``[M, D]``, such as one per second of a pretrained network; ``name`` and ``hash`` are recorded."""


@final
class LogMelStatistics:
    """Mean and standard deviation over time of each log-mel band: one row of 2 x bands numbers per clip.

    No network has been trained here: distances in it see timbre and loudness, and are no FAD of VGGish (Kilgour et al. 2019).
    """

    def __init__(self, bands: int = 20, window: int = 1024, hop: int = 256):
        self.bands, self.window, self.hop = bands, window, hop
        self.name = f"log-mel statistics, {bands} bands, window {window}, hop {hop}"
        self.hash = ""

    def __call__(self, clip: Clip) -> Tensor:
        x = torch.from_numpy(log_mel(clip.wave, clip.rate, self.window, self.hop, self.bands))
        return torch.cat([x.mean(0), x.std(0, correction=0)])[None]
