"""Autoguidance: EDM's model, moved away from a smaller and less trained version of itself; with labels or without.

The weak network sees the same data with ``weak_widths`` and one update in ``weak_every``: the two kinds of weakness that
the paper found to work. Both are trained side by side, so that one run holds both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Denoiser, Preconditioned
from ornstein.denoisers.parametrizations import EDMScaling
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import LogNormalSigma
from ornstein.recipes.images.edm import EDM, edm
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.training.fit import Data, Stage, Update


@dataclass(frozen=True, kw_only=True)
class AutoguidanceConfig(EDM):
    """EDM's fields, and how weak the other model is."""

    weak_widths: tuple[int, ...] = (32, 64)
    weak_every: int = 16
    """the weak model is updated once in so many steps"""
    guidance: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weak_every < 1:
            raise UsageError(f"weak_every must be at least 1, got {self.weak_every}")
        if self.guidance < 0:
            raise UsageError(f"guidance must be at least 0, got {self.guidance}")


@dataclass
class Autoguided(System):
    """A system that brings its own weaker model, ``extra["weak"]``."""

    def guided(
        self, scale: float, method: str | None = None, grid: Tensor | None = None, weak: Denoiser | None = None
    ) -> Denoiser:
        """Away from the weak model, unless another method or another weak model is named."""
        own = self.extra["weak"]
        assert isinstance(own, Denoiser)
        return super().guided(scale, method, grid, own if weak is None else weak)


@recipe(
    "autoguidance",
    area="guidance",
    title="Guiding a Diffusion Model with a Bad Version of Itself (Karras et al. 2024)",
    paper="arxiv:2406.02507",
    claim="moving away from a smaller, less trained model removes outliers without the loss of variety of classifier-free "
    "guidance, and needs no condition",
    equations="D_w = D_0 + w (D_1 - D_0), D_0 the weak model under the same condition",
    bibtex="@inproceedings{karras2024autoguidance, title={Guiding a Diffusion Model with a Bad Version of Itself}, "
    'author={Karras, Tero and Aittala, Miika and Kynk{\\"a}{\\"a}nniemi, Tuomas and Lehtinen, Jaakko and Aila, Timo and '
    "Laine, Samuli}, booktitle={NeurIPS}, year={2024}}",
)
def autoguidance(c: AutoguidanceConfig = AutoguidanceConfig()) -> System:
    """The autoguided system."""
    base = edm(c)
    process, codec = base.process, base.codec
    network = dataclasses.replace(c, widths=c.weak_widths).network(bandwidth=1.0)
    weak = Preconditioned(network, process, EDMScaling(c.sigma_data), channels_last=True)

    def stages(system: System, data: Data) -> Iterator[Stage]:
        weak.autocast = c.autocast
        times = LogNormalSigma(process, c.p_mean, c.p_std)
        objective = Denoising(weak, codec, times, cond_dropout=c.cond_dropout)
        (stage,) = base.stages(data)
        update = Update(objective, list(weak.parameters()), c.optimizer(), every=c.weak_every)
        yield Stage("both models", data, [*stage.updates, update], c.steps)

    fields = {f.name: getattr(base, f.name) for f in dataclasses.fields(System)}
    return Autoguided(
        **fields
        | {"recipe": "autoguidance", "config": c, "guidance": c.guidance, "guidance_method": "autoguidance"}
        | {"training": stages, "extra": {"weak": weak}}
    )
