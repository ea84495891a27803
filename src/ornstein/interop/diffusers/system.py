"""A pipeline's folder as a System: its own network, autoencoder and encoder; noise, time, guidance and steps are ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Posterior
from ornstein.core.errors import CapabilityError, DataError, UsageError, unknown
from ornstein.core.rng import Rng
from ornstein.denoisers.denoiser import Denoiser, Preconditioned
from ornstein.guidance.negative import NegativeCFG
from ornstein.interop.diffusers import starts
from ornstein.interop.diffusers.consistency import lcm
from ornstein.interop.diffusers.networks import SCALE
from ornstein.interop.diffusers.reader import Reader
from ornstein.interop.diffusers.schedulers import Plan, Scheduler
from ornstein.interop.diffusers.starts import (
    Enlarge,
    FromNoise,
    FromPicture,
    Inpaint,
    InpaintBeside,
    Scene,
    Start,
)
from ornstein.interop.diffusers.swap import Schedulers
from ornstein.processes.base import Affine
from ornstein.processes.remember import foresee
from ornstein.recipes.samples import Samples
from ornstein.recipes.system import System
from ornstein.samplers.around import Around
from ornstein.samplers.base import Sampler, Step
from ornstein.samplers.grids import get_grid
from ornstein.samplers.table import Choice, get
from ornstein.training.fit import Data, Stage


@dataclass(frozen=True)
class FolderConfig:
    """What a folder says of itself."""

    pipeline: str
    scheduler: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Given:
    """What a network must be told besides words: from its input channels and its pipeline's class."""

    beside: str = ""
    """"" (nothing), "mask" (inpainting), "depth" or "small" (upscaling)"""
    small: Affine | None = None
    """the process that noises a small picture"""
    depth: Callable[[Tensor], Tensor] | None = None
    """pictures in [-1, 1] -> depth maps ``[B, 1, h, w]``"""


@dataclass
class Pipeline(System):
    """A System whose steps are those of the folder's scheduler, unless another sampler is asked for."""

    scheduler: Scheduler | None = None
    prompts: Reader | None = None
    schedulers: Schedulers | None = None
    given: Given = field(default_factory=Given)
    start: Start = field(default_factory=FromNoise)
    pictures: dict[str, Tensor] = field(default_factory=dict)
    """what the start needs of each sample"""
    tells_scale: bool = False
    """whether the network is told the guidance scale, so that there is nothing to guide"""
    names: Mapping[str, int] = field(default_factory=dict)
    """classes by other names than those in ``classes``"""

    @property
    def reads_text(self) -> bool:
        """Whether people say in words what it shall make."""
        return self.prompts is not None

    def plan(self, steps: int) -> Plan:
        """The folder's own steps."""
        assert self.scheduler is not None
        return self.scheduler.plan(steps)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        *,
        steps: int | None = None,
        seed: int = 0,
        sampler: str | Choice | None = None,
        grid: str | Tensor | None = None,
        guidance: float | None = None,
        guidance_method: str | None = None,
        weak: System | None = None,
        batch: int = 64,
        cache: int = 1,
        on_step: Callable[[Step], None] | None = None,
        image: Tensor | None = None,
        mask: Tensor | None = None,
        depth: Tensor | None = None,
        strength: float | None = None,
        noise_level: int | None = None,
        **conditions: Any,
    ) -> Samples:
        """As :meth:`System.sample`, from noise or from a picture.

        Args:
            sampler: another scheduler of diffusers by name ("ddim", "DPM++ 2M Karras"), with the options that the folder's file
                names; or one of ours, on ``grid``.
            image: ``[1 or n, C, H, W]`` in [-1, 1]: what to change, to fill in or to enlarge.
            mask: ``[1 or n, 1, H, W]``, 1 where the picture is drawn anew.
            depth: ``[1 or n, 1, h, w]``, of any size and scale; by default the folder's own estimate.
            strength: how much of the way from noise is gone, in (0, 1]; near 0 little changes.
            noise_level: upscaling: how much noise the small picture gets, 20 by default.
            conditions: ``prompt``, ``negative``, ``clip_skip``, ``long_prompts``; ``label`` where classes are drawn.

        Raises:
            DataError: a picture, mask or depth map of another shape or range.
        """
        system = self.starting(n, image, mask, depth, strength, noise_level)
        return super(Pipeline, system).sample(
            n, steps=steps, seed=seed, sampler=sampler, grid=grid, guidance=guidance, guidance_method=guidance_method,
            weak=weak, batch=batch, cache=cache, on_step=on_step, **conditions,
        )  # fmt: skip

    def starting(
        self,
        n: int,
        image: Tensor | None = None,
        mask: Tensor | None = None,
        depth: Tensor | None = None,
        strength: float | None = None,
        level: int | None = None,
    ) -> Pipeline:
        """This pipeline, set to start from a picture; from noise where none is given."""
        beside = self.given.beside
        if image is None:
            lacks = {"mask": "an image and a mask", "depth": "an image", "small": "the small image"}
            if beside:
                raise UsageError(f"this network fills in, follows or enlarges a picture: give {lacks[beside]}")
            if mask is not None or depth is not None or strength is not None or level is not None:
                raise UsageError("mask, depth, strength and noise_level go with an image; give one, or leave them out")
            return self
        if strength is not None and not 0 < strength <= 1:
            raise UsageError(f"strength lies in (0, 1], got {strength:g}: near 0 nothing changes, at 1 all may")
        size = self.shape if beside == "small" else self.data_shape
        pictures = {starts.PICTURE: _fitting("image", image, n, (self.data_shape[0], *size[1:]))}
        if bool((image.abs() > 1 + 1e-6).any()):
            raise DataError(f"an image lies in [-1, 1]; this one reaches {float(image.abs().max()):.3g}")
        if level is not None and beside != "small":
            raise UsageError("noise_level belongs to upscaling, which this network does not do")
        if depth is not None and beside != "depth":
            raise UsageError("this network reads no depth map")
        if beside == "small":
            if mask is not None or strength is not None:
                raise UsageError("upscaling takes neither mask nor strength")
            start: Start = Enlarge(20 if level is None else level)
        elif beside == "mask" or mask is not None:
            if mask is None:
                raise UsageError("this network fills in a part of a picture: give a mask, 1 where it is drawn anew")
            if beside == "depth":
                raise UsageError("this network follows a depth map and takes no mask")
            if not bool(((mask == 0) | (mask == 1)).all()):
                raise DataError("a mask holds 0 (stays) and 1 (is drawn anew) only")
            pictures[starts.MASK] = _fitting("mask", mask.float(), n, (1, *self.data_shape[1:]))
            start = (InpaintBeside if beside == "mask" else Inpaint)(1.0 if strength is None else strength)
        else:
            start = FromPicture(0.8 if strength is None else strength)
        if beside == "depth":
            pictures[starts.DEPTH] = self._depth(image, depth, n)
        return replace(self, start=start, pictures=pictures)

    def _depth(self, image: Tensor, depth: Tensor | None, n: int) -> Tensor:
        if depth is None:
            if self.given.depth is None:
                raise UsageError("this folder has no depth_estimator: give depth, a map of the picture's depths")
            depth = self.given.depth(image.to(self.device)).cpu()
        if depth.ndim != 4 or depth.shape[1] != 1 or len(depth) not in (1, n):
            raise DataError(f"a depth map is [1 or {n}, 1, h, w], got {list(depth.shape)}")
        if not bool((depth.amax((1, 2, 3)) > depth.amin((1, 2, 3))).all()):
            raise DataError("a depth map of one depth everywhere says nothing")
        return depth.float().expand(n, -1, -1, -1)

    def conditions(self, seeds: Sequence[int], given: Mapping[str, Any]) -> dict[str, Tensor]:
        """What the prompts, or the label, say to the network; and the pictures, for the start."""
        if self.prompts is None:
            return {**super().conditions(seeds, given), **self.pictures}
        return {**self.prompts(len(seeds), given, not self.tells_scale), **self.pictures}

    def _label(self, value: str | int) -> int:
        if isinstance(value, str) and self.names and value not in self.classes and not value.lstrip("-").isdigit():
            if value not in self.names:
                raise unknown("label", value, self.names)
            value = self.names[value]
        return super()._label(value)

    def guided(
        self, scale: float, method: str | None = None, grid: Tensor | None = None, weak: Denoiser | None = None
    ) -> Denoiser:
        """Guidance against the negative prompt, or by class."""
        if self.tells_scale and self.prompts is not None:
            if method is not None:
                raise CapabilityError(f"this network is told the guidance scale; '{method}' is not served on it")
            return ToldScale(self.denoiser, scale)
        if self.prompts is None:
            return super().guided(scale, method, grid, weak)
        if method not in (None, "cfg"):
            raise CapabilityError(
                f"a system that reads prompts is guided against its negative prompt, by 'cfg'; '{method}' is not served"
            )
        return NegativeCFG(self.denoiser, scale, self.guidance_rescale)

    def prepare(
        self,
        steps: int | None,
        sampler: str | Choice | None,
        grid: str | Tensor | None,
        guidance: float | None,
        method: str | None = None,
        weak: Denoiser | None = None,
    ) -> tuple[Sampler[Tensor], Tensor, dict[str, Any]]:
        count = self.steps if steps is None else steps
        if count < 1:
            raise UsageError(f"steps must be at least 1, got {count}")
        system, scale = self, self.guidance if guidance is None else float(guidance)
        assert self.scheduler is not None
        asked = self.config.scheduler
        if sampler is not None or grid is not None:
            found = None
            if isinstance(sampler, str) and grid is None and self.schedulers is not None:
                found = self.schedulers.named(sampler)
            if found is None:
                return self._ours(count, sampler, grid, guidance, method, weak)
            assert isinstance(self.denoiser, Preconditioned) and isinstance(sampler, str)
            denoiser = Preconditioned(self.denoiser.network, found.process, found.parametrization)
            system, asked = replace(self, scheduler=found, denoiser=denoiser), sampler
        if asked == "LCMScheduler" and self.config.pipeline.startswith("LatentConsistency"):
            # These place all their steps in the part that is walked; the others leave out the first steps.
            plan = lcm(asked, self.config.options, self.start.strength).plan(count)
            times = plan.grid
        else:
            plan = system.plan(count)
            times = self.start.cut(plan.grid, count, system.process)
        move = plan.sampler(system._telling(plan).guided(scale, method, plan.grid, weak))
        about = {"sampler": asked, "steps": count, "grid": "scheduler's", "guidance": scale, **self._about()}
        assert system.scheduler is not None
        foresee(system.process, times)
        deviation = system.scheduler.start(float(times[0]))
        return Begun(self.start.wrap(move, system.process), system.process, deviation), times, about

    def _ours(
        self,
        steps: int,
        sampler: str | Choice | None,
        grid: str | Tensor | None,
        guidance: float | None,
        method: str | None,
        weak: Denoiser | None,
    ) -> tuple[Sampler[Tensor], Tensor, dict[str, Any]]:
        """One of this library's samplers on one of its grids."""
        choice = (get(sampler) if isinstance(sampler, str) else sampler) or get("ddim")
        if grid is None and choice.grid is None:
            grid = get_grid("uniform")(self.process, steps, None, None).clamp(max=self.process.t_max)
        move, times, about = super().prepare(steps, choice, grid, guidance, method, weak)
        times = self.start.cut(times, len(times) - 1, self.process)
        assert self.scheduler is not None
        begun = Begun(self.start.wrap(move, self.process), self.process, self.scheduler.start(float(times[0])))
        return begun, times, {**about, **self._about()}

    def _about(self) -> dict[str, Any]:
        if isinstance(self.start, FromNoise):
            return {}
        return {"start": type(self.start).__name__, "strength": self.start.strength}

    def _telling(self, plan: Plan) -> Pipeline:
        """This system, its network told the time steps of a plan that has its own."""
        if plan.parametrization is None:
            return self
        assert isinstance(self.denoiser, Preconditioned)
        return replace(self, denoiser=Preconditioned(self.denoiser.network, self.process, plan.parametrization))

    def begin(self, rng: Rng, times: Tensor) -> Tensor:
        """Standard normal noise times the deviation that the scheduler gives the first state."""
        assert self.scheduler is not None
        return rng.normal((len(rng), *self.shape)) * self.scheduler.start(float(times[0]))

    def first(self, move: Sampler[Tensor], rng: Rng, times: Tensor, cond: Cond) -> tuple[Tensor, Cond]:
        """The first state as the start makes it."""
        assert isinstance(move, Begun)
        scene = Scene(self.codec, move.of, self.shape, move.deviation, self.given.small)
        return self.start.first(scene, rng, times[0], cond)


@final
class Begun(Around):
    """A sampler, with the process and the deviation of the first state that go with it."""

    def __init__(self, sampler: Sampler[Tensor], process: Affine, deviation: float):
        super().__init__(sampler)
        self.of, self.deviation = process, deviation


@final
class ToldScale(Denoiser):
    """A network that was trained under guidance and is told its scale: one call, no second branch. Meng et al. 2023."""

    def __init__(self, denoiser: Denoiser, scale: float):
        super().__init__()
        self.denoiser, self.process, self.scale = denoiser, denoiser.process, scale

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        return self.denoiser(x_t, t, {**cond, SCALE: torch.full((len(x_t),), self.scale, device=x_t.device)})


def _fitting(what: str, value: Tensor, n: int, shape: tuple[int, ...]) -> Tensor:
    if tuple(value.shape[1:]) != shape or len(value) not in (1, n):
        raise DataError(
            f"{what} is {list(value.shape)}, and this pipeline takes [1 or {n}, {', '.join(map(str, shape))}]"
        )
    return value.float().expand(n, *[-1] * len(shape))


def untrained(system: System, data: Data) -> Iterator[Stage]:
    """What stands for training: nothing is trained here.

    Raises:
        CapabilityError: always.
    """
    raise CapabilityError("a system read from a folder of diffusers is not trained here")
