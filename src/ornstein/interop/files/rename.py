"""Tensors under other names: tables of module paths, applied in either direction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

Pairs = list[tuple[str, str]]
"""(path of a module in the original layout, its path in diffusers' layout)"""


class Names:
    """A one-to-one table of module paths; a tensor's name is its module's path and what follows it.

    The longest path that fits decides, so that a table may name a module and, otherwise, parts of it.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]):
        self.pairs = list(pairs)
        self._there = dict(self.pairs)
        self._back = {b: a for a, b in self.pairs}
        if not len(self.pairs) == len(self._there) == len(self._back):
            raise ValueError("a table of names must be one-to-one")

    def there(self, name: str) -> str | None:
        """The name in diffusers' layout; None where the table has no place for it."""
        return _replace(name, self._there)

    def back(self, name: str) -> str | None:
        """The name in the original layout."""
        return _replace(name, self._back)


def _replace(name: str, table: Mapping[str, str]) -> str | None:
    head = name
    while head:
        if head in table:
            return table[head] + name[len(head) :]
        head = head.rpartition(".")[0]
    return None


def renamed(tensors: Mapping[str, Tensor], names: Names, back: bool = False) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors under their other names, and the names for which there is no place."""
    out: dict[str, Tensor] = {}
    left: list[str] = []
    for name, value in tensors.items():
        other = names.back(name) if back else names.there(name)
        if other is None:
            left.append(name)
        else:
            out[other] = value
    return out, left


def within(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors below a prefix, without it."""
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
