"""In which precision a served model's network computes."""

from __future__ import annotations

from typing import Literal

import torch

from ornstein.core import cond as conditions
from ornstein.core.errors import OrnsteinError, unknown
from ornstein.core.rng import Rng
from ornstein.core.shapes import expand
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.recipes.system import System

Precision = Literal["auto", "bf16", "float32"]
PRECISIONS: tuple[Precision, ...] = ("auto", "bf16", "float32")

SAME = 1e-3
"""the most by which company may change a sample, in x"""
_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")


def settle(system: System, precision: Precision, device: str = "cpu") -> System:
    """The system, computing as asked.

    ``auto`` is bf16 on a CPU that has instructions for it, if this model's samples stay the same whatever company they are
    computed in (:func:`steady`); float32 everywhere else. Company in float32 changes the last digits only, everywhere.

    Raises:
        UsageError: no such precision.
    """
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    if precision == "float32":
        return system
    if precision == "bf16":
        return system.fast()
    denoiser = system.denoiser
    if torch.device(device).type != "cpu" or not has_instructions() or not isinstance(denoiser, Preconditioned):
        return system
    before = denoiser.autocast
    if not steady(system.fast()):
        denoiser.autocast = before
    return system


def has_instructions() -> bool:
    """Whether this machine's CPU multiplies bf16 numbers itself; others imitate it, and lose time."""
    able = torch.cpu.get_capabilities()
    return any(able.get(name, False) for name in _INSTRUCTIONS)


def steady(system: System, most: int = 3) -> bool:
    """Whether E[x_0] of the first samples is the same from one call for all as from a call for each, to :data:`SAME`.

    A library may sum in another order for another number of rows. In float32 that moves the seventh digit; in bf16, which
    has three, what is rounded afterwards may come out one step further, and a chain of samples follows it.
    """
    seeds = list(range(most))
    rows = [slice(i, i + 1) for i in seeds]
    system.modules.eval()
    with torch.no_grad():
        try:
            cond = conditions.to(system.conditions(seeds, {}), system.device)
            _, times, _ = system.prepare(2, None, None, None)
            x = system.begin(Rng(seeds), times).to(system.device)
            for time in times[:2]:
                t = expand(time, x)
                whole = system.denoiser(x, t, cond).mean
                parts = [system.denoiser(x[r], t, conditions.rows(cond, r)).mean for r in rows]
                if not float((whole - torch.cat(parts)).abs().max()) < SAME:
                    return False
        except OrnsteinError:
            return False  # it draws nothing without a condition, or knows a score alone: there is nothing to compare
    return True
