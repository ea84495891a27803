"""What a Frechet distance of video is taken in: features of frames and of their changes, or any function of a clip."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from ornstein.evaluation.features.extractors import WEIGHTS, ClassifierFeatures, Extractor

VideoExtractor = Callable[[Tensor], Tensor]
"""A clip uint8 ``[T, C, H, W]`` -> rows of features ``[M, D]``; ``name`` and ``hash`` are recorded."""

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601."""


@final
class FrameFeatures:
    """One row for a clip: the mean over time of the features f_t of its frames, and that of |f_{t+1} - f_t|.

    The first half says what is seen, the second how fast it changes; the order of changes is not seen, so a clip played
    backwards has the same row. Networks that see motion, such as I3D, come as extractors of the user's own; only their
    distance is an FVD (Unterthiner et al. 2018, 1812.01717).

    Args:
        frames: an extractor of images. ``grey``: give it the luma of colour frames.
    """

    def __init__(self, frames: Extractor, grey: bool = False):
        self.frames, self.grey = frames, grey
        self.name = f"{frames.name}{' of the luma' if grey else ''}, mean and mean change over time"
        self.hash = frames.hash

    def __call__(self, clip: Tensor) -> Tensor:
        if self.grey and clip.shape[1] == 3:
            weights = torch.tensor(LUMA)[:, None, None]
            clip = (clip * weights).sum(1, keepdim=True).round().to(torch.uint8)
        f = self.frames(clip).features.double()
        return torch.cat([f.mean(0), f.diff(dim=0).abs().mean(0)])[None]


@final
class OfflineFrames:
    """The default: :class:`FrameFeatures` of the bundled Fashion-MNIST classifier on the luma of each frame, at 28 x 28.

    The network is loaded when the first clip comes.
    """

    def __init__(self, classifier: str = "fashion-mnist"):
        self.classifier = classifier
        about = json.loads((WEIGHTS / f"{classifier}.json").read_text(encoding="utf-8"))
        self.name = f"{classifier} classifier of the luma, mean and mean change over time"
        self.hash = str(about["sha256"])

    @cached_property
    def _frames(self) -> FrameFeatures:
        return FrameFeatures(ClassifierFeatures(self.classifier), grey=True)

    def __call__(self, clip: Tensor) -> Tensor:
        return self._frames(clip)
