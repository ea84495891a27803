"""Several records in one table and one plot; records of different protocols are refused."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from ornstein.evaluation.intervals import LEVEL
from ornstein.evaluation.modalities import PREFERS
from ornstein.evaluation.plot import Line, line_plot
from ornstein.evaluation.record import Record, require_same_protocol

COLUMNS = ("sampler", "grid", "steps", "guidance", "evaluations")
"""Of a record's subject, in the table where records differ in them or have several."""


@final
@dataclass(frozen=True)
class Comparison:
    """Records by name, in the order of the table.

    Raises:
        DataError: two of them were measured under different protocols (names the fields).
    """

    records: Mapping[str, Record]

    def __post_init__(self) -> None:
        require_same_protocol(self.records)

    @property
    def metrics(self) -> list[str]:
        """Values that any record has."""
        return list(dict.fromkeys(name for r in self.records.values() for name in r.values))

    @property
    def columns(self) -> list[str]:
        """Parts of the subject that any record has."""
        return [c for c in COLUMNS if any(c in r.subject for r in self.records.values())]

    def best(self, metric: str) -> set[str]:
        """The records that have the best value; none where neither direction is better, or there is nothing to beat."""
        values = {name: r.values[metric] for name, r in self.records.items() if metric in r.values}
        better = PREFERS.get(metric, "")
        if not better or len(values) < 2:
            return set()
        top = min(values.values()) if better == "lower" else max(values.values())
        return {name for name, value in values.items() if value == top}

    def rows(self) -> list[dict[str, Any]]:
        """One flat mapping per record: name, subject, value and half-width of the interval of each metric."""
        out = []
        for name, r in self.records.items():
            row: dict[str, Any] = {"name": name, **{c: r.subject.get(c, "") for c in self.columns}}
            for metric in self.metrics:
                row[metric] = r.values.get(metric, "")
                row[f"{metric}_half_width"] = LEVEL * r.errors[metric] if metric in r.errors else ""
            out.append(row)
        return out

    def markdown(self) -> str:
        """A table with the best value of each metric in bold, and the protocol below."""
        arrows = {"lower": " ↓", "higher": " ↑"}
        header = ["system", *self.columns, *(m + arrows.get(PREFERS.get(m, ""), "") for m in self.metrics)]
        lines = ["| " + " | ".join(header) + " |", "| --- " * len(header) + "|"]
        best = {m: self.best(m) for m in self.metrics}
        for name, r in self.records.items():
            cells = [name, *(_short(r.subject.get(c, "")) for c in self.columns)]
            for m in self.metrics:
                shown = r.shown(m) if m in r.values else ""
                cells.append(f"**{shown}**" if name in best[m] else shown)
            lines.append("| " + " | ".join(cells) + " |")
        protocol = next(iter(self.records.values())).protocol
        hidden = ("extractor_hash", "reference_hash")
        about = "; ".join(f"{k} {v}" for k, v in protocol.items() if k not in hidden)
        hashes = ", ".join(f"{k} `{str(protocol[k])[:12]}`" for k in hidden if k in protocol)
        return "\n".join(lines) + f"\n\nProtocol: {about}; {hashes}.\n"

    def csv(self) -> str:
        """:meth:`rows` with a header."""
        rows, out = self.rows(), io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()

    def json(self) -> str:
        """Every record in full."""
        return json.dumps({name: r.as_json() for name, r in self.records.items()}, indent=1) + "\n"

    def plot(self, metric: str) -> str:
        """A metric against network evaluations as SVG: a line for each system and sampler, bars for the intervals."""
        groups: dict[str, list[tuple[float, float, float]]] = {}
        for name, r in self.records.items():
            if metric not in r.values or "evaluations" not in r.subject:
                continue
            line = f"{r.subject.get('what', name)}, {r.subject.get('sampler', '')}"
            half = LEVEL * r.errors.get(metric, 0.0)
            groups.setdefault(line, []).append((float(r.subject["evaluations"]), r.values[metric], half))
        flat = {
            name: r.values[metric] for name, r in self.records.items() if metric in r.values and "evaluations" not in r.subject
        }  # fmt: skip
        lines = [Line(name, sorted(points)) for name, points in groups.items()]
        return line_plot(lines, x_label="network evaluations per sample", y_label=metric, levels=flat)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)
