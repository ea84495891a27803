"""What every test starts from: one thread, fixed seeds, a cache that goes with the session."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeds() -> None:
    """Seed the global generators, so that a test draws the same alone and in a suite."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests decode goes into a cache of this session; sets that the user has fetched are reached from it."""
    users = Path(os.environ.get("ORNSTEIN_CACHE") or "~/.cache/ornstein").expanduser()
    folder = tmp_path_factory.mktemp("cache")
    for name in ("fashion-mnist", "sets"):
        if (users / name).is_dir():
            (folder / name).symlink_to(users / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORNSTEIN_CACHE", str(folder))
        yield


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache directory for this test, through ``ORNSTEIN_CACHE``."""
    path = tmp_path / "cache"
    path.mkdir()
    monkeypatch.setenv("ORNSTEIN_CACHE", str(path))
    return path
