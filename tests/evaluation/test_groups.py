"""Histograms of groups and their coverage, against hand-worked cases, SciPy and counting."""

from pathlib import Path

import pytest
import scipy.stats
import torch

from ornstein.cli import main
from ornstein.cli.evaluation_page import groups as page
from ornstein.core.errors import DataError
from ornstein.data import open_data
from ornstein.evaluation import Record, evaluate, prdc
from ornstein.evaluation.features import ClassifierFeatures
from ornstein.evaluation.groups import (
    chance_variation,
    divide,
    effective_groups,
    histogram,
    homogeneity,
    total_variation,
    values,
)


def counts(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def test_histograms() -> None:
    assert histogram(torch.tensor([2, 0, 2]), 4).tolist() == [1, 0, 2, 0]
    # (0.5, 0.5, 0) and (0.25, 0.5, 0.25): 1/2 (0.25 + 0 + 0.25)
    assert total_variation(counts(5, 5, 0), counts(1, 2, 1)) == pytest.approx(0.25)
    assert total_variation(counts(3, 0), counts(0, 9)) == 1
    assert effective_groups(counts(7, 7, 7, 0)) == pytest.approx(3)
    assert effective_groups(counts(0, 5)) == pytest.approx(1)


def test_chi_square_is_scipys() -> None:
    a, b = counts(30, 14, 0, 6, 50), counts(310, 90, 0, 100, 500)
    held = [
        [v for v, w in zip(x, y, strict=True) if v + w] for x, y in ((a.tolist(), b.tolist()), (b.tolist(), a.tolist()))
    ]
    wanted = scipy.stats.chi2_contingency(held, correction=False).pvalue
    assert homogeneity(a, b) == pytest.approx(wanted, rel=1e-9)
    assert homogeneity(counts(4, 0), counts(9, 0)) == 1
    assert homogeneity(counts(90, 10), counts(10, 90)) < 1e-20


def test_variation_of_two_draws_of_one_law() -> None:
    q, g = counts(0.5, 0.3, 0.15, 0.05), torch.Generator().manual_seed(0)

    def draw(n: int) -> torch.Tensor:
        return histogram(torch.multinomial(q, n, replacement=True, generator=g), 4)

    found = [total_variation(draw(200), draw(800)) for _ in range(600)]
    assert chance_variation(200 * q, 800 * q) == pytest.approx(sum(found) / 600, rel=0.05)


def test_groups_that_are_missing_or_small() -> None:
    g = torch.Generator().manual_seed(0)
    y = torch.randn(90, 3, generator=g)
    theirs = torch.arange(90) % 3
    y[theirs == 1] += 50
    theirs[:2] = 3  # two images: too few to have neighbours
    x, mine = torch.cat([y[theirs == 0], y[theirs == 1][:2]]), torch.tensor([0] * 29 + [1] * 2)
    found = divide((x, mine), (y, theirs), ("all", "two", "none", "rare"), k=3)
    assert found[3].quality is None
    whole, two, none = (group.quality for group in found[:3])
    assert whole is not None and two is not None and none is not None
    alone = prdc(y[theirs == 0], y[theirs == 0], 3)
    assert whole == alone and whole.coverage == 1
    assert none.coverage == none.recall == none.precision == none.density == 0
    assert two.precision == 1 and two.recall == 0 and 0 < two.coverage < 0.7
    shares = [(group.real_share, group.share) for group in found]
    assert shares[1] == (pytest.approx(30 / 90, abs=0.02), pytest.approx(2 / 31)) and shares[2][1] == 0
    assert "coverage/rare" not in values(found) and values(found)["coverage/none"] == 0
    with pytest.raises(DataError, match=r"numbered 0 \.\. 0"):
        divide((x, mine), (y, theirs), ("one",), k=3)


def test_a_set_without_sevens(tmp_path: Path) -> None:
    """Digits of which one is never made and one half as often: over all coverage hardly falls, its own is 0."""
    train, test = open_data("digits"), open_data("digits", split="test")
    labels = train[0 : len(train)].cond["label"]
    chosen = [i for i in range(600) if labels[i] != 7 and not (labels[i] == 3 and i % 2)]
    reference = test.take(range(300))
    extractor = ClassifierFeatures("digits")
    found = evaluate(
        train.take(chosen), reference, metrics=["groups", "prdc"], extractor=extractor, draws=4, subject={"what": "x"}
    )
    name = extractor.classes[7]
    assert found.values[f"share/{name}"] < 0.01 and found.values[f"coverage/{name}"] < 0.2
    assert found.values["least_coverage"] == found.values[f"coverage/{name}"]
    assert found.values["coverage"] > 0.8 and found.values["label_p"] < 1e-6
    assert 0.05 < found.values["label_tv"] < 0.25 and 8 < found.values["label_effective"] < 9.5
    assert "label_p" not in found.errors and f"coverage/{extractor.classes[3]}" in found.errors
    assert not any(key.startswith("real_share") for key in found.errors)
    said, table = page(found)
    assert len(table.rows) == 10 and "Total variation" in said.text  # type: ignore[union-attr]
    assert page(Record({"fd": 1.0})) == []
    equal = evaluate(train.take(range(300)), train.take(range(300)), metrics=["groups"], extractor=extractor, draws=0)
    assert equal.values["label_tv"] == 0 and equal.values["label_p"] == 1 and equal.values["least_coverage"] == 1


def test_features_without_classes(capsys: pytest.CaptureFixture[str]) -> None:
    train = open_data("digits").take(range(40))
    with pytest.raises(DataError, match="groups needs an extractor that classifies"):
        evaluate(train, train, metrics=["groups"])
    code = main(
        ["evaluate", "digits", "--against", "digits", "--extractor", "pixels", "-n", "40", "--metrics", "groups"]
    )
    assert code == 1 and "groups needs an extractor that classifies" in capsys.readouterr().err
