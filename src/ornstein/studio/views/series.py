"""Time series: what was observed as points, and over the gaps the middle and the intervals of the draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from ornstein.core.errors import DataError
from ornstein.evaluation.reading import arrays_of
from ornstein.recipes.samples import Samples
from ornstein.recipes.system import System
from ornstein.studio.charts import Band, Curve, chart
from ornstein.studio.html import escape
from ornstein.studio.views.base import Shown, View

LEVELS = (0.5, 0.9)
"""Masses of the central intervals that are drawn."""


@dataclass(frozen=True)
class Draws:
    """Draws of one record: ``x [M, L, K]``; ``known [L, K]``, NaN where nothing was observed."""

    x: Tensor
    known: Tensor | None = None
    channels: Sequence[str] = ()


def plots(draws: Draws, most: int = 6) -> str:
    """A chart of each channel (the first ``most``)."""
    channels = draws.x.shape[2]
    out = []
    for k in range(min(channels, most)):
        name = draws.channels[k] if k < len(draws.channels) else f"channel {k}"
        known = None if draws.known is None else draws.known[:, k]
        out.append(f"<h4>{escape(name)}</h4>{fan(draws.x[:, :, k], known)}")
    if channels > most:
        out.append(f"<p class='o-notice o-quiet'>{most} of {channels} channels</p>")
    return "".join(out)


def fan(x: Tensor, known: Tensor | None = None) -> str:
    """One channel: ``x [M, L]`` and what is known of it, ``[L]`` with NaN in the gaps.

    Intervals are drawn over the gaps alone, and run to the observed neighbours of each, where nothing is uncertain.
    """
    if x.ndim != 2 or (known is not None and known.shape != x.shape[1:]):
        raise DataError(f"draws of one channel are [M, L] beside [L] observations, got {tuple(x.shape)}")
    x = x.double()
    if known is not None:
        x = torch.where(known.isnan(), x, known.double())
    middle = x.median(0).values
    gap = torch.ones(x.shape[1], dtype=torch.bool) if known is None else known.isnan()
    drawn = gap | gap.roll(1) & (torch.arange(len(gap)) > 0) | gap.roll(-1) & (torch.arange(len(gap)) < len(gap) - 1)
    bands = []
    for shade, level in enumerate(sorted(LEVELS, reverse=True) if len(x) > 1 else ()):
        low, high = (torch.quantile(x, (1 + sign * level) / 2, dim=0) for sign in (-1, 1))
        for i, (first, last) in enumerate(_stretches(drawn)):
            points = [(float(t), float(low[t]), float(high[t])) for t in range(first, last + 1)]
            bands.append(Band(f"{level:.0%} of the draws" if i == 0 else "", points, shade))
    lines = [
        Curve("median" if i == 0 else "", [(float(t), float(middle[t])) for t in range(first, last + 1)], 0)
        for i, (first, last) in enumerate(_stretches(drawn))
    ]
    dots = []
    if known is not None:
        dots = [Curve("observed", [(float(t), float(v)) for t, v in enumerate(known.tolist())], 1)]
    return chart(lines, bands=bands, dots=dots, x_label="time", y_label="value")


def _stretches(drawn: Tensor) -> list[tuple[int, int]]:
    """First and last index of each run of true ones."""
    edges = torch.diff(drawn.int(), prepend=torch.zeros(1).int(), append=torch.zeros(1).int())
    first, last = ((edges == sign).nonzero().flatten().tolist() for sign in (1, -1))
    return [(a, b - 1) for a, b in zip(first, last, strict=True)]


def read_draws(path: Path) -> list[Draws]:
    """Forecasts in an NPZ, as ``ornstein evaluate`` reads them: ``samples [N, M, L, K]`` (or ``[N, M, L]``), with ``observed``
    values ``[N, L, K]``, NaN in the gaps, and the ``channels`` by name, where there are such.

    Raises:
        DataError: no such file or array, other shapes, draws that are not finite.
    """
    stored = arrays_of(path, ("samples", "x", "series"))
    x = torch.from_numpy(np.asarray(stored.main)).double()
    x = x[..., None] if x.ndim == 3 else x
    if x.ndim != 4 or 0 in x.shape or not bool(torch.isfinite(x).all()):
        raise DataError(f"{path}: draws are finite numbers [N, M, L, K] or [N, M, L], got {tuple(x.shape)}")
    found = stored.others.get("observed")
    names = tuple(str(c) for c in stored.others.get("channels", ()))
    if found is None:
        return [Draws(one, None, names) for one in x]
    known = torch.from_numpy(np.asarray(found)).double()
    known = known[..., None] if known.ndim == 2 else known
    if known.shape != (len(x), *x.shape[2:]):
        raise DataError(f"{path}: 'observed' is {tuple(known.shape)} beside draws of {tuple(x.shape)}")
    return [Draws(one, seen, names) for one, seen in zip(x, known, strict=True)]


@final
class SeriesView(View):
    """Systems whose data are ``[K, L]``: K channels of L steps. All draws of a call are drawn together."""

    name = "series"

    def fits(self, system: System) -> bool:
        return len(system.data_shape) == 2

    def preview(self, x: Tensor) -> str:
        return plots(Draws(x.transpose(1, 2)), most=2)

    def show(self, samples: Samples, folder: Path) -> Shown:
        path = folder / f"series-{samples.seeds[0]:06d}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        x = samples.tensor.transpose(1, 2)
        np.savez_compressed(path, samples=x[None].numpy())
        return Shown(html=plots(Draws(x)), files=[path])
