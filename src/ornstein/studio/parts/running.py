"""Work that takes long, as a process of its own: a command of ``ornstein``, watched by what it writes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from ornstein.core.errors import UsageError

_BAR = re.compile(r"[\r\x1b][^\n]*?(?=[\r\n]|$)")


class Command:
    """One ``ornstein`` command at a time, its output in a file. Stopping lets it save what it has.

    ``program``: what is run with the words of a command, by default the ``ornstein`` of this interpreter.
    """

    def __init__(self, log: Path, program: Sequence[str] | None = None):
        self.log, self.program = log, list(program or (sys.executable, "-m", "ornstein"))
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._begun = 0.0

    @property
    def running(self) -> bool:
        """Whether it is at work."""
        return self._process is not None and self._process.poll() is None

    @property
    def code(self) -> int | None:
        """The exit code of the last command; None before there is one."""
        return None if self._process is None else self._process.poll()

    @property
    def seconds(self) -> float:
        """Since the last command began."""
        return time.monotonic() - self._begun if self._begun else 0.0

    def start(self, words: Sequence[str]) -> None:
        """Begin.

        Raises:
            UsageError: one is at work already.
        """
        with self._lock:
            if self.running:
                raise UsageError("one is running already; stop it first")
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("wb") as out:
                self._process = subprocess.Popen(
                    [*self.program, *words],
                    stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=dict(os.environ),
                )  # fmt: skip
            self._begun = time.monotonic()

    def stop(self) -> None:
        """Ask it to end: training saves a checkpoint first."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(signal.SIGINT if os.name == "nt" else signal.SIGTERM)

    def wait(self, timeout: float | None = None) -> int | None:
        """Its exit code, waited for; None where it has not ended by then."""
        if self._process is None:
            return None
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """End it, one way or the other."""
        self.stop()
        if self._process is not None and self.wait(20) is None:
            self._process.kill()
            self._process.wait()

    def tail(self, lines: int = 12) -> str:
        """The last lines that it wrote."""
        if not self.log.is_file():
            return ""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        kept = [_BAR.sub("", line).rstrip() for line in text.splitlines()]
        return "\n".join([line for line in kept if line][-lines:])
