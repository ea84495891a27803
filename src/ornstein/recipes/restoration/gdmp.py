r"""GDMP: a guided diffusion model purifies pictures that were attacked, before a classifier sees them.

Nothing is trained anew: the network, the chain and the loss are DDPM's, and a checkpoint of either recipe has the other's
weights. Report what adaptive attacks do (through the purifier, over its draws) beside what blind ones do: the second flatters.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.rng import Random, Rng
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Table
from ornstein.recipes.images.ddpm import DDPM, ddpm
from ornstein.recipes.registry import recipe
from ornstein.recipes.samples import Samples
from ornstein.recipes.system import System
from ornstein.restoration.purify import Purify
from ornstein.samplers.base import simulate


@dataclass(frozen=True, kw_only=True)
class GDMP(DDPM):
    """DDPM's fields, and how pictures are purified."""

    level: float = 0.036
    """t*, to which they are noised: 36 of 1000 steps for CIFAR-10, 45 for ImageNet"""
    rounds: int = 4
    purifying_steps: int = 36
    pull: float = 60.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.level <= 1:
            raise UsageError(f"level, the time to which pictures are noised, lies in (0, 1]; got {self.level}")
        if self.rounds < 1 or self.purifying_steps < 1 or not self.pull >= 0:
            raise UsageError(
                f"purification needs rounds and purifying_steps >= 1 and pull >= 0, got {self.rounds}, {self.purifying_steps} "
                f"and {self.pull}"
            )


@recipe(
    "gdmp",
    area="restoration",
    title="Guided Diffusion Model for Adversarial Purification (Wang et al. 2022)",
    paper="arxiv:2205.14969",
    claim="noise drowns what an attack added, and denoising under guidance by the attacked picture keeps its content",
    equations="x_t* = alpha x + sigma eps; x_s ~ N(mu - w (x_t - a_t), v), a_t ~ q(x_t | attacked), w = pull sigma_t/alpha_t v; "
    "repeated from the result",
    bibtex="@article{wang2022gdmp, title={Guided Diffusion Model for Adversarial Purification}, author={Wang, Jinyi and Lyu, "
    "Zhaoyang and Lin, Dahua and Dai, Bo and Fu, Hongfei}, journal={arXiv:2205.14969}, year={2022}}",
)
def gdmp(c: GDMP = GDMP()) -> System:
    """The DDPM system; :func:`purified` cleans pictures with it."""
    return dataclasses.replace(ddpm(c), recipe="gdmp")


def rounds_of(
    denoiser: Denoiser, attacked: Tensor, level: float, rounds: int, steps: int, pull: float, rng: Random
) -> Tensor:
    """States noised to ``level`` and taken back, ``rounds`` times, each time from the last result; differentiable."""
    x, times = attacked, torch.linspace(level, 0, steps + 1, dtype=torch.float64)
    move = Purify(denoiser, attacked, pull)
    for _ in range(rounds):
        x = simulate(move, denoiser.process.marginal(x, expand(times[0], x)).sample(rng), times, rng)
    return x


def _level(c: GDMP, system: System) -> float:
    """The time at which another system's process has the signal-to-noise ratio of the recipe's at its level."""
    if not isinstance(system.process, GaussianProcess):
        raise CapabilityError(
            f"purification needs a Gaussian process; '{system.recipe}' has {type(system.process).__name__}"
        )
    chain = VP(Table.linear(c.chain, c.beta_1, c.beta_T))
    return float(system.process.time(chain.log_snr(torch.tensor(c.level, dtype=torch.float64))))


@torch.no_grad()
def purified(system: System, pictures: Tensor, *, seed: int = 0, batch: int = 64) -> Samples:
    """Pictures ``[B, ...]`` in [-1, 1], purified as the recipe says; by another recipe's model with GDMP's defaults.

    Raises:
        DataError: pictures of another shape or range. CapabilityError: a system without a denoiser.
    """
    if system.one_shot:
        raise CapabilityError(f"'{system.recipe}' has no denoiser, and so nothing to purify with")
    if tuple(pictures.shape[1:]) != system.data_shape or not pictures.is_floating_point():
        raise DataError(
            f"'{system.recipe}' purifies floats {system.data_shape}, got {tuple(pictures.shape[1:])} {pictures.dtype}"
        )
    if not float(pictures.abs().max()) <= 1 + 1e-6:
        raise DataError(
            f"pictures lie in [-1, 1]; these reach {float(pictures.abs().max()):.3g}: undo a classifier's own scale first"
        )
    own = isinstance(system.config, GDMP)
    c = system.config if own else GDMP()
    level = c.level if own else _level(c, system)
    system.modules.eval()
    denoiser, done = system.guided(1.0), []
    seeds = list(range(seed, seed + len(pictures)))
    for start in range(0, len(pictures), batch):
        rng = Rng(seeds[start : start + batch])
        x = system.codec.encode(pictures[start : start + batch].to(system.device), rng)
        done.append(system.codec.decode(rounds_of(denoiser, x, level, c.rounds, c.purifying_steps, c.pull, rng)).cpu())
    about = {"edit": "purified", "level": level, "rounds": c.rounds, "steps": c.purifying_steps, "pull": c.pull}
    return Samples(torch.cat(done), seeds, {}, system.classes, system.provenance(about))
