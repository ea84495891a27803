r"""Preconditioned diffusion sampling: a score SDE that explodes, sampled in few steps with masks from the data's spectrum.

Two stages. ``denoiser`` is the training of score-sde on the VE process; nothing about it is new. ``spectrum`` moves no weight:
it takes the mean power of some images at each frequency and pixel, from which the preconditioner is made.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ornstein.core.errors import UsageError
from ornstein.objectives.measuring import MeasuredSpectrum
from ornstein.recipes.images.score_sde import ScoreSDE, score_sde
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.preconditioner import Spectrum
from ornstein.samplers.table import get
from ornstein.training.fit import Data, Stage, Update

IMAGES = 200
"""How many images the authors take for the masks."""


@dataclass(frozen=True, kw_only=True)
class PDS(ScoreSDE):
    """The fields of score-sde, and the preconditioner's."""

    process: Literal["ve", "vp", "sub_vp"] = "ve"
    alpha: float = 5.0
    """of the masks, which run from 1 to alpha/(alpha - 1); the larger, the milder"""
    pixels: bool = True
    """a mask over pixels beside that over frequencies"""
    snr: float = 0.16
    """of the Langevin moves"""
    t_min: float = 1e-5
    sampling_steps: int = 66

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.process == "sub_vp":
            raise UsageError("the preconditioner is meant for the VE and VP processes, not for 'sub_vp'")
        if not self.alpha > 1:
            raise UsageError(f"alpha must exceed 1, got {self.alpha}")
        if not self.snr > 0:
            raise UsageError(f"snr must be positive, got {self.snr}")


@recipe(
    "pds",
    area="images",
    title="Accelerating Score-based Generative Models with Preconditioned Diffusion Sampling (Ma et al. 2022)",
    paper="arxiv:2207.02196",
    claim="a preconditioner from the data's spectrum keeps the law of Langevin moves and lets the same model sample in few steps",
    equations="x <- x + h M M' s + sqrt(2h) M z; x_s = (2 - a) x + g^2 M M' s + g M z; M v = F^-1[R_f F[R_p v]], "
    "R = ((K/max K + alpha - 1)/alpha)^-1, K_f = ln(1 + mean|F x|^2), K_p = mean x^2",
    bibtex="@inproceedings{ma2022pds, title={Accelerating Score-based Generative Models with Preconditioned Diffusion "
    "Sampling}, author={Ma, Hengyuan and Zhang, Li and Zhu, Xiatian and Feng, Jianfeng}, booktitle={ECCV}, year={2022}}",
)
def pds(c: PDS = PDS()) -> System:
    """The system of score-sde under preconditioned sampling."""
    plain = score_sde(c)
    spectrum = Spectrum(c.shape, c.alpha, c.pixels)

    def training(system: System, data: Data) -> Iterator[Stage]:
        (stage,) = plain.training(system, data)
        measuring = min(-(-IMAGES // c.batch), max(1, c.steps - 1))
        yield dataclasses.replace(stage, steps=max(1, c.steps - measuring))
        yield Stage("spectrum", data, [Update(MeasuredSpectrum(spectrum, system.codec), [])], measuring)

    return dataclasses.replace(
        plain,
        recipe="pds",
        training=training,
        sampler=get("pds", options={"spectrum": spectrum, "snr": c.snr}),
        extra={"spectrum": spectrum},
    )
