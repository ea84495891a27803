"""What benchmarks/solvers.py measures on: exact mixtures, and the bundled model, each with starts and where the flow leads."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

import ornstein
from ornstein.core.cond import Cond
from ornstein.core.rng import Rng
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes import EDM, VP, GaussianProcess
from ornstein.processes.schedules import Table
from ornstein.samplers import get, simulate
from ornstein.samplers.grids import log_snr
from ornstein.testing import exact

PROCESSES: dict[str, GaussianProcess] = {"ddpm": VP(Table.linear()), "edm": EDM()}
OTHERS = 10_000
"""Seeds of starts on which grids are fitted begin here; none of them is measured on."""
MORE = 4
"""times as many to fit on as to measure on, on the mixtures: with few steps an end hangs on the mode that a start falls to."""


@dataclass(frozen=True)
class Problem:
    """A denoiser, and starts with the ends that the exact flow gives them."""

    name: str
    dimension: int
    process: GaussianProcess
    denoiser: Denoiser
    x: Tensor
    wanted: Tensor
    others: Tensor
    others_wanted: Tensor
    cond: Cond = field(default_factory=dict)
    others_cond: Cond = field(default_factory=dict)

    def error(self, x: Tensor) -> float:
        """Root mean square, in deviations of the data; infinite where x is not finite."""
        e = float((x.double() - self.wanted.double()).square().mean().sqrt() / self.wanted.double().std())
        return e if math.isfinite(e) else math.inf

    def levels(self, steps: int = 1000) -> Tensor:
        """sigma/alpha, increasing: DDPM's table, or as many of Karras's levels on the EDM process."""
        p = self.process
        if isinstance(p, EDM):
            a, b = p.t_min ** (1 / 7), p.t_max ** (1 / 7)
            return (torch.linspace(a, b, steps, dtype=torch.float64) ** 7) * float(p.sigma(torch.ones(()).double()))
        t = torch.arange(1, steps + 1, dtype=torch.float64) / steps
        return p.sigma(t) / p.alpha(t)

    def denoise(self, y: Tensor, level: Tensor) -> Tensor:
        """E[x_0] at x_t/alpha_t = y, where sigma_t/alpha_t is the level."""
        level = torch.as_tensor(level, dtype=torch.float64).flatten()[0]
        t = self.process.time(-2 * level.log()).clamp(self.process.t_min / 2, self.process.t_max)
        (alpha,) = cast(y, self.process.alpha(t))
        return self.denoiser(alpha * y, t, self.cond).mean


def mixture(title: str, dimension: int, batch: int) -> Problem:
    """Eight modes of deviation 0.2 at random places, the whole of unit variance; the flow by Dormand-Prince to 1e-7."""
    process = PROCESSES[title]
    means = Rng([dimension]).normal((1, 8, dimension), dtype=torch.float64)[0]
    means = (means - means.mean(0)) / means.std(0, correction=0) * math.sqrt(1 - 0.04)
    problem = exact.mixture(process, torch.ones(8), means, 0.04)
    sampler = get("adaptive_rk", options={"tolerance": 1e-7})(problem.denoiser)
    found = []
    for seeds in (range(batch), range(OTHERS, OTHERS + MORE * batch)):
        x = process.prior((len(seeds), dimension)).sample(Rng(seeds)).double()
        found += [x, simulate(sampler, x, torch.tensor([process.t_max, 0.0]), Rng(seeds))]
    return Problem(title, dimension, process, problem.denoiser, *found)


def bundled(batch: int) -> Problem:
    """The bundled Fashion-MNIST model, by class and without guidance; the flow by 1000 steps of DPM-Solver++ 2M
    (200 for the starts that grids are fitted to)."""
    system = ornstein.load("fashion-mnist")
    process, sampler = system.process, get("dpmpp_2m")(system.denoiser)
    assert isinstance(process, GaussianProcess)
    found, conds = [], []
    for seeds, steps in ((range(batch), 1000), (range(OTHERS, OTHERS + batch), 200)):
        grid = log_snr(process, steps)
        cond = {"label": torch.arange(batch) % len(system.classes)}
        x = process.prior((batch, *system.shape)).sample(Rng(seeds))
        found += [x, simulate(sampler, x, grid, Rng(seeds), cond)]
        conds.append(cond)
    return Problem("fashion-mnist", math.prod(system.shape), process, system.denoiser, *found, *conds)
