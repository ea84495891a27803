"""The data and grids on which the suite of samplers runs."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError
from ornstein.processes.base import Affine, GaussianProcess, Process
from ornstein.processes.categorical import CategoricalProcess
from ornstein.processes.cld import CLD
from ornstein.processes.first_hitting import FirstHittingBits, FirstHittingSphere
from ornstein.processes.linear import LinearProcess
from ornstein.processes.torus import Torus
from ornstein.samplers.base import DenoisingSampler
from ornstein.samplers.grids import karras
from ornstein.testing import exact
from ornstein.testing.exact.gaussian import GaussianProblem
from ornstein.testing.exact.linear import CoupledProblem
from ornstein.testing.exact.problem import Problem


def coordinates(process: Affine) -> tuple[int, ...]:
    """The shape of a process with an alpha for each coordinate; ``()`` where one serves all."""
    return tuple(process.alpha(torch.tensor(0.5, dtype=torch.float64)).shape)


def start_of(process: LinearProcess, var: float) -> Tensor:
    """The covariance of first states whose data have this variance; velocities bring their own."""
    if isinstance(process, CLD):
        return torch.diag(torch.tensor([var, process.gamma * process.mass], dtype=torch.float64))
    return var * torch.eye(process.parts, dtype=torch.float64)


def gaussian_on(process: GaussianProcess | LinearProcess) -> GaussianProblem | CoupledProblem:
    """Gaussian data of the process's shape."""
    if isinstance(process, LinearProcess):
        mean = process.seen(torch.full((1, process.parts), 0.7, dtype=torch.float64))
        return exact.coupled(process, [1.0], mean, start_of(process, 0.25))
    shape = coordinates(process) or (1,)
    return exact.gaussian(process, torch.full(shape, 0.7), 0.25)


def problem_on(process: Process) -> Problem:
    """Data that are not Gaussian and whose posterior is exact, by the kind of process; two coordinates at least."""
    if isinstance(process, GaussianProcess):
        shape = coordinates(process)
        modes = torch.stack([torch.full(shape, 0.9), torch.full(shape, -0.6)])
        return exact.mixture(process, [0.4, 0.6], modes, 0.0625) if shape else exact.gmm8(process, std=0.25)
    if isinstance(process, CategoricalProcess):
        k = process.states
        probs = torch.arange(1, 2 * k + 1, dtype=torch.float64).reshape(2, k)
        if float(process.limit[-1]) == 1:
            probs[:, -1] = 0  # data hold no masks
        return exact.categorical(process, probs)
    if isinstance(process, LinearProcess):
        modes = torch.stack([torch.full((2 * process.parts,), v, dtype=torch.float64) for v in (0.9, -0.6)])
        return exact.coupled(process, [0.4, 0.6], process.seen(modes), start_of(process, 0.0625))
    if isinstance(process, FirstHittingBits):
        return exact.bits(process, torch.tensor([0.4, 0.1, 0.2, 0.3]))
    if isinstance(process, FirstHittingSphere):
        points = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.6, 0.8], [-0.6, -0.8, 0.0]])
        return exact.sphere(process, torch.tensor([0.5, 0.3, 0.2]), points)
    if isinstance(process, Torus):
        return exact.wrapped_normal(process, torch.tensor([0.86, -2.9]), torch.tensor([0.4, 0.7]))
    raise CapabilityError(f"there is no exact problem for {type(process).__name__}; check its samplers on your own")


def plain_grid(sampler: DenoisingSampler, problem: Problem, steps: int) -> Tensor:
    """Equal steps from where the sampler starts to t_min, then 0."""
    low = problem.process.t_min
    return torch.cat([torch.linspace(sampler.start(), low, steps, dtype=torch.float64), torch.zeros(1).double()])


def fine_grid(sampler: DenoisingSampler, problem: Problem, steps: int) -> Tensor:
    """Karras's spacing where the process has noise levels, else equal steps."""
    process = problem.process
    if isinstance(process, Affine) and not coordinates(process):
        return karras(process, steps, sampler.start())
    return plain_grid(sampler, problem, steps)
