"""The System: codec, denoiser, sampler and grid assembled; trainable and sampleable."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ornstein.codecs.base import Codec
from ornstein.core.cond import Cond
from ornstein.core.errors import CapabilityError, DataError, UsageError, unknown
from ornstein.core.rng import Rng
from ornstein.denoisers.denoiser import Denoiser, Preconditioned
from ornstein.denoisers.reused import check_every, reusing
from ornstein.denoisers.standard_normal import StandardNormal
from ornstein.denoisers.wrappers import Clip
from ornstein.guidance.table import GUIDANCE, Setting, get_method
from ornstein.likelihood.dequantise import Dequantisation
from ornstein.likelihood.result import Likelihood
from ornstein.objectives.told import Told
from ornstein.recipes.captions import CONDITION, Book
from ornstein.recipes.samples import Samples
from ornstein.restoration.table import Restoring
from ornstein.samplers.base import Sampler, Step, simulate
from ornstein.samplers.grids import get_grid
from ornstein.samplers.table import Choice, get
from ornstein.training.fit import Data, Stage

WORDS = ("prompt", "negative", "clip_skip")
"""Conditions that are kept in the provenance as they were given."""


@dataclass
class System:
    """What a recipe makes. Options at run time are conditions and guidance; the rest is the recipe's config."""

    recipe: str
    config: Any
    codec: Codec
    denoiser: Denoiser
    shape: tuple[int, ...]
    """of the diffusion's state, without the batch"""
    training: Callable[[System, Data], Iterator[Stage]]
    sampler: Choice
    steps: int
    """default number of steps when sampling"""
    grid: str = "uniform"
    classes: tuple[str, ...] = ()
    guidance: float = 1.0
    guidance_method: str = "cfg"
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    guidance_rescale: float = 0.0
    """share of the contrast that guidance adds and that is taken back"""
    clip: float | None = None
    """bound of |E[x_0]| in sampling, for data of a known range"""
    restoring: Restoring | None = None
    """how pictures are restored; by default as suits the measurement"""
    told: Told | None = None
    """the picture that it is told, of a system that was trained to restore or to translate"""
    ema_half_life: float = 500_000
    captions: Book | None = None
    """the texts that the system was trained on, where it reads captions"""
    extra: dict[str, nn.Module] = field(default_factory=dict)
    """what training needs beside codec and denoiser, and a checkpoint must keep: teachers, targets, counters"""
    data_shape: tuple[int, ...] = ()
    """of one sample; by default as the codec says"""
    weights: dict[str, Any] = field(default_factory=dict)
    """where the weights come from: hash, run, step; empty for an untrained system"""
    unfinished: str = ""
    """why samples of a run would be noise: it stopped before the stage that trains the denoiser"""

    def __post_init__(self) -> None:
        self.data_shape = self.data_shape or self.codec.data_shape(self.shape)

    @property
    def one_shot(self) -> bool:
        """Whether the codec alone has learned the data, so that neither steps nor samplers matter (GAN, VAE, flow)."""
        return isinstance(self.denoiser, StandardNormal)

    @property
    def reads_text(self) -> bool:
        """Whether people say in words what it shall make."""
        return self.captions is not None

    @property
    def conditional(self) -> bool:
        """Whether it can be told anything, so that guidance towards it has a meaning."""
        return bool(self.classes) or self.captions is not None or self.told is not None

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.modules.parameters()).device

    @property
    def process(self) -> Any:
        """The forward process."""
        return self.denoiser.process

    @property
    def modules(self) -> nn.ModuleDict:
        """What is trained and saved."""
        return nn.ModuleDict({"codec": self.codec, "denoiser": self.denoiser, **self.extra})

    def stages(self, data: Data) -> Iterator[Stage]:
        """How this system is trained on a stream of batches."""
        return self.training(self, data)

    def conditions(self, seeds: Sequence[int], given: Mapping[str, Any]) -> dict[str, Tensor]:
        """Check the conditions given to :meth:`sample` against the declared ones and make tensors of them."""
        known = ({"label"} if self.classes else set()) | ({"prompt"} if self.captions is not None else set())
        known |= {self.told.name} if self.told is not None else set()
        for name in given:
            if name not in known:
                if not known:
                    raise UsageError(f"this system takes no conditions, but '{name}' was given")
                raise unknown("condition", name, known)
        cond: dict[str, Tensor] = {}
        if self.captions is not None:
            cond[CONDITION] = self._captions(given.get("prompt"), len(seeds))
        if self.told is not None:
            cond[self.told.name] = self._picture(self.told, given.get(self.told.name), len(seeds))
        if not self.classes:
            return cond
        label = given.get("label")
        if label is None and given.get("prompt") is not None:
            label = -1  # what the caption says is enough
        if label is None:
            # Cycling through the classes by seed, so that a sample depends on its own seed only.
            return {**cond, "label": torch.tensor([s % len(self.classes) for s in seeds])}
        many = [label] * len(seeds) if isinstance(label, str | int) else list(label)
        if len(many) != len(seeds):
            raise UsageError(f"{len(many)} labels were given for {len(seeds)} samples; give one, or one for each")
        return {**cond, "label": torch.tensor([self._label(v) for v in many])}

    def _captions(self, prompt: str | Sequence[str] | None, n: int) -> Tensor:
        """``[n, D]``, NaN where there is none."""
        assert self.captions is not None
        if prompt is None:
            return torch.full((n, self.captions.vectors.shape[1]), torch.nan)
        many = [prompt] * n if isinstance(prompt, str) else list(prompt)
        if len(many) != n:
            raise UsageError(f"{len(many)} prompts were given for {n} samples; give one, or one for each")
        vectors = {text: self.captions.vector(text) for text in dict.fromkeys(many)}
        return torch.stack([vectors[text] for text in many])

    @staticmethod
    def _picture(told: Told, value: Tensor | None, n: int) -> Tensor:
        """``[n, *shape]``, NaN where there is none; one picture serves all."""
        if value is None:
            return torch.full((n, *told.shape), torch.nan)
        many = value.expand(n, *value.shape[-3:]) if value.ndim == 3 or len(value) == 1 else value
        if tuple(many.shape) != (n, *told.shape) or not many.is_floating_point():
            raise DataError(
                f"{told.name} takes floats {told.shape}, one or one for each of {n} samples; got "
                f"{tuple(value.shape)} {value.dtype}"
            )
        if not float(many.abs().max()) <= told.bound + 1e-6:
            raise DataError(
                f"{told.name} lies in [{-told.bound:g}, {told.bound:g}]; this one reaches {float(many.abs().max()):.3g}"
            )
        return many

    def _label(self, value: str | int) -> int:
        if isinstance(value, str) and value in self.classes:
            return self.classes.index(value)
        try:
            number = int(value)
        except ValueError:
            raise UsageError(f"unknown label '{value}'; the known ones are {_few(self.classes)}") from None
        if not -1 <= number < len(self.classes):
            known = _few(self.classes)
            raise UsageError(f"label {number} is out of range: 0 .. {len(self.classes) - 1} ({known}), or -1 for none")
        return number

    def guided(
        self, scale: float, method: str | None = None, grid: Tensor | None = None, weak: Denoiser | None = None
    ) -> Denoiser:
        """The denoiser under guidance (none at scale 1, but for methods that say so), clipped where the recipe says so."""
        if self.unfinished:
            raise UsageError(self.unfinished)
        name = method or self.guidance_method
        row = get_method(name)
        denoiser = self.denoiser
        if scale != 1 or not row.neutral_at_1:
            if self.one_shot:
                raise UsageError(f"guidance={scale:g}: '{self.recipe}' has no denoiser to guide; leave guidance out")
            if row.conditional and not self.conditional:
                alone = ", ".join(k for k, m in GUIDANCE.items() if not m.conditional)
                raise UsageError(
                    f"guidance={scale:g} by '{name}' needs a conditional system; this one ('{self.recipe}') takes no "
                    f"conditions. Methods that need none: {alone}"
                )
            denoiser = row.build(denoiser, Setting(scale, self.guidance_interval, grid, self.guidance_rescale, weak))
        return denoiser if self.clip is None else Clip(denoiser, self.clip)

    def begin(self, rng: Rng, times: Tensor) -> Tensor:
        """The first state of a batch, at ``times[0]``."""
        return self.process.prior((len(rng), *self.shape)).sample(rng)

    def first(self, move: Sampler, rng: Rng, times: Tensor, cond: Cond) -> tuple[Tensor, Cond]:
        """The first state of a batch, and the conditions that its steps are made under."""
        return self.begin(rng, times), cond

    def draw(
        self, move: Sampler, times: Tensor, rng: Rng, cond: Cond, on_step: Callable[[Step], None] | None = None
    ) -> tuple[Tensor, Cond]:
        """The states that a batch of seeds ends in, and the conditions that its steps were made under."""
        x, cond = self.first(move, rng, times, cond)
        return simulate(move, x.to(self.device), times, rng, cond, on_step), cond

    def prepare(
        self,
        steps: int | None,
        sampler: str | Choice | None,
        grid: str | Tensor | None,
        guidance: float | None,
        method: str | None = None,
        weak: Denoiser | None = None,
    ) -> tuple[Sampler, Tensor, dict[str, Any]]:
        """The sampler and the times that a call of :meth:`sample` will use, and their description."""
        if steps is not None and steps < 1:
            raise UsageError(f"steps must be at least 1, got {steps}")
        choice = self.sampler if sampler is None else get(sampler) if isinstance(sampler, str) else sampler
        scale = self.guidance if guidance is None else float(guidance)
        if isinstance(grid, Tensor):
            times, name = grid, "given"
        else:
            name = grid or choice.grid or self.grid
            times = get_grid(name)(self.process, steps or self.steps, choice(self.denoiser).start(), None)
        move = choice(self.guided(scale, method, times, weak))
        about = {"sampler": choice.name, "steps": len(times) - 1, "grid": name, "guidance": scale}
        if method is not None:
            about["guidance_method"] = method
        options = {name: _told(value) for name, value in choice.options}
        return move, times, {**about, **({"options": options} if options else {})}

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
        **conditions: Any,
    ) -> Samples:
        """Draw ``n`` samples; sample i depends on seed + i and on its own conditions only.

        Args:
            n: how many.
            steps: steps of the grid; the network is called ``steps * sampler.evaluations`` times at most.
            sampler: a name (:func:`ornstein.samplers.names`, or another tool's spelling), default the recipe's.
            grid: a name, or a tensor of decreasing times.
            guidance: how strongly, 1 is not at all; default the recipe's.
            guidance_method: a row of :data:`ornstein.guidance.GUIDANCE`, "cfg" unless the recipe says otherwise.
            weak: the weaker system that "autoguidance" moves away from.
            batch: how many are drawn at once; changes no result.
            cache: run the inner part of the network at every so many evaluations only, from the first on, and take what it gave
                in between: quicker, and an approximation (:mod:`ornstein.denoisers.reused`); 1 is exact.
            on_step: called after every step of every batch.
            conditions: those that the recipe declares: ``label`` (a class name, its number, or one per sample).

        Raises:
            UsageError: n or steps below 1, an unknown sampler, grid, label or condition, guidance without a condition.
            CapabilityError: the sampler needs a rung that the process lacks; a cache for a network without an inner part, or
                for a sampler whose evaluations depend on the data.
        """
        if n < 1:
            raise UsageError(f"the number of samples must be at least 1, got {n}")
        if batch < 1:
            raise UsageError(f"batch must be at least 1, got {batch}")
        check_every(cache)

        def prepare() -> tuple[Sampler, Tensor, dict[str, Any]]:
            source = self if cache == 1 else self._reusing(cache)
            return source.prepare(
                steps, sampler, grid, guidance, guidance_method, None if weak is None else weak.denoiser
            )

        move, times, about = prepare()
        if cache > 1:
            about["cache"] = cache
            if move.evaluations == 0:
                raise CapabilityError(
                    f"{move.title} takes as many evaluations as the data ask for, which a cache would tie to those that share "
                    "a batch; leave cache out, or take a sampler of a fixed number of steps"
                )
        if weak is not None:
            weak.modules.eval()
        about |= {name: conditions[name] for name in WORDS if conditions.get(name) is not None}
        seeds = list(range(seed, seed + n))
        cond: Cond = self.conditions(seeds, conditions)
        self.modules.eval()
        device = self.device
        done = []
        for start in range(0, n, batch):
            rng = Rng(seeds[start : start + batch])
            part: Cond = {k: v[start : start + batch].to(device) for k, v in cond.items()}
            if start and cache > 1:  # what is kept belongs to one batch
                move, _, _ = prepare()
            x, part = self.draw(move, times, rng, part, on_step)
            done.append(self.codec.decode(x, part).cpu())
        return Samples(
            torch.cat(done), seeds, {k: v.cpu() for k, v in cond.items()}, self.classes, self.provenance(about)
        )

    def log_likelihood(
        self,
        x: Tensor,
        method: str = "ode",
        *,
        steps: int | None = None,
        repeats: int = 1,
        importance: bool = False,
        trace: Literal["exact", "hutchinson"] | None = None,
        tolerance: float = 1e-4,
        dequantise: str | Dequantisation | None = None,
        seed: int = 0,
        batch: int = 32,
        on_batch: Callable[[float], None] | None = None,
        **conditions: Any,
    ) -> Likelihood:
        """log p(x) of data under the plain denoiser (no guidance, no clipping): ``Likelihood(nats, bits_per_dim, stderr, ..)``.

        Args:
            x: bytes (their probability is bounded), floats as the codec takes them (their density), or states of a finite set.
            method: "ode", exact by the probability flow; "vlb", a bound, in continuous time or with ``steps`` that of a chain;
                "discrete", a bound for categorical processes, likewise.
            steps: of the chain; with "ode" so many equal steps in place of ``tolerance``.
            repeats: draws for each sample. With ``importance`` they are weights, which makes the bound tighter.
            trace: "exact" or "hutchinson"; exact up to 64 coordinates by default.
            dequantise: noise that makes bytes continuous: "uniform" (the default with "ode"), "none", or a trained
                :class:`ornstein.likelihood.LogitNormal`.
            seed: sample i draws from seed + i.
            batch: how many are measured at once; changes no result.
            on_batch: told after each batch how far it is, in [0, 1].
            **conditions: as in :meth:`sample`; rows without one are measured unconditionally.

        Raises:
            UsageError: an unknown method, option or condition.
            DataError: data of another shape or kind.
            CapabilityError: this system has no such likelihood; the message says what would do.
        """
        from ornstein.recipes.likelihood import log_likelihood

        if self.unfinished:
            raise UsageError(self.unfinished)
        given = dict(conditions)
        if self.classes and given.get("label") is None:
            given["label"] = -1
        return log_likelihood(
            self,
            x,
            method,
            cond=self.conditions(list(range(seed, seed + len(x))), given),
            steps=steps,
            repeats=repeats,
            importance=importance,
            trace=trace,
            tolerance=tolerance,
            dequantise=dequantise,
            seed=seed,
            batch=batch,
            on_batch=on_batch,
        )

    def _reusing(self, every: int) -> System:
        """The system with a denoiser that leaves the inner part of its network out, for one batch."""
        if self.one_shot:
            raise CapabilityError(
                f"'{self.recipe}' samples in one evaluation, between which nothing could be kept; leave cache out"
            )
        view = copy.copy(self)
        view.denoiser = reusing(self.denoiser, every)
        return view

    def provenance(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """What goes into every file: recipe, config, weights, how it was sampled, versions."""
        from ornstein import __version__

        return {
            "software": f"ornstein {__version__}",
            "recipe": self.recipe,
            "config": dataclasses.asdict(self.config),
            "weights": dict(self.weights),
            **about,
            "torch": torch.__version__,
        }

    def to(self, device: torch.device | str) -> System:
        """Move the weights."""
        self.modules.to(device)
        return self

    def parameters(self) -> int:
        """The number of parameters of the codec and the denoiser, without what only training needs."""
        return sum(p.numel() for part in (self.codec, self.denoiser) for p in part.parameters())

    def fast(self) -> System:
        """bf16 network calls: quicker, and no longer equal to the last digit whatever the batch."""
        if isinstance(self.denoiser, Preconditioned):
            self.denoiser.autocast = torch.bfloat16
        return self


def _few(names: Sequence[str], most: int = 40) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _told(value: Any) -> Any:
    """An option as it goes into a file: plain values as they are, parts by name."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, nn.Module):
        return type(value).__name__
    return value.__name__ if isinstance(value, type) else str(value)
