"""``ornstein studio``: how it begins, answers, ends, and what it refuses."""

from __future__ import annotations

import importlib.util
import inspect
import socket
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.shell import Outcome

Call = Callable[..., Outcome]

pytestmark = pytest.mark.filterwarnings("ignore")  # what gradio and uvicorn warn of in their threads is not ours


def test_it_serves_until_it_is_stopped(ornstein: Call, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ornstein.studio.server import Server

    seen: dict[str, Any] = {}

    def look(server: Server) -> None:
        with urllib.request.urlopen(server.url, timeout=60) as answer:
            seen["page"], seen["policy"] = answer.read().decode(), answer.headers["Content-Security-Policy"]

    monkeypatch.setattr(Server, "wait", look)
    done = ornstein("studio", finished, "--port", 0)
    assert done.code == 0 and done.out.startswith("http://127.0.0.1:")
    assert "Ornstein studio" in seen["page"] and str(finished) in seen["page"]
    assert seen["policy"].startswith("default-src 'self'") and "http" not in seen["policy"]
    assert "ornstein-studio" not in {thread.name for thread in threading.enumerate()}


def test_mistakes(ornstein: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = ornstein("studio", "--port", 70000)
    assert done.code == 2 and "0 .. 65535" in done.err
    done = ornstein("studio", tmp_path / "no-run")
    assert done.code == 2 and "neither a bundled model nor an existing path" in done.err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = ornstein("studio", "--port", taken.getsockname()[1])
    assert done.code == 2 and "choose another --port" in done.err
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gradio" else real(name))
    done = ornstein("studio")
    assert done.code == 1 and "pip install 'ornstein[studio]'" in done.err


def test_the_quick_import_leaves_inspection_as_it_was() -> None:
    from ornstein.studio.quick import without_stubs

    component = type("Button", (), {"__module__": "gradio.components.button"})
    before = inspect.getfile
    with without_stubs():
        with pytest.raises(OSError, match="stubs"):
            inspect.getfile(component)
        assert inspect.getfile(Path) == before(Path)
    assert inspect.getfile is before
