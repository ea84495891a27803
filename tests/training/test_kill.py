"""A run killed with SIGKILL at random moments ends in the bits of one that never was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from house.tree import environment

KILLING = Path(__file__).with_name("killing.py")


def report(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """What killing.py found; a process of its own, because it forks."""
    words = [sys.executable, str(KILLING), str(folder), str(kills), str(seed)]
    done = subprocess.run(words, env=environment() | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def check(found: dict[str, Any]) -> None:
    """Losses of all steps of all sessions, records, and every tensor of the last checkpoint and of all snapshots."""
    assert found["losses_equal"] and found["weights_equal"] and found["records_equal"], found
    assert found["tensors"] > 100
    assert found["named"] == found["damaged"]
    assert found["left_over"] == []


def test_four_kills_change_nothing(tmp_path: Path) -> None:
    found = report(tmp_path, 4, seed=0)
    assert found["kills"] >= 3  # a session may come to its end before its kill
    check(found)


@pytest.mark.slow
def test_two_dozen_kills_change_nothing(tmp_path: Path) -> None:
    found = report(tmp_path, 24, seed=1)
    assert found["kills"] >= 20
    assert found["inside_a_write"] >= 8
    assert found["damaged"] >= 2
    assert found["repeated_steps"] > 0
    check(found)
