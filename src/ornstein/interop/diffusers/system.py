"""A pipeline's folder as a System: its own network, autoencoder and encoder; noise, time, guidance and steps are ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from ornstein.codecs.base import Codec, Identity
from ornstein.core.errors import CapabilityError, UsageError, unknown
from ornstein.core.rng import Rng
from ornstein.denoisers.denoiser import Denoiser, Preconditioned
from ornstein.guidance.negative import PREFIX, NegativeCFG
from ornstein.interop.diffusers.folder import load_part, read_index
from ornstein.interop.diffusers.networks import Autoencoder, Network
from ornstein.interop.diffusers.prompts import Prompts
from ornstein.interop.diffusers.schedulers import Plan, Scheduler, scheduler
from ornstein.recipes.system import System
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


@dataclass
class Pipeline(System):
    """A System whose steps are those of the folder's scheduler, unless another sampler is asked for."""

    scheduler: Scheduler | None = None
    prompts: Prompts | None = None
    rescale: float = 0.0

    @property
    def reads_text(self) -> bool:
        """Whether people say in words what it shall make."""
        return self.prompts is not None

    def plan(self, steps: int) -> Plan:
        """The folder's own steps."""
        assert self.scheduler is not None
        return self.scheduler.plan(steps)

    def conditions(self, seeds: Sequence[int], given: Mapping[str, Any]) -> dict[str, Tensor]:
        """``prompt`` and ``negative`` (one text, or one per sample) and ``clip_skip``, as the sequences that are read."""
        if self.prompts is None:
            return super().conditions(seeds, given)
        known = ("prompt", "negative", "clip_skip")
        for name in given:
            if name not in known:
                raise unknown("condition", name, known)
        if given.get("prompt") is None:
            raise UsageError("this system draws what a prompt says: give prompt='...' (--prompt)")
        texts = {
            "text": _each(given["prompt"], len(seeds), "prompts"),
            PREFIX + "text": _each(given.get("negative") or "", len(seeds), "negative prompts"),
        }
        # "clip skip" is counted for the prompt alone, as the ecosystem does.
        skips = {"text": int(given.get("clip_skip") or 0), PREFIX + "text": 0}
        return {name: self.prompts(values, skips[name]) for name, values in texts.items()}

    def guided(
        self, scale: float, method: str | None = None, grid: Tensor | None = None, weak: Denoiser | None = None
    ) -> Denoiser:
        """Guidance against the negative prompt, or by class."""
        if self.prompts is None:
            return super().guided(scale, method, grid, weak)
        if method not in (None, "cfg"):
            raise CapabilityError(
                f"a system that reads prompts is guided against its negative prompt, by 'cfg'; '{method}' is not served"
            )
        return NegativeCFG(self.denoiser, scale, self.rescale)

    def prepare(
        self,
        steps: int | None,
        sampler: str | Choice | None,
        grid: str | Tensor | None,
        guidance: float | None,
        method: str | None = None,
        weak: Denoiser | None = None,
    ) -> tuple[Sampler[Tensor], Tensor, dict[str, Any]]:
        if sampler is not None or grid is not None:
            choice = (get(sampler) if isinstance(sampler, str) else sampler) or get("ddim")
            if grid is None and choice.grid is None:
                times = get_grid("uniform")(self.process, steps or self.steps, None, None)
                grid = times.clamp(max=self.process.t_max)
            return super().prepare(steps, choice, grid, guidance, method, weak)
        if steps is not None and steps < 1:
            raise UsageError(f"steps must be at least 1, got {steps}")
        plan = self.plan(steps or self.steps)
        scale = self.guidance if guidance is None else float(guidance)
        about = {"sampler": self.config.scheduler, "steps": steps or self.steps, "grid": "its own", "guidance": scale}
        return plan.sampler(self._telling(plan).guided(scale, method, plan.grid, weak)), plan.grid, about

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


def _each(given: str | Sequence[str], n: int, what: str) -> list[str]:
    many = [given] * n if isinstance(given, str) else list(given)
    if len(many) != n:
        raise UsageError(f"{len(many)} {what} were given for {n} samples; give one, or one for each")
    return many


def _untrained(system: System, data: Data) -> Iterator[Stage]:
    raise CapabilityError("a system read from a folder of diffusers is not trained here")


def load(path: str | Path, *, eta: float = 0.0) -> Pipeline:
    """The system in a diffusers folder: unconditional UNet2DModel pipelines and Stable Diffusion 1.x and 2.x.

    Args:
        path: the folder with ``model_index.json``. Nothing is fetched.
        eta: of DDIM, which keeps it out of its file.

    Raises:
        CheckpointError: not such a folder, a part is missing, tensors are missing or of other shapes, or pickles.
        CapabilityError: a pipeline, part or scheduler option that is not served.
    """
    index = read_index(Path(path))
    steps = scheduler(index.path / "scheduler", eta=eta) if eta else scheduler(index.path / "scheduler")
    model = load_part(index, "unet")
    network, prompts = Network(model), None
    codec: Codec = Identity()
    channels, size = int(model.config.in_channels), model.config.sample_size
    height, width = (size, size) if isinstance(size, int) else size
    if "vae" in index.parts:
        codec = Autoencoder(load_part(index, "vae"))
    if network.takes_text:
        prompts = Prompts(load_part(index, "tokenizer"), load_part(index, "text_encoder"))
    if channels != int(model.config.out_channels):
        raise CapabilityError(
            f"the network takes {channels} channels and gives {model.config.out_channels}: not served"
        )
    classes: Callable[[int], tuple[str, ...]] = lambda n: tuple(str(i) for i in range(n))  # noqa: E731
    denoiser = Preconditioned(network, steps.process, steps.parametrization)
    system = Pipeline(
        recipe="diffusers",
        config=FolderConfig(index.pipeline, steps.name, dict(steps.options)),
        codec=codec,
        denoiser=denoiser,
        shape=(channels, int(height), int(width)),
        training=partial(_untrained),
        sampler=get("ddim"),
        steps=50,
        classes=classes(int(model.config.num_class_embeds)) if network.takes_label else (),
        guidance=7.5 if prompts is not None else 1.0,
        scheduler=steps,
        prompts=prompts,
        weights={"path": index.path.name},
    )
    system.modules.eval()
    return system
