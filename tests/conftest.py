"""What every test starts from: one thread, fixed seeds, and a cache of its own where it asks for one."""

from __future__ import annotations

import random
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


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache directory for this test, through ``ORNSTEIN_CACHE``; without it tests share the user's cache."""
    path = tmp_path / "cache"
    path.mkdir()
    monkeypatch.setenv("ORNSTEIN_CACHE", str(path))
    return path
