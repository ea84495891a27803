"""Labels and captions that come as columns of a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ornstein.core.errors import DataError

_NAMES = {
    "image": ("image", "img", "picture", "png", "jpg", "jpeg", "webp", "pixels"),
    "label": ("label", "labels", "fine_label", "class", "cls", "category"),
    "text": ("text", "caption", "prompt", "txt", "sentence"),
}


def pick(names: Iterable[str], what: str) -> str | None:
    """The column for an ``image``, a ``label`` or a ``text`` by its usual names, the earliest of them first."""
    have = {name.lower(): name for name in names}
    return next((have[name] for name in _NAMES[what] if name in have), None)


def captions_of(values: Sequence[object] | None) -> list[str] | None:
    """Texts; the first, where there is a list of several."""
    if values is None:
        return None
    first = [v[0] if isinstance(v, list | tuple) and v else v for v in values]
    return ["" if v is None or v == [] else str(v) for v in first]


def labels_of(
    values: Sequence[object] | None, names: tuple[str, ...], where: str
) -> tuple[list[int] | None, tuple[str, ...]]:
    """Labels and class names from a column of integers or strings; None in it is no label."""
    if values is None:
        return None, ()
    known = [v for v in values if v is not None]
    if all(isinstance(v, int) for v in known):
        high = max((int(v) for v in known if isinstance(v, int)), default=-1)
        classes = names or tuple(str(i) for i in range(high + 1))
        if high >= len(classes):
            raise DataError(f"{where}: labels run up to {high} but {len(classes)} classes are named")
        return [int(v) if isinstance(v, int) else -1 for v in values], classes
    if all(isinstance(v, str) for v in known):
        classes = tuple(sorted({str(v) for v in known}))
        return [-1 if v is None else classes.index(str(v)) for v in values], classes
    kind = type(next(v for v in known if not isinstance(v, int | str))).__name__
    raise DataError(f"{where}: the label column holds {kind}; expected integers or strings")
