"""Classifier guidance: an unconditional chain, steered by the gradient of a classifier that has learned noisy images.

Differences from the paper, all of them fields or said here: a small network and a small classifier, trained side by side on the
same batches; strided sampling. ``guidance`` is the paper's scale: 0 is no guidance, 1 is Bayes' rule.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from ornstein.core.errors import DataError, UsageError
from ornstein.denoisers.denoiser import Denoiser
from ornstein.denoisers.wrappers import Clip
from ornstein.guidance.classifier import Classifier, label_log_prob
from ornstein.networks.classifier import NoisyClassifier
from ornstein.objectives.classifying import Classifying
from ornstein.objectives.times import DiscreteTimes
from ornstein.recipes.images.ddpm import DDPM, ddpm
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.training.fit import Data, Stage, Update
from ornstein.training.optim import OptimizerSpec


@dataclass(frozen=True, kw_only=True)
class ClassifierGuidance(DDPM):
    """DDPM's fields, and those of the classifier."""

    guidance: float = 1.0
    classifier_widths: tuple[int, ...] = (32, 64, 64)
    classifier_lr: float = 3e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.guidance < 0:
            raise UsageError(f"guidance must be at least 0, got {self.guidance}: a negative scale leaves the class")


@dataclass
class ClassifierGuided(System):
    """A system whose denoiser knows no class; ``extra["classifier"]`` does."""

    def guided(
        self, scale: float, method: str | None = None, grid: Tensor | None = None, weak: Denoiser | None = None
    ) -> Denoiser:
        """The denoiser with the classifier's gradient; none at scale 0."""
        if method not in (None, "classifier"):
            raise UsageError(f"this system is guided by its classifier, not by '{method}': leave guidance_method out")
        denoiser: Denoiser = self.denoiser
        if scale and self.classes:
            denoiser = Classifier(denoiser, label_log_prob(self.extra["classifier"]), scale)
        return denoiser if self.clip is None else Clip(denoiser, self.clip)


@recipe(
    "classifier-guidance",
    area="guidance",
    title="Diffusion Models Beat GANs on Image Synthesis (Dhariwal & Nichol 2021)",
    paper="arxiv:2105.05233",
    claim="the gradient of a noisy classifier turns an unconditional model into a conditional one, and trades variety for "
    "fidelity as it is scaled up",
    equations="score' = score + s grad log p(y | x_t, t); eps' = eps - s sigma_t grad log p(y | x_t, t)",
    bibtex="@inproceedings{dhariwal2021beat, title={Diffusion Models Beat GANs on Image Synthesis}, "
    "author={Dhariwal, Prafulla and Nichol, Alexander}, booktitle={NeurIPS}, year={2021}}",
)
def classifier_guidance(c: ClassifierGuidance = ClassifierGuidance()) -> System:
    """The classifier-guided system."""
    base = ddpm(dataclasses.replace(c, classes=()))
    classifier = NoisyClassifier(channels=c.channels, classes=max(2, len(c.classes)), widths=c.classifier_widths)

    def stages(system: System, data: Data) -> Iterator[Stage]:
        if len(c.classes) < 2:
            raise DataError("classifier guidance needs data with labels of at least two classes")
        spec = OptimizerSpec(lr=c.classifier_lr, weight_decay=0.05, warmup=c.warmup)
        objective = Classifying(classifier, base.process, base.codec, DiscreteTimes(c.chain))
        (stage,) = base.stages(data)
        update = Update(objective, list(classifier.parameters()), spec)
        yield Stage("denoiser and classifier", data, [*stage.updates, update], c.steps)

    fields = {f.name: getattr(base, f.name) for f in dataclasses.fields(System)}
    return ClassifierGuided(
        **fields
        | {"recipe": "classifier-guidance", "config": c, "classes": c.classes, "guidance": c.guidance}
        | {"training": stages, "extra": {"classifier": classifier}}
    )
