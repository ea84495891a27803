"""A small convolutional classifier: features and labels for small pictures, independent of any generator."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZE = 28


@final
class Classifier(nn.Module):
    """Three stages of residual 3 x 3 convolutions, then ``features`` numbers and ``classes`` logits.

    ``forward``: ``[B, C, H, W]`` in [-1, 1] -> (features ``[B, D]``, logits ``[B, K]``).
    """

    def __init__(self, classes: int = 10, width: int = 32, features: int = 128, channels: int = 1):
        super().__init__()
        widths = (width, 2 * width, 4 * width)
        self.stem = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        self.stages = nn.ModuleList()
        before = widths[0]
        for w in widths:
            self.stages.append(
                nn.ModuleList(
                    [
                        nn.BatchNorm2d(before),
                        nn.Conv2d(before, w, 3, padding=1, bias=False),
                        nn.BatchNorm2d(w),
                        nn.Conv2d(w, w, 3, padding=1, bias=False),
                        nn.Conv2d(before, w, 1, bias=False),
                    ]
                )
            )
            before = w
        self.norm = nn.BatchNorm2d(before)
        self.project = nn.Linear(before, features)
        self.head = nn.Linear(features, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.stem(x)
        for i, stage in enumerate(self.stages):
            assert isinstance(stage, nn.ModuleList)
            norm0, conv0, norm1, conv1, skip = stage
            if i:
                h = F.max_pool2d(h, 2)
            y = F.relu(norm0(h))
            h = skip(h) + conv1(F.relu(norm1(conv0(y))))
        h = F.relu(self.norm(h)).mean((2, 3))
        features = F.relu(self.project(h))
        return features, self.head(F.dropout(features, 0.3, self.training))

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """The most probable class, ``[B]``."""
        return self.forward(x)[1].argmax(1)
