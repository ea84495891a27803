"""Checkpoints that many tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.makers import make
from interop.same import quiet

Folder = Callable[[str], Path]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The random checkpoint of a family, made once; not to be changed."""
    root, made = tmp_path_factory.mktemp("checkpoints"), dict[str, Path]()

    def get(family: str) -> Path:
        if family not in made:
            with quiet():
                made[family] = make(family, root / family.replace(" ", "-"))
        return made[family]

    return get


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """diffusers and transformers warn of much that is not ours."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="diffusers|transformers|torch")
        yield
