"""What holds for every modality: the record, its protocol and intervals, and what is refused."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation import Measure, Record, Scores, Series, SeriesSettings, Table, Texts, TextSettings, measure
from ornstein.evaluation.compare import Comparison
from ornstein.evaluation.modalities import MODALITIES, PREFERS, modality_of, modality_with
from ornstein.evaluation.registry import METRICS
from ornstein.evaluation.registry import PREFERS as OF_IMAGES

G = torch.Generator().manual_seed(0)
FORECASTS, TRUTH = Series(torch.randn(40, 20, 6, 2, generator=G)), Series(torch.randn(40, 6, 2, generator=G))


def test_names_mean_one_thing() -> None:
    """A metric and a value belong to one modality, so that the command line can tell it by its name."""
    names = [*METRICS, *(name for m in MODALITIES.values() for name in m.metrics)]
    assert len(names) == len(set(names))
    for modality in MODALITIES.values():
        values = {v for row in modality.metrics.values() for v in row.gives}
        assert not values & set(OF_IMAGES) and values <= set(PREFERS)
        assert set(modality.default) <= set(modality.metrics)
        fields = {f.name for f in dataclasses.fields(modality.settings)}
        assert "seed" in fields and all({*row.uses, *row.asks} <= fields for row in modality.metrics.values())
    assert modality_with("bleu") == "text" and modality_with("fid") is None
    assert modality_of(TRUTH).name == "series"


def test_a_record_says_everything_and_survives_a_file(tmp_path: Path) -> None:
    made = measure(FORECASTS, TRUTH, metrics=["crps", "coverage"], protocol={"split": "test"}, subject={"steps": 9})
    wanted = {
        "modality": "series", "samples": 40, "reference": 40, "length": 6, "channels": 2, "draws": 20, "split": "test",
        "settings": {"level": 0.9}, "interval": "95 %, 20 half-samples of the samples", "reference_hash": TRUTH.content_hash,
    }  # fmt: skip
    assert made.protocol == wanted and made.subject == {"steps": 9}
    low, high = made.interval("crps") or (0.0, 0.0)
    assert low < made.values["crps"] < high
    assert Record.load(made.save(tmp_path / "r.json")) == made


def test_an_interval_of_pairs_is_that_of_a_mean() -> None:
    """Windows are resampled with their truths: for a mean over windows this is the standard error of a mean."""
    made = measure(FORECASTS, TRUTH, metrics=["mae"], draws=400)
    from ornstein.evaluation.series.point_errors import absolute_error

    each = absolute_error(FORECASTS.x, TRUTH.single).mean((1, 2))
    assert made.errors["mae"] == pytest.approx(float(each.std()) / math.sqrt(40), rel=0.12)


def test_halves_of_pairs_are_halves_of_both() -> None:
    row: Measure[Series] = Measure(
        "gap", "", {"gap": ""}, lambda x: {"gap": float((x.samples.x - x.reference.x).abs().max())},
        frozenset({"reference", "pairs"}),
    )  # fmt: skip
    made = measure(TRUTH, TRUTH, metrics=[row])
    assert made.values["gap"] == made.errors["gap"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"draws": 20}, "interval: '95 %, 2 half-samples of the samples' and '95 %, 20"),
        ({"settings": SeriesSettings(level=0.5)}, r"settings: \{'level': 0.9\} and \{'level': 0.5\}"),
        ({"reference": Series(torch.zeros(40, 6, 2))}, "reference_hash"),
        ({"samples": Series(FORECASTS.x[:, :10])}, "draws: 20 and 10"),
    ],
)
def test_protocols_are_not_mixed(change: dict[str, Any], message: str) -> None:
    asked: dict[str, Any] = {"metrics": ["crps", "coverage"], "draws": 2, "settings": SeriesSettings()}
    if "samples" in change:
        asked["metrics"] = ["crps"]
    words = {"samples": FORECASTS, "reference": TRUTH} | asked
    one, two = measure(**words), measure(**words | change)
    with pytest.raises(DataError, match=f"'a' and 'b' were measured under different protocols.*{message}"):
        Comparison({"a": one, "b": two})


def test_records_of_two_modalities_do_not_share_a_table() -> None:
    texts = measure(Texts(["a"]), Texts(["a"]), draws=0)
    with pytest.raises(DataError, match="modality: 'text' and 'series'"):
        Comparison({"a": texts, "b": measure(FORECASTS, TRUTH, metrics=["mae"], draws=0)})


def test_a_table_marks_the_better() -> None:
    better = Series(TRUTH.single[:, None] + 0.1 * FORECASTS.x)
    rows = {name: measure(x, TRUTH, metrics=["crps"]) for name, x in (("far", FORECASTS), ("near", better))}
    table = Comparison(rows)
    assert table.best("crps") == {"near"} and "crps ↓" in table.markdown()


def test_more_metrics_do_not_make_another_protocol() -> None:
    one, two = (measure(FORECASTS, TRUTH, metrics=m, draws=0) for m in (["crps"], ["crps", "mae", "coverage"]))
    assert Comparison({"a": one, "b": two}).metrics == ["crps", "mae", "interval_coverage", "interval_width"]


def test_measures_of_ones_own() -> None:
    row: Measure[Series] = Measure(
        "top", "largest value", {"top": ""}, lambda x: {"top": float(x.samples.x.max())}, frozenset()
    )
    made = measure(TRUTH, metrics=[row])
    assert made.values["top"] == float(TRUTH.x.max()) and "reference" not in made.protocol
    stray: Measure[Series] = Measure("top", "", {}, lambda x: {"top": 1.0}, frozenset())
    with pytest.raises(ValueError, match="does not declare"):
        measure(TRUTH, metrics=[stray])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: measure(TRUTH, TRUTH, metrics=["crsp"]), UsageError, "unknown metric of series 'crsp': did you mean 'crps'"),
        (lambda: measure(TRUTH, TRUTH, metrics=[]), UsageError, "no metric is named; known: crps"),
        (lambda: measure(TRUTH, TRUTH, settings=TextSettings()), UsageError, "series takes SeriesSettings, got TextSettings"),
        (lambda: measure(TRUTH, Texts(["a"])), DataError, "the samples are series and the reference is Texts"),
        (lambda: measure(torch.zeros(3)), DataError, "one of Series, Table, Scores, Texts.* got Tensor"),
    ],
)  # fmt: skip
def test_what_is_refused(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_hashes_tell_contents_apart() -> None:
    x = np.arange(4.0)
    for a, b in (
        (Texts(["ab", "c"]), Texts(["a", "bc"])),
        (Texts([["a", "b"]]), Texts(["a", "b"])),
        (Table({"x": x}), Table({"y": x})),
        (Scores(torch.ones(2, 3)), Scores(torch.ones(3, 2))),
        (Series(torch.ones(2, 3)), Series(torch.ones(2, 3), torch.tensor([[1, 1, 0], [1, 1, 1]]))),
    ):
        assert a.content_hash != b.content_hash
    assert Series(torch.ones(2, 3)).content_hash == Series(torch.ones(2, 3, 1)).content_hash
