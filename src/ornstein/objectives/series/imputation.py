"""Training to fill gaps: some of the observed cells are hidden, and their noise is predicted from those that are left."""

from __future__ import annotations

from typing import final

import torch

from ornstein.codecs.base import Codec
from ornstein.codecs.standard import Line
from ornstein.core import cond as conditions
from ornstein.core.batch import Batch
from ornstein.core.errors import DataError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.objectives.series.masks import Draw
from ornstein.objectives.times import Times


@final
class Imputation:
    r"""E |(out(x_t, t, cond) - target(x_0, x_t, t)) * m_ta|^2 / |m_ta|, m_ta = observed - m_co. Tashiro et al. 2021, eq. 9.

    ``batch.x [B, K, L]`` holds NaN where nothing was observed. The network is told the known cells as ``values`` and
    ``given``, and as ``sought`` those that are hidden; noise and loss are on the latter only, so that the same objective is
    that of SSSD (Lopez Alcaraz & Strodthoff 2022, 2208.09399, "D1"). ``label_dropout`` is how often a class is not told.
    ``anchor``: what is denoised is the difference to a line between the known cells in units of what it misses; the network
    is told both.
    """

    def __init__(
        self,
        denoiser: Preconditioned,
        codec: Codec,
        times: Times,
        masks: Draw,
        label_dropout: float = 0.0,
        anchor: Line | None = None,
    ):
        self.denoiser, self.codec, self.times, self.masks = denoiser, codec, times, masks
        self.label_dropout, self.anchor = label_dropout, anchor

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        denoiser, process = self.denoiser, self.denoiser.process
        x = self.codec.encode(batch.x, rng, batch.cond)
        if bool(x.isinf().any()):
            raise DataError("a series holds infinite values; leave out values that are missing (NaN)")
        observed = x.isfinite()
        x_0 = torch.where(observed, x, torch.zeros_like(x))
        given = self.masks(observed, rng)
        sought = observed & ~given
        cond = {**batch.cond, "values": x_0 * given, "given": given, "sought": sought}
        if self.anchor is not None:
            cond |= self.anchor(x_0, given, batch.cond["position"])
            x_0 = (x_0 - cond["anchor"]) / cond["spread"]
        if self.label_dropout and "label" in cond:
            told = rng.uniform((len(batch),)) >= self.label_dropout
            cond |= conditions.drop({"label": cond["label"]}, told)
        t = expand(self.times(rng, len(batch)).to(x_0.device), x_0)
        x_t = process.marginal(x_0, t).sample(rng)
        error = (denoiser.output(x_t, t, cond) - denoiser.parametrization.target(process, x_0, x_t, t)) ** 2 * sought
        count = sought.flatten(1).sum(1).clamp_min(1)
        per_sample = error.flatten(1).sum(1) / count
        # Every hidden cell counts as much as any other, in whichever sample it lies.
        value = error.sum() / sought.sum().clamp_min(1)
        return Loss(value, levels=(t.detach().reshape(-1), per_sample.detach()))
