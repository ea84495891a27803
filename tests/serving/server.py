"""A server of the tiny system in this process, on a socket, so that real clients can talk to it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import uvicorn
from fastapi import FastAPI

from ornstein.serving import Engine
from ornstein.serving.http.app import create_app
from ornstein.serving.http.server import listen
from serving.tiny import engine


@dataclass
class Running:
    """A server that runs."""

    url: str
    http: httpx2.Client
    engine: Engine


@contextlib.contextmanager
def running(app: FastAPI | None = None, own: Engine | None = None) -> Iterator[Running]:
    """The application on a free port."""
    served = own or engine()
    app = app or create_app(served, drain=5)
    sock = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, args=([sock],))
    thread.start()
    url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        with httpx2.Client(base_url=url, timeout=20) as http:
            while http.get("/ready").status_code != 200:
                pass
            yield Running(url, http, served)
    finally:
        server.should_exit = True
        thread.join(20)
        sock.close()
