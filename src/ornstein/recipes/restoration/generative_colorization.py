r"""Generative probabilistic colourisation: line art is coloured by a conditional model, with a start that hints at the colours.

The level is continuous; each step is the chain's, after Langevin moves. Differences from the paper: the squared loss, lines
beside the noisy picture instead of an encoder of their own, a small network of another family. Where the chain ends in noise,
a colour hints only from a level at which signal is left: :func:`coloured` starts there.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.measurement import Measurement
from ornstein.core.rng import Random, Rng
from ornstein.core.shapes import expand
from ornstein.measurements.colours import LUMA
from ornstein.objectives.told import Told
from ornstein.recipes.registry import recipe
from ornstein.recipes.restoration.pictured import PicturedConfig, pictured
from ornstein.recipes.samples import Samples
from ornstein.recipes.system import System
from ornstein.samplers.ancestral import Ancestral
from ornstein.samplers.base import simulate
from ornstein.samplers.correctors import Langevin
from ornstein.samplers.table import get

NAME = "lines"
"""Of the condition."""
_SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))


def line_art(x: Tensor) -> Tensor:
    """``[B, C, H, W]`` in [-1, 1] to ``[B, 1, H, W]``: twice the length of the grey value's gradient, from -1 (none) to 1.

    Grey is ITU-R BT.601's for three channels, else their mean. Sobel's filters, edges repeated.
    """
    weights = torch.tensor(LUMA if x.shape[1] == 3 else (1 / x.shape[1],) * x.shape[1]).to(x)
    grey = F.pad(torch.einsum("c,bchw->bhw", weights, x).unsqueeze(1), (1, 1, 1, 1), mode="replicate")
    across = torch.tensor(_SOBEL).to(x) / 8
    both = F.conv2d(grey, torch.stack([across, across.T]).unsqueeze(1))
    return (2 * both.square().sum(1, keepdim=True).sqrt()).clamp(max=1) * 2 - 1


@dataclass(frozen=True, kw_only=True)
class GenerativeColorization(PicturedConfig):
    """The chain's fields, and the corrector's."""

    chain: int = 1000
    beta_1: float = 1e-4
    beta_T: float = 0.02
    snr: float = 0.1
    """of the Langevin moves"""
    moves: int = 1
    """Langevin moves before each step; each costs one evaluation more"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.snr > 0 or self.moves < 0:
            raise UsageError(f"the corrector needs snr > 0 and moves >= 0, got {self.snr} and {self.moves}")


@recipe(
    "generative-colorization",
    area="restoration",
    title="Generative Probabilistic Image Colorization (Furusawa et al. 2021)",
    paper="arxiv:2109.14518",
    claim="a conditional diffusion model colours line art in many ways, and a coloured start says which",
    equations="|eps - eps_theta(x_t, l(x), alpha_t)|^2; predictor q(x_s | x_t, E[x_0]), corrector x + h score + sqrt(2h) z; "
    "start x_t = alpha_t b + sigma_t z, b of one colour",
    bibtex="@article{furusawa2021colorization, title={Generative Probabilistic Image Colorization}, author={Furusawa, Chie and "
    "Kitaoka, Shinya and Li, Michael and Odagiri, Yuri}, journal={arXiv:2109.14518}, year={2021}}",
)
def generative_colorization(c: GenerativeColorization = GenerativeColorization()) -> System:
    """The system: ``system.sample(n, lines=line_art(picture))``, or :func:`coloured` with a hint."""

    def of_data(x: Tensor, rng: Random) -> Tensor:
        return line_art(x)

    def of_measurement(given: Measurement) -> Tensor:
        raise CapabilityError(
            f"this model colours lines, and {given.operator.name} measures none: give lines=line_art(picture) to sample, or name "
            "a method, such as ddrm"
        )

    system = pictured(c, "generative-colorization", Told(NAME, (1, c.size, c.size), of_data, of_measurement))
    if not c.moves:
        return system
    options = {"predictor": Ancestral, "corrector": Langevin(c.snr, c.moves)}
    return dataclasses.replace(system, sampler=get("predictor_corrector", options=options))


@torch.no_grad()
def coloured(
    system: System,
    lines: Tensor,
    colour: Tensor,
    *,
    signal: float = 0.2,
    steps: int = 100,
    seed: int = 0,
) -> Samples:
    """One picture for each of ``lines [B, 1, H, W]`` from a start of one ``colour [C]`` in [-1, 1] under noise.

    ``signal`` is alpha^2 at the start: near 0 the colour says nothing, near 1 little is left to draw.

    Raises:
        UsageError: signal outside (0, 1), a system that is told no lines. DataError: lines or a colour that do not fit.
    """
    if not 0 < signal < 1 or steps < 1:
        raise UsageError(f"a hint needs signal in (0, 1) and steps >= 1, got {signal} and {steps}")
    if system.told is None or system.told.name != NAME:
        raise UsageError(f"'{system.recipe}' is told no lines to colour")
    if lines.shape[1:] != system.told.shape:
        raise DataError(f"lines are {system.told.shape} each, got {tuple(lines.shape[1:])}")
    if colour.shape != system.data_shape[:1] or float(colour.abs().max()) > 1:
        raise DataError(f"a colour has {system.data_shape[0]} values in [-1, 1], got {colour.tolist()}")
    process, seeds = system.process, list(range(seed, seed + len(lines)))
    start = process.time(torch.tensor(math.log(signal / (1 - signal)), dtype=torch.float64))
    times = torch.linspace(1, 0, steps + 1, dtype=torch.float64) * start
    rng, cond = Rng(seeds), system.conditions(seeds, {NAME: lines})
    system.modules.eval()
    plain = colour.float().reshape(1, -1, 1, 1).expand(len(lines), *system.data_shape)
    x = process.marginal(system.codec.encode(plain, rng), expand(times[0], plain)).sample(rng)
    here = {k: v.to(system.device) for k, v in cond.items()}
    x = simulate(system.sampler(system.guided(system.guidance)), x.to(system.device), times, rng, here)
    about = {"edit": "coloured", "colour": colour.tolist(), "signal": signal, "steps": steps}
    return Samples(system.codec.decode(x, here).cpu(), seeds, cond, system.classes, system.provenance(about))
