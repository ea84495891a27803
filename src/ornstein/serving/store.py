"""Jobs and their results in SQLite: what was taken survives the end of the process, however it comes."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ornstein.core.errors import OrnsteinError
from ornstein.serving.job import Status

_TABLES = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, client TEXT NOT NULL, request TEXT NOT NULL, status TEXT NOT NULL, error TEXT,
    created REAL NOT NULL, ended REAL, attempts INTEGER NOT NULL DEFAULT 0, token TEXT,
    UNIQUE (client, token)
);
CREATE INDEX IF NOT EXISTS by_status ON jobs (status, created);
CREATE TABLE IF NOT EXISTS results (
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, place INTEGER NOT NULL, media TEXT NOT NULL,
    about TEXT NOT NULL, content BLOB NOT NULL, PRIMARY KEY (job, place)
);
"""


@dataclass(frozen=True)
class Entry:
    """A job as it is kept."""

    id: str
    client: str
    request: dict[str, Any]
    status: Status
    error: str | None
    created: float
    ended: float | None
    attempts: int


@dataclass(frozen=True)
class Result:
    """One file that a job made."""

    media: str
    about: dict[str, Any]
    content: bytes


class Store:
    """One file; by default a temporary one that goes with the process. Every method is one transaction, safe from any thread.

    Raises:
        OrnsteinError: the file cannot be opened or is not of this kind.
    """

    def __init__(self, path: str | Path = ""):
        self._lock = threading.Lock()
        try:
            if str(path):
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # a job that was answered for is on the disk
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.executescript(_TABLES)
        except (sqlite3.Error, OSError) as e:
            raise OrnsteinError(f"cannot keep jobs in {path}: {e}; choose another --data folder") from e

    def close(self) -> None:
        """Nothing more will be asked."""
        with self._lock:
            self._db.close()

    def add(self, id: str, client: str, request: Mapping[str, Any], token: str | None = None) -> str:
        """Keep a new job; returns its id, or that of the job for which this client gave the same ``token`` before."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            if token is not None:
                row = self._db.execute("SELECT id FROM jobs WHERE client = ? AND token = ?", (client, token)).fetchone()
                if row is not None:
                    return str(row[0])
            self._db.execute(
                "INSERT INTO jobs (id, client, request, status, created, token) VALUES (?, ?, ?, ?, ?, ?)",
                (id, client, json.dumps(dict(request)), Status.WAITING, time.time(), token),
            )
        return id

    def attempt(self, id: str) -> int:
        """The job is about to be computed; how often that was so before."""
        with self._lock, self._db:
            self._db.execute("UPDATE jobs SET attempts = attempts + 1 WHERE id = ?", (id,))
            row = self._db.execute("SELECT attempts FROM jobs WHERE id = ?", (id,)).fetchone()
        return 0 if row is None else int(row[0]) - 1

    def finish(self, id: str, status: Status, error: str | None = None, results: Sequence[Result] = ()) -> bool:
        """The job's end and its results at once; False, and nothing is written, if it had ended before."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            done = self._db.execute(
                "UPDATE jobs SET status = ?, error = ?, ended = ? WHERE id = ? AND ended IS NULL",
                (status, error, time.time(), id),
            )
            if done.rowcount == 0:
                return False
            self._db.executemany(
                "INSERT INTO results VALUES (?, ?, ?, ?, ?)",
                [(id, i, r.media, json.dumps(r.about), r.content) for i, r in enumerate(results)],
            )
        return True

    def forget(self, id: str) -> None:
        """Delete a job and its results."""
        with self._lock, self._db:
            self._db.execute("DELETE FROM jobs WHERE id = ?", (id,))

    def get(self, id: str) -> Entry | None:
        """A job."""
        with self._lock:
            row = self._db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (id,)).fetchone()
        return None if row is None else _entry(row)

    def unfinished(self) -> list[Entry]:
        """Jobs without an end, the oldest first."""
        with self._lock:
            rows = self._db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE ended IS NULL ORDER BY created, id").fetchall()
        return [_entry(row) for row in rows]

    def about(self, id: str) -> list[dict[str, Any]]:
        """How each file of a job was made, in order."""
        with self._lock:
            rows = self._db.execute("SELECT about FROM results WHERE job = ? ORDER BY place", (id,)).fetchall()
        return [json.loads(row[0]) for row in rows]

    def result(self, id: str, place: int) -> Result | None:
        """One of them."""
        with self._lock:
            row = self._db.execute(
                "SELECT media, about, content FROM results WHERE job = ? AND place = ?", (id, place)
            ).fetchone()
        return None if row is None else Result(row[0], json.loads(row[1]), row[2])

    def prune(self, seconds: float) -> int:
        """Delete what ended longer ago than that; how many."""
        with self._lock, self._db:
            return self._db.execute("DELETE FROM jobs WHERE ended < ?", (time.time() - seconds,)).rowcount


_COLUMNS = "id, client, request, status, error, created, ended, attempts"


def _entry(row: Sequence[Any]) -> Entry:
    return Entry(row[0], row[1], json.loads(row[2]), Status(row[3]), row[4], row[5], row[6], row[7])
