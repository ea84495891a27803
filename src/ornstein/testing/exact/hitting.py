"""Data on a target set, with the exact posterior of the diffusions that first hit it."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac, Score
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Random
from ornstein.processes.base import Process
from ornstein.processes.first_hitting import FirstHittingBits, FirstHittingSphere, Signs
from ornstein.testing.exact.problem import Problem


def bits(process: Process, probs: Tensor) -> BitsProblem:
    """Any law of d bits: ``probs [2^d]``, entry j that of the binary digits of j (lowest first), 1 for 1 and -1 for 0."""
    if not isinstance(process, FirstHittingBits):
        raise CapabilityError(f"the problem of bits needs FirstHittingBits; {type(process).__name__} is not")
    d = round(math.log2(max(len(probs), 1)))
    if probs.ndim != 1 or len(probs) != 2**d or d < 1 or bool((probs < 0).any()):
        raise UsageError(f"a law of bits has 2^d entries >= 0, got shape {tuple(probs.shape)}")
    words = 2 * ((torch.arange(2**d).unsqueeze(1) >> torch.arange(d)) & 1).double() - 1
    return BitsProblem(process, probs.double() / probs.sum(), words)


@final
class BitsProblem(Problem):
    r"""p(y | z) ~ p(y) prod_i h_{y_i}(z_i)/h_{y_i}(begin), h_y(z) = (1 + y z)/2: by enumeration, the same at every time."""

    def __init__(self, process: FirstHittingBits, probs: Tensor, words: Tensor):
        self.process, self.probs, self.words = process, probs, words
        self.shape = (words.shape[1],)

    def sample(self, rng: Random, n: int) -> Tensor:
        return self.words[rng.categorical(self.probs.log().expand(n, -1))]

    def posterior(self, x_t: Tensor, t: Tensor | float, cond: Cond = NO_COND) -> Signs:
        z, begin = x_t.double().unsqueeze(1), self.process.begin
        weight = self.probs * ((1 + self.words * z) / (1 + self.words * begin)).prod(-1)
        up = (weight.unsqueeze(-1) * (self.words > 0)).sum(1)
        down = (weight.unsqueeze(-1) * (self.words < 0)).sum(1)
        return Signs((up.clamp_min(1e-300).log() - down.clamp_min(1e-300).log()).to(x_t))

    def marginal_log_prob(self, x_t: Tensor, t: Tensor | float) -> Tensor:
        raise CapabilityError("a process that stops has no density on the whole space")

    def score(self, x_t: Tensor, t: Tensor | float) -> Tensor:
        raise CapabilityError("a process that stops has no score")

    def log_prob(self, x_0: Tensor) -> Tensor:
        word = ((x_0 > 0).long() << torch.arange(x_0.shape[1])).sum(1)
        return self.probs[word].log()


def sphere(process: Process, weights: Tensor, points: Tensor) -> SphereProblem:
    """Points on the unit sphere ``[K, 3]`` with their masses ``[K]``."""
    if not isinstance(process, FirstHittingSphere):
        raise CapabilityError(f"the problem of the sphere needs FirstHittingSphere; {type(process).__name__} is not")
    if points.ndim != 2 or points.shape[1] != 3 or weights.shape != points.shape[:1] or bool((weights <= 0).any()):
        raise UsageError(f"masses [K] > 0 and points [K, 3] do not fit: {tuple(weights.shape)}, {tuple(points.shape)}")
    return SphereProblem(process, weights.double() / weights.sum(), points.double())


@final
class SphereProblem(Problem):
    r"""The drift sum_k r_k u_k, r_k ~ p_k (1 - |z|^2)/|z - y_k|^3."""

    def __init__(self, process: FirstHittingSphere, weights: Tensor, points: Tensor):
        self.process, self.weights, self.points = process, weights, points
        self.shape = (3,)

    def sample(self, rng: Random, n: int) -> Tensor:
        return self.points[rng.categorical(self.weights.log().expand(n, -1))]

    def posterior(self, x_t: Tensor, t: Tensor | float, cond: Cond = NO_COND) -> Score:
        return Score(self.score(x_t, t))

    def marginal_log_prob(self, x_t: Tensor, t: Tensor | float) -> Tensor:
        raise CapabilityError("a process that stops has no density on the whole space")

    def score(self, x_t: Tensor, t: Tensor | float) -> Tensor:
        """The mean drift over the ends."""
        z = x_t.double()
        distance = (z.unsqueeze(1) - self.points).norm(dim=2).clamp_min(1e-9)
        share = (self.weights.log() - 3 * distance.log()).softmax(1)
        pulls = torch.stack([self.process.pull(z, Dirac(y.expand_as(z))) for y in self.points], 1)
        return (share.unsqueeze(-1) * pulls).sum(1).to(x_t)
