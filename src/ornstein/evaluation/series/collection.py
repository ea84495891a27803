"""Time series to be measured: a set of them, or forecasts with several draws of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self, final

import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.digests import digest_of

Point = Literal["median", "mean"]


@final
@dataclass(frozen=True)
class SeriesSettings:
    """What metrics of series depend on; those that a metric uses are part of its protocol."""

    point: Point = "median"
    """the point forecast of several draws, of mae, rmse and mre"""
    level: float = 0.9
    """mass of the central interval, of coverage"""
    quantiles: tuple[float, ...] = (0.1, 0.5, 0.9)
    """of quantile_loss"""
    lags: int = 20
    """of autocorrelation, at most the length less one"""
    updates: int = 500
    """training steps, of at most 128 series each, of the networks of the discriminative and predictive scores"""
    hidden: int = 16
    """units of those networks"""
    seed: int = 0
    """of half-samples, splits and networks"""


@final
class Series:
    """``x``: series ``[N, L, K]`` (N series, L steps, K channels), ``[N, L]`` of one channel, or ``[N, M, L, K]``, M draws of
    each. ``observed``: ``[N, L, K]`` bool, the cells that count; what is not observed may hold anything finite.

    Raises:
        DataError: another shape, nothing in it, NaN or infinity, a mask of another shape or without a cell.
    """

    def __init__(self, x: Tensor, observed: Tensor | None = None):
        if x.ndim == 2:
            x = x[:, :, None]
        if x.ndim == 3:
            x = x[:, None]
        if x.ndim != 4 or 0 in x.shape:
            raise DataError(f"series are [N, L, K], [N, L] or [N, draws, L, K] and not empty, got {tuple(x.shape)}")
        self.x = x.double()
        bad = (~torch.isfinite(self.x)).nonzero()
        if len(bad):
            raise DataError(
                f"the series hold NaN or infinity, first in series {int(bad[0, 0])} at step {int(bad[0, 2])}; fill missing "
                "cells with any number and mark them in `observed`"
            )
        if observed is not None and observed.ndim == 2:
            observed = observed[:, :, None]
        if observed is not None:
            wanted = (len(x), *x.shape[2:])
            if tuple(observed.shape) != wanted:
                raise DataError(f"`observed` must be of shape {wanted}, got {tuple(observed.shape)}")
            if not bool(observed.any()):
                raise DataError("`observed` marks no cell, so there is nothing to measure")
        self.observed = None if observed is None else observed.bool()

    @property
    def content_hash(self) -> str:
        return digest_of([self.x, self.observed])

    @property
    def draws(self) -> int:
        """M."""
        return self.x.shape[1]

    @property
    def about(self) -> dict[str, Any]:
        return {"length": self.x.shape[2], "channels": self.x.shape[3], "draws": self.draws}

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: Tensor) -> Self:
        observed = None if self.observed is None else self.observed[index]
        return type(self)(self.x[index], observed)

    @property
    def single(self) -> Tensor:
        """``[N, L, K]``; refused where there are several draws."""
        if self.draws != 1:
            raise DataError(
                f"the metric takes series [N, L, K] and there are {self.draws} draws of each; reshape to [N * draws, L, K] "
                "if they are a set"
            )
        return self.x[:, 0]

    @property
    def cells(self) -> Tensor:
        """``[N, L, K]`` bool: those that count."""
        return torch.ones_like(self.x[:, 0], dtype=torch.bool) if self.observed is None else self.observed


def require_same_form(samples: Series, other: Series, name: str) -> None:
    """Refuse other lengths or channels.

    Raises:
        DataError: names both.
    """
    a, b = samples.x.shape[2:], other.x.shape[2:]
    if a != b:
        raise DataError(
            f"the samples have {a[0]} steps and {a[1]} channels, the {name} {b[0]} and {b[1]}; bring both to one form"
        )
