"""``ornstein data``: what it lists, shows, draws and packs."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.shell import Outcome
from ornstein.cli import main
from ornstein.data import SOURCES, open_store
from ornstein.data.debian import run as run_program
from ornstein.data.watching import doing


def test_list_names_kind_and_licence(ornstein: Callable[..., Outcome]) -> None:
    listed = {row["name"]: row for row in json.loads(ornstein("data", "list", "--json").out)}
    assert {"digits", "emoji", "fashion-mnist", "stamps", "speech", "proteins"} <= listed.keys()
    assert listed["speech"]["kind"] == "audio" and all(row["licence"] for row in listed.values())
    assert "GPL-2" in ornstein("data", "list").out


def test_show_draws_emoji(ornstein: Callable[..., Outcome], tmp_path: Path) -> None:
    done = ornstein("data", "show", "emoji", "--split", "test", "--out", str(tmp_path / "e.png"), "--json")
    about = json.loads(done.out)
    assert about["images"] == 199 and about["kind"] == "images" and len(about["captions"]) == 3
    with Image.open(tmp_path / "e.png") as picture:
        assert picture.size == (8 * 66, 8 * 66)


def test_show_series_and_tokens(ornstein: Callable[..., Outcome], tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 2, 9), np.float32), kind="series", rate=5)
    about = json.loads(ornstein("data", "show", str(tmp_path / "a.npz"), "--json").out)
    assert about["samples"] == 4 and about["shape"] == [2, 9] and about["rate"] == 5
    np.save(tmp_path / "b.npy", np.zeros((4, 9), np.int64))
    assert "tokens" in ornstein("data", "show", str(tmp_path / "b.npy"), "--kind", "tokens").out
    done = ornstein("data", "show", str(tmp_path / "b.npy"), "--kind", "tokens", "--out", "x.png")
    assert done.code == 2 and "tokens are not drawn; leave out --out" in done.err


def test_pack_makes_a_set_that_opens_at_once(ornstein: Callable[..., Outcome], tmp_path: Path) -> None:
    out = tmp_path / "set"
    about = json.loads(ornstein("data", "pack", "digits", "--split", "test", "--out", str(out), "--json").out)
    assert about["count"] == 1000 and open_store(out).content_hash == about["hash"]
    assert json.loads(ornstein("data", "show", str(out), "--json").out)["images"] == 1000
    done = ornstein("data", "pack", "digits", "--out", str(out))
    assert done.code == 1 and "exists already" in done.err
    done = ornstein("data", "pack", "digits")
    assert done.code == 2 and "needs a folder to make: --out FOLDER" in done.err


class Terminal(io.StringIO):
    """A standard error that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def slow_fetch(tmp_path: Path) -> Callable[[object], Path]:
    """A package manager that brings 3 MB."""

    def fetch(path: object) -> Path:
        line = "head -c 3000000 /dev/zero > got.bin; sleep 0.3"
        assert run_program(["sh", "-c", line], tmp_path) == ""
        doing("converting", tmp_path)
        return tmp_path

    return fetch


def test_a_fetch_shows_a_bar_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "slow", replace(SOURCES["stamps"], name="slow", fetch=slow_fetch(tmp_path)))
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["data", "fetch", "slow"]) == 0
    shown = screen.getvalue()
    assert "fetching slow" in shown and "3.0 MB" in shown
    assert "sh head -c 3000000" in shown and "converting" in shown


def test_a_fetch_says_little_elsewhere(
    ornstein: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOURCES, "slow", replace(SOURCES["stamps"], name="slow", fetch=slow_fetch(tmp_path)))
    done = ornstein("data", "fetch", "slow")
    assert done.code == 0 and done.err == f"slow: {SOURCES['stamps'].about}\n"
