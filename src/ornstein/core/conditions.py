"""Declarations of conditions: the name, kind and size of what a network may be told; :mod:`ornstein.core.cond` has the shapes."""

from __future__ import annotations

from dataclasses import dataclass

from ornstein.core.errors import UsageError


def _check(owner: str, name: str, field: str, value: int) -> None:
    if not name or "." in name:
        raise UsageError(f"{owner} needs a name without dots, got {name!r}")
    if value < 1:
        raise UsageError(f"{owner}('{name}'): {field} must be at least 1, got {value}")


@dataclass(frozen=True)
class ClassCondition:
    """One of ``classes`` labels: ``cond[name]`` is ``[B]`` int64, -1 where missing."""

    name: str
    classes: int

    def __post_init__(self) -> None:
        _check("ClassCondition", self.name, "classes", self.classes)


@dataclass(frozen=True)
class VectorCondition:
    """A vector: ``cond[name]`` is ``[B, width]``, NaN in a missing row.

    ``plain``: its length and its zero mean what they say. It enters through a linear map without bias, and a missing row is
    zero, so that where nothing is given nothing is added.
    """

    name: str
    width: int
    plain: bool = False

    def __post_init__(self) -> None:
        _check("VectorCondition", self.name, "width", self.width)


@dataclass(frozen=True)
class TextCondition:
    """A sequence of token embeddings: ``cond[name]`` is ``[B, L, width]``, NaN in a missing row.

    ``cond[name + "_mask"]`` (``[B, L]`` bool, optional) is True at tokens and False at padding; a row of padding alone
    is missing.
    """

    name: str
    width: int

    def __post_init__(self) -> None:
        _check("TextCondition", self.name, "width", self.width)


@dataclass(frozen=True)
class ImageCondition:
    """An image: ``cond[name]`` is ``[B, channels, h, w]`` of any size, NaN in a missing row."""

    name: str
    channels: int

    def __post_init__(self) -> None:
        _check("ImageCondition", self.name, "channels", self.channels)


Condition = ClassCondition | VectorCondition | TextCondition | ImageCondition
