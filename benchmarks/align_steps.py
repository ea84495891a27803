r"""A grid aligned to the bundled model: every step of DDIM moves the prediction of x_0 equally far off.

Over a step of length h in lambda = log(alpha/sigma) that holds x_0 fixed, the local error is |dx_0/dlambda| h^2/2. The sum over N
steps is least where each has the same share: with a density of levels in proportion to |dx_0/dlambda|^{1/2}. The idea of grids
aligned to a model, with another bound, is that of Sabour et al. 2024 (Align Your Steps, 2404.14507). Measured on DDIM
trajectories of the bundled Fashion-MNIST model; prints the eleven values of log(sigma/alpha) that ``ornstein.samplers.grids``
holds.
"""

from __future__ import annotations

import argparse
from itertools import pairwise

import torch

import ornstein
from ornstein.core.rng import Rng
from ornstein.samplers import DDIM, Step, simulate
from ornstein.samplers.grids import log_snr


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=16, help="trajectories")
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args()
    system = ornstein.load("fashion-mnist")
    process = system.process
    rng = Rng(range(args.n))
    labels = {"label": torch.arange(args.n) % 10}
    levels, states = [], []

    def keep(step: Step) -> None:
        levels.append(float(process.log_snr(step.s.flatten()[0]) / 2))
        states.append(step.x)

    grid = log_snr(process, args.steps)[:-1]
    shape = (args.n, *system.shape)
    with torch.no_grad():
        x = process.prior(shape).sample(rng)
        simulate(DDIM(system.denoiser), x, grid, rng, labels, on_step=keep)
        means = [
            system.denoiser(x, process.time(torch.tensor(2 * level)), labels).mean
            for level, x in zip(levels, states, strict=True)
        ]
    lam = torch.tensor(levels, dtype=torch.float64)
    change = torch.stack([(b - a).flatten(1).norm(dim=1).mean() for a, b in pairwise(means)]).double()
    density = (change / lam.diff()).sqrt()
    mass = torch.cat([torch.zeros(1).double(), (density * lam.diff()).cumsum(0)])
    wanted = torch.linspace(0, 1, 11, dtype=torch.float64) * mass[-1]
    at = torch.searchsorted(mass, wanted).clamp(1, len(mass) - 1)
    part = (wanted - mass[at - 1]) / (mass[at] - mass[at - 1])
    found = lam[at - 1] + part * (lam[at] - lam[at - 1])
    print(", ".join(f"{-float(v):.3f}" for v in found))


if __name__ == "__main__":
    main()
