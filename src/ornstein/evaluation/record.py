"""A result and everything it depends on; results of different protocols do not go into one table."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

import numpy
import torch

from ornstein.core.errors import DataError, OrnsteinError
from ornstein.evaluation.intervals import LEVEL

FORMAT = 1


def versions() -> dict[str, str]:
    """Of what computed a number."""
    from ornstein import __version__

    return {
        "ornstein": __version__, "torch": torch.__version__, "numpy": numpy.__version__, "python": platform.python_version()
    }  # fmt: skip


@final
@dataclass(frozen=True)
class Record:
    """One evaluation.

    ``values`` by name. ``errors``: standard errors of those that have one. ``per_seed``: each seed's values, where there
    are several; ``values`` are then their means. ``protocol``: how it was measured (extractor, sizes, reference), which
    must agree between records of one table. ``subject``: what was measured (weights, sampler, steps, seeds), which may not.
    """

    values: dict[str, float]
    errors: dict[str, float] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    subject: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=versions)
    warnings: tuple[str, ...] = ()
    per_seed: dict[str, list[float]] = field(default_factory=dict)

    def interval(self, name: str) -> tuple[float, float] | None:
        """95 %; None where none was estimated."""
        if name not in self.errors:
            return None
        value, half = self.values[name], LEVEL * self.errors[name]
        return value - half, value + half

    def shown(self, name: str) -> str:
        """``"3.21 ± 0.05"``: the half-width of the interval."""
        error = self.errors.get(name)
        return f"{self.values[name]:.4g}" + ("" if error is None else f" ± {LEVEL * error:.2g}")

    def save(self, path: str | Path) -> Path:
        """As JSON."""
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(self.as_json(), indent=1) + "\n", encoding="utf-8")
        except OSError as e:
            raise OrnsteinError(f"could not write {path}: {e}") from e
        return path

    def as_json(self) -> dict[str, Any]:
        """Plain data: the fields, and the intervals."""
        intervals = {name: self.interval(name) for name in self.errors}
        return {"format": FORMAT, **asdict(self), "intervals": intervals}

    @staticmethod
    def load(path: str | Path) -> Record:
        """The inverse of :meth:`save`.

        Raises:
            DataError: no such file, or it is no record of this format.
        """
        try:
            found: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
            if found.pop("format") != FORMAT:
                raise DataError(f"{path} was written in another format; measure again")
            found.pop("intervals")
            return Record(**{**found, "warnings": tuple(found["warnings"])})
        except OSError as e:
            raise DataError(f"cannot read {path}: {e.strerror}") from e
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise DataError(f"{path} is no record of an evaluation ({e}); write one with `ornstein evaluate -o`") from e


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """``"extractor: 'pixels 16x16' and 'digits classifier'"`` for each field in which two protocols differ.

    Settings are compared where both records have them: one may hold more metrics than the other.
    """
    missing = "(none)"
    shared = [
        {k: v for k, v in x.get("settings", {}).items() if k in y.get("settings", {})} for x, y in ((a, b), (b, a))
    ]
    a, b = ({**x, **({"settings": s} if "settings" in x else {})} for x, s in zip((a, b), shared, strict=True))
    return [
        f"{name}: {a.get(name, missing)!r} and {b.get(name, missing)!r}"
        for name in dict.fromkeys([*a, *b])
        if a.get(name, missing) != b.get(name, missing)
    ]


def require_same_protocol(records: Mapping[str, Record]) -> None:
    """Refuse to compare records that were measured differently.

    Raises:
        DataError: names two records and every field in which they differ.
    """
    items = list(records.items())
    for name, record in items[1:]:
        if different := differences(items[0][1].protocol, record.protocol):
            raise DataError(
                f"'{items[0][0]}' and '{name}' were measured under different protocols and do not belong in one table: "
                f"{'; '.join(different)}. Measure one of them again"
            )


def merge(records: Sequence[Record]) -> Record:
    """Several seeds of one subject as one record: means, and the standard errors of means."""
    require_same_protocol({f"seed {i + 1}": r for i, r in enumerate(records)})
    first, count = records[0], len(records)
    if count == 1:
        return first
    per_seed = {name: [r.values[name] for r in records] for name in first.values}
    errors = {n: (sum(r.errors[n] ** 2 for r in records) / count) ** 0.5 / count**0.5 for n in first.errors}
    return Record(
        {name: sum(values) / count for name, values in per_seed.items()},
        errors,
        first.protocol,
        {**first.subject, "repeats": count},
        first.versions,
        tuple(dict.fromkeys(w for r in records for w in r.warnings)),
        per_seed,
    )
