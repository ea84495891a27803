r"""Grids that a search returns: times fitted to a sampler, a denoiser and a number of steps.

The sampler is run from given starts to where the flow ends for them, and the times move down the gradient of the error there:
what is learnt is where this method wants its evaluations on this flow, ends included. The idea of optimised times is that of
Align Your Steps (Sabour et al. 2024, 2404.14507) and of Xue et al. 2024 (2402.17376), who bound the error instead.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Rng
from ornstein.samplers.base import DenoisingSampler, check_grid, simulate


def fit_grid(
    sampler: DenoisingSampler,
    x: Tensor,
    wanted: Tensor,
    grid: Tensor,
    *,
    cond: Cond = NO_COND,
    rounds: int = 60,
    rate: float = 0.1,
    kept: float = 1.0,
) -> Tensor:
    r"""Times t_0 > t_1 > ... > t_{N-1} > t_N = 0 of least mean square of x_end - wanted, from ``grid`` on, by Adam.

    t_0 stays. The steps down to ``process.t_min`` are shares (a softmax) of the way there, so that t_{N-1}, where the network
    is asked for the last time, is free as well and never below t_min. The last step, to 0, is E[x_0] at t_{N-1}, which is what
    deterministic samplers make of it.

    Args:
        sampler: deterministic; differentiated through.
        x: starts at ``grid[0]``; others than those on which the grid will be judged.
        wanted: where the flow leads from them, of x's shape.
        grid: ``[N + 1]`` to begin with, N >= 2, ending at 0.
        kept: the share of the starts whose error counts, the least missed of each round. On separate modes a few starts near a
            border end in the wrong one; their error hangs on where the border lies, is a thousand times that of the others,
            and with 1 is all that the times follow. 0.95 leaves them out.

    Returns:
        ``[N + 1]``, float64: the best of all rounds, the first included.

    Raises:
        CapabilityError: the sampler draws noise or adapts its steps.
        UsageError: the grid does not end at 0 or has one step; ``x`` and ``wanted`` differ in shape; rounds or rate not
            positive; ``kept`` outside ]0, 1].
    """
    if sampler.stochastic or sampler.order == 0:
        raise CapabilityError(
            f"a grid is fitted to a deterministic sampler of fixed steps; {type(sampler).__name__} is not"
        )
    grid = check_grid(grid)
    if grid.ndim != 1 or len(grid) < 3 or float(grid[-1]) != 0:
        raise UsageError("a fitted grid begins with two steps or more that end at t = 0, [N + 1]")
    if x.shape != wanted.shape:
        raise UsageError(
            f"x and wanted have the shapes {tuple(x.shape)} and {tuple(wanted.shape)}; give one end per start"
        )
    if rounds < 1 or not rate > 0:
        raise UsageError(f"a search needs rounds >= 1 and rate > 0, got {rounds} and {rate}")
    if not 0 < kept <= 1:
        raise UsageError(f"kept is a share of the starts, above 0 and at most 1, got {kept}")
    high, floor = float(grid[0]), min(float(sampler.process.t_min), float(grid[-2]))
    rest = max(float(grid[-2]) - floor, 1e-3 * float(grid[-3] - grid[-2]))
    steps = torch.cat([-grid[:-1].diff(), torch.tensor([rest], dtype=torch.float64)])
    shares = (steps / steps.sum()).log().requires_grad_()
    optimizer = torch.optim.Adam([shares], lr=rate)
    best, found, rng = math.inf, grid, Rng(range(len(x)))
    for i in range(rounds + 1):
        with torch.enable_grad():
            way = shares.softmax(0).cumsum(0)[:-1]
            times = torch.cat([torch.tensor([high], dtype=torch.float64), high - (high - floor) * way])
            y = simulate(sampler, x, times, rng, cond)
            end = sampler.denoiser(y, times[-1], cond).mean
            error = missed(end, wanted, kept)
            (shares.grad,) = torch.autograd.grad(error.log(), [shares])
        if float(error.detach()) < best:
            best, found = float(error.detach()), torch.cat([times.detach(), torch.zeros(1, dtype=torch.float64)])
        optimizer.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * i / rounds)) / 2
        optimizer.step()
    return found


def missed(end: Tensor, wanted: Tensor, kept: float = 1.0) -> Tensor:
    """Mean square of end - wanted over the share ``kept`` of the samples, those that are missed least; a scalar, float64."""
    each = (end - wanted).double().square().flatten(1).mean(1)
    return each.sort().values[: math.ceil(kept * len(each))].mean()
