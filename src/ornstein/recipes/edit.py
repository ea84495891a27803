"""Editing with a System: strokes made real, pictures between two, the same picture under another label."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ornstein.core.cond import Cond
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.measurement import Measurement
from ornstein.core.rng import Rng
from ornstein.core.shapes import expand
from ornstein.measurements.mask import Mask
from ornstein.recipes.restore import labelled, restore, scale_for
from ornstein.recipes.samples import Samples
from ornstein.restoration.table import Restoring
from ornstein.samplers.base import Step, simulate
from ornstein.samplers.ddim import DDIM
from ornstein.samplers.ddim_inversion import DDIMInversion
from ornstein.samplers.grids import get_grid

if TYPE_CHECKING:
    from ornstein.recipes.system import System

OnStep = Callable[[Step], None] | None


@torch.no_grad()
def sdedit(
    system: System,
    guide: Tensor,
    *,
    strength: float | None = None,
    n: int = 1,
    mask: Tensor | None = None,
    steps: int | None = None,
    seed: int = 0,
    guidance: float | None = None,
    batch: int = 64,
    label: str | int | None = None,
    on_step: OnStep = None,
) -> Samples:
    r"""x_{t0} = alpha x_g + sigma z, then the reverse process from t0: ``n`` pictures that keep the guide's composition.

    Args:
        guide: strokes or a rough picture, ``[B, ...]`` data in [-1, 1].
        strength: where to start, in (0, 1]; the more, the more real and the less like the guide. By default the system's
            (recipe sdedit), else 0.5.
        mask: 1 where the guide is to stay, 0 where it may change: what stays is put back after each step, noised.

    Source: Meng et al. 2022, 2108.01073, algorithms 1 and 2.
    """
    own = system.restoring
    if own is None or own.strength == 1:  # the system's way to restore starts from noise, and no guide does
        own = Restoring("ccdf", steps=50, strength=0.5)
    strength = own.strength if strength is None else strength
    steps = own.steps or 50 if steps is None else steps
    if not 0 < strength <= 1:
        raise UsageError(
            f"strength lies in (0, 1], got {strength}: near 0 nothing changes, at 1 nothing of the guide is left"
        )
    _require(system, guide, n, steps)
    if mask is not None and not bool(((mask == 0) | (mask == 1)).all()):
        raise UsageError("a mask holds 1 (keep) and 0 (may change) only")
    if bool((guide.abs() > 1 + 1e-6).any()):
        raise DataError(f"a guide lies in [-1, 1]; this one reaches {float(guide.abs().max()):.3g}")
    process = system.process
    whole = get_grid(system.grid)(process, max(round(steps / strength), 2), float(process.t_max), None)
    times = whole[-steps - 1 :]
    rows = torch.arange(len(guide) * n) // n

    def begin(part: Tensor, rng: Rng, cond: Cond) -> Tensor:
        x_0 = system.codec.encode(guide[part].to(system.device), rng)
        return process.marginal(x_0, expand(times[0].to(x_0.device), x_0)).sample(rng)

    about = {"edit": "sdedit", "strength": strength, "steps": steps}
    if mask is None:
        return _run(system, rows, begin, times, seed, guidance, batch, on_step, about, label)
    return restore(
        system, Measurement(guide * mask, Mask(mask)), n=n, method="ccdf", steps=steps, strength=strength, guess=guide,
        seed=seed, guidance=guidance, batch=batch, on_step=on_step, label=label,
    )  # fmt: skip


@torch.no_grad()
def interpolate(
    system: System,
    ends: Tensor,
    *,
    n: int = 8,
    steps: int = 50,
    seed: int = 0,
    guidance: float | None = None,
    batch: int = 64,
    label: str | int | None = None,
    on_step: OnStep = None,
) -> Samples:
    """``n`` pictures from one to another: both are inverted by DDIM, their noises joined by an arc, and drawn again.

    Args:
        ends: the two pictures, ``[2, ...]`` data in [-1, 1].

    Source: Song et al. 2021, 2010.02502, section 5.3 (spherical interpolation).
    """
    if len(ends) != 2 or n < 2:
        raise UsageError(f"interpolation goes between 2 pictures in n >= 2, got {len(ends)} pictures and n = {n}")
    _require(system, ends, n, steps)
    times = get_grid(system.grid)(system.process, steps, float(system.process.t_max), None)
    noise = invert(system, ends, steps=steps, label=label)
    a, b = noise.flatten(1).double()
    angle = torch.arccos((a @ b / (a.norm() * b.norm())).clamp(-1, 1)).clamp_min(1e-6)  # of equal ends: any way will do
    at = torch.linspace(0, 1, n, dtype=torch.float64)
    arc = (torch.sin((1 - at) * angle)[:, None] * a + torch.sin(at * angle)[:, None] * b) / torch.sin(angle)
    points = arc.reshape(n, *noise.shape[1:]).to(noise)
    about = {"edit": "interpolate", "steps": steps}
    return _run(
        system,
        torch.arange(n),
        lambda part, rng, cond: points[part],
        times,
        seed,
        guidance,
        batch,
        on_step,
        about,
        label,
    )


@torch.no_grad()
def translate(
    system: System,
    pictures: Tensor,
    source: str | int,
    target: str | int,
    *,
    steps: int = 50,
    seed: int = 0,
    guidance: float | None = None,
    batch: int = 64,
    on_step: OnStep = None,
) -> Samples:
    """The same noise under another label: inverted by DDIM as ``source``, drawn again as ``target``.

    Source: Su et al. 2023, 2203.08382 (dual diffusion implicit bridges), with one conditional model for both domains.
    """
    if not system.classes:
        raise CapabilityError(f"translation goes from label to label, and '{system.recipe}' knows none")
    _require(system, pictures, 1, steps)
    times = get_grid(system.grid)(system.process, steps, float(system.process.t_max), None)
    noise = torch.cat([invert(system, p, steps=steps, label=source) for p in pictures.split(batch)])
    about = {"edit": "translate", "from": source, "steps": steps}
    rows = torch.arange(len(pictures))
    return _run(
        system,
        rows,
        lambda part, rng, cond: noise[part],
        times,
        seed,
        guidance,
        batch,
        on_step,
        about,
        target,
    )


@torch.no_grad()
def invert(
    system: System, pictures: Tensor, *, steps: int = 50, refine: int = 3, label: str | int | None = None
) -> Tensor:
    """The noise from which DDIM draws these pictures (without guidance), up to the error of ``steps``."""
    cond = {k: v.to(system.device) for k, v in labelled(system, range(len(pictures)), label).items()}
    system.modules.eval()
    rng = Rng([0] * len(pictures))
    x = system.codec.encode(pictures.to(system.device), rng)
    times = get_grid(system.grid)(system.process, steps, float(system.process.t_max), None).flip(0)
    return simulate(DDIMInversion(system.denoiser, refine), x, times, rng, cond)


def _require(system: System, pictures: Tensor, n: int, steps: int) -> None:
    if system.one_shot:
        raise CapabilityError(f"'{system.recipe}' has no denoiser, and so nothing to edit with")
    if n < 1 or steps < 1:
        raise UsageError(f"n and steps must be at least 1, got {n} and {steps}")
    if tuple(pictures.shape[1:]) != system.data_shape:
        raise DataError(
            f"pictures of {tuple(pictures.shape[1:])} do not fit '{system.recipe}', which makes {system.data_shape}"
        )


def _run(
    system: System,
    rows: Tensor,
    begin: Callable[[Tensor, Rng, Cond], Tensor],
    times: Tensor,
    seed: int,
    guidance: float | None,
    batch: int,
    on_step: OnStep,
    about: dict[str, Any],
    label: str | int | None,
) -> Samples:
    """DDIM from given states, without guidance unless a label or a scale is given."""
    scale = scale_for(system, label, guidance)
    move = DDIM(system.guided(scale))
    seeds = list(range(seed, seed + len(rows)))
    cond = labelled(system, seeds, label)
    system.modules.eval()
    done = []
    for start in range(0, len(rows), batch):
        rng = Rng(seeds[start : start + batch])
        here = {k: v[start : start + batch].to(system.device) for k, v in cond.items()}
        x = begin(rows[start : start + batch], rng, here)
        done.append(system.codec.decode(simulate(move, x, times, rng, here, on_step), here).cpu())
    return Samples(torch.cat(done), seeds, cond, system.classes, system.provenance({**about, "guidance": scale}))
