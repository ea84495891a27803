"""What is served leaves nothing behind: as many objects after many requests of every kind as after a few."""

from __future__ import annotations

import gc
import urllib.parse
from collections import Counter

import httpx2

from serving.server import running

KINDS: dict[str, tuple[str, str, dict[str, object]]] = {
    "picture": ("POST", "/v1/images/generations", {"prompt": "cat", "steps": 2}),
    "address": ("POST", "/v1/images/generations", {"prompt": "dog", "steps": 1, "response_format": "url"}),
    "stream": ("POST", "/v1/images/generations", {"steps": 2, "stream": True, "partial_images": 1}),
    "job": ("POST", "/v1/samples?wait=20", {"steps": 2, "preview_every": 1}),
    "web ui": ("POST", "/sdapi/v1/txt2img", {"prompt": "owl", "steps": 1}),
    "refused": ("POST", "/v1/images/generations", {"steps": -1}),
    "unknown": ("GET", "/v1/models/none", {}),
    "counters": ("GET", "/metrics", {}),
}
ROUNDS = 8
OF_WAITING = frozenset({"Context", "TimerHandle", "cell", "ReferenceType"})
"""What belongs to time-outs that have not come yet and to threads that wait for work: asyncio and the pools end them."""


def ask(http: httpx2.Client, seed: int) -> None:
    """One request of each kind, of a seed that nobody had before."""
    for name, (method, path, body) in KINDS.items():
        own = {"seed": seed} if method == "POST" and name != "refused" else {}
        answer = http.request(method, path, json={**body, **own} if body else None)
        assert answer.status_code == {"job": 202, "refused": 400, "unknown": 404}.get(name, 200), (name, answer.text)


def objects() -> Counter[str]:
    """What the collector knows, by type."""
    urllib.parse.clear_cache()  # of the last addresses; it has a limit of its own
    gc.collect()
    return Counter(type(each).__name__ for each in gc.get_objects())


def test_nothing_is_kept_of_requests() -> None:
    with running() as server:
        for seed in range(ROUNDS):
            ask(server.http, seed)
        before = objects()
        for seed in range(ROUNDS, 3 * ROUNDS):
            ask(server.http, seed)
        grown = {name: n - before[name] for name, n in objects().items() if n - before[name] >= 2 * ROUNDS}
    assert not {name: n for name, n in grown.items() if name not in OF_WAITING}, grown
