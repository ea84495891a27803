"""The application behind uvicorn, until a signal ends it."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from ornstein.core.arenas import few_arenas
from ornstein.core.errors import OrnsteinError


def listen(host: str, port: int) -> socket.socket:
    """The socket; port 0 is any that is free.

    Raises:
        OrnsteinError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as e:
        sock.close()
        raise OrnsteinError(f"cannot listen on {host}:{port}: {e.strerror}; choose another --port or --host") from e
    return sock


class _Server(uvicorn.Server):
    """Says when it is up."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]):
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listening begins here."""
        await super().startup(sockets)
        self.ready()


def serve(app: FastAPI, sock: socket.socket, *, drain: float, ready: Callable[[], None]) -> float:
    """Serve until SIGTERM or Ctrl-C, then let open requests end within ``drain`` seconds; how long it served, in seconds."""
    begin = time.monotonic()
    few_arenas()
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=max(1, round(drain)),
        h11_max_incomplete_event_size=64 * 1024,
    )
    with _signals_end_quietly():
        _Server(config, ready).run([sock])
    return time.monotonic() - begin


@contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """uvicorn raises the signal that ended it once more when all is done; here the command goes on and says what was served."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {s: signal.signal(s, lambda number, frame: None) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
