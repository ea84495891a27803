r"""DiSS: pictures from a sketch and strokes, with a strength for each, and a knob between the strokes and realism.

Sketch and strokes are told beside the noisy picture, each missing in a part of training. In use each is strengthened on its own,
and the coarse part of the sample is held to the strokes: the coarser, the more real. Differences from the paper: both are made
of the picture by a formula (Sobel's lines, means of blocks), the colour of what is missing is learned, small networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ornstein.codecs.base import Scale
from ornstein.core.cond import Cond
from ornstein.core.conditions import ImageCondition
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.measurement import Measurement
from ornstein.core.rng import Random, Rng
from ornstein.denoisers.denoiser import Denoiser, Preconditioned
from ornstein.denoisers.parametrizations import Eps
from ornstein.denoisers.wrappers import Clip
from ornstein.guidance.separate import Separate
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import UniformTimes
from ornstein.objectives.told import Telling, Told
from ornstein.recipes.images.common import one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.restoration.generative_colorization import line_art
from ornstein.recipes.restoration.pictured import PicturedConfig
from ornstein.recipes.samples import Samples
from ornstein.recipes.system import System
from ornstein.restoration.low_pass import LowPassed
from ornstein.samplers.ancestral import Ancestral
from ornstein.samplers.base import DenoisingSampler, simulate
from ornstein.samplers.grids import get_grid
from ornstein.samplers.replaced import Replaced
from ornstein.samplers.table import get

SKETCH, STROKE = "sketch", "stroke"


@dataclass(frozen=True, kw_only=True)
class DiSS(PicturedConfig):
    """The chain's fields, the strokes, the two strengths and the realism."""

    chain: int = 1000
    beta_1: float = 1e-4
    beta_T: float = 0.02
    cond_dropout: float = 0.16
    """of both and of each alone, so that each is missing in three of ten samples"""
    block: int = 4
    """pixels along a side of a stroke's block in training"""
    sketch_scale: float = 1.0
    stroke_scale: float = 1.0
    realism: float = 0.5
    """0: the finest averages are those of the strokes; 1: the mean colour alone is"""
    finest: int = 0
    """averages along a side at realism 0; 0 stands for an eighth of the size"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.block < 1 or self.size % self.block:
            raise UsageError(f"a size of {self.size} does not divide into blocks of {self.block}; set block")
        if not 0 <= self.finest <= self.size:
            raise UsageError(f"finest lies in 0 .. {self.size} (the size), got {self.finest}")
        self.cells(self.realism)

    def cells(self, realism: float) -> int:
        """Averages along a side that are held to the strokes: from ``finest`` at realism 0 to 1 at 1."""
        if not 0 <= realism <= 1:
            raise UsageError(f"realism lies in [0, 1], got {realism}")
        finest = self.finest or max(1, self.size // 8)
        return int(finest - realism * (finest - 1))

    def told(self) -> tuple[Told, Told]:
        """The lines and the strokes of a picture."""

        def blocks(x: Tensor, rng: Random) -> Tensor:
            return strokes(x, self.block)

        def lines(x: Tensor, rng: Random) -> Tensor:
            return line_art(x)

        sketch = Told(SKETCH, (1, self.size, self.size), lines, _measured)
        return sketch, Told(STROKE, self.shape, blocks, _measured)


def strokes(x: Tensor, block: int) -> Tensor:
    """``[B, C, H, W]``: each block of pixels in its mean colour."""
    return F.interpolate(F.avg_pool2d(x, block), scale_factor=block, mode="nearest")


def _measured(given: Measurement) -> Tensor:
    raise CapabilityError(
        f"this model draws from sketches and strokes, and {given.operator.name} measures neither: give them to sample, or name "
        "a method, such as ddrm"
    )


@dataclass
class Drawing(System):
    """A system that is told a sketch, strokes, or both, and strengthens each on its own."""

    both: tuple[Told, ...] = ()
    scales: tuple[float, ...] = ()

    def conditions(self, seeds: Sequence[int], given: Mapping[str, Any]) -> dict[str, Tensor]:
        rest = {k: v for k, v in given.items() if k not in (SKETCH, STROKE)}
        cond = super().conditions(seeds, rest)
        return cond | {told.name: self._picture(told, given.get(told.name), len(seeds)) for told in self.both}

    def guided(
        self, scale: float, method: str | None = None, grid: Tensor | None = None, weak: Denoiser | None = None
    ) -> Denoiser:
        """Both conditions, each ``scale`` times as strong as the recipe says; other methods as everywhere."""
        if method is not None and method != self.guidance_method:
            return super().guided(scale, method, grid, weak)
        if self.unfinished:
            raise UsageError(self.unfinished)
        names = {told.name: scale * own for told, own in zip(self.both, self.scales, strict=True)}
        return Clip(Separate(self.denoiser, names), self.clip or 1.0)


@recipe(
    "diss",
    area="restoration",
    title="Adaptively-Realistic Image Generation from Stroke and Sketch with Diffusion Model (Cheng et al. 2022)",
    paper="arxiv:2208.12675",
    claim="one model draws from sketches and strokes, follows each as strongly as is asked, and trades strokes for realism",
    equations="eps = e(0, 0) + s_sk (e(sk, 0) - e(0, 0)) + s_st (e(0, st) - e(0, 0)); x_s <- x_s - P x_s + P y_s, y_s ~ q(y_s | "
    "strokes), P: N x N averages, N = n - s_real (n - 1)",
    bibtex="@inproceedings{cheng2023diss, title={Adaptively-Realistic Image Generation from Stroke and Sketch with Diffusion "
    "Model}, author={Cheng, Shin-I and Chen, Yu-Jie and Chiu, Wei-Chen and Tseng, Hung-Yu and Lee, Hsin-Ying}, "
    "booktitle={WACV}, year={2023}}",
)
def diss(c: DiSS = DiSS()) -> Drawing:
    """The system: :func:`drawn` with a sketch, strokes and a realism."""
    process, both = c.vp(), c.told()
    network = c.network(further=tuple(ImageCondition(told.name, told.shape[0]) for told in both))
    denoiser = Preconditioned(network, process, Eps(), channels_last=True)

    def objective(system: System) -> Telling:
        denoiser.autocast = c.autocast
        times = UniformTimes(process.t_min, float(process.t_max))
        plain = Denoising(denoiser, system.codec, times, cond_dropout=c.cond_dropout)
        return Telling(Telling(plain, both[0]), both[1])

    return Drawing(
        recipe="diss",
        config=c,
        codec=Scale(),
        denoiser=denoiser,
        shape=c.shape,
        training=one_stage(c, objective),
        sampler=get("ancestral"),
        steps=c.sampling_steps,
        classes=c.classes,
        guidance=c.guidance,
        clip=1.0,
        ema_half_life=c.ema_half_life,
        both=both,
        scales=(c.sketch_scale, c.stroke_scale),
    )


@torch.no_grad()
def drawn(
    system: System,
    *,
    sketch: Tensor | None = None,
    stroke: Tensor | None = None,
    sketch_scale: float | None = None,
    stroke_scale: float | None = None,
    realism: float | None = None,
    picture: Tensor | None = None,
    keep: Tensor | None = None,
    steps: int | None = None,
    seed: int = 0,
) -> Samples:
    """One picture for each sketch ``[B, 1, H, W]``, strokes ``[B, C, H, W]``, or both; all in [-1, 1].

    Args:
        realism: how little of the strokes is held, in [0, 1]; by default the recipe's. Without strokes nothing is held.
        picture: what is edited, with ``keep`` (broadcasting against it) 1 where it stays and 0 where it is drawn anew.

    Raises:
        UsageError: neither a sketch nor strokes, a realism outside [0, 1] or without strokes, a picture without ``keep``.
        DataError: a sketch, strokes or a picture that do not fit. CapabilityError: another recipe's system.
    """
    if not isinstance(system, Drawing) or not isinstance(system.config, DiSS):
        raise CapabilityError(f"'{system.recipe}' is told neither sketches nor strokes; the recipe 'diss' is")
    given = {name: v for name, v in ((SKETCH, sketch), (STROKE, stroke)) if v is not None}
    if not given:
        raise UsageError("give a sketch, strokes, or both")
    if realism is not None and stroke is None:
        raise UsageError("realism says how little of the strokes is held, and there are none: leave it out")
    if (picture is None) != (keep is None):
        raise UsageError("to edit a picture, give both the picture and what of it to keep")
    c = system.config
    cells = c.cells(c.realism if realism is None else realism)
    seeds = list(range(seed, seed + max(len(v) for v in given.values())))
    cond: Cond = {k: v.to(system.device) for k, v in system.conditions(seeds, given).items()}
    asked = {
        SKETCH: c.sketch_scale if sketch_scale is None else sketch_scale,
        STROKE: c.stroke_scale if stroke_scale is None else stroke_scale,
    }
    rng, steps = Rng(seeds), system.steps if steps is None else steps
    if steps < 1:
        raise UsageError(f"steps must be at least 1, got {steps}")
    system.modules.eval()
    move: DenoisingSampler = Ancestral(Clip(Separate(system.denoiser, {name: asked[name] for name in given}), 1.0))
    if stroke is not None:
        move = LowPassed(move, cond[STROKE], cells)
    times = get_grid(system.grid)(system.process, steps, move.start(), None)
    x = system.begin(rng, times).to(system.device)
    if picture is not None and keep is not None:
        if tuple(picture.shape[-3:]) != system.shape:
            raise DataError(f"the picture must be {system.shape}, got {tuple(picture.shape[-3:])}")
        end = simulate(Replaced(move, picture.expand(len(seeds), *system.shape), keep), x, times, rng, cond)
    else:
        end = simulate(move, x, times, rng, cond)
    made = system.codec.decode(end).cpu()
    about = {"edit": "drawn", "steps": steps, **{f"{name}_scale": asked[name] for name in given}}
    if stroke is not None:
        about |= {"cells": cells}
    return Samples(made, seeds, {k: v.cpu() for k, v in cond.items()}, system.classes, system.provenance(about))
