"""A system's samples as images that are drawn when they are asked for: none need be kept, any slice can be had again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, final

from torch import Tensor

from ornstein.core.batch import Batch
from ornstein.core.errors import UsageError
from ornstein.recipes.samples import Samples
from ornstein.recipes.system import System
from ornstein.samplers.base import Step
from ornstein.samplers.table import Choice


@final
class Drawn:
    """``n`` samples of seeds ``seed .. seed + n - 1``; ``drawn[a:b]`` draws those of a slice, the same ones every time.

    The other arguments are those of :meth:`System.sample`. ``evaluations`` counts network calls per sample so far.
    """

    def __init__(
        self,
        system: System,
        n: int,
        *,
        seed: int = 0,
        steps: int | None = None,
        sampler: str | Choice | None = None,
        grid: str | Tensor | None = None,
        guidance: float | None = None,
        batch: int = 64,
        conditions: Mapping[str, Any] | None = None,
        on_step: Callable[[Step[Any]], None] | None = None,
    ):
        if n < 1:
            raise UsageError(f"the number of samples must be at least 1, got {n}")
        self.system, self.n, self.seed, self.batch = system, n, seed, batch
        self.steps, self.sampler, self.grid, self.guidance = steps, sampler, grid, guidance
        self.conditions, self.on_step = dict(conditions or {}), on_step
        _, _, about = system.prepare(steps, sampler, grid, guidance)  # impossible options are found before sampling
        system.conditions(range(seed, seed + 1), self.conditions)
        self.provenance: dict[str, Any] = system.provenance(about)
        self._rows = self._samples = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """``(C, H, W)``."""
        return tuple(self.system.data_shape)

    @property
    def classes(self) -> tuple[str, ...]:
        """Of the labels that the samples are drawn with."""
        return self.system.classes

    @property
    def content_hash(self) -> str:
        """Of everything that the samples depend on: weights, sampler, conditions, seeds."""
        about = {**self.provenance, "seed": self.seed, "conditions": self.conditions}
        if not self.system.weights:  # an untrained system has no hash of its own
            about["state"] = {k: float(v.double().sum()) for k, v in self.system.modules.state_dict().items()}
        return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()

    @property
    def evaluations(self) -> float:
        """Network evaluations per sample, counted: guidance doubles them, and some samplers' last step takes fewer.

        What needs no denoiser (a GAN, a VAE, a flow) calls its codec once.
        """
        return 1.0 if self.system.one_shot else self._rows / max(self._samples, 1)

    def __len__(self) -> int:
        return self.n

    def draw(self, start: int, stop: int) -> Samples:
        """Samples ``start .. stop - 1``."""

        def count(module: Any, inputs: tuple[Any, ...], output: Any) -> None:
            self._rows += len(inputs[0])

        # Maps of two times are called by their mean velocity, not as denoisers: the network is what both call.
        network: Any = getattr(self.system.denoiser, "network", self.system.denoiser)
        hook = network.register_forward_hook(count)
        try:
            samples = self.system.sample(
                stop - start,
                seed=self.seed + start,
                steps=self.steps,
                sampler=self.sampler,
                grid=self.grid,
                guidance=self.guidance,
                batch=self.batch,
                on_step=self.on_step,
                **self.conditions,
            )
        finally:
            hook.remove()
        self._samples += len(samples)
        return samples

    def __getitem__(self, index: slice) -> Batch[Tensor]:
        start, stop, _ = index.indices(self.n)
        samples = self.draw(start, stop)
        return Batch(samples.bytes, samples.cond)
