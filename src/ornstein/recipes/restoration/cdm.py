r"""CDM: a cascade of diffusion models, each stage told the former's picture with noise on it (conditioning augmentation).

Two stages here, of which the second is told the level of that noise as a channel. Differences from the paper: no blur, a plain
loss, and a small network of another family. ``level`` is chosen after training.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ornstein.codecs.base import Scale
from ornstein.core.batch import Batch
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.loss import Loss, Objective
from ornstein.core.measurement import Measurement
from ornstein.core.rng import Random
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import Eps
from ornstein.measurements import bicubic, enlarged
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import UniformTimes
from ornstein.objectives.told import Told
from ornstein.processes.gaussian import VP
from ornstein.recipes.cascade import Cascade
from ornstein.recipes.registry import recipe
from ornstein.recipes.restoration.pictured import PicturedConfig, pictured
from ornstein.recipes.restoration.reduced import NAME, reduced
from ornstein.recipes.system import System
from ornstein.samplers.table import get
from ornstein.training.fit import Data, Stage, Update


@dataclass(frozen=True, kw_only=True)
class CDM(PicturedConfig):
    """The chain's fields, those of the cascade, and the level of the noise on small pictures."""

    scale: int = 2
    level: float = 0.1
    """the time t in [0, 1] to which a drawn small picture is noised before the second stage is told it"""
    base_steps: int = 20_000
    """training steps of the first stage, at most half of all"""
    base_sampling_steps: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        reduced(self.shape, self.scale)
        if not 0 <= self.level <= 1:
            raise UsageError(f"level, the time to which small pictures are noised, lies in [0, 1]; got {self.level}")
        if self.base_steps < 1 or self.base_sampling_steps < 1:
            raise UsageError(
                f"base_steps and base_sampling_steps must be at least 1, got {self.base_steps} and {self.base_sampling_steps}"
            )

    @property
    def small(self) -> tuple[int, int, int]:
        """The shape of the first stage's pictures."""
        return self.channels, self.size // self.scale, self.size // self.scale


def noised(process: VP, small: Tensor, level: Tensor, size: int, rng: Random) -> Tensor:
    """``[B, C + 1, size, size]``: z_s ~ q(z_s | z_0), enlarged, and s itself as the last channel."""
    s = expand(level, small)
    z_s = torch.where(s > 0, process.marginal(small, s.clamp_min(1e-6)).sample(rng), small).to(small)
    channel = s.to(small).expand(-1, 1, size, size)
    return torch.cat([enlarged(z_s, (size, size), bound=10.0), channel], 1)


@final
class Reduced:
    """An objective on reduced pictures."""

    def __init__(self, objective: Objective, shape: tuple[int, int, int], scale: int):
        self.objective, self.operator, self._scale = objective, bicubic(shape, scale), Scale()

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        return self.objective(Batch(self.operator(self._scale.encode(batch.x, rng)).clamp(-1, 1), batch.cond), rng)


@recipe(
    "cdm",
    area="restoration",
    title="Cascaded Diffusion Models for High Fidelity Image Generation (Ho et al. 2021)",
    paper="arxiv:2106.15282",
    claim="noise on what a later stage is told lets it forgive the errors of the former, at the price of following it less",
    equations="p(x_0) = int p(x_0 | z_0) p(z_0); second stage told z_s = alpha_s z_0 + sigma_s n and s, s ~ U[0, 1] in training, "
    "one s for sampling",
    bibtex="@article{ho2022cascaded, title={Cascaded Diffusion Models for High Fidelity Image Generation}, author={Ho, Jonathan "
    "and Saharia, Chitwan and Chan, William and Fleet, David J. and Norouzi, Mohammad and Salimans, Tim}, journal={JMLR}, "
    "year={2022}}",
)
def cdm(c: CDM = CDM()) -> System:
    """The cascade: ``system.sample`` draws a small picture and enlarges it; a measurement is enlarged as it is (s = 0)."""
    process, operator, clean = c.vp(), bicubic(c.shape, c.scale), reduced(c.shape, c.scale)

    def of_data(x: Tensor, rng: Random) -> Tensor:
        return noised(process, operator(x), rng.uniform((len(x),), dtype=torch.float64), c.size, rng)

    def of_measurement(given: Measurement) -> Tensor:
        if given.noise > 0:
            raise CapabilityError(
                "this model enlarges reduced pictures without noise. Methods that take noise: ddrm, pigdm"
            )
        large = clean.of_measurement(given)
        return torch.cat([large, torch.zeros_like(large[:, :1])], 1)

    told = Told(NAME, (c.channels + 1, c.size, c.size), of_data, of_measurement, bound=10.0)
    last = pictured(c, "cdm", told)
    base = System(
        recipe="cdm",
        config=c,
        codec=Scale(),
        denoiser=Preconditioned(c.network(), process, Eps(), channels_last=True),
        shape=c.small,
        training=last.training,
        sampler=get("ancestral"),
        steps=c.base_sampling_steps,
        classes=c.classes,
        guidance=c.guidance,
        clip=1.0,
    )

    def training(system: System, data: Data) -> Iterator[Stage]:
        first = base.denoiser
        assert isinstance(first, Preconditioned)
        first.autocast = c.autocast
        times = UniformTimes(process.t_min, float(process.t_max))
        objective = Reduced(Denoising(first, base.codec, times, cond_dropout=c.cond_dropout), c.shape, c.scale)
        steps = min(c.base_steps, max(1, c.steps // 2))
        yield Stage("base", data, [Update(objective, list(first.parameters()), c.optimizer())], steps)
        (stage,) = last.training(system, data)
        yield dataclasses.replace(stage, name="enlarging", steps=max(1, c.steps - steps))

    fields = {f.name: getattr(last, f.name) for f in dataclasses.fields(System)}
    return Cascade(
        **fields | {"training": training, "extra": {"base": base.denoiser}},
        base=base,
        corrupt=lambda z, rng: noised(process, z, torch.full((len(z),), c.level, dtype=torch.float64), c.size, rng),
    )
