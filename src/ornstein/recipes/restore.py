"""Restoration and editing with a System: the measurement is on the scale of the data, [-1, 1]."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor, nn

from ornstein.codecs.base import Codec, Identity, Scale
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.measurement import Linear, Measurement, Operator
from ornstein.core.rng import Rng
from ornstein.core.shapes import expand
from ornstein.recipes.samples import Samples
from ornstein.restoration.table import fitting, get_method
from ornstein.samplers.base import Step, simulate
from ornstein.samplers.grids import get_grid

if TYPE_CHECKING:
    from ornstein.recipes.system import System


TRAINED = "trained"
"""The name of the method of systems that were trained to restore."""


@final
class InState(Operator):
    """An operator on data, as one on the codec's states: A(decode(state)), differentiated through both."""

    def __init__(self, operator: Operator, codec: Codec):
        self.operator, self.codec = operator, codec
        self.name = operator.name

    @property
    def differentiable(self) -> bool:  # type: ignore[override]
        """As the operator is."""
        return self.operator.differentiable

    def __call__(self, x: Tensor) -> Tensor:
        # Scale's own decoding clamps, which would cut the derivative outside [-1, 1].
        data = x / self.codec.scale if isinstance(self.codec, Scale) else self.codec.decode(x)
        return self.operator(data)

    def estimate(self, y: Tensor) -> Tensor:
        data = self.operator.estimate(y)
        return self.codec.encode(data, Rng([0] * len(data)))


def in_state(measurement: Measurement, codec: Codec) -> Measurement:
    """The same measurement of the codec's state: linear operators on pixels stay linear, and their y is scaled with it."""
    if isinstance(codec, Identity):
        return measurement
    if isinstance(codec, Scale) and isinstance(measurement.operator, Linear):
        return Measurement(measurement.y * codec.scale, measurement.operator, measurement.noise * codec.scale)
    return Measurement(measurement.y, InState(measurement.operator, codec), measurement.noise)


@torch.no_grad()
def restore(
    system: System,
    measurement: Measurement,
    *,
    n: int = 1,
    method: str = "auto",
    options: Mapping[str, Any] | None = None,
    steps: int | None = None,
    strength: float | None = None,
    guess: Tensor | None = None,
    seed: int = 0,
    guidance: float | None = None,
    batch: int = 64,
    label: str | int | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Samples:
    """``n`` restorations of each measured image, in order: those of image 0 first. Draw j of image i has seed + i n + j.

    Args:
        measurement: y ``[B, ...]`` of data in [-1, 1].
        method: a row of :data:`ornstein.restoration.METHODS`, or "auto": the system's own, else what suits the measurement. A
            system that was trained to restore draws from what it is told ("trained").
        options: of the method, such as ``{"repeats": 10}``.
        steps: of the grid; by default the system's, else the method's.
        strength: where on the way from data (0) to noise (1) to start; below 1 from ``guess``, noised to there. By default
            the system's, else 1.
        guess: ``[B, ...]`` data in [-1, 1]; by default A^+ y, or what the operator offers.
        guidance, label: as in :meth:`System.sample`; without a label the system draws unconditionally.

    Raises:
        UsageError: an unknown method or option, strength outside (0, 1], n or steps below 1.
        DataError: the measurement does not fit the model's shape or range, or holds values that are not finite.
        CapabilityError: the method needs more of the operator or of the process than it has.
    """
    if n < 1 or batch < 1 or (steps is not None and steps < 1):
        raise UsageError(f"n, batch and steps must be at least 1, got {n}, {batch} and {steps}")
    if system.told is not None and method in ("auto", TRAINED):
        return _trained(system, measurement, n, options, steps, strength, seed, guidance, batch, label, on_step)
    own = system.restoring if method == "auto" else None
    if strength is None:
        strength = own.strength if own is not None else 1.0
    if not 0 < strength <= 1:
        raise UsageError(f"strength lies in (0, 1]: 1 starts from noise, got {strength}")
    if system.one_shot:
        raise CapabilityError(f"'{system.recipe}' has no denoiser, and so nothing to restore with")
    name = (
        method if method != "auto" else own.method if own is not None else fitting(in_state(measurement, system.codec))
    )
    row = get_method(name)
    given = _require_fit(system, measurement, guess)
    chosen = {**(own.options if own is not None else {}), **(options or {})}
    steps = steps or (own.steps if own is not None else None) or row.steps
    if "data_var" in row.options and isinstance(system.codec, Scale):
        chosen.setdefault("data_var", 0.5 * system.codec.scale**2)  # images in [-1, 1] have a variance of about 0.5
    total = len(measurement.y) * n
    scale = scale_for(system, label, guidance)
    denoiser = system.guided(scale)
    seeds = list(range(seed, seed + total))
    cond = labelled(system, seeds, label)
    system.modules.eval()
    rows = torch.arange(total) // n
    done, device = [], system.device
    process = system.process
    times = get_grid(system.grid)(process, steps, float(process.t_max), None)
    if strength < 1:
        # The same spacing, shortened: as many steps as asked for lie between the start and the data.
        whole = get_grid(system.grid)(process, max(round(steps / strength), 2), float(process.t_max), None)
        times = whole[-steps - 1 :]
    for start in range(0, total, batch):
        part = rows[start : start + batch]
        rng = Rng(seeds[start : start + batch])
        y = Measurement(measurement.y[part].to(device), measurement.operator, measurement.noise)
        move = row.make(denoiser, in_state(y, system.codec), chosen)
        if strength < 1:
            first = system.codec.encode(given[part].to(device), rng)
            x = process.marginal(first, expand(times[0].to(device), first)).sample(rng)
        else:
            x = system.begin(rng, times).to(device)
        here = {k: v[start : start + batch].to(device) for k, v in cond.items()}
        with frozen(system.modules):
            x = simulate(move, x, times, rng, here, on_step)
        done.append(system.codec.decode(x, here).cpu())
    about = {
        "restoration": name,
        "operator": measurement.operator.name,
        "noise": measurement.noise,
        "steps": len(times) - 1,
        "strength": strength,
        "options": chosen,
        "guidance": scale,
    }
    return Samples(torch.cat(done), seeds, cond, system.classes, system.provenance(about))


def _trained(
    system: System,
    measurement: Measurement,
    n: int,
    options: Mapping[str, Any] | None,
    steps: int | None,
    strength: float | None,
    seed: int,
    guidance: float | None,
    batch: int,
    label: str | int | None,
    on_step: Callable[[Step], None] | None,
) -> Samples:
    """Draws of a system that was trained on such measurements."""
    told = system.told
    assert told is not None
    if options or strength not in (None, 1):
        raise UsageError(
            f"'{system.recipe}' was trained to restore: it starts from noise and has no options; name a method, such as ddrm"
        )
    given = told.of_measurement(measurement).float().repeat_interleave(n, 0)
    conditions: dict[str, Any] = {told.name: given}
    if system.classes:
        conditions["label"] = -1 if label is None else label
    made = system.sample(
        len(given), steps=steps, seed=seed, guidance=guidance, batch=batch, on_step=on_step, **conditions
    )
    about = {"restoration": TRAINED, "operator": measurement.operator.name, "noise": measurement.noise}
    return Samples(made.tensor, made.seeds, made.cond, made.classes, {**made.provenance, **about})


@contextmanager
def frozen(modules: nn.Module) -> Iterator[None]:
    """Weights without gradients for a while: methods that differentiate by the state need none of theirs."""
    trained = [p for p in modules.parameters() if p.requires_grad]
    for p in trained:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in trained:
            p.requires_grad_(True)


def labelled(system: System, seeds: Sequence[int], label: str | int | None) -> dict[str, Tensor]:
    """The conditions of a label; without one, those of the unconditional model."""
    if label is None:
        return system.conditions(seeds, {"label": -1} if system.classes else {})
    return system.conditions(seeds, {"label": label})


def scale_for(system: System, label: str | int | None, guidance: float | None) -> float:
    """The guidance scale: the recipe's where a label is given, none where there is nothing to strengthen."""
    if guidance is not None:
        return guidance
    return 1.0 if label in (None, -1) else system.guidance


def _require_fit(system: System, measurement: Measurement, guess: Tensor | None) -> Tensor:
    """The first guess; refused together with a measurement that is not one of the system's images."""
    given = measurement.operator.estimate(measurement.y) if guess is None else guess
    if tuple(given.shape[1:]) != system.data_shape:
        what = "the guess" if guess is not None else f"what {measurement.operator.name} measured"
        raise DataError(
            f"{what} is of images {tuple(given.shape[1:])}, and '{system.recipe}' makes {system.data_shape}"
        )
    if len(given) != len(measurement.y):
        raise DataError(f"{len(measurement.y)} measurements come with {len(given)} guesses")
    _require_range(measurement, given.shape[1:])
    return given


def _require_range(measurement: Measurement, shape: torch.Size) -> None:
    """Refuse a y that no picture in [-1, 1] can have given: |A x| <= s_max |x| <= s_max sqrt(D), and the noise's share."""
    a, y, noise = measurement.operator, measurement.y.double(), measurement.noise
    if isinstance(a, Linear):
        found = float(y.flatten(1).norm(dim=1).max())
        most = largest_value(a, shape) * shape.numel() ** 0.5 + noise * (y[0].numel() ** 0.5 + 6)
    else:
        found, most = float(a.estimate(y).abs().max()), 1 + 6 * noise
    if found > 1.05 * most:
        raise DataError(
            f"the measurement reaches {float(y.abs().max()):.4g}, more than {a.name} makes of pictures in [-1, 1]; bring it to "
            "that scale (bytes: x / 127.5 - 1)"
        )


def largest_value(operator: Linear, shape: torch.Size, rounds: int = 20) -> float:
    """The largest singular value: as it is known, or by power iteration (then up to a few per cent too small)."""
    if operator.svd is not None:
        return float(operator.svd.values.max())
    x = Rng([0]).normal((1, *shape), dtype=torch.float64)
    for _ in range(rounds):
        x = operator.adjoint(operator(x / x.norm()))
    return float(x.norm().sqrt())
