"""Objectives that train nothing: they look at batches and keep what they find in the buffers of a module."""

from __future__ import annotations

from typing import final

import torch

from ornstein.codecs.base import Codec
from ornstein.core.batch import Batch
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.denoisers.analytic import AnalyticVariance
from ornstein.samplers.preconditioner import Spectrum


@final
class MeasuredVariance:
    """Each batch, noised to steps of the chain drawn uniformly, goes into the table of an analytic variance.

    Give it to an update without parameters. The loss is the mean of 1 - Gamma_t so far.
    """

    def __init__(self, denoiser: AnalyticVariance, codec: Codec):
        self.denoiser, self.codec = denoiser, codec

    @torch.no_grad()
    def __call__(self, batch: Batch, rng: Random) -> Loss:
        x_0 = self.codec.encode(batch.x, rng, batch.cond)
        # Stratified, so that a short measurement sees all levels.
        n = (rng.stratified(len(batch)) * self.denoiser.steps).long().clamp(max=self.denoiser.steps - 1) + 1
        self.denoiser.add(x_0, n.to(x_0.device), rng, batch.cond)
        return Loss(self.denoiser.gaps().mean().float())


@final
class MeasuredSpectrum:
    """Each batch goes into the means of a spectrum. Give it to an update without parameters. The loss is 0."""

    def __init__(self, spectrum: Spectrum, codec: Codec):
        self.spectrum, self.codec = spectrum, codec

    @torch.no_grad()
    def __call__(self, batch: Batch, rng: Random) -> Loss:
        self.spectrum.add(self.codec.encode(batch.x, rng, batch.cond))
        return Loss(torch.zeros(()))
