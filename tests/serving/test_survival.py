"""Jobs survive the end of the process, however it comes: none is lost, none that has a result runs again."""

from __future__ import annotations

import copy
import io
import multiprocessing
import os
import signal
import sqlite3
import time
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image

from ornstein.core.errors import OrnsteinError
from ornstein.recipes.system import System
from ornstein.serving import Engine, Request, Status
from ornstein.serving.book import MOST_ATTEMPTS, Book
from ornstein.serving.http.app import create_app
from ornstein.serving.http.samples import remake
from ornstein.serving.http.server import listen, serve
from ornstein.serving.store import Result, Store
from serving.tiny import Gate, engine, tiny


def slow() -> System:
    """The tiny system; each network call takes a hundredth of a second, so that a kill meets jobs in every state."""

    def wait(module: Any, inputs: Any) -> None:
        time.sleep(0.01)

    system = copy.deepcopy(tiny())
    system.denoiser.network.register_forward_pre_hook(wait)
    return system


def child(path: Path, port: Connection) -> None:
    """A server in a process of its own."""
    sock = listen("127.0.0.1", 0)
    app = create_app(Engine({"tiny": slow}, max_batch=4), store=Store(path), drain=20)
    serve(app, sock, drain=20, ready=lambda: port.send(sock.getsockname()[1]))


class Process:
    """That process, and a client."""

    def __init__(self, path: Path):
        tiny()  # made here, so that the child has it
        context = multiprocessing.get_context("fork")
        receive, send = context.Pipe(duplex=False)
        self.process = context.Process(target=child, args=(path, send))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # nothing else runs in this process at this moment
            self.process.start()
        assert receive.poll(60)
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{receive.recv()}", timeout=30)

    def end(self, how: signal.Signals) -> int | None:
        """Send a signal, and wait."""
        assert self.process.pid is not None
        os.kill(self.process.pid, how)
        self.http.close()
        self.process.join(60)
        return self.process.exitcode


def test_kill_under_load_and_restart(tmp_path: Path) -> None:
    """Killed with jobs done, running and waiting; then SIGTERM, which lets what was taken end."""
    first = Process(tmp_path / "jobs.sqlite")
    ids = [
        first.http.post("/v1/samples", json={"seed": 10 * i, "n": 2, "steps": 20, "sampler": "ddim"}).json()["id"]
        for i in range(8)
    ]
    while first.http.get(f"/v1/samples/{ids[0]}").json()["status"] != "done":
        time.sleep(0.01)
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    before = Store(tmp_path / "jobs.sqlite")
    done = {id for id in ids if before.get(id).status is Status.DONE}  # type: ignore[union-attr]
    assert 1 <= len(done) < 8
    before.close()

    second = Process(tmp_path / "jobs.sqlite")
    late = second.http.post("/v1/samples", json={"seed": 500, "steps": 6}).json()["id"]
    assert second.end(signal.SIGTERM) == 0
    after = Store(tmp_path / "jobs.sqlite")
    for i, id in enumerate(ids):
        entry = after.get(id)
        assert entry is not None and entry.status is Status.DONE
        assert entry.attempts == 1 if id in done else entry.attempts <= 2  # a finished one was not run again
        if i % 3:
            continue
        wanted = tiny().sample(2, seed=10 * i, steps=20, sampler="ddim")
        for place, image in enumerate(wanted.images):
            kept = after.result(id, place)
            assert kept is not None
            shown = np.asarray(Image.open(io.BytesIO(kept.content))).astype(int)
            assert np.abs(shown - np.asarray(image)).max() <= 1
    entry = after.get(late)
    assert entry is not None and entry.status is Status.DONE
    after.close()


def test_closing_leaves_what_is_not_done(tmp_path: Path) -> None:
    """Where the time to drain is over, unfinished jobs stay for the next start."""
    store = Store(tmp_path / "jobs.sqlite")
    served = engine(max_batch=1)
    book = Book(served, store)
    fields = {"model": "tiny", "steps": 40, "seed": 3}
    ids = [book.submit(remake("", fields), fields) for _ in range(3)]
    gate = Gate(book.live(ids[0]).job)  # type: ignore[union-attr]
    served.start()
    assert gate.reached.wait(20)
    gate.opened.set()
    book.close(drain=True, timeout=0.01)
    again = Store(tmp_path / "jobs.sqlite")
    left = again.unfinished()
    assert {e.id for e in left} >= {ids[2]} and all(e.status is Status.WAITING for e in left)
    book = Book(engine().start(), again)
    book.resume(remake)
    for entry in left:
        while again.get(entry.id).status is not Status.DONE:  # type: ignore[union-attr]
            time.sleep(0.01)
    book.close()


def test_a_job_that_ends_the_process_is_not_tried_forever(tmp_path: Path) -> None:
    store = Store(tmp_path / "jobs.sqlite")
    store.add("bad", "", {"model": "tiny"})
    store.add("gone", "", {"model": "another"})
    store.add("odd", "", {"model": "tiny", "colour": "red"})
    for _ in range(MOST_ATTEMPTS):
        store.attempt("bad")
    book = Book(engine().start(), store)
    book.resume(remake)
    end = time.monotonic() + 20
    while store.unfinished() and time.monotonic() < end:
        time.sleep(0.01)
    errors = {id: store.get(id).error for id in ("bad", "gone", "odd")}  # type: ignore[union-attr]
    assert "ended 3 times" in str(errors["bad"])
    assert "unknown model 'another'" in str(errors["gone"]) and "not understood" in str(errors["odd"])
    book.close()


def test_a_job_ends_once() -> None:
    store = Store()
    assert store.add("a", "x", {}, "token") == "a" and store.add("b", "x", {}, "token") == "a"
    assert store.add("c", "y", {}, "token") == "c"
    files = [Result("image/png", {"seed": 1}, b"1")]
    assert store.finish("a", Status.DONE, None, files)
    assert not store.finish("a", Status.FAILED, "too late", files)
    assert store.get("a").status is Status.DONE and store.about("a") == [{"seed": 1}]  # type: ignore[union-attr]
    assert store.prune(100) == 0 and store.prune(-1) == 1
    assert store.result("a", 0) is None and store.get("b") is None
    store.close()


def test_refused_requests_are_not_kept() -> None:
    store = Store()
    book = Book(engine(queue_limit=1), store)
    book.submit(Request("tiny"), {"model": "tiny"})
    with pytest.raises(OrnsteinError):
        book.submit(Request("tiny"), {"model": "tiny"})
    assert len(store.unfinished()) == 1
    book.close(drain=False)


def test_what_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no database")
    with pytest.raises(OrnsteinError, match="choose another --data"):
        Store(tmp_path / "file")
    with pytest.raises(OrnsteinError, match="choose another --data"):
        Store(tmp_path / "file" / "jobs.sqlite")
    assert sqlite3.sqlite_version_info >= (3, 24)
