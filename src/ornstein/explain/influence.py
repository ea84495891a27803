r"""What a condition does: the denoiser's answer and the sample with it and without, and under other strengths of guidance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ornstein.core.cond import Cond, null
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.shapes import expand
from ornstein.explain.walk import walk
from ornstein.guidance.negative import PREFIX
from ornstein.interop.diffusers.pipelines.networks import SCALE
from ornstein.recipes.samples import Samples
from ornstein.recipes.system import System


@dataclass(frozen=True)
class Influence:
    """Along one way of ``n`` samples, all with the same noise.

    ``times [N]``; ``rms [N, n]`` of E[x_0 | x_t, c] - E[x_0 | x_t], and ``maps [N, n, ...]``, that difference itself.
    ``with_it`` and ``without [n, ...]``: the data that come out, from the same seeds.
    """

    times: Tensor
    rms: Tensor
    maps: Tensor
    with_it: Tensor
    without: Tensor


@torch.no_grad()
def influence(
    system: System,
    conditions: Mapping[str, Any],
    n: int = 1,
    *,
    seed: int = 0,
    steps: int | None = None,
    sampler: str | None = None,
) -> Influence:
    """The influence of ``conditions`` (``{"label": "sneaker"}``), at every step of the way that they lead.

    Raises:
        CapabilityError: the system takes no conditions.
        UsageError: none is given.
    """
    if not conditions:
        raise UsageError("give the condition whose influence is asked for, such as {'label': 0}")
    path = walk(system, n, seed=seed, steps=steps, sampler=sampler, guidance=1.0, conditions=conditions)
    told, untold = branches(path.cond)
    denoiser, maps = system.denoiser, []
    for x, t in zip(path.states[:-1], path.times[:-1], strict=True):
        at = expand(t, x)
        maps.append(denoiser(x, at, told).mean - denoiser(x, at, untold).mean)
    difference = torch.stack(maps)
    without = system.sample(n, seed=seed, steps=steps, sampler=sampler, guidance=1.0, **_nothing(system))
    return Influence(
        path.times[:-1],
        difference.flatten(2).double().square().mean(2).sqrt(),
        difference,
        system.codec.decode(path.states[-1], path.cond).cpu(),
        without.tensor,
    )


def branches(cond: Cond) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The conditions as they are, and those of the other branch of guidance: negative ones where there are, else missing.

    Raises:
        CapabilityError: there are no conditions.
    """
    told = {k: v for k, v in cond.items() if not k.startswith(PREFIX) and k != SCALE}
    if not told:
        raise CapabilityError("this system takes no conditions, so none has an influence")
    negative = {k: cond[PREFIX + k] for k in told if PREFIX + k in cond}
    both = {SCALE: cond[SCALE]} if SCALE in cond else {}
    return told | both, (told | negative if negative else null(told)) | both


def _nothing(system: System) -> dict[str, Any]:
    """What to ask for where no condition is wanted."""
    if getattr(system, "prompts", None) is not None:
        return {"prompt": ""}
    return {"label": -1} if system.classes else {}


@dataclass(frozen=True)
class Counterfactual:
    """One picture as it would have been: what was changed, the samples, and their root mean square distance from the first."""

    changed: Any
    samples: Samples
    distance: Tensor


@torch.no_grad()
def by_guidance(
    system: System,
    scales: Sequence[float],
    n: int = 1,
    *,
    seed: int = 0,
    steps: int | None = None,
    sampler: str | None = None,
    conditions: Mapping[str, Any] | None = None,
) -> list[Counterfactual]:
    """The same noise under each strength of guidance; distances (per number, ``[n]``) are from the first strength's."""
    if not scales:
        raise UsageError("give at least one strength of guidance")
    given = dict(conditions or {})
    made = [(w, system.sample(n, seed=seed, steps=steps, sampler=sampler, guidance=float(w), **given)) for w in scales]
    return _compared(made)


@torch.no_grad()
def by_condition(
    system: System,
    name: str,
    values: Sequence[Any],
    n: int = 1,
    *,
    seed: int = 0,
    steps: int | None = None,
    sampler: str | None = None,
    guidance: float | None = None,
) -> list[Counterfactual]:
    """The same noise under each value of a condition: had it been told something else, what would it have drawn?"""
    if not values:
        raise UsageError(f"give at least one value of '{name}'")
    made = [
        (v, system.sample(n, seed=seed, steps=steps, sampler=sampler, guidance=guidance, **{name: v})) for v in values
    ]
    return _compared(made)


def _compared(made: Sequence[tuple[Any, Samples]]) -> list[Counterfactual]:
    first = made[0][1].tensor.flatten(1).double()
    return [
        Counterfactual(changed, samples, (samples.tensor.flatten(1).double() - first).square().mean(1).sqrt())
        for changed, samples in made
    ]
