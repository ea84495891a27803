"""Metrics against closed forms and against implementations that are too slow to be wrong."""

import sys
from pathlib import Path

import pytest
import torch

from ornstein.core.errors import CheckpointError, DataError, UsageError
from ornstein.data import open_data
from ornstein.evaluation import GaussianStatistics, evaluate, frechet, frechet_distance, kid, prdc
from ornstein.evaluation.features import ClassifierFeatures, extractors


def test_frechet_of_commuting_gaussians() -> None:
    # Diagonal covariances commute: |m1 - m2|^2 + sum (s1 - s2)^2.
    m1, m2 = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 1.0, 0.0])
    s1, s2 = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 2.0, 0.5])
    wanted = float(((m1 - m2) ** 2).sum() + ((s1 - s2) ** 2).sum())
    assert frechet_distance(m1, torch.diag(s1**2), m2, torch.diag(s2**2)) == pytest.approx(wanted, rel=1e-10)


def test_frechet_is_invariant_under_rotation() -> None:
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(400, 5, generator=g), torch.randn(300, 5, generator=g) * 2 + 1
    q = torch.linalg.qr(torch.randn(5, 5, generator=g)).Q
    assert frechet(a @ q, b @ q) == pytest.approx(frechet(a, b), rel=1e-4)
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)


def test_statistics_stream() -> None:
    x = torch.randn(1000, 4, generator=torch.Generator().manual_seed(0)).double() + 3
    s = GaussianStatistics(4)
    for part in x.split([1, 499, 500]):
        s.add(part)
    torch.testing.assert_close(s.mean, x.mean(0))
    torch.testing.assert_close(s.cov, torch.cov(x.T))
    with pytest.raises(DataError, match="NaN"):
        s.add(torch.full((1, 4), torch.nan))


def test_kid_is_the_double_sum() -> None:
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(30, 4, generator=g).double(), torch.randn(20, 4, generator=g).double() + 1

    def k(x: torch.Tensor, y: torch.Tensor) -> float:
        return float((x @ y / 4 + 1) ** 3)

    aa = sum(k(a[i], a[j]) for i in range(30) for j in range(30) if i != j) / (30 * 29)
    bb = sum(k(b[i], b[j]) for i in range(20) for j in range(20) if i != j) / (20 * 19)
    ab = sum(k(x, y) for x in a for y in b) / 600
    assert kid(a, b) == pytest.approx(aa + bb - 2 * ab, rel=1e-10)


def test_kid_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = torch.randn(50, 3), torch.randn(40, 3)
    whole = kid(a, b)
    monkeypatch.setattr(sys.modules["ornstein.evaluation.kid"], "BLOCK", 7)
    assert kid(a, b) == pytest.approx(whole, rel=1e-9)


def test_prdc_is_the_definition() -> None:
    g = torch.Generator().manual_seed(1)
    a, b, k = torch.randn(60, 3, generator=g), torch.randn(50, 3, generator=g) * 1.5, 3
    da, db = torch.cdist(a, a), torch.cdist(b, b)
    ra, rb = da.sort(1).values[:, k], db.sort(1).values[:, k]
    d = torch.cdist(a, b)
    got = prdc(a, b, k)
    assert got.precision == pytest.approx(float((d < rb).any(1).float().mean()))
    assert got.recall == pytest.approx(float((d < ra[:, None]).any(0).float().mean()))
    assert got.density == pytest.approx(float((d < rb).sum() / (k * 60)))
    assert got.coverage == pytest.approx(float((d.min(0).values < rb).float().mean()))


def test_prdc_of_known_sets() -> None:
    x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    far = prdc(x + 1000, x)
    assert (far.precision, far.recall, far.density, far.coverage) == (0, 0, 0, 0)
    same = prdc(x, x)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    with pytest.raises(DataError, match="5 neighbours need more than 5 samples"):
        prdc(x[:5], x)


def test_bundled_digits_classifier_reads_digits() -> None:
    test = open_data("digits", split="test")
    extractor = ClassifierFeatures("digits")
    logits = extractor(torch.from_numpy(test.x.copy())).logits
    assert logits is not None and test.labels is not None
    accuracy = float((logits.argmax(1) == torch.from_numpy(test.labels.copy())).float().mean())
    assert accuracy >= 0.985
    assert accuracy == pytest.approx(extractor.accuracy, abs=0.003)


def test_changed_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("digits.safetensors", "digits.json"):
        (tmp_path / name).write_bytes((extractors.WEIGHTS / name).read_bytes())
    content = bytearray((tmp_path / "digits.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "digits.safetensors").write_bytes(content)
    monkeypatch.setattr(extractors, "WEIGHTS", tmp_path)
    with pytest.raises(CheckpointError, match=r"digits.safetensors has hash"):
        ClassifierFeatures("digits")


@pytest.mark.parametrize(
    ("samples", "reference", "metrics", "error", "message"),
    [
        (
            torch.zeros(9, 1, 8, 8),
            torch.zeros(9, 3, 8, 8),
            ("fd",),
            DataError,
            "samples are 1x8x8 and the reference is 3x8x8",
        ),
        (
            torch.zeros(1, 1, 8, 8),
            torch.zeros(9, 1, 8, 8),
            ("fd",),
            DataError,
            "at least 2 images on both sides, got 1 and 9",
        ),
        (torch.zeros(9, 1, 8, 8), torch.zeros(9, 1, 8, 8), ("fdd",), UsageError, "did you mean 'fd'"),
        (
            torch.zeros(9, 1, 8, 8),
            torch.zeros(9, 1, 8, 8),
            ("label_agreement",),
            DataError,
            "needs the samples' labels",
        ),
    ],
)
def test_bad_input(samples: torch.Tensor, reference: torch.Tensor, metrics: tuple, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        evaluate(samples.byte(), reference.byte(), metrics=metrics)


def test_few_samples_are_said() -> None:
    x = torch.randint(0, 256, (20, 1, 16, 16), dtype=torch.uint8)
    report = evaluate(x, x, metrics=("fd",))
    assert "20 samples for 256 feature dimensions bias" in report.warnings[0]
