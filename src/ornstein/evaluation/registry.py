"""The metrics by name: what each needs, which values it gives, which way is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar, final

from torch import Tensor

from ornstein.core.errors import DataError, UsageError, unknown
from ornstein.evaluation import groups
from ornstein.evaluation.authenticity import between, share
from ornstein.evaluation.classifier_score import classifier_score
from ornstein.evaluation.energy import energy_distance
from ornstein.evaluation.frechet import GaussianStatistics, frechet_distance
from ornstein.evaluation.images import lr_consistency, ms_ssim, psnr, ssim
from ornstein.evaluation.images.diversity import neighbours_alike
from ornstein.evaluation.kid import kid, own_mean
from ornstein.evaluation.memorisation import judge
from ornstein.evaluation.mmd import median_bandwidth, mmd
from ornstein.evaluation.pairwise import nearest
from ornstein.evaluation.prdc import prdc, squared_radii
from ornstein.evaluation.rows import Rows
from ornstein.evaluation.settings import Settings
from ornstein.evaluation.sliced_wasserstein import sliced_wasserstein
from ornstein.evaluation.two_sample import two_sample
from ornstein.evaluation.vendi import vendi

T = TypeVar("T")
Need = Literal["reference", "labels", "logits", "train", "pairs", "inception"]
Better = Literal["lower", "higher", ""]


@final
@dataclass
class Inputs:
    """What a metric is computed from. ``kept``: parts that depend on the reference alone, computed once for all draws."""

    samples: Rows
    reference: Rows
    train: Rows | None
    settings: Settings
    kept: dict[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    """what the columns of the logits are called, where the extractor says so"""

    def once(self, name: str, make: Callable[[], T]) -> T:
        """``make()``, or what it gave before."""
        if name not in self.kept:
            self.kept[name] = make()
        value: T = self.kept[name]
        return value

    def of(self, samples: Rows) -> Inputs:
        """The same for other samples."""
        return Inputs(samples, self.reference, self.train, self.settings, self.kept, self.classes)

    @property
    def trained_on(self) -> Tensor:
        """Features of the training set."""
        if self.train is None:
            raise DataError("the metric needs the training images")
        return self.train.features

    @property
    def to_train(self) -> tuple[Tensor, Tensor]:
        """Each sample's distance to its nearest training image, and which that is; see :func:`with_neighbours`."""
        return self.samples.columns["train_distance"], self.samples.columns["train_index"]


@final
@dataclass(frozen=True)
class Metric:
    """A row of the table. ``gives``: its values, and whether lower or higher is better (empty: neither)."""

    name: str
    about: str
    gives: Mapping[str, Better]
    compute: Callable[[Inputs], dict[str, float]]
    needs: frozenset[Need] = frozenset({"reference"})
    uses: tuple[str, ...] = ()
    """fields of :class:`Settings`"""
    single: Callable[[Tensor], Tensor] | None = None
    """a column computed from each batch of samples"""
    paired: Callable[[Tensor, Tensor, Settings], Tensor] | None = None
    """a column computed from each batch of samples and of their pairs"""


def with_neighbours(samples: Rows, train: Rows) -> Rows:
    """The samples with columns that say how far the nearest training image is and which; they hold for any subset."""
    distance, index = (v[:, 0] for v in nearest(samples.features, train.features))
    columns = {"train_distance": distance, "train_index": index}
    return Rows(samples.features, samples.logits, samples.labels, samples.columns | columns)


def _fd(x: Inputs) -> float:
    def of(rows: Rows) -> GaussianStatistics:
        return GaussianStatistics(rows.features.shape[1]).add(rows.features)

    mine, theirs = of(x.samples), x.once("fd", lambda: of(x.reference))
    return frechet_distance(mine.mean, mine.cov, theirs.mean, theirs.cov)


def _kid(x: Inputs) -> dict[str, float]:
    own = x.once("kid", lambda: own_mean(x.reference.features))
    return {"kid": kid(x.samples.features, x.reference.features, own)}


def _prdc(x: Inputs) -> dict[str, float]:
    k = x.settings.k
    radii = x.once("prdc", lambda: squared_radii(x.reference.features, k))
    return asdict(prdc(x.samples.features, x.reference.features, k, radii))


def _mmd(x: Inputs) -> dict[str, float]:
    s = x.settings.bandwidth or x.once("mmd", lambda: median_bandwidth(x.reference.features))
    return {"mmd": mmd(x.samples.features, x.reference.features, s)}


def _sliced(x: Inputs) -> dict[str, float]:
    s = x.settings
    value = sliced_wasserstein(x.samples.features, x.reference.features, s.projections, seed=s.seed)
    return {"sliced_wasserstein": value}


def _two_sample(x: Inputs) -> dict[str, float]:
    found = two_sample(x.samples.features, x.reference.features, x.settings.seed)
    return {"c2st": found.accuracy, "c2st_p": found.p_value}


def _labels(x: Inputs) -> dict[str, float]:
    logits, labels = x.samples.logits, x.samples.labels
    if logits is None or labels is None:
        raise DataError("label_agreement needs the samples' labels and an extractor that classifies")
    return {"label_agreement": float((logits.argmax(1) == labels).double().mean())}


def _groups(x: Inputs) -> dict[str, float]:
    if x.samples.logits is None or x.reference.logits is None:
        raise DataError("groups needs an extractor that classifies")
    mine, theirs = (rows.argmax(1) for rows in (x.samples.logits, x.reference.logits))
    count, k = x.reference.logits.shape[1], x.settings.k
    names = x.classes or tuple(map(str, range(count)))
    radii = x.once("groups", lambda: groups.reference_radii(x.reference.features, theirs, count, k))
    found = groups.divide((x.samples.features, mine), (x.reference.features, theirs), names, k, radii)
    a, b = groups.histogram(mine, count), groups.histogram(theirs, count)
    judged = [g.quality for g in found if g.quality is not None]
    least = (
        {}
        if not judged
        else {"least_coverage": min(q.coverage for q in judged), "least_recall": min(q.recall for q in judged)}
    )
    return {
        "label_tv": groups.total_variation(a, b), "label_p": groups.homogeneity(a, b),
        "label_effective": groups.effective_groups(a), **least, **groups.values(found),
    }  # fmt: skip


def _score(x: Inputs) -> dict[str, float]:
    if x.samples.logits is None:
        raise DataError("classifier_score needs an extractor that classifies")
    return {"classifier_score": classifier_score(x.samples.logits, x.settings.splits)}


def _memorisation(x: Inputs) -> dict[str, float]:
    theirs = x.once("unseen", lambda: nearest(x.reference.features, x.trained_on)[0][:, 0])
    found = judge(*x.to_train, theirs)
    return {"nearest_to_train": found.nearest_to_train, "memorised": found.memorised}


def _authenticity(x: Inputs) -> dict[str, float]:
    apart = x.once("between", lambda: between(x.trained_on))
    return {"authenticity": share(*x.to_train, apart)}


def _mean(name: str, x: Inputs) -> dict[str, float]:
    return {name: float(x.samples.columns[name].nanmean())}


def _pairs(name: str, about: str, better: Better, measure: Callable[[Tensor, Tensor], Tensor]) -> Metric:
    return Metric(
        name, about, {name: better}, partial(_mean, name), frozenset({"reference", "pairs"}), (),
        paired=lambda x, y, settings: measure(x, y),
    )  # fmt: skip


_TRAIN: frozenset[Need] = frozenset({"reference", "train"})

METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("fd", "Frechet distance of features", {"fd": "lower"}, lambda x: {"fd": _fd(x)}),
        Metric(
            "fid", "the same in the original Inception features, the only ones that earn the name", {"fid": "lower"},
            lambda x: {"fid": _fd(x)}, frozenset({"reference", "inception"}),
        ),
        Metric("kid", "unbiased cubic kernel distance of features", {"kid": "lower"}, _kid),
        Metric(
            "prdc", "precision, recall, density, coverage by nearest neighbours",
            {"precision": "higher", "recall": "higher", "density": "higher", "coverage": "higher"}, _prdc, uses=("k",),
        ),
        Metric(
            "classifier_score", "exp KL of class probabilities from their mean; the Inception score's formula",
            {"classifier_score": "higher"}, _score, frozenset({"logits"}), ("splits",),
        ),
        Metric(
            "vendi", "effective number of different samples", {"vendi": "higher"},
            lambda x: {"vendi": vendi(x.samples.features)}, frozenset(),
        ),
        Metric(
            "sliced_wasserstein", "Wasserstein distance over random directions", {"sliced_wasserstein": "lower"}, _sliced,
            uses=("projections", "seed"),
        ),
        Metric("mmd", "unbiased squared MMD, Gaussian kernel", {"mmd": "lower"}, _mmd, uses=("bandwidth",)),
        Metric(
            "energy", "energy distance", {"energy": "lower"},
            lambda x: {"energy": energy_distance(x.samples.features, x.reference.features)},
        ),
        Metric(
            "c2st", "accuracy of a classifier that tells samples from data (1/2: it cannot), and its p-value",
            {"c2st": "lower", "c2st_p": ""}, _two_sample, uses=("seed",),
        ),
        Metric(
            "label_agreement", "share of samples that a classifier puts where they were asked to be",
            {"label_agreement": "higher"}, _labels, frozenset({"labels", "logits"}),
        ),
        Metric(
            "groups", "shares of the classes beside the reference's (total variation, chi-square test, effective number), "
            "and how well each class is covered: the least of them here, each as NAME/CLASS in the record",
            {
                "label_tv": "lower", "label_p": "", "label_effective": "", "least_coverage": "higher",
                "least_recall": "higher",
            },
            _groups, frozenset({"reference", "logits"}), ("k",),
        ),
        Metric(
            "memorisation", "distances to the training set beside those of unseen real images",
            {"nearest_to_train": "", "memorised": "lower"}, _memorisation, _TRAIN,
        ),
        Metric(
            "authenticity", "share of samples that are no nearer to a training image than its real neighbours",
            {"authenticity": "higher"}, _authenticity, frozenset({"train"}),
        ),
        Metric(
            "ms_ssim_diversity", "mean multi-scale SSIM between samples: high values mean little diversity",
            {"ms_ssim_diversity": ""}, partial(_mean, "ms_ssim_diversity"), frozenset(), single=neighbours_alike,
        ),
        _pairs("psnr", "peak signal-to-noise ratio to the paired image, dB", "higher", psnr),
        _pairs("ssim", "structural similarity to the paired image", "higher", ssim),
        _pairs("ms_ssim", "multi-scale structural similarity to the paired image", "higher", ms_ssim),
        Metric(
            "lr_consistency", "squared error to the paired image after reduction", {"lr_consistency": "lower"},
            partial(_mean, "lr_consistency"), frozenset({"reference", "pairs"}), ("factor",),
            paired=lambda x, y, settings: lr_consistency(x, y, settings.factor),
        ),
    )
}  # fmt: skip
DEFAULT = ("fd", "kid", "prdc")
PREFERS: dict[str, Better] = {value: better for m in METRICS.values() for value, better in m.gives.items()}


def get(name: str) -> Metric:
    """The metric of that name."""
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    return METRICS[name]


def chosen(names: tuple[str, ...] | list[str]) -> list[Metric]:
    """The metrics of those names, each once.

    Raises:
        UsageError: none, or an unknown one (suggests the nearest).
    """
    if not names:
        raise UsageError("no metric is named; known: " + ", ".join(METRICS))
    return [get(name) for name in dict.fromkeys(names)]
