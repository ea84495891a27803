"""What metrics of series, tables, texts and so on share: samples that can be taken apart, rows of a table of metrics.

Images stream by, for there may be many (:mod:`ornstein.evaluation.registry`); what is here fits in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, Self, TypeVar, final

from torch import Tensor

from ornstein.core.errors import DataError, UsageError, unknown

Better = Literal["lower", "higher", ""]
Need = Literal["reference", "pairs", "train"]
"""``pairs``: sample i belongs to reference i. ``train``: the data that the model was trained on."""

T = TypeVar("T")


class Collection(Protocol):
    """Samples of one modality."""

    @property
    def content_hash(self) -> str:
        """Equal for equal samples."""

    @property
    def about(self) -> dict[str, Any]:
        """What of them is part of a protocol, such as a length; not their number."""

    def __len__(self) -> int: ...

    def take(self, index: Tensor) -> Self:
        """Some of them."""


C = TypeVar("C", bound=Collection)


@final
@dataclass(frozen=True)
class Given(Generic[C]):
    """What a metric is computed from: all samples and references, of which ``index`` says which are meant.

    ``kept``: parts that are computed once for all half-samples. ``warnings`` and ``errors``: what a metric found wrong, and
    standard errors that it knows itself.
    """

    every_sample: C
    every_reference: C | None
    training: C | None
    settings: Any
    index: Tensor | None = None
    paired: bool = False
    kept: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    errors: dict[str, float] = field(default_factory=dict)

    @property
    def samples(self) -> C:
        """Those that are meant."""
        return self.every_sample if self.index is None else self.every_sample.take(self.index)

    @property
    def reference(self) -> C:
        """What they are compared with; of pairs the other halves."""
        every = self.every_pair
        return every.take(self.index) if self.paired and self.index is not None else every

    @property
    def every_pair(self) -> C:
        """All references."""
        if self.every_reference is None:
            raise DataError("the metric compares with a reference, and none is given")
        return self.every_reference

    @property
    def train(self) -> C:
        """The training data."""
        if self.training is None:
            raise DataError("the metric needs the training data")
        return self.training

    def once(self, name: str, make: Callable[[], T]) -> T:
        """``make()``, of what does not depend on ``index``, or what it gave before."""
        if name not in self.kept:
            self.kept[name] = make()
        value: T = self.kept[name]
        return value

    def column(self, name: str, make: Callable[[C], Tensor]) -> Tensor:
        """Numbers that belong to each sample alone, ``[N, ...]``, computed once and taken as ``index`` says."""
        return self._taken(self.once(name, lambda: make(self.every_sample)))

    def pair_column(self, name: str, make: Callable[[C, C], Tensor]) -> Tensor:
        """The same of each sample and its pair."""
        return self._taken(self.once(name, lambda: make(self.every_sample, self.every_pair)))

    def _taken(self, column: Tensor) -> Tensor:
        return column if self.index is None else column[self.index]

    def warn(self, text: str) -> None:
        """Say once what the reader of the number must know."""
        if text not in self.warnings:
            self.warnings.append(text)

    def of(self, index: Tensor) -> Given[C]:
        """The same for a part of the samples, without its warnings."""
        return Given(
            self.every_sample, self.every_reference, self.training, self.settings, index, self.paired, self.kept
        )


@final
@dataclass(frozen=True)
class Measure(Generic[C]):
    """A row of a modality's table. ``gives``: the values it may give, and whether lower or higher is better."""

    name: str
    about: str
    gives: Mapping[str, Better]
    compute: Callable[[Given[C]], dict[str, float]]
    needs: frozenset[Need] = frozenset({"reference"})
    uses: tuple[str, ...] = ()
    """fields of the modality's settings"""
    least: int = 1
    """samples, and references where it needs them"""
    fixed: tuple[str, ...] = ()
    """values that do not depend on the samples, and so have no interval"""
    resampled: bool = True
    """whether its intervals come from half-samples; what trains a network states its own, or none"""
    protocol: Mapping[str, Any] = field(default_factory=dict)
    """what else it depends on, such as the features"""


@final
@dataclass(frozen=True)
class Modality(Generic[C]):
    """A kind of samples with its metrics. ``require(samples, other, name)`` refuses what ``samples`` cannot be compared
    with; ``settings`` is a dataclass with a field ``seed``."""

    name: str
    about: str
    collection: type[C]
    metrics: Mapping[str, Measure[C]]
    default: tuple[str, ...]
    settings: type[Any]
    require: Callable[[C, C, str], None]

    def chosen(self, names: list[str] | tuple[str, ...]) -> list[Measure[C]]:
        """The metrics of those names, each once.

        Raises:
            UsageError: none, or an unknown one (suggests the nearest).
        """
        if not names:
            raise UsageError("no metric is named; known: " + ", ".join(self.metrics))
        for name in names:
            if name not in self.metrics:
                raise unknown(f"metric of {self.name}", name, self.metrics)
        return [self.metrics[name] for name in dict.fromkeys(names)]


def table_of(rows: tuple[Measure[C], ...]) -> dict[str, Measure[C]]:
    """Rows by name."""
    return {row.name: row for row in rows}
