"""What a measurement of likelihood returns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ornstein.core.errors import UsageError


@dataclass(frozen=True)
class Likelihood:
    """log p(x) of each sample, or a lower bound of it, with its standard errors."""

    nats: Tensor
    """log p(x), ``[B]`` float64: a density of the data as they were given, or a probability where they are discrete"""
    noise: Tensor
    """standard error of ``nats`` over the noise that was drawn, ``[B]``; 0 where the method draws none, NaN for one draw"""
    dims: int
    """coordinates of one sample"""
    method: str
    bound: bool
    """whether the expectation of ``nats`` lies below log p(x) rather than on it"""

    @property
    def bits(self) -> Tensor:
        """-log2 p(x) / dims of each sample, ``[B]``."""
        return -self.nats / (self.dims * math.log(2))

    @property
    def bits_per_dim(self) -> float:
        """The mean over the data; the entropy in bits per coordinate, up to how well the model fits."""
        return float(self.bits.mean())

    @property
    def stderr(self) -> float:
        """Standard error of :attr:`bits_per_dim` over data and noise: the samples' spread holds both. NaN for one sample."""
        return float(self.bits.std() / math.sqrt(len(self.bits))) if len(self.bits) > 1 else math.nan

    @property
    def noise_stderr(self) -> float:
        """Standard error of :attr:`bits_per_dim` over the noise alone, the data being as they are."""
        return float((self.noise**2).sum().sqrt() / (len(self.noise) * self.dims * math.log(2)))

    def __str__(self) -> str:
        what = "at most " if self.bound else ""
        return f"{what}{self.bits_per_dim:.4f} +- {self.stderr:.4f} bits per dimension ({self.method})"


def join(parts: list[Likelihood]) -> Likelihood:
    """The batches of one measurement as one."""
    if not parts:
        raise UsageError("there is nothing to measure: no samples were given")
    first = parts[0]
    nats, noise = (torch.cat([getattr(p, name) for p in parts]) for name in ("nats", "noise"))
    return Likelihood(nats, noise, first.dims, first.method, first.bound)
