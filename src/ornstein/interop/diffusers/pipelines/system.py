"""A pipeline's folder as a System: its own network, autoencoder and encoder; noise, time, guidance and steps are ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Posterior
from ornstein.core.errors import CapabilityError, UsageError, unknown
from ornstein.core.rng import Rng
from ornstein.denoisers.denoiser import Denoiser, Preconditioned
from ornstein.guidance.negative import NegativeCFG
from ornstein.interop.diffusers.pipelines.networks import SCALE
from ornstein.interop.diffusers.pipelines.pictures import Asked, Given
from ornstein.interop.diffusers.pipelines.starts import FromNoise, Scene, Start
from ornstein.interop.diffusers.pipelines.swap import Schedulers
from ornstein.interop.diffusers.prompts.reader import Reader
from ornstein.interop.diffusers.schedulers.classes import Plan, Scheduler
from ornstein.interop.diffusers.schedulers.consistency import lcm
from ornstein.processes.base import Affine
from ornstein.processes.remember import foresee
from ornstein.recipes.samples import Samples
from ornstein.recipes.system import System
from ornstein.samplers.around import Around
from ornstein.samplers.base import Sampler
from ornstein.samplers.grids import get_grid
from ornstein.samplers.table import Choice, get
from ornstein.training.fit import Data, Stage


@dataclass(frozen=True)
class FolderConfig:
    """What a folder says of itself."""

    pipeline: str
    scheduler: str
    options: dict[str, Any]


Wrap = Callable[[Denoiser], Denoiser]


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
    inner: tuple[Wrap, ...] = ()
    """what stands around the denoiser, the innermost first, within guidance against the negative prompt"""
    outer: tuple[Wrap, ...] = ()
    """what stands around the guided denoiser"""

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
        image: Tensor | None = None,
        mask: Tensor | None = None,
        depth: Tensor | None = None,
        strength: float | None = None,
        noise_level: int | None = None,
        **options: Any,
    ) -> Samples:
        """As :meth:`System.sample`, from noise or from a picture.

        Args:
            image: ``[1 or n, C, H, W]`` in [-1, 1]: what to change, to fill in or to enlarge.
            mask: ``[1 or n, 1, H, W]``, 1 where the picture is drawn anew.
            depth: ``[1 or n, 1, h, w]``, of any size and scale; by default the folder's own estimate.
            strength: how much of the way from noise is gone, in (0, 1]; near 0 little changes.
            noise_level: upscaling: how much noise the small picture gets, 20 by default.
            options: those of :meth:`System.sample`. ``sampler`` is another scheduler of diffusers by name ("ddim",
                "DPM++ 2M Karras"), with the options that the folder's file names, or one of ours, on ``grid``. Conditions are
                ``prompt``, ``negative``, ``clip_skip``, ``long_prompts``; ``label`` where classes are drawn.

        Raises:
            DataError: a picture, mask or depth map of another shape or range.
        """
        asked = Asked(image, mask, depth, strength, noise_level)
        start, pictures = asked.start(n, self.given, self.shape, self.data_shape, self.device)
        return super(Pipeline, replace(self, start=start, pictures=pictures)).sample(n, **options)

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
        """Guidance against the negative prompt, or by class, within what stands around it."""
        if self.prompts is None:
            guided = super().guided(scale, method, grid, weak)
        elif self.tells_scale:
            if method is not None:
                raise CapabilityError(f"this network is told the guidance scale; '{method}' is not served on it")
            guided = ToldScale(wrapped(self.denoiser, self.inner), scale)
        elif method not in (None, "cfg"):
            raise CapabilityError(
                f"a system that reads prompts is guided against its negative prompt, by 'cfg'; '{method}' is not served"
            )
        else:
            guided = NegativeCFG(wrapped(self.denoiser, self.inner), scale, self.guidance_rescale)
        return wrapped(guided, self.outer)

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


def wrapped(denoiser: Denoiser, wraps: Sequence[Wrap]) -> Denoiser:
    """The denoiser within all of them, the first one innermost."""
    for wrap in wraps:
        denoiser = wrap(denoiser)
    return denoiser


def untrained(system: System, data: Data) -> Iterator[Stage]:
    """What stands for training: nothing is trained here.

    Raises:
        CapabilityError: always.
    """
    raise CapabilityError("a system read from a folder of diffusers is not trained here")
