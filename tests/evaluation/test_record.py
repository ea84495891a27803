"""Records: intervals that are right, warnings that are right, and tables that do not mix protocols."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ornstein.core.errors import DataError, UsageError
from ornstein.evaluation import evaluate, frechet
from ornstein.evaluation.bias import frechet_bias, judge_size
from ornstein.evaluation.features import PixelFeatures
from ornstein.evaluation.groups import SEPARATOR
from ornstein.evaluation.intervals import half_samples, standard_errors
from ornstein.evaluation.record import Record, merge, require_same_protocol
from ornstein.evaluation.registry import METRICS, PREFERS
from ornstein.evaluation.settings import Settings


def images(n: int, seed: int = 0, side: int = 16, channels: int = 1) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, channels, 4, 4, generator=g)
    return (torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear") * 255).to(torch.uint8)


def test_error_of_a_mean() -> None:
    x = torch.randn(2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = standard_errors(lambda index: {"mean": float(x[index].mean())}, len(x), 400, 0)
    assert found["mean"] == pytest.approx(float(x.std()) / len(x) ** 0.5, rel=0.1)
    assert all(len(index.unique()) == len(index) == 50 for index in half_samples(100, 5, 0))


def test_error_of_a_frechet_distance_is_the_spread_of_fresh_draws() -> None:
    g = torch.Generator().manual_seed(0)
    reference = torch.randn(4000, 3, generator=g)
    draws = [torch.randn(500, 3, generator=g) * 1.2 + 0.3 for _ in range(60)]
    spread = float(torch.tensor([frechet(x, reference) for x in draws]).std())
    found = [standard_errors(lambda i, x=x: {"fd": frechet(x[i], reference)}, 500, 40, 0)["fd"] for x in draws[:10]]  # type: ignore[misc]
    assert sum(found) / len(found) == pytest.approx(spread, rel=0.25)


def test_the_bias_of_a_frechet_distance() -> None:
    g = torch.Generator().manual_seed(0)
    std = torch.linspace(0.3, 2, 12).double()
    n, m = 400, 700
    draws = [
        frechet(torch.randn(n, 12, generator=g).double() * std, torch.randn(m, 12, generator=g).double() * std)
        for _ in range(60)
    ]
    assert frechet_bias(torch.diag(std**2), n, m) == pytest.approx(sum(draws) / len(draws), rel=0.05)


def test_few_samples_are_warned_of_and_too_few_refused() -> None:
    cov = torch.eye(64)
    assert judge_size("fd", 65, 1000, 64, cov) is None
    warned = judge_size("fd", 10, 64, 64, cov)
    assert warned is not None and "10 samples for 64 feature dimensions bias the distance upwards, by about" in warned
    assert f"{frechet_bias(cov, 10, 64):.3g}" in warned
    with pytest.raises(DataError, match="fd of 3 samples in 64 feature dimensions means nothing; give at least 4"):
        judge_size("fd", 3, 1000, 64, cov)
    with pytest.raises(DataError, match="give at least 16, better 1280, or take kid"):
        evaluate(images(15), images(40, 1), metrics=["fd"])
    assert evaluate(images(15), images(40, 1), metrics=["kid"]).warnings == ()


def record() -> Record:
    return evaluate(
        images(60), images(50, 1), metrics=["kid", "prdc"], settings=Settings(k=3), protocol={"split": "test"}
    )


def test_a_record_says_everything_and_survives_a_file(tmp_path: Path) -> None:
    made = record()
    wanted = {
        "samples": 60, "reference": 50, "size": "1x16x16", "extractor": "pixels 16x16", "extractor_hash": "pixels-16-1",
        "dims": 256, "colour": "grey", "split": "test", "settings": {"k": 3},
        "interval": "95 %, 20 half-samples of the samples",
    }  # fmt: skip
    assert made.protocol | wanted == made.protocol
    assert {"preprocessing", "reference_hash"} <= set(made.protocol)
    low, high = made.interval("kid") or (0.0, 0.0)
    assert low < made.values["kid"] < high
    file = made.save(tmp_path / "sub" / "r.json")
    assert Record.load(file) == made
    assert json.loads(file.read_text())["intervals"]["kid"] == [low, high]
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 99}))
    with pytest.raises(DataError, match="was written in another format"):
        Record.load(file)
    file.write_text("[]")
    with pytest.raises(DataError, match="is no record of an evaluation"):
        Record.load(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": 61}, "samples: 60 and 61"),
        ({"extractor_hash": "x"}, "extractor_hash: 'pixels-16-1' and 'x'"),
        ({"split": "train"}, "split: 'test' and 'train'"),
        ({"settings": {"k": 5}}, r"settings: \{'k': 3\} and \{'k': 5\}"),
        ({"resize": "box"}, r"resize: '\(none\)' and 'box'"),
    ],
)
def test_protocols_are_not_mixed(change: dict[str, object], message: str) -> None:
    made = record()
    other = dataclasses.replace(made, protocol=made.protocol | change)
    with pytest.raises(DataError, match=f"'a' and 'b' were measured under different protocols.*{message}"):
        require_same_protocol({"a": made, "b": other})
    with pytest.raises(DataError, match=message):
        merge([made, other])


def test_what_may_differ() -> None:
    made = record()
    other = dataclasses.replace(made, subject={"sampler": "heun"})
    more = dataclasses.replace(made, protocol=made.protocol | {"settings": {"k": 3, "projections": 256}})
    require_same_protocol({"a": made, "b": other, "c": more})


def test_seeds_are_merged() -> None:
    a = Record({"kid": 1.0}, {"kid": 0.3}, {"samples": 5}, warnings=("w",))
    b = Record({"kid": 2.0}, {"kid": 0.4}, {"samples": 5}, warnings=("w",))
    both = merge([a, b])
    assert both.values == {"kid": 1.5} and both.per_seed == {"kid": [1.0, 2.0]}
    assert both.errors["kid"] == pytest.approx(((0.09 + 0.16) / 2 / 2) ** 0.5)
    assert both.protocol == {"samples": 5} and both.subject == {"repeats": 2} and both.warnings == ("w",)
    assert merge([a]) is a


def test_every_metric_is_computed_and_gives_what_it_says() -> None:
    x, y, train = images(80), images(80, 1), images(120, 2)

    class Classifying(PixelFeatures.__mro__[1]):  # type: ignore[name-defined, misc]
        name, hash, dims, preprocessing, original_inception = "test", "test", 256, "none", True
        classes = ("a", "b")

        def batch(self, x: Tensor):  # type: ignore[no-untyped-def]
            from ornstein.evaluation.features.extractors import Features

            f = x.float().flatten(1) / 255
            return Features(f, f[:, :2])

    made = evaluate(
        x, y, metrics=list(METRICS), extractor=Classifying(), labels=torch.zeros(80).long(), train=train, draws=4,
        pairs={"mae": lambda a, b: (a.float() - b.float()).abs().mean((1, 2, 3))},
    )  # fmt: skip
    whole = {name for name in made.values if SEPARATOR not in name}  # the others are of single classes
    assert whole == set(PREFERS) | {"mae"}
    assert {name for name in made.errors if SEPARATOR not in name} >= whole - {"c2st_p", "label_p"}
    assert made.values["fid"] == made.values["fd"]
    wanted = (x.float() - y.float()).abs().mean((1, 2, 3))
    assert made.values["mae"] == pytest.approx(float(wanted.mean()), rel=1e-6)
    assert made.errors["mae"] == pytest.approx(float(wanted.std()) / 80**0.5, rel=0.9)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"metrics": ["fid"]}, UsageError, "only the Inception network of the original makes a distance an FID"),
        ({"metrics": ["memorisation"]}, DataError, "memorisation needs the training images"),
        ({"metrics": ["classifier_score"]}, DataError, "classifier_score needs an extractor that classifies"),
        (
            {"metrics": ["psnr"], "reference": images(30)},
            DataError,
            "sample i with reference i, and there are 40 and 30",
        ),
        ({"reference": images(40, side=32)}, DataError, "samples are 1x16x16 and the reference is 1x32x32"),
        ({"reference": images(40, channels=3)}, DataError, "samples are 1x16x16 and the reference is 3x16x16"),
        ({"reference": images(0)}, DataError, "at least 2 images on both sides, got 40 and 0"),
        ({"metrics": []}, UsageError, "no metric is named"),
        ({"labels": torch.zeros(3)}, DataError, "3 labels for 40 samples"),
        ({"samples": "pictures"}, DataError, "as a uint8 tensor .* or as a source of them, got str"),
        ({"samples": images(40).float()}, DataError, r"images must be uint8 \[N, C, H, W\], got torch.float32"),
    ],
)
def test_what_cannot_be_measured(options: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        evaluate(**{"samples": images(40), "reference": images(40, 1), "metrics": ["kid"], **options})
