"""One row for each operator: a new one needs only a row here."""

from __future__ import annotations

import torch

from ornstein.measurements import (
    JPEG,
    Blur,
    ClippedExposure,
    Direct,
    Fourier,
    Grey,
    Linear,
    Mask,
    Matrix,
    Operator,
    PhaseRetrieval,
    Quantise,
    average_pooling,
    bicubic,
    gaussian_blur,
    lines,
    motion,
    projections,
    radon,
)

SHAPE = (3, 8, 8)


def _mask() -> Mask:
    known = torch.ones(8, 8)
    known[2:6, 3:7] = 0
    return Mask(known)


def _dense() -> Matrix:
    matrix = torch.randn(20, 192, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return Matrix(matrix, SHAPE, "dense matrix")


LINEAR: dict[str, Linear] = {
    "mask": _mask(),
    "direct": Direct(),
    "average pooling": average_pooling(SHAPE, 4),
    "bicubic": bicubic(SHAPE, 2),
    "gaussian blur": gaussian_blur(SHAPE, 0.7),
    "grey": Grey(),
    "motion blur": Blur(motion(5, 30.0)),
    "fourier": Fourier(lines((8, 8), 2, 2)),
    "radon": radon(SHAPE, 5),
    "projections": projections(SHAPE, 30),
    "dense": _dense(),
}

NONLINEAR: dict[str, Operator] = {
    "quantise": Quantise(4),
    "jpeg": JPEG(20),
    "phase retrieval": PhaseRetrieval(),
    "exposure": ClippedExposure(),
}
