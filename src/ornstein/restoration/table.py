"""The methods by name, each with what it asks of the operator and the options it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import Any

from ornstein.core.errors import unknown
from ornstein.core.measurement import Linear, Measurement
from ornstein.denoisers.denoiser import Denoiser
from ornstein.restoration.consistent import Consistent
from ornstein.restoration.ddnm import DDNM
from ornstein.restoration.ddrm import DDRM
from ornstein.restoration.diffpir import DiffPIR
from ornstein.restoration.dps import DPS
from ornstein.restoration.mmps import MMPS
from ornstein.restoration.particles import Particles
from ornstein.restoration.pigdm import PiGDM
from ornstein.restoration.red_diff import REDDiff
from ornstein.restoration.repaint import RePaint
from ornstein.samplers.base import DenoisingSampler
from ornstein.samplers.ddim import DDIM

Builder = Callable[..., DenoisingSampler]


@dataclass(frozen=True)
class Method:
    """``build(denoiser, measurement, **options)``; ``steps`` is a good number, ``gradient`` whether it differentiates the
    network, ``draws`` whether its results spread as the posterior does or are one likely image."""

    name: str
    about: str
    build: Builder
    steps: int
    gradient: bool = False
    draws: bool = True

    @property
    def options(self) -> tuple[str, ...]:
        """Names that ``build`` takes beside denoiser and measurement."""
        return tuple(signature(self.build).parameters)[2:]

    def make(self, denoiser: Denoiser, measurement: Measurement, options: Mapping[str, Any]) -> DenoisingSampler:
        """The sampler.

        Raises:
            UsageError: an unknown option (suggests the nearest), or a value out of range.
            CapabilityError: the operator lacks what the method needs.
        """
        for name in options:
            if name not in self.options:
                raise unknown(f"option of {self.name}", name, self.options)
        return self.build(denoiser, measurement, **options)

    @property
    def defaults(self) -> dict[str, Any]:
        """The options' default values."""
        given = signature(self.build).parameters.values()
        return {p.name: p.default for p in given if p.default is not Parameter.empty}


def _pigdm(denoiser: Denoiser, measurement: Measurement, data_var: float = 1.0, eta: float = 1.0) -> DenoisingSampler:
    return DDIM(PiGDM(denoiser, measurement, data_var), eta)


def _mmps(denoiser: Denoiser, measurement: Measurement, solves: int = 2, eta: float = 1.0) -> DenoisingSampler:
    return DDIM(MMPS(denoiser, measurement, solves), eta)


METHODS: dict[str, Method] = {
    m.name: m
    for m in (
        Method("ddrm", "each singular direction noised together with what is known of it", DDRM, 20),
        Method("ddnm", "what is measured put into the estimate, with the noise that is left", DDNM, 100),
        Method("repaint", "known pixels put back, each way gone several times (masks)", RePaint, 25),
        Method("ccdf", "what is measured replaced at each level; may start from a first guess", Consistent, 100),
        Method("diffpir", "denoising and proximal steps in turn (any linear operator)", DiffPIR, 100),
        Method("pigdm", "likelihood under an isotropic Gaussian guess of the posterior", _pigdm, 100, gradient=True),
        Method("mmps", "likelihood under the denoiser's own covariance", _mmps, 100, gradient=True),
        Method("dps", "steps down the misfit of the estimate (any differentiable operator)", DPS, 250, gradient=True),
        Method(
            "red_diff", "an optimisation with the denoiser as regulariser", REDDiff, 100, draws=False
        ),
        Method(
            "particles", "guided particles, weighted and resampled: exact as their number grows", Particles, 50, gradient=True
        ),
    )
}  # fmt: skip
"""One row for each way to restore; tests and the command line follow from it."""


@dataclass(frozen=True)
class Restoring:
    """How a system restores pictures unless it is told otherwise: a method, its options and steps, and where it starts."""

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    steps: int | None = None
    strength: float = 1.0


def get_method(name: str) -> Method:
    """The method of that name.

    Raises:
        UsageError: unknown (suggests the nearest).
    """
    if name not in METHODS:
        raise unknown("restoration method", name, METHODS)
    return METHODS[name]


def fitting(measurement: Measurement) -> str:
    """What ``auto`` means for a measurement: quick and without a derivative where its operator allows it."""
    operator = measurement.operator
    if isinstance(operator, Linear):
        return "diffpir" if operator.svd is None else "ddrm" if measurement.noise else "ddnm"
    return "dps" if operator.differentiable else "pigdm"
