"""Metrics of tables against closed forms, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation import Table, TableSettings, measure
from ornstein.evaluation.tabular import column_shapes, distance_to_closest, pair_trends, utility


def people(n: int, seed: int, tied: bool = True) -> Table:
    """An age, an income that goes with it or not, and a trade that follows the income."""
    g = np.random.default_rng(seed)
    age, income = g.normal(40, 10, n), g.normal(0, 5, n)
    if tied:
        income = income + age
    trade = np.where(income > 40 if tied else g.random(n) < 0.5, "smith", "clerk")
    return Table({"age": age, "income": income, "trade": trade})


def test_shapes_by_hand() -> None:
    a = Table({"x": [1.0, 2.0, 3.0, 4.0], "c": ["u", "u", "v", "w"]})
    b = Table({"x": [3.0, 4.0, 5.0, 6.0], "c": ["u", "v", "v", "v"]})
    # F_a - F_b is largest between 2 and 3: 1/2. Shares 1/2, 1/4, 1/4 and 1/4, 3/4, 0: half of 1/4 + 1/2 + 1/4.
    assert column_shapes(a, b) == pytest.approx({"x": 0.5, "c": 0.5})
    assert column_shapes(a, a) == {"x": 1, "c": 1}
    found = measure(a, Table({"x": [1.0, 2.0, 3.0, 4.0], "c": ["u", "v", "v", "v"]}), metrics=["column_shapes"]).values
    assert found == pytest.approx({"column_shapes": 0.75, "worst_column": 0.5})


def test_trends_by_hand() -> None:
    up, down = [1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]
    a, b = Table({"x": up, "y": up}), Table({"x": up, "y": down})
    assert pair_trends(a, b) == pytest.approx({("x", "y"): 0.0})  # correlations 1 and -1
    c, d = (
        Table({"x": ["p", "p", "q", "q"], "y": ["p", "p", "q", "q"]}),
        Table({"x": ["p", "p", "q", "q"], "y": ["p", "q", "p", "q"]}),
    )
    assert pair_trends(c, d) == pytest.approx({("x", "y"): 0.5})  # halves on the diagonal beside quarters everywhere
    e, f = Table({"x": up, "y": ["p", "p", "q", "q"]}), Table({"x": up, "y": ["q", "q", "p", "p"]})
    assert pair_trends(e, f, bins=2) == pytest.approx({("x", "y"): 0.0})
    assert pair_trends(e, e) == pytest.approx({("x", "y"): 1.0})


def test_shapes_do_not_see_a_broken_tie_and_trends_do() -> None:
    real, other, broken = people(600, 0), people(600, 1), people(600, 2)
    g = np.random.default_rng(0)
    broken = Table({name: g.permutation(values) for name, values in broken.columns.items()})
    good, bad = (measure(t, real, draws=0).values for t in (other, broken))
    assert good["column_shapes"] == pytest.approx(bad["column_shapes"], abs=0.05)
    assert good["pair_trends"] > 0.93 and bad["pair_trends"] < 0.75


def test_a_constant_column_has_no_correlation_and_is_told() -> None:
    x = np.arange(5.0)
    a, b = Table({"x": x, "y": x, "z": np.ones(5)}), Table({"x": x, "y": x, "z": x})
    made = measure(a, b, metrics=["pair_trends"])
    assert made.values == {"pair_trends": 1.0}
    assert made.warnings == ("pair_trends: 2 pairs with a constant column have no correlation and are left out",)
    with pytest.raises(DataError, match="no two columns have a correlation"):
        measure(Table({"x": x, "z": np.ones(5)}), Table({"x": x, "z": x}), metrics=["pair_trends"])


def test_distance_to_the_closest_record_by_hand() -> None:
    train = Table({"x": [0.0, 10.0], "c": ["u", "v"]})
    samples = Table({"x": [0.0, 9.0, 4.0, 10.0], "c": ["u", "v", "u", "w"]})
    assert distance_to_closest(samples, train).tolist() == pytest.approx([0, 0.05, 0.2, 0.5])


def test_copies_are_nearer_to_training() -> None:
    train, held_out, fresh = people(150, 0), people(150, 1), people(150, 2)
    copied, honest = (
        measure(t, held_out, train=train, metrics=["closest_record"]) for t in (train, fresh)
    )  # fmt: skip
    assert copied.values["closest_record"] == 0 and copied.values["nearer_to_train"] == 1
    low, high = honest.interval("nearer_to_train") or (0.0, 0.0)
    assert low < 0.5 < high
    assert honest.values["closest_record"] == pytest.approx(honest.values["closest_record_reference"], rel=0.4)
    assert "closest_record_reference" not in honest.errors  # no sample goes into it
    assert honest.protocol["settings"]["train"] == 150 and honest.protocol["settings"]["train_hash"]


@pytest.mark.parametrize(("target", "kind"), [("trade", "macro F1"), ("income", "R^2")])
def test_utility(target: str, kind: str) -> None:
    real = people(160, 0)
    good, bad = utility(people(160, 1), real, target), utility(people(160, 2, tied=False), real, target)
    assert good.kind == kind
    assert abs(good.score - good.real) < 3 * (good.error + good.real_error) + 0.02
    assert bad.score < good.score - 0.2
    assert bad.real == good.real


def test_a_collapsed_target_still_has_a_score() -> None:
    real = people(60, 0)
    fake = Table({**real.columns, "trade": np.full(60, "smith")})
    found = utility(fake, real, "trade")
    assert 0 < found.score < 0.5 and found.real > 0.9


def test_numbers_that_are_categories() -> None:
    table = Table({"code": [1, 2, 2], "x": [0.5, 1.0, 2.0]}, categorical=("code",))
    assert table.categories == ["code"] and table.columns["code"].tolist() == ["1", "2", "2"]
    with pytest.raises(UsageError, match="no column 'cod': did you mean 'code'"):
        Table({"code": [1]}, categorical=("cod",))


GOOD = people(40, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Table({}), "no columns"),
        (lambda: Table({"x": []}), "no rows"),
        (lambda: Table({"x": [1.0], "y": [1.0, 2.0]}), "have one length, and these have {'x': 1, 'y': 2}"),
        (lambda: Table({"x": [1.0, np.nan]}), "column 'x' holds NaN or infinity, first in row 1"),
        (lambda: Table({"x": [None, 1.0]}), "'x' holds object"),
        (lambda: measure(Table({"x": [1.0]}), GOOD), r"only one of them has \['age', 'income', 'trade', 'x'\]"),
        (
            lambda: measure(Table({**GOOD.columns, "age": np.full(40, "old")}), GOOD),
            r"numbers on one side and texts on the other: \['age'\]",
        ),
        (lambda: measure(GOOD, GOOD, metrics=["closest_record"]), "closest_record needs the training data"),
        (lambda: measure(Table({"x": [1.0]}), Table({"x": [1.0]}), metrics=["pair_trends"]), "at least 2 columns"),
        (
            lambda: measure(GOOD, people(19, 1), metrics=["utility"], settings=TableSettings(target="trade")),
            "utility needs at least 20 references, got 19",
        ),
    ],
)  # fmt: skip
def test_bad_tables(make: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make()


def test_a_target_must_be_named_rightly() -> None:
    with pytest.raises(UsageError, match="utility needs the setting 'target'"):
        measure(GOOD, GOOD, metrics=["utility"])
    with pytest.raises(UsageError, match="no column 'trades' to predict: did you mean 'trade'"):
        utility(GOOD, GOOD, "trades")
