"""The conformance suite of samplers: measured orders, exact laws, no state, no dependence on the batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Rng
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine, GaussianProcess, Process
from ornstein.processes.categorical import CategoricalProcess
from ornstein.processes.gaussian import EDM, FlowMatching
from ornstein.processes.linear import LinearProcess
from ornstein.processes.torus import Torus
from ornstein.samplers.base import DenoisingSampler, simulate
from ornstein.samplers.table import SAMPLERS
from ornstein.testing import exact
from ornstein.testing.conformance.compare import close, near_zero, require
from ornstein.testing.conformance.problems import coordinates, fine_grid, gaussian_on, plain_grid, problem_on
from ornstein.testing.conformance.times import name
from ornstein.testing.exact.problem import Problem
from ornstein.testing.order import Law, evaluations_per_step, exact_law, measured_order, sampled_law

Kind = type[DenoisingSampler]
Check = Callable[[Kind, Process], None]


def sampler_checks() -> list[Check]:
    """The checks, each ``(sampler class, process) -> None``."""
    return [
        check_order,
        check_law,
        check_draws,
        check_evaluations,
        check_randomness,
        check_stateless,
        check_times_per_sample,
        check_last_step,
        check_float32,
        check_capability,
    ]


def check_sampler(kind: Kind, processes: Sequence[Process]) -> None:
    """Run every check of a sampler on every process that it can use, and see it refuse the others."""
    for process in processes:
        for check in sampler_checks():
            check(kind, process)


def _title(kind: Kind, process: Process) -> str:
    return f"{kind.__name__} on {name(process)}"


def _run(sampler: DenoisingSampler, problem: Problem, seeds: Sequence[int], grid: Tensor) -> Tensor:
    """From the prior down the grid, in float64 for continuous states."""
    rng = Rng(seeds)
    x = problem.process.prior((len(rng), *problem.shape)).sample(rng)
    return simulate(sampler, x.double() if x.is_floating_point() else x, grid, rng)


def _fits(kind: Kind, process: Process) -> bool:
    """Whether its constructor takes the process."""
    if kind.single_level and isinstance(process, Affine) and coordinates(process):
        return False
    return isinstance(process, kind.needs)


def check_order(kind: Kind, process: Process) -> None:
    """The order that the class declares, within 0.15, on Gaussian data and between inner times.

    Measured with the mean of x_0 alone, as most networks give it, and, where noise is drawn, with the exact variance, which
    may make it exact. On the straight processes, EDM's and flow matching, some methods gain an order on Gaussian data: there
    it may be higher. Multistep methods of order 3 and more begin with small steps, and are measured with more of them; so are
    stochastic ones, in which higher orders than their own stand before it at few steps.
    """
    if not (_fits(kind, process) and isinstance(process, GaussianProcess | LinearProcess)) or kind.order == 0:
        return
    problem = gaussian_on(process)
    low = 0.1
    # Where sigma is far below the data's deviation, leading terms of errors vanish.
    if isinstance(process, GaussianProcess) and not coordinates(process):
        low = max(low, float(process.time(torch.tensor(math.log(25.0), dtype=torch.float64))))
    ends = 0.9 * process.t_max, low
    ramp = kind.order > 2 and kind.history > 0
    denoisers: dict[str, Denoiser] = {"the mean of x_0": exact.MeanOnly(problem.denoiser)}
    if kind.stochastic:
        denoisers["the whole posterior"] = problem.denoiser
    for what, denoiser in denoisers.items():
        above = math.inf if isinstance(process, EDM | FlowMatching) else kind.order + 0.15
        found = []
        for steps in (128, 256) if ramp else (32, 128) if kind.history > 0 and kind.stochastic else (32,):
            try:
                found.append(measured_order(kind, problem, steps, ends, denoiser, ramp))
            except UsageError as error:  # the errors are not those of small steps
                found.append(math.nan)
                reason = f" ({error})"
            else:
                reason = ""
            if found[-1] == math.inf or kind.order - 0.15 < found[-1] < above:
                break
        else:
            measured = ", ".join(f"{order:.3f}" for order in found)
            raise AssertionError(
                f"{_title(kind, process)}: declared order {kind.order}, measured {measured} with {what}{reason}"
            )


def check_law(kind: Kind, process: Process) -> None:
    """Small steps reach the data's mean and deviation, read off without random draws, and halving them comes closer."""
    if not (_fits(kind, process) and isinstance(process, GaussianProcess | LinearProcess)) or not kind.linear:
        return
    problem = gaussian_on(process)
    sampler = kind(problem.denoiser)
    data = exact_law(problem, 0.0)
    errors = []
    for steps in (64, 256):
        law = sampled_law(sampler, problem, fine_grid(sampler, problem, steps))
        errors.append(_of_data(law, process).distance(_of_data(data, process)))
    # What remains is the step from t_min to 0, which no number of steps makes smaller.
    require(errors[1] < 0.05, f"{_title(kind, process)}: mean and deviation are {errors[1]:.3f} off after 256 steps")
    require(
        errors[1] < 0.75 * errors[0] or errors[1] < 0.02,
        f"{_title(kind, process)}: the error does not fall with the steps ({errors[0]:.4f} at 64, {errors[1]:.4f} at 256)",
    )


def _of_data(law: Law, process: Process) -> Law:
    """A law's part that is data: of a state with velocities that of positions, which come first."""
    if not isinstance(process, LinearProcess):
        return law
    count = int(process.seen(torch.ones(1, len(law.mean))).sum())
    return Law(law.mean[:count], law.std[:count, :count])


def check_draws(kind: Kind, process: Process) -> None:
    """Draws on data that are not Gaussian have the moments of the data, within 5 standard errors and 0.03."""
    if not _fits(kind, process):
        return
    problem = problem_on(process)
    n = 800
    sampler = kind(problem.denoiser)
    steps = 24 if isinstance(process, CategoricalProcess) or kind.order == 0 else 96
    if kind.stochastic and kind.history:  # what extrapolates wants small steps where coordinates differ in level
        steps *= 2
    grid = fine_grid(sampler, problem, steps)
    got, data = _run(sampler, problem, range(n), grid), problem.sample(Rng(range(n, 2 * n)), n)
    if isinstance(process, CategoricalProcess):
        k = process.states
        pairs = [(torch.nn.functional.one_hot(x, k).double().flatten(1)) for x in (got, data)]
    elif isinstance(process, Affine):
        pairs = [torch.cat([x, x**2, x[:, :1] * x[:, 1:]], 1) for x in (got.double(), data)]
    else:
        pairs = [torch.cat([x.sin(), x.cos()], 1) for x in (got.double(), data)]
    difference = pairs[0] - pairs[1]
    bias = difference.mean(0).clamp(-0.03, 0.03)  # of finite steps
    near_zero(difference - bias, f"{_title(kind, process)}: moments of {n} draws and of the data")


def check_evaluations(kind: Kind, process: Process) -> None:
    """Network calls per inner step are what the class declares, once its history is full."""
    if not _fits(kind, process) or kind.evaluations == 0:
        return
    problem = problem_on(process)
    x = process.prior((2, *problem.shape)).sample(Rng(range(2)))
    grid = torch.linspace(0.9, 0.2, 9, dtype=torch.float64)
    calls = evaluations_per_step(kind, problem.denoiser, x, grid, Rng(range(2)), skip=kind.history)
    require(
        calls == kind.evaluations, f"{_title(kind, process)}: declares {kind.evaluations} calls a step, made {calls:g}"
    )


def check_randomness(kind: Kind, process: Process) -> None:
    """A deterministic sampler draws nothing after the start; a stochastic one does, and repeats with its seeds."""
    if not _fits(kind, process):
        return
    problem = problem_on(process)
    sampler = kind(problem.denoiser)
    x = process.prior((4, *problem.shape)).sample(Rng(range(4)))
    grid = torch.linspace(0.9, 0.1, 6, dtype=torch.float64)
    one, same, other = (simulate(sampler, x, grid, Rng(range(k, k + 4))) for k in (0, 0, 90))
    require(torch.equal(one, same), f"{_title(kind, process)}: the same seeds give something else")
    require(
        torch.equal(one, other) != kind.stochastic,
        f"{_title(kind, process)}: declares stochastic={kind.stochastic}, but other seeds "
        + ("change nothing" if kind.stochastic else "change the result"),
    )


def check_stateless(kind: Kind, process: Process) -> None:
    """One object serves two runs at once, as threads and step by step, and each is as if alone."""
    if not _fits(kind, process):
        return
    problem = problem_on(process)
    sampler = kind(problem.denoiser)
    grids = [plain_grid(sampler, problem, 8), plain_grid(sampler, problem, 11)]
    seeds = [range(3), range(40, 45)]
    alone = [_run(kind(problem.denoiser), problem, s, g) for s, g in zip(seeds, grids, strict=True)]
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(_run, sampler, problem, s, g) for s, g in zip(seeds * 3, grids * 3, strict=True)]
        together = [job.result() for job in jobs]
    for i, x in enumerate(together):
        require(torch.equal(x, alone[i % 2]), f"{_title(kind, process)}: two runs on one object disturb each other")
    turns = _interleaved(sampler, problem, seeds, grids)
    for a, b in zip(turns, alone, strict=True):
        require(torch.equal(a, b), f"{_title(kind, process)}: the object keeps something from step to step")


def _interleaved(
    sampler: DenoisingSampler, problem: Problem, seeds: Sequence[Sequence[int]], grids: Sequence[Tensor]
) -> list[Tensor]:
    """Both runs on one object, a step of each in turn."""
    xs, states, rngs = [], [], [Rng(s) for s in seeds]
    for rng, grid in zip(rngs, grids, strict=True):
        x = problem.process.prior((len(rng), *problem.shape)).sample(rng)
        xs.append(x.double() if x.is_floating_point() else x)
        states.append(sampler.init(xs[-1], grid[0]))
    for i in range(max(len(g) for g in grids) - 1):
        for k, grid in enumerate(grids):
            if i < len(grid) - 1:
                xs[k], states[k] = sampler.step(xs[k], grid[i], grid[i + 1], states[k], rngs[k])
    return xs


def check_times_per_sample(kind: Kind, process: Process) -> None:
    """Samples of one batch may be at different times, each on a grid of its own, and come out as apart: to 1e-6."""
    if not _fits(kind, process):
        return
    problem = problem_on(process)
    sampler = kind(problem.denoiser)
    high, low = sampler.start(), process.t_min
    parts = [torch.linspace(0, 1, 8, dtype=torch.float64) ** power for power in (0.7, 1.0, 1.6)]
    grids = [torch.cat([high + (low - high) * part, torch.zeros(1).double()]) for part in parts]
    ended = torch.linspace(0.8 * high, 0.3 * high, 9, dtype=torch.float64)  # one that stops above 0
    whole = torch.stack([*grids, ended], 1)
    together = _run(sampler, problem, range(whole.shape[1]), whole)
    for i in range(whole.shape[1]):
        alone = _run(sampler, problem, [i], whole[:, i])
        what = f"{_title(kind, process)}: sample {i} on its own grid, in a batch and apart"
        close(together[i], alone[0], what, rtol=1e-6, atol=1e-6)


def check_last_step(kind: Kind, process: Process) -> None:
    """One single step from the start to t = 0, and a step to 0 after others, give finite samples of the right kind."""
    if not _fits(kind, process):
        return
    problem = problem_on(process)
    sampler = kind(problem.denoiser)
    for grid in (torch.tensor([sampler.start(), 0.0]), plain_grid(sampler, problem, 4)):
        x = _run(sampler, problem, range(5), grid)
        require(x.shape == (5, *problem.shape), f"{_title(kind, process)}: a run to t = 0 has shape {tuple(x.shape)}")
        if x.is_floating_point():
            require(bool(torch.isfinite(x).all()), f"{_title(kind, process)}: not finite at t = 0")
        elif isinstance(process, CategoricalProcess):
            require(bool((x >= 0).all() and (x < process.states).all()), f"{_title(kind, process)}: no such state")


def check_float32(kind: Kind, process: Process) -> None:
    """A run in float32 agrees with float64 to 1e-3, with the same noise.

    Of a sampler that draws noise and chooses its steps by what it drew, short steps are compared instead, taken from states of
    the right law at three times. Over a whole run it has no bound: its path is a Brownian one, asked at times that depend on
    the state, and such a path is no smoother than a square root. A rounding of 1e-7 in a step's length is one of 3e-4 in the
    noise that it meets, that in the next length, and within a hundred attempts one precision rejects what the other takes:
    from there both are draws of the same law with other noise (measured on VP, VE and EDM; where no decision differed the
    ends agreed to 4e-5).
    """
    if not (_fits(kind, process) and isinstance(process, Affine)):
        return
    problem = problem_on(process)
    sampler = kind(problem.denoiser)
    if kind.linear or not kind.stochastic:
        x = process.prior((8, *problem.shape)).sample(Rng(range(8)))
        runs = [(x, plain_grid(sampler, problem, 20))]
    else:
        x_0 = problem.sample(Rng(range(8)), 8)
        times = [part * sampler.start() for part in (1.0, 0.6, 0.3)]
        short = [torch.tensor([t, t - 1e-4], dtype=torch.float64) for t in times]
        runs = [(process.marginal(x_0, g[0]).sample(Rng(range(8))), g) for g in short]
    for x, grid in runs:
        low = simulate(sampler, x.float(), grid, _Same(range(8)))
        high = simulate(sampler, x.float().double(), grid, _Same(range(8)))
        require(low.dtype == torch.float32, f"{_title(kind, process)}: a float32 run ends in {low.dtype}")
        what = f"{_title(kind, process)}: float32 and float64 from t = {float(grid[0]):.3g}"
        close(low, high, what, rtol=1e-3, atol=1e-3)


class _Same(Rng):
    """Draws in float32 whatever is asked for, so that both precisions meet the same noise."""

    def normal(
        self, shape: Sequence[int], *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Tensor:
        return super().normal(shape, dtype=torch.float32, device=device).to(dtype)


class _Fixed(Denoiser):
    """A denoiser that is never called."""

    def __init__(self, process: Process):
        super().__init__()
        self.process = process

    def forward(self, x_t: Tensor, t: Tensor, cond: Any = None) -> Any:
        raise AssertionError("a sampler's constructor called the network")


def check_capability(kind: Kind, process: Process) -> None:
    """Joined to a process that lacks what it needs, it says so: both names, the rung, and samplers that would do."""
    for other in (process, Torus(), CategoricalProcess.uniform(3), EDM()):
        if _fits(kind, other):
            kind(_Fixed(other))
            continue
        if isinstance(other, kind.needs):
            _refuses(kind, other, (kind.__name__, type(other).__name__, "level"))
            continue
        fit = [key for key, cls in SAMPLERS.items() if isinstance(other, cls.needs)]
        _refuses(kind, other, (kind.__name__, kind.needs.__name__, type(other).__name__, *fit))


def _refuses(kind: Kind, process: Process, words: Sequence[str]) -> None:
    try:
        kind(_Fixed(process))
    except CapabilityError as error:
        for word in words:
            require(word in str(error), f"{_title(kind, process)}: the error does not name '{word}': {error}")
    else:
        raise AssertionError(f"{_title(kind, process)}: cannot be used with it, yet no CapabilityError was raised")
