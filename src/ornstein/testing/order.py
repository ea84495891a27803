r"""Orders of convergence, without sampling noise.

For Gaussian data the exact denoiser is affine in x_t and its variance does not depend on x_t. One run of a sampler is then
x_end = a x_start + b + sum_i c_i z_i, z_i its normal draws, and a single batch reads off every number: rows that start at
0, 1 and 2 give a, b and a check that the map is affine; a row with z_i = 1 and all other draws 0 gives c_i. So the law at
the end is known to rounding for stochastic samplers as well, and so is their weak order. Where a process couples coordinates a,
b and c_i are matrices: every start and every draw gets a row for each coordinate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Posterior
from ornstein.core.errors import UsageError
from ornstein.core.rng import Random
from ornstein.denoisers.denoiser import Denoiser
from ornstein.samplers.base import DenoisingSampler, simulate
from ornstein.testing.exact.gaussian import GaussianProblem
from ornstein.testing.exact.linear import CoupledProblem

Factory = Callable[[Denoiser], DenoisingSampler]
"""Builds a sampler on a denoiser: a class, or a :class:`ornstein.samplers.Choice`."""


class _Impulses(Random):
    """Draw number i is 1 in row ``first + i`` and 0 elsewhere; counts the draws.

    With ``apart`` it is 1 in one coordinate j of row ``first + i D + j``.
    """

    def __init__(self, first: int, apart: bool = False):
        self.first, self.apart, self.draws = first, apart, 0

    def normal(
        self, shape: Sequence[int], *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Tensor:
        out = torch.zeros(tuple(shape), dtype=dtype)
        size = out[0].numel()
        row = self.first + self.draws * (size if self.apart else 1)
        if row < len(out):
            if self.apart:
                out[row : row + size] = torch.eye(size, dtype=dtype).reshape(size, *shape[1:])
            else:
                out[row] = 1
        self.draws += 1
        return out.to(device)

    def uniform(
        self, shape: Sequence[int], *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Tensor:
        raise UsageError("this sampler draws uniforms: its law is not Gaussian and cannot be read off in one run")


@dataclass(frozen=True)
class Law:
    """Mean and standard deviation, each of the problem's shape, float64; Cholesky's factor ``[D, D]`` where coordinates are
    coupled."""

    mean: Tensor
    std: Tensor

    def distance(self, other: Law) -> float:
        """Euclidean distance of both together: the error that orders are measured in."""
        return float(((self.mean - other.mean).square().sum() + (self.std - other.std).square().sum()).sqrt())


def exact_law(problem: GaussianProblem | CoupledProblem, t: float) -> Law:
    """The law of x_t."""
    if isinstance(problem, CoupledProblem):
        mean, cov = problem.law(t, torch.empty((1, *problem.shape), dtype=torch.float64))
        return Law(mean, torch.linalg.cholesky(cov))
    mean, var = problem.law(t, torch.empty((1, *problem.shape), dtype=torch.float64))
    shape = problem.shape
    return Law(mean.expand(1, *shape)[0], var.expand(1, *shape)[0].sqrt())


def sampled_law(sampler: DenoisingSampler, problem: GaussianProblem | CoupledProblem, grid: Tensor) -> Law:
    """The law at the end of a grid when x starts from the exact law at its first time; no random numbers are drawn.

    Raises:
        UsageError: the sampler's map is not affine in x and in its normal draws.
    """
    probe = _Impulses(first=1)
    start = torch.zeros(1, *problem.shape, dtype=torch.float64)
    simulate(sampler, start, grid, probe)
    draws = probe.draws
    if isinstance(problem, CoupledProblem):
        return _coupled_law(sampler, problem, grid, draws)
    start = torch.zeros(3 + draws, *problem.shape, dtype=torch.float64)
    start[1], start[2] = 1, 2
    end = simulate(sampler, start, grid, _Impulses(first=3))
    shift, gain, noise = end[0], end[1] - end[0], end[3:] - end[0]
    if not torch.allclose(end[2] - end[1], gain, rtol=1e-6, atol=1e-8):
        raise UsageError(f"{type(sampler).__name__} is not affine in x_t on Gaussian data: its law cannot be read off")
    first = exact_law(problem, float(grid[0]))
    var = (gain * first.std) ** 2 + noise.square().sum(0)
    return Law(gain * first.mean + shift, var.sqrt())


def _coupled_law(sampler: DenoisingSampler, problem: CoupledProblem, grid: Tensor, draws: int) -> Law:
    """The same with a row for each coordinate: rows at 0, at two points to check by, at the D unit vectors, and D a draw."""
    (size,) = problem.shape
    start = torch.zeros(3 + size * (1 + draws), size, dtype=torch.float64)
    start[1], start[2], start[3 : 3 + size] = 1, 2, torch.eye(size, dtype=torch.float64)
    end = simulate(sampler, start, grid, _Impulses(first=3 + size, apart=True))
    moved = end - end[0]
    if not torch.allclose(moved[2], 2 * moved[1], rtol=1e-6, atol=1e-8):
        raise UsageError(f"{type(sampler).__name__} is not affine in x_t on Gaussian data: its law cannot be read off")
    gain, noise = moved[3 : 3 + size].T, moved[3 + size :]
    first = exact_law(problem, float(grid[0]))
    cov = gain @ first.std @ first.std.T @ gain.T + noise.T @ noise
    return Law(gain @ first.mean + end[0], torch.linalg.cholesky(cov))


def sampler_error(sampler: DenoisingSampler, problem: GaussianProblem | CoupledProblem, grid: Tensor) -> float:
    """Distance of the sampled law from the exact one at the end of the grid."""
    return sampled_law(sampler, problem, grid).distance(exact_law(problem, float(grid[-1])))


def measured_order(
    factory: Factory,
    problem: GaussianProblem | CoupledProblem,
    steps: int = 32,
    ends: tuple[float, float] = (0.9, 0.1),
    denoiser: Denoiser | None = None,
    ramp: bool = False,
) -> float:
    r"""The order at which a sampler converges to the problem's law, on equal steps in t between two inner times.

    The signed error of the mean or of the standard deviation (whichever is larger) at N, 2N and 4N steps is read as
    C h^p + D h^(p+1), which three numbers determine: q = 2^p solves 2 e_3 q^2 - 3 e_2 q + e_1 = 0. A plain slope would be
    led astray by the second term, most of all where the error crosses zero (DPM-Solver++ 2M on VP, near 100 steps).

    Args:
        factory: builds the sampler on a denoiser.
        problem: exact Gaussian data.
        steps: N.
        ends: the first and last time.
        denoiser: another denoiser of the same problem (:class:`ornstein.testing.exact.MeanOnly`).
        ramp: begin with steps that double from H/N^2 to H/2 and together make one H. A multistep method starts with orders
            1, 2, ..., whose errors would hide its own; in steps that small they do not.

    Returns:
        p, or ``inf`` where every grid is exact to rounding.
    """
    sampler = factory(problem.denoiser if denoiser is None else denoiser)
    target = exact_law(problem, ends[1])
    laws = [
        sampled_law(sampler, problem, _ramped(ends, n) if ramp else torch.linspace(*ends, n + 1, dtype=torch.float64))
        for n in (steps, 2 * steps, 4 * steps)
    ]
    signed = torch.stack([torch.cat([(a.mean - target.mean).flatten(), (a.std - target.std).flatten()]) for a in laws])
    scale = float(target.std.norm())
    if float(signed.abs().max()) < 1e-10 * scale:
        return math.inf
    e1, e2, e3 = signed[:, int(signed[-1].abs().argmax())].tolist()
    if abs(e3) < 1e-12 * scale:
        raise UsageError(f"errors fall to rounding within {4 * steps} steps ({e1:.1e}, {e2:.1e}, {e3:.1e}); use fewer")
    root = 9 * e2 * e2 - 8 * e1 * e3
    q = max((3 * e2 + sign * math.sqrt(max(root, 0.0))) / (4 * e3) for sign in (1, -1))
    if root < 0 or q <= 0:
        raise UsageError(f"errors {e1:.1e}, {e2:.1e}, {e3:.1e} are not yet those of small steps; use more than {steps}")
    return math.log2(q)


def _ramped(ends: tuple[float, float], steps: int) -> Tensor:
    """Equal steps, the first of which is cut into steps that double from the size of ``1/steps^2`` of one."""
    plain = torch.linspace(*ends, steps + 1, dtype=torch.float64)
    parts = 2.0 ** torch.arange(-2 * round(math.log2(steps)), 0, dtype=torch.float64)
    return torch.cat([plain[:1], plain[0] + (plain[1] - plain[0]) * parts, plain[1:]])


class Counting(Denoiser):
    """Counts how often the denoiser is called, and for how many rows."""

    def __init__(self, denoiser: Denoiser):
        super().__init__()
        self.denoiser, self.process = denoiser, denoiser.process
        self.calls = 0

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        self.calls += 1
        return self.denoiser(x_t, t, cond)


def evaluations_per_step(
    factory: Factory, denoiser: Denoiser, x: Tensor, grid: Tensor, rng: Random, skip: int = 0
) -> float:
    """Network calls per step over a grid, without its first ``skip`` steps: end it above 0 to count inner steps only."""
    counting = Counting(denoiser)
    after: list[int] = [0]
    simulate(factory(counting), x, grid, rng, on_step=lambda step: after.append(counting.calls))
    return (after[-1] - after[skip]) / (len(grid) - 1 - skip)
