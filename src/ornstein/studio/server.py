"""Serving the page: on this machine alone by default, and without a word to any other."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import webbrowser
from types import TracebackType

from ornstein.core.errors import UsageError
from ornstein.core.importing import without_collection
from ornstein.studio.core import Studio
from ornstein.studio.quick import quickly

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

with quickly():
    import gradio as gr

import uvicorn
from fastapi import FastAPI, Request, Response

from ornstein.studio.app import build
from ornstein.studio.theme import css, head, theme

POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'self'; base-uri 'self'"
)
"""What a browser may load: nothing but what comes from here."""


def application(studio: Studio) -> FastAPI:
    """The page as an ASGI application."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.middleware("http")
    async def only_from_here(request: Request, call_next: object) -> Response:
        response: Response = await call_next(request)  # type: ignore[operator]
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    page = build(studio)
    page.queue(default_concurrency_limit=8, max_size=256)
    return gr.mount_gradio_app(
        app, page, "/", allowed_paths=[str(studio.folder.resolve())], footer_links=[], run_history=False, ssr_mode=False,
        pwa=False, mcp_server=False, enable_monitoring=False, theme=theme(), css=css(), head=head(), show_error=True,
    )  # fmt: skip


class Server:
    """The page on a port of its own thread: ``with Server(studio) as server: ... server.url``.

    Raises:
        UsageError: the port is taken.
    """

    def __init__(self, studio: Studio, host: str = "127.0.0.1", port: int = 7860):
        self.studio, self.host = studio, host
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
        except OSError as e:
            self._socket.close()
            raise UsageError(
                f"cannot listen on {host}:{port}: {e.strerror}; choose another --port, or 0 for any"
            ) from e
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(application(studio), log_level="warning", timeout_graceful_shutdown=3, lifespan="on")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="ornstein-studio", daemon=True
        )

    @property
    def url(self) -> str:
        """Where it is."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        return f"http://{host}:{self.port}"

    def start(self) -> Server:
        """Begin; returns once it answers."""
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise UsageError("the server ended while it started; see what it printed")
            time.sleep(0.01)
        threading.Thread(target=self._warm, name="ornstein-studio-warm", daemon=True).start()
        return self

    def _warm(self) -> None:
        """Read PyTorch and the first model while the browser fetches and draws the page, which is to have the right of way."""
        before = sys.getswitchinterval()
        sys.setswitchinterval(0.0005)
        try:
            with without_collection():
                self.studio.warm()
        finally:
            sys.setswitchinterval(before)

    def open(self) -> None:
        """Show the page in the user's browser."""
        webbrowser.open(self.url)

    def wait(self) -> None:
        """Until it is stopped."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def close(self) -> None:
        """Stop."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(10)
        self._socket.close()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
