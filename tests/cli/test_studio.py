"""``ornstein studio``: how it begins, answers, ends, and what it refuses."""

from __future__ import annotations

import importlib.util
import inspect
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.shell import Outcome

Call = Callable[..., Outcome]

pytestmark = pytest.mark.filterwarnings("ignore")  # what gradio and uvicorn warn of in their threads is not ours


def test_it_serves_until_it_is_stopped(finished: Path, tmp_path: Path) -> None:
    # In a process of its own: gradio leaves an event loop behind, and the suite takes every warning for an error.
    words = [sys.executable, "-m", "ornstein", "studio", str(finished), "--port", "0", "-o", str(tmp_path)]
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # A suite that a shell put into the background hands down that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as served:
        try:
            assert served.stdout is not None
            url = served.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:")
            with urllib.request.urlopen(url, timeout=60) as answer:
                page, policy = answer.read().decode(), answer.headers["Content-Security-Policy"]
        finally:
            served.send_signal(signal.SIGINT)
        try:
            assert served.wait(30) == 130
        finally:
            served.kill()
    assert "Ornstein studio" in page and str(finished) in page
    assert policy.startswith("default-src 'self'") and "http" not in policy


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
    from ornstein.studio.quick import quickly

    component = type("Button", (), {"__module__": "gradio.components.button"})
    before = inspect.getfile
    with quickly():
        with pytest.raises(OSError, match="stubs"):
            inspect.getfile(component)
        assert inspect.getfile(Path) == before(Path)
    assert inspect.getfile is before
