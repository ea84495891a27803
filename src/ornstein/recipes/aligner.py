"""The towers of the bundled aligner of emoji: MiniLM reads the captions, EfficientNet-Lite0 sees the pictures."""

from __future__ import annotations

from ornstein.evaluation.captions import Towers, emoji_towers
from ornstein.evaluation.features import EfficientNetFeatures
from ornstein.recipes.captions import minilm

SIDE = 128


def emoji() -> Towers:
    """Both towers; trained by ``benchmarks/train_aligner.py`` on the training split of ``emoji``.

    Raises:
        UsageError: one of the networks is not installed (says how).
    """
    return emoji_towers(EfficientNetFeatures(side=SIDE), minilm)
