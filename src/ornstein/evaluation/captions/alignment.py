"""Cosines of pictures and texts in a common space. Hessel et al. 2021, 2104.08718."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ornstein.core.errors import DataError


def alignment(image: Tensor, text: Tensor) -> Tensor:
    """cos(image_i, text_i) of vectors ``[N, D]`` both, ``[N]``; the CLIP score is 100 max(0, .) of CLIP's own vectors.

    Raises:
        DataError: other shapes, numbers that are not finite, a vector of length zero.
    """
    if image.shape != text.shape or image.ndim != 2:
        raise DataError(
            f"towers must give vectors [N, D] of one space, got {tuple(image.shape)} and {tuple(text.shape)}"
        )
    for name, x in (("image", image), ("text", text)):
        bad = (~torch.isfinite(x).all(1) | (x == 0).all(1)).nonzero().flatten()
        if len(bad):
            raise DataError(f"the {name} tower gives NaN, infinity or zero for sample {int(bad[0])}")
    return (F.normalize(image.double(), dim=1) * F.normalize(text.double(), dim=1)).sum(1)


def retrieval(image: Tensor, text: Tensor) -> float:
    """Share of images whose own text is nearer than any other text of the set; texts that are equal do not count as others."""
    alignment(image, text)  # refuses what cannot be compared
    similarity = F.normalize(image.double(), dim=1) @ F.normalize(text.double(), dim=1).T
    same = (text[:, None] == text[None]).all(2)
    own = similarity.diagonal()[:, None]
    return float(((similarity < own) | same).all(1).double().mean())
