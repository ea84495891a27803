"""The metrics of tables by name."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from ornstein.evaluation.modality import Given, Measure, Modality, table_of
from ornstein.evaluation.tabular.closest_record import Encoder, closest, distance_to_closest
from ornstein.evaluation.tabular.collection import Table, TableSettings, require_same_columns
from ornstein.evaluation.tabular.column_shapes import column_shapes
from ornstein.evaluation.tabular.pair_trends import pair_trends
from ornstein.evaluation.tabular.utility import utility

Inputs = Given[Table]


def _settings(x: Inputs) -> TableSettings:
    return cast(TableSettings, x.settings)


def _shapes(x: Inputs) -> dict[str, float]:
    found = column_shapes(x.samples, x.reference)
    return {"column_shapes": sum(found.values()) / len(found), "worst_column": min(found.values())}


def _trends(x: Inputs) -> dict[str, float]:
    found, columns = pair_trends(x.samples, x.reference, _settings(x).bins), len(x.samples.columns)
    if missing := columns * (columns - 1) // 2 - len(found):
        x.warn(f"pair_trends: {missing} pairs with a constant column have no correlation and are left out")
    return {"pair_trends": sum(found.values()) / len(found)}


def _utility(x: Inputs) -> dict[str, float]:
    s = _settings(x)
    found = utility(x.samples, x.reference, s.target, s.seed)
    x.errors.update(utility=found.error, utility_real=found.real_error)
    return {"utility": found.score, "utility_real": found.real}


def _closest(x: Inputs) -> dict[str, float]:
    mine = x.column("to train", lambda table: distance_to_closest(table, x.train))
    held_out = x.once("held out to train", lambda: distance_to_closest(x.reference, x.train))
    # Equally many of both sides: of more rows one is nearer by chance.
    few = min(len(x.train), len(x.reference))
    step = [slice(None, None, len(t) // few) for t in (x.train, x.reference)]

    def nearer(table: Table) -> Tensor:
        encode, width = Encoder(x.train, (table, x.reference)), len(x.train.columns)
        rows = encode(table)
        a, b = (closest(rows, encode(t)[s][:few], width) for t, s in zip((x.train, x.reference), step, strict=True))
        return (a < b).double() + 0.5 * (a == b).double()

    return {
        "closest_record": float(mine.median()),
        "closest_record_reference": float(held_out.median()),
        "nearer_to_train": float(x.column("nearer", nearer).mean()),
    }


METRICS = table_of(
    (
        Measure(
            "column_shapes", "likeness of each column's law (1 - KS, 1 - total variation), mean and least",
            {"column_shapes": "higher", "worst_column": "higher"}, _shapes,
        ),
        Measure(
            "pair_trends", "likeness of the dependence of each two columns, mean", {"pair_trends": "higher"}, _trends,
            uses=("bins",),
        ),
        Measure(
            "utility", "score on real rows of a model trained on samples, and of one trained on real rows",
            {"utility": "higher", "utility_real": ""}, _utility, uses=("target", "seed"), least=10, resampled=False,
        ),
        Measure(
            "closest_record",
            "median distance to the nearest training row, that of held-out rows, share nearer to training than to those",
            {"closest_record": "", "closest_record_reference": "", "nearer_to_train": ""}, _closest,
            frozenset({"reference", "train"}), fixed=("closest_record_reference",),
        ),
    )
)  # fmt: skip

TABLES = Modality(
    "tables", "rows of numbers and categories", Table, METRICS, ("column_shapes", "pair_trends"), TableSettings,
    require_same_columns,
)  # fmt: skip
