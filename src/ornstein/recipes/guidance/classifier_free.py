"""Classifier-free guidance: one network learns with and without the label; sampling extrapolates between the two.

Differences from the paper, all of them fields or said here: a small network; the cosine schedule on [0, 0.999] in place of
its truncation to log-SNR in [-20, 20]; the posterior's reverse variance; fewer steps. ``guidance`` G is the common form u +
G (c - u): the paper's w is G - 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from ornstein.codecs.base import Scale
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import Eps
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import UniformTimes
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Cosine
from ornstein.recipes.images.common import NetworkConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class ClassifierFree(NetworkConfig):
    """How often the label is dropped, and how strongly it is followed."""

    cond_dropout: float = 0.1
    guidance: float = 1.5
    sampling_steps: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.cond_dropout < 1:
            raise UsageError(
                f"cond_dropout must lie in (0, 1), got {self.cond_dropout}: without dropped labels the network never "
                "learns the unconditional estimate that guidance needs"
            )
        if self.sampling_steps < 1:
            raise UsageError(f"sampling_steps must be at least 1, got {self.sampling_steps}")


@recipe(
    "classifier-free-guidance",
    area="guidance",
    title="Classifier-Free Diffusion Guidance (Ho & Salimans 2022)",
    paper="arxiv:2207.12598",
    claim="without any classifier, one network trained with dropped labels trades variety for fidelity by a scale",
    equations="label dropped with probability p; eps' = eps(x_t) + G (eps(x_t, c) - eps(x_t))",
    bibtex="@article{ho2022classifierfree, title={Classifier-Free Diffusion Guidance}, author={Ho, Jonathan and "
    "Salimans, Tim}, journal={arXiv:2207.12598}, year={2022}}",
)
def classifier_free(c: ClassifierFree = ClassifierFree()) -> System:
    """The classifier-free system."""
    process = VP(Cosine())
    denoiser = Preconditioned(c.network(), process, Eps(), channels_last=True)
    codec = Scale()

    def objective(system: System) -> Denoising:
        denoiser.autocast = c.autocast
        return Denoising(denoiser, codec, UniformTimes(t_max=process.t_max), cond_dropout=c.cond_dropout)

    return System(
        recipe="classifier-free-guidance",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=one_stage(c, objective),
        sampler=get("ancestral"),
        steps=c.sampling_steps,
        grid="uniform",
        classes=c.classes,
        guidance=c.guidance if c.classes else 1.0,
        clip=1.0,
        ema_half_life=c.ema_half_life,
    )
