r"""An average of any width, made after training from stored ones.

The average of width gamma at time t weighs the weights of time tau by its profile p_{t, gamma}(tau) =
(gamma + 1) tau^gamma / t^{gamma + 1} on (0, t]. Stored averages are profiles (t_i, gamma_i); the one that is wanted is
approached by the combination that comes nearest in least squares, and the same combination of weights is the answer.
Karras et al. 2024 (2312.02696), section 3.2 and appendix C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from ornstein.core.errors import CheckpointError, UsageError
from ornstein.training.checkpoint import load_checkpoint, read_manifest
from ornstein.training.ema import gamma_of
from ornstein.training.snapshots import part_name, snapshots

Profile = tuple[float, float]
"""Time (in samples) and relative width."""


def inner(a: Sequence[Profile], b: Sequence[Profile]) -> np.ndarray:
    r"""Integrals of products of profiles, ``[len(a), len(b)]``.

    int p_a p_b = (g_a + 1)(g_b + 1) / ((g_a + g_b + 1) max(t)) * r, with r = (t_a / t_b)^{g_b} where t_a < t_b, else
    (t_b / t_a)^{g_a}.
    """
    ta, ga = (np.array(v, dtype=np.float64)[:, None] for v in zip(*((t, gamma_of(s)) for t, s in a), strict=True))
    tb, gb = (np.array(v, dtype=np.float64)[None] for v in zip(*((t, gamma_of(s)) for t, s in b), strict=True))
    ratio = np.where(ta < tb, (ta / tb) ** gb, (tb / ta) ** ga)
    return (ga + 1) * (gb + 1) * ratio / ((ga + gb + 1) * np.maximum(ta, tb))


def combination(stored: Sequence[Profile], wanted: Profile) -> tuple[np.ndarray, float]:
    """The coefficients of the stored averages, and how far the profile made of them is from the wanted one, relative."""
    products, target, norm = inner(stored, stored), inner(stored, [wanted])[:, 0], inner([wanted], [wanted])[0, 0]
    # Unit profiles: those of early times are high and narrow, and would spoil the conditioning.
    scale = 1 / np.sqrt(np.diag(products))
    solved = np.linalg.lstsq(products * scale[:, None] * scale, target * scale, rcond=1e-13)[0] * scale
    residual = norm - 2 * solved @ target + solved @ products @ solved
    return solved, float(np.sqrt(max(residual, 0.0) / norm))


@dataclass(frozen=True)
class Averaged:
    """What :func:`reconstruct` made."""

    tensors: dict[str, Tensor]
    """the whole state of the model, averaged where it is trained"""
    std: float
    step: int
    seen: int
    used: int
    """stored averages that went in"""
    profile_error: float
    """relative distance between the profile that was reached and the one that was wanted"""


def reconstruct(run: Path, std: float, step: int | None = None) -> Averaged:
    """The average of relative width ``std`` at a stored ``step`` (the last by default).

    Raises:
        CheckpointError: no snapshots, one of them damaged, or none of that step.
        UsageError: a width that no profile has.
    """
    gamma_of(std)
    folders = snapshots(run)
    if not folders:
        raise CheckpointError(
            f"{run} has no snapshots to make an average of; train with --snapshots STEPS (Engine(snapshots=...))"
        )
    abouts = [read_manifest(folder)["meta"]["snapshot"] for folder in folders]
    steps = [int(a["step"]) for a in abouts]
    step = steps[-1] if step is None else step
    if step not in steps:
        near = min(steps, key=lambda s: abs(s - step))
        raise UsageError(f"{run} has no snapshot of step {step}; the nearest is {near} (of {steps[0]} to {steps[-1]})")
    part = list(zip(folders, abouts, strict=True))[: steps.index(step) + 1]
    stored = [(folder, float(about["seen"]), float(s)) for folder, about in part for s in about["stds"]]
    seen = int(part[-1][1]["seen"])
    coefficients, error = combination([(t, s) for _, t, s in stored], (seen, std))
    sums: dict[str, Tensor] = {}
    by_folder: dict[Path, list[tuple[str, float]]] = {}
    for (folder, _, s), c in zip(stored, coefficients.tolist(), strict=True):
        by_folder.setdefault(folder, []).append((part_name(s), c))
    for folder, entries in by_folder.items():  # one at a time: a run may have hundreds
        found = load_checkpoint(folder, tuple(name for name, _ in entries))
        for name, c in entries:
            for key, value in found.parts[name].items():
                if key in sums:
                    sums[key].add_(value.double(), alpha=c)
                else:
                    sums[key] = value.double() * c
    rest = load_checkpoint(part[-1][0], ("rest",)).parts["rest"]
    like = load_checkpoint(part[-1][0], (part_name(stored[-1][2]),)).parts[part_name(stored[-1][2])]
    tensors = {key: value.to(like[key].dtype) for key, value in sums.items()} | rest
    return Averaged(tensors, std, step, seen, len(stored), error)
