"""Perceptual distances for training, by name: the bundled classifiers' layers, or plain gradients."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.evaluation.features import ClassifierFeatures
from ornstein.objectives.perceptual import Distance, FeatureDistance, GradientDistance

Perceptual = Literal["digits", "fashion-mnist", "gradients", "none"]


def perceptual(name: Perceptual) -> Distance | None:
    """The distance of that name.

    ``digits`` and ``fashion-mnist`` are bundled classifiers: their three stages on the grey image at its own size. Whoever
    trains with one must judge by another: a Frechet distance in the features that were trained on flatters.
    """
    if name == "none":
        return None
    if name == "gradients":
        return GradientDistance()
    network = ClassifierFeatures(name).network.requires_grad_(False)

    def layers(x: Tensor) -> list[Tensor]:
        h, seen = network.stem(x.mean(1, keepdim=True)), []
        for i, stage in enumerate(network.stages):
            assert isinstance(stage, nn.ModuleList)
            norm0, conv0, norm1, conv1, skip = stage
            h = F.max_pool2d(h, 2) if i else h
            h = skip(h) + conv1(F.relu(norm1(conv0(F.relu(norm0(h))))))
            seen.append(F.relu(h))
        return seen

    return FeatureDistance(layers)
