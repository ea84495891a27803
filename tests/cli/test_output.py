"""Text, JSON and progress."""

from __future__ import annotations

import io
import json
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from ornstein.cli.crowding import Crowding
from ornstein.cli.output import Progress, duration, emit, red, require_folder, table
from ornstein.core.errors import OrnsteinError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_table_aligns() -> None:
    assert table(("A", "BB", "C"), [("aaa", "b", "c")]) == "A    BB  C\naaa  b   c"


@pytest.mark.parametrize(("seconds", "text"), [(5, "0:05"), (65.4, "1:05"), (7322, "2:02:02")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    emit(Namespace(json=True), {"loss": float("nan"), "rows": [float("inf"), 1.0]}, "text")
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {"loss": None, "rows": [None, 1.0]}


def test_progress_without_a_terminal_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 10.0, 20.0, 50.0, 70.0])
    monkeypatch.setattr(Crowding, "advice", lambda self: None)  # has a clock of its own
    monkeypatch.setattr(Crowding, "__init__", lambda self: None)
    monkeypatch.setattr("ornstein.cli.output.time.monotonic", lambda: next(clock))
    with Progress("training", every=30, log=tmp_path / "log.txt") as bar:
        for fraction in (0.1, 0.2, 0.5, 0.6):
            bar.update(fraction, "loss 1")
    # 0.1 to 0.5 took 40 s, so the other half takes 50.
    assert capsys.readouterr().err == "training: 50% loss 1, 0:50 left\n"
    assert (tmp_path / "log.txt").read_text().endswith("training: 50% loss 1, 0:50 left\n")


def test_progress_on_a_terminal_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with Progress("training [a]") as bar:
        bar.update(0.5, "loss 1")
    assert "training [a]" in terminal.getvalue() and "50%" in terminal.getvalue()


def test_red_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert red("error") == "error"
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert red("error") == "\033[31merror\033[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert red("error") == "error"


def test_a_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OrnsteinError, match=r"cannot write to .*file/out: Not a directory; choose another --out"):
        require_folder(tmp_path / "file" / "out")
