"""Checkpoints that several files of this room read: made once, never written to."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop import same
from interop.makers import make
from interop.originals import original


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """diffusers, transformers and peft warn of much that is not ours."""
    import diffusers

    diffusers.utils.logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="diffusers|transformers|torch|peft|accelerate|huggingface_hub")
        yield


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The checkpoint of a family in :data:`interop.makers.MAKERS`."""
    root, made = tmp_path_factory.mktemp("checkpoints"), dict[str, Path]()

    def get(family: str) -> Path:
        if family not in made:
            with same.quiet():
                made[family] = make(family, root / family.replace(" ", "-"))
        return made[family]

    return get


@pytest.fixture(scope="session")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Stable Diffusion 1's form."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return original(tmp_path_factory.mktemp("sd1") / "folder", "sd1")


@pytest.fixture(scope="session")
def folders(sd1: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same for every family of single files."""
    root = tmp_path_factory.mktemp("families")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = {"sd1": sd1, **{name: original(root / name, name) for name in ("sd2", "sdxl")}}
        return made | {"sd3": make("stable diffusion 3", root / "sd3"), "flux": make("flux", root / "flux")}
