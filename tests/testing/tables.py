"""One row for each implementation; every suite runs on every row."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError
from ornstein.core.rng import Rng
from ornstein.denoisers import X0, Clocked, EDMScaling, Eps, LearnedRange, Parametrization, ScoreOut, V, Velocity
from ornstein.denoisers.consistency import ConsistencyScaling, TrigFlow
from ornstein.processes import (
    CLD,
    EDM,
    VE,
    VP,
    Affine,
    CategoricalProcess,
    FlowMatching,
    GaussianProcess,
    Interpolant,
    LinearProcess,
    Process,
    SubVP,
    Torus,
)
from ornstein.processes.blur import Blur
from ornstein.processes.first_hitting import FirstHittingBits, FirstHittingSphere
from ornstein.processes.flexible import Flexible
from ornstein.processes.heavy_tailed import HeavyTailedVE
from ornstein.processes.matrix import MatrixProcess
from ornstein.processes.non_uniform import NonUniformVE
from ornstein.processes.schedules import Cosine, Sigmoid, Table


def points() -> Tensor:
    """Five points of a flat space."""
    return 0.7 * Rng(range(5)).normal((5, 3), dtype=torch.float64)


def angles() -> Tensor:
    """Five points of a torus, some beside the seam."""
    return torch.tensor([[0.1, 3.1], [-3.1, 2.0], [1.0, -1.0], [3.14, -3.14], [0.0, 0.5]], dtype=torch.float64)


def states() -> Tensor:
    """Five rows of two coordinates on 0 .. 3: valid for K = 5 with or without a mask."""
    return torch.tensor([[0, 1], [2, 3], [1, 1], [3, 0], [2, 2]])


class PerCoordinate(GaussianProcess):
    """A process of one's own with an alpha for each of three coordinates, as blur has one for each frequency."""

    rates = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)

    def alpha(self, t: Tensor) -> Tensor:
        return (-self.rates * (0.05 * t + 5 * t**2)).exp()

    def sigma(self, t: Tensor) -> Tensor:
        return (-torch.expm1(-2 * self.rates * (0.05 * t + 5 * t**2))).sqrt()

    def d_alpha(self, t: Tensor) -> Tensor:
        return -self.rates * (0.05 + 10 * t) * self.alpha(t)

    def d_sigma(self, t: Tensor) -> Tensor:
        return -self.alpha(t) * self.d_alpha(t) / self.sigma(t)

    def time(self, log_snr: Tensor) -> Tensor:
        raise CapabilityError("each coordinate has its own noise level: no single time belongs to one")


AFFINE: dict[str, Affine] = {
    "vp": VP(),
    "vp_cosine": VP(Cosine()),
    "vp_sigmoid": VP(Sigmoid()),
    "sub_vp": SubVP(),
    "ve": VE(),
    "edm": EDM(),
    "flow_matching": FlowMatching(),
    "interpolant": Interpolant(),
}
"""Smooth in t, so that orders can be measured."""

TABLES: dict[str, Affine] = {
    "ddpm": VP(Table.linear()),
    "scaled_linear": VP(Table.scaled_linear()),
    "table_cosine": VP(Table.cosine()),
    "table_sigmoid": VP(Table.sigmoid()),
    "zero_terminal_snr": VP(Table.scaled_linear().zero_terminal_snr()),
}
"""Piecewise linear in t: orders above 1 hold only on grids no finer than the table."""

DISCRETE: dict[str, CategoricalProcess] = {
    "uniform": CategoricalProcess.uniform(5),
    "absorbing": CategoricalProcess.absorbing(5),
    "skewed": CategoricalProcess(torch.tensor([0.5, 0.05, 0.2, 0.25, 0.0])),
    "uniform_cosine": CategoricalProcess.uniform(5, Cosine()),
}

CHAINS: dict[str, MatrixProcess] = {
    "gaussian_levels": MatrixProcess.discretised_gaussian(5, 60, 0.01, 0.04),
    "nearest": MatrixProcess.nearest(torch.tensor([[0.0], [1.0], [1.5], [3.0], [4.0]]), 40, 2),
}
"""Given by matrices; they stand still between the steps of their chain."""

HEAVY: dict[str, Process] = {"laplace": HeavyTailedVE(1.0), "heavier": HeavyTailedVE(0.75)}
"""Affine, with noise that is not Gaussian."""

CURVED: dict[str, Process] = {"torus": Torus()}

OWN: dict[str, GaussianProcess] = {
    "per_coordinate": PerCoordinate(),
    "blur": Blur(4, 2.0, 0.01),
    "non_uniform": NonUniformVE(torch.tensor([15.0, 25.0, 40.0]), 0.3),
}

COUPLED: dict[str, LinearProcess] = {
    "cld": CLD(),
    "flexible": Flexible(
        3,
        torch.tensor([[1.0, 0.3, 0.0], [0.3, 0.6, 0.0], [0.0, 0.0, 0.8]]),
        torch.tensor([[0.0, 0.5, 0.0], [-0.5, 0.0, 0.3], [0.0, -0.3, 0.0]]),
    ),
}

STOPPED: dict[str, Process] = {"bits": FirstHittingBits(0.2), "sphere": FirstHittingSphere()}
"""Not diffusing for ever: samples rest on a target set."""

PROCESSES: dict[str, Process] = {
    **COUPLED,
    **STOPPED,
    **AFFINE,
    **OWN,
    **TABLES,
    **DISCRETE,
    **CHAINS,
    **HEAVY,
    **CURVED,
}

PARAMETRIZATIONS: dict[str, Parametrization] = {
    "eps": Eps(),
    "x_0": X0(),
    "v": V(),
    "velocity": Velocity(),
    "score": ScoreOut(),
    "edm": EDMScaling(0.5),
    "consistency": ConsistencyScaling(0.5, 0.002),
    "trig_flow": TrigFlow(0.5),
    "clocked": Clocked(V(), -12.0, 12.0),
    "learned_range": LearnedRange(Eps(), 1000),
    "learned_range_v": LearnedRange(V(), 250),
}


def data_for(process: Process) -> Tensor:
    """Valid data of a process."""
    if isinstance(process, CategoricalProcess | MatrixProcess):
        return states()
    if isinstance(process, Blur):
        return 0.7 * Rng(range(5)).normal((5, process.size, process.size), dtype=torch.float64)
    if isinstance(process, FirstHittingBits):
        return points().sign()
    if isinstance(process, FirstHittingSphere):
        return torch.nn.functional.normalize(points(), dim=1)
    if isinstance(process, LinearProcess):
        return 0.7 * Rng(range(5)).normal((5, 2 * process.parts), dtype=torch.float64)
    return angles() if isinstance(process, Torus) else points()
