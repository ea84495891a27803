"""API keys: long random words, of which only digests are kept."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ornstein.core.errors import DataError, UsageError

PREFIX = "sk-orn-"


@dataclass(frozen=True)
class Client:
    """Whoever has a key. ``rate`` and ``samples`` take the place of the server's limits, where they are given."""

    name: str
    rate: float | None = None
    """requests per minute"""
    samples: int | None = None
    """in one request"""
    priority: int = 0
    """of its requests"""


ANYONE = Client("")
"""The client of a server without keys."""


def digest(key: str) -> str:
    """SHA-256 of a key. Keys have 256 random bits, so neither salt nor slowness would add anything."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class Keys:
    """Clients by the digests of their keys. A look-up is by digest, so its time tells nothing about a key."""

    def __init__(self, clients: Mapping[str, Client]):
        self._clients = dict(clients)

    def __len__(self) -> int:
        return len(self._clients)

    def client(self, key: str) -> Client | None:
        """Who has this key; None if nobody."""
        return self._clients.get(digest(key))


def read(path: Path) -> Keys:
    """The file that :func:`add` writes.

    Raises:
        DataError: it is not there, damaged, or empty.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        clients = {e["sha256"]: Client(**{k: v for k, v in e.items() if k != "sha256"}) for e in entries}
    except OSError as e:
        raise DataError(f"no keys at {path}: {e.strerror}; make one with --new-key NAME --keys {path}") from e
    except (ValueError, TypeError, KeyError) as e:
        raise DataError(f"{path} is not a file of keys: {e}") from e
    if not clients:
        raise DataError(f"{path} holds no keys; make one with --new-key NAME --keys {path}")
    return Keys(clients)


def add(path: Path, client: Client) -> str:
    """A new key for a client, its digest written to the file, which only its owner may read. The key is not kept anywhere.

    Raises:
        UsageError: the client has a key already.
    """
    entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    if any(e["name"] == client.name for e in entries):
        raise UsageError(f"'{client.name}' has a key in {path}; take another name, or delete its entry")
    key = PREFIX + secrets.token_urlsafe(32)
    entries.append({k: v for k, v in asdict(client).items() if v is not None} | {"sha256": digest(key)})
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)  # readable by its owner alone
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(entries, file, indent=1)
    os.replace(name, path)
    return key
