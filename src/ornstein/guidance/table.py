"""The methods that a name is enough for, as ``System.sample`` and the command line know them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ornstein.core.errors import UsageError, unknown
from ornstein.denoisers.denoiser import Denoiser
from ornstein.guidance.apg import APG
from ornstein.guidance.autoguidance import Autoguidance
from ornstein.guidance.cfg import CFG
from ornstein.guidance.cfgpp import CFGPP
from ornstein.guidance.perturbed import Perturbed
from ornstein.guidance.rescale import RescaledCFG
from ornstein.guidance.zero import CFGZero


@dataclass(frozen=True)
class Setting:
    """What a method is built with, besides the denoiser."""

    scale: float
    interval: tuple[float, float] = (0.0, 1.0)
    grid: Tensor | None = None
    """the sampler's times, for methods that depend on the step"""
    rescale: float = 0.0
    """share of the contrast that "cfg" takes back"""
    weak: Denoiser | None = None
    """the weaker model, for autoguidance"""

    def times(self) -> Tensor:
        """The grid, which must be there."""
        if self.grid is None:
            raise UsageError("guidance method 'cfgpp' depends on the sampler's grid of times, and none was given")
        return self.grid

    def weaker(self) -> Denoiser:
        """The weak model, which must be there."""
        if self.weak is None:
            raise UsageError(
                "guidance method 'autoguidance' needs a weaker model of the same data: give weak (--weak RUN)"
            )
        return self.weak


@dataclass(frozen=True)
class Method:
    """One row: how to build it, whether it strengthens a condition, whether scale 1 is no guidance."""

    summary: str
    build: Callable[[Denoiser, Setting], Denoiser]
    conditional: bool = True
    neutral_at_1: bool = True


GUIDANCE: dict[str, Method] = {
    "cfg": Method("classifier-free: u + scale (c - u)", lambda d, s: CFG(d, s.scale, s.interval, s.rescale)),
    "rescale": Method(
        "classifier-free, noise rescaled to the conditional deviation",
        lambda d, s: RescaledCFG(d, s.scale, interval=s.interval),
    ),
    "apg": Method("classifier-free without the part along c", lambda d, s: APG(d, s.scale, interval=s.interval)),
    "cfgpp": Method(
        "CFG++: scale in [0, 1], the noise stays unconditional",
        lambda d, s: CFGPP(d, s.scale, s.times(), s.interval),
        neutral_at_1=False,
    ),
    "zero": Method(
        "CFG-Zero*: fitted unconditional velocity, no motion for t > 0.96",
        lambda d, s: CFGZero(d, s.scale, interval=s.interval),
        neutral_at_1=False,
    ),
    "autoguidance": Method(
        "away from a weaker model", lambda d, s: Autoguidance(d, s.weaker(), s.scale, s.interval), conditional=False
    ),
    "perturbed_attention": Method(
        "away from the network with dulled attention",
        lambda d, s: Perturbed(d, s.scale, "identity", interval=s.interval),
        conditional=False,
    ),
    "skip_layer": Method(
        "away from the network without a block",
        lambda d, s: Perturbed(d, s.scale, "skip", interval=s.interval),
        conditional=False,
    ),
}
"""One row per method. Those that take a function or several models (Classifier, Reward, Composition, Without, LowDensity) are
built in Python."""

_ALIASES = {"pag": "perturbed_attention", "slg": "skip_layer", "cfg++": "cfgpp", "cfg_zero": "zero"}


def get_method(name: str) -> Method:
    """The method of that name.

    Raises:
        UsageError: there is none (the nearest is named).
    """
    key = name.strip().lower().replace("-", "_")
    key = _ALIASES.get(key, key)
    if key not in GUIDANCE:
        raise unknown("guidance method", name, GUIDANCE)
    return GUIDANCE[key]
