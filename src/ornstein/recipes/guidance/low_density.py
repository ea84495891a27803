"""Low-density sampling: away from the dense core of a class, and back to the data, by two classifiers of noisy images.

Stage 1 trains the conditional chain and the likeness to class prototypes; stage 2 tells noisy data from noisy samples of
stage 1's model under guidance away from the prototypes. Differences from the paper: small networks, prototypes that are
learned with the likeness in place of class means of its features, gradients at L2 length 1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ornstein.core.batch import Batch
from ornstein.core.cond import Cond
from ornstein.core.errors import DataError, UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.core.shapes import expand, per_sample
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.wrappers import Clip
from ornstein.guidance.classifier import label_log_prob
from ornstein.guidance.low_density import LowDensity as LowDensityGuidance
from ornstein.networks.classifier import NoisyClassifier
from ornstein.objectives.classifying import Classifying
from ornstein.objectives.times import DiscreteTimes
from ornstein.recipes.images.ddpm import DDPM, ddpm
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.base import simulate
from ornstein.samplers.ddim import DDIM
from ornstein.samplers.grids import uniform
from ornstein.training.fit import Data, Stage, Update
from ornstein.training.optim import OptimizerSpec


@dataclass(frozen=True, kw_only=True)
class LowDensity(DDPM):
    """DDPM's fields, the two strengths, and the two classifiers."""

    guidance: float = 0.5
    """alpha: how strongly a sample leaves its class's prototype; 0 is the plain conditional model"""
    real: float = 0.5
    """beta: how strongly it is held to the data"""
    temperature: float = 10.0
    classifier_widths: tuple[int, ...] = (32, 64, 64)
    classifier_lr: float = 3e-4
    fake_steps: int = 10
    """DDIM steps of the samples that the discriminator sees"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.guidance < 0 or self.real < 0:
            raise UsageError(f"guidance and real must be at least 0, got {self.guidance} and {self.real}")
        if self.fake_steps < 1:
            raise UsageError(f"fake_steps must be at least 1, got {self.fake_steps}")


@dataclass
class LowDensitySystem(System):
    """A conditional system with ``extra["likeness"]`` and ``extra["discriminator"]``."""

    def guided(
        self, scale: float, method: str | None = None, grid: Tensor | None = None, weak: Denoiser | None = None
    ) -> Denoiser:
        """Away from the class's prototype, towards the data; none at scale 0."""
        if method not in (None, "low_density"):
            raise UsageError(f"this system is guided to low density, not by '{method}': leave guidance_method out")
        denoiser: Denoiser = self.denoiser
        if scale and self.classes:
            likeness = label_log_prob(self.extra["likeness"])
            real = label_log_prob(self.extra["discriminator"])

            def log_real(x: Tensor, t: Tensor, cond: Cond) -> Tensor:
                return real(x, t, {"label": torch.ones(len(x), dtype=torch.int64, device=x.device)})

            denoiser = LowDensityGuidance(denoiser, likeness, scale, log_real, self.config.real)
        return denoiser if self.clip is None else Clip(denoiser, self.clip)


class Discriminating:
    """-log p(real | x_t, t) of data and -log p(fake | x_t, t) of samples that the system draws with the same labels."""

    def __init__(self, system: LowDensitySystem):
        self.system = system

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        system, c = self.system, self.system.config
        process = system.process
        with torch.no_grad():
            real = system.codec.encode(batch.x, rng, batch.cond)
            away = LowDensityGuidance(system.denoiser, label_log_prob(system.extra["likeness"]), c.guidance)
            start = process.prior(real.shape).sample(rng).to(real)
            fake = simulate(DDIM(Clip(away, 1.0)), start, uniform(process, c.fake_steps), rng, batch.cond)
        x_0 = torch.cat([real, fake])
        t = expand(DiscreteTimes(c.chain)(rng, len(x_0)).to(x_0.device), x_0)
        x_t = process.marginal(x_0, t).sample(rng)
        logits = system.extra["discriminator"](x_t, per_sample(1000 * t, len(x_t)).to(x_t.dtype))
        wanted = torch.cat([torch.ones(len(real)), torch.zeros(len(fake))]).long().to(x_t.device)
        right = (logits.argmax(1) == wanted).float().mean()
        return Loss(F.cross_entropy(logits, wanted), {"accuracy": float(right)})


@recipe(
    "low-density",
    area="guidance",
    title="Generating High Fidelity Data from Low-density Regions using Diffusion Models (Sehwag et al. 2022)",
    paper="arxiv:2203.17260",
    claim="guidance away from a class's prototype finds its rare samples, and a discriminator keeps them on the data",
    equations="score' = score - alpha g/|g| + beta h/|h|; g = grad log softmax_y(tau cos(phi(x_t), c_k)), "
    "h = grad log p(real | x_t)",
    bibtex="@inproceedings{sehwag2022lowdensity, title={Generating High Fidelity Data from Low-Density Regions Using "
    "Diffusion Models}, author={Sehwag, Vikash and Hazirbas, Caner and Gordo, Albert and Ozgenel, Firat and Canton, "
    "Cristian}, booktitle={CVPR}, year={2022}}",
)
def low_density(c: LowDensity = LowDensity()) -> System:
    """The low-density system."""
    base = ddpm(c)
    widths, classes = c.classifier_widths, max(2, len(c.classes))
    likeness = NoisyClassifier(channels=c.channels, classes=classes, widths=widths, temperature=c.temperature)
    discriminator = NoisyClassifier(channels=c.channels, classes=2, widths=widths)

    def stages(system: System, data: Data) -> Iterator[Stage]:
        assert isinstance(system, LowDensitySystem)
        if len(c.classes) < 2:
            raise DataError("low-density guidance needs data with labels of at least two classes")
        spec = OptimizerSpec(lr=c.classifier_lr, weight_decay=0.05, warmup=c.warmup)
        second = max(1, c.steps // 4) if c.steps > 1 and c.real else 0
        (stage,) = base.stages(data)
        objective = Classifying(likeness, base.process, base.codec, DiscreteTimes(c.chain))
        both = [*stage.updates, Update(objective, list(likeness.parameters()), spec)]
        yield Stage("denoiser and likeness", data, both, c.steps - second)
        if second:
            update = Update(Discriminating(system), list(discriminator.parameters()), spec)
            yield Stage("discriminator", data, [update], second)

    fields = {f.name: getattr(base, f.name) for f in dataclasses.fields(System)}
    return LowDensitySystem(
        **fields
        | {"recipe": "low-density", "config": c, "guidance": c.guidance, "training": stages}
        | {"extra": {"likeness": likeness, "discriminator": discriminator}}
    )
