"""Everything that a server may be asked, at random, for minutes: is anything lost, does anything break, does memory grow?

    python benchmarks/serve_mixed.py [--minutes 10] [--clients 8] [--seed 0] [--out FILE.csv]

``ornstein serve fashion-mnist`` in a process of its own. Each client draws its next request from :data:`KINDS`: pictures by
every API, streams, edits, jobs that are followed, cancelled or asked for twice, requests that must be refused (broken JSON, long
prompts, numbers out of range, paths for names, bombs), and connections that are closed in the middle. Told are requests by kind,
answers that were not expected, jobs that have no end or not all of their files, and the server's resident memory over time.
Ends with 1 where something was lost or broke.

PyTorch keeps prepared convolutions for each number of rows that it has seen, so memory grows until all have been there; from the
middle of the time on it should be level. ``mb_per_1000`` is the slope over the second half, for a thousand requests.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import random
import socket
import statistics
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from csv_rows import read_rows, write_rows
from PIL import Image
from serve_load import ROOT, SAMPLERS, Server

LABELS = ("sneaker", "bag", "coat", "ankle boot", "dress")
REFUSED = frozenset({400, 404, 405, 409, 413, 415, 422})


@dataclass
class Tally:
    """What the clients saw."""

    kinds: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    busy: int = 0
    jobs: dict[str, int] = field(default_factory=dict)
    """accepted jobs, and how many files each should have in the end"""
    lock: threading.Lock = field(default_factory=threading.Lock)


class Client:
    """One user: a connection for each request, random numbers of its own."""

    def __init__(self, url: str, tally: Tally, seed: int):
        parts = urlsplit(url)
        self.host, self.port = str(parts.hostname), int(parts.port or 80)
        self.tally, self.draw = tally, random.Random(seed)
        self.kind = ""

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        expect: frozenset[int] = frozenset({200}),
    ) -> tuple[int, bytes]:
        """One request; an answer that is neither expected nor "come back later" is written down."""
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        told = {"Content-Type": "application/json"} if content is not None else {}
        connection = http.client.HTTPConnection(self.host, self.port, timeout=600)
        try:
            connection.request(method, path, content, told | (headers or {}))
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status in (429, 503):
            with self.tally.lock:
                self.tally.busy += 1
        elif answer.status not in expect:
            with self.tally.lock:
                self.tally.unexpected.append(f"{self.kind}: {answer.status} {data[:200]!r}")
        return answer.status, data

    def leave(self, method: str, path: str, body: Any, seconds: float) -> None:
        """Ask, wait a little, and close the connection without reading the answer."""
        content = json.dumps(body).encode()
        with socket.create_connection((self.host, self.port), timeout=60) as line:
            head = [f"{method} {path} HTTP/1.1", "Host: x", "Content-Type: application/json"]
            head += [f"Content-Length: {len(content)}", "", ""]
            line.sendall("\r\n".join(head).encode() + content)
            time.sleep(seconds)

    def asking(self) -> dict[str, Any]:
        """What all that draw have in common."""
        draw = self.draw
        return {
            "seed": draw.randrange(2**31), "steps": draw.randint(1, 6), "sampler": draw.choice(SAMPLERS),
            "guidance": draw.choice((1.0, 1.0, 1.5, 2.0)), "n": draw.choice((1, 1, 1, 2, 3)),
        }  # fmt: skip


def wrong(client: Client, condition: bool, text: str) -> None:
    """Write down what is not as it should be."""
    if condition:
        with client.tally.lock:
            client.tally.unexpected.append(f"{client.kind}: {text}")


def pictures(client: Client) -> None:
    """OpenAI's API: in the answer, or by address."""
    form = client.draw.choice(("png", "jpeg", "webp"))
    body = client.asking() | {"prompt": client.draw.choice(LABELS), "output_format": form}
    if by_address := client.draw.random() < 0.3:
        body["response_format"] = "url"
    status, data = client.send("POST", "/v1/images/generations", body)
    if status == 200:
        made = json.loads(data)["data"]
        wrong(client, len(made) != body["n"], f"{len(made)} pictures of {body['n']}")
        for each in made if by_address else []:
            client.send("GET", urlsplit(each["url"]).path)


def stream(client: Client) -> None:
    """Unfinished pictures as they come, to the end."""
    body = client.asking() | {"prompt": client.draw.choice(LABELS), "stream": True, "partial_images": 2}
    status, data = client.send("POST", "/v1/images/generations", body)
    wrong(
        client, status == 200 and data.count(b"event: image_generation.completed") != body["n"], "an unfinished stream"
    )


def edit(client: Client) -> None:
    """A picture changed towards a label, or filled in under a mask."""
    shade = client.draw.randrange(256)
    parts: dict[str, Any] = {
        "image": Image.new("L", (28, 28), shade),
        "prompt": client.draw.choice(LABELS),
        "steps": "3",
    }
    if client.draw.random() < 0.5:
        mask = Image.new("L", (28, 28), 0)
        mask.paste(255, (8, 8, 20, 20))
        parts["mask"] = mask
    mark = uuid.uuid4().hex
    client.send(
        "POST", "/v1/images/edits", form(parts, mark), {"Content-Type": f"multipart/form-data; boundary={mark}"}
    )


def form(parts: dict[str, Any], mark: str) -> bytes:
    """Multipart, pictures as PNG."""
    out = io.BytesIO()
    for name, value in parts.items():
        file = f'; filename="{name}.png"\r\nContent-Type: image/png' if isinstance(value, Image.Image) else ""
        out.write(f'--{mark}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode())
        if isinstance(value, Image.Image):
            value.save(out, "PNG")
        else:
            out.write(str(value).encode())
        out.write(b"\r\n")
    out.write(f"--{mark}--\r\n".encode())
    return out.getvalue()


def job(client: Client) -> None:
    """A job: left alone, waited for, followed, followed for a moment, asked for twice, or cancelled."""
    body = client.asking() | {"preview_every": client.draw.choice((0, 1, 2))}
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    what = client.draw.choice(("alone", "wait", "events", "leave", "twice", "cancel"))
    path = "/v1/samples" + ("?wait=30" if what == "wait" else "")
    accepted = frozenset({202})
    status, data = client.send("POST", path, body, headers, accepted)
    if status != 202:
        return
    id = json.loads(data)["id"]
    with client.tally.lock:
        client.tally.jobs[id] = int(body["n"])
    if what == "twice":
        status, data = client.send("POST", path, body, headers, accepted)
        wrong(client, status == 202 and json.loads(data)["id"] != id, "the same key gave another job")
    elif what == "events":
        client.send("GET", f"/v1/samples/{id}/events")
    elif what == "leave":
        client.leave("GET", f"/v1/samples/{id}/events", {}, 0.1)
    elif what == "cancel":
        client.send("DELETE", f"/v1/samples/{id}")


def web_ui(client: Client) -> None:
    """The other convention, with the lists that its clients ask for."""
    for name in ("options", "sd-models", "samplers", "schedulers", "progress"):
        if client.draw.random() < 0.3:
            client.send("GET", f"/sdapi/v1/{name}")
    a = client.asking()
    body = {
        "prompt": client.draw.choice(LABELS),
        "seed": a["seed"],
        "steps": a["steps"],
        "cfg_scale": a["guidance"],
        "batch_size": a["n"],
    }
    client.send("POST", "/sdapi/v1/txt2img", body)


def operation(client: Client) -> None:
    """What operators ask."""
    client.send("GET", client.draw.choice(("/health", "/ready", "/metrics", "/v1/models", "/v1/models/fashion-mnist")))


def refused(client: Client) -> None:
    """Requests that no server should take."""
    bad: list[tuple[str, str, Any]] = [
        ("POST", "/v1/images/generations", b'{"prompt": "bag", '),
        ("POST", "/v1/images/generations", b"\xff\xfe\x00"),
        ("POST", "/v1/images/generations", {"prompt": "x" * 10_000}),
        ("POST", "/v1/images/generations", {"prompt": "a thing without a name"}),
        ("POST", "/v1/images/generations", {"prompt": "bag", "steps": -3}),
        ("POST", "/v1/images/generations", {"prompt": "bag", "steps": 10**9}),
        ("POST", "/v1/images/generations", {"prompt": "bag", "n": 10**9}),
        ("POST", "/v1/images/generations", {"prompt": "bag", "size": "100000x100000"}),
        ("POST", "/v1/images/generations", {"prompt": "bag", "model": "../../etc/passwd"}),
        ("POST", "/v1/samples", {"sampler": "no such sampler"}),
        ("POST", "/v1/samples", {"label": 99, "n": 1, "guidance": 1e400}),
        ("GET", "/v1/models/..%2F..%2Fetc%2Fpasswd", None),
        ("GET", f"/v1/samples/{uuid.uuid4().hex}", None),
        ("GET", "/v1/files/none/0", None),
        ("DELETE", "/v1/images/generations", None),
        ("POST", "/sdapi/v1/txt2img", {"prompt": "bag", "enable_hr": True}),
    ]
    client.send(*client.draw.choice(bad), expect=REFUSED)


def bomb(client: Client) -> None:
    """A small file of a large picture, and a file that is no picture."""
    mark = uuid.uuid4().hex
    huge = Image.new("1", (20_000, 20_000)) if client.draw.random() < 0.5 else b"no picture at all"
    body = form({"image": huge, "prompt": "bag"}, mark)
    client.send("POST", "/v1/images/edits", body, {"Content-Type": f"multipart/form-data; boundary={mark}"}, REFUSED)


def gone(client: Client) -> None:
    """The connection ends in the middle of the answer, or of the request."""
    body = client.asking() | {"prompt": "bag", "steps": 20, "stream": client.draw.random() < 0.5, "partial_images": 3}
    client.leave("POST", "/v1/images/generations", body, client.draw.uniform(0, 0.5))


KINDS: dict[Callable[[Client], None], int] = {
    pictures: 30, stream: 8, edit: 5, job: 25, web_ui: 8, operation: 10, refused: 15, bomb: 1, gone: 8,
}  # fmt: skip
"""What is drawn, and how often."""


def user(client: Client, until: float) -> None:
    """One request after another until the time is over."""
    kinds, weights = list(KINDS), list(KINDS.values())
    while time.monotonic() < until:
        act = client.draw.choices(kinds, weights)[0]
        client.kind = act.__name__
        try:
            act(client)
        except (OSError, http.client.HTTPException, ValueError) as error:
            wrong(client, True, f"{type(error).__name__}: {error}")
        with client.tally.lock:
            client.tally.kinds[client.kind] += 1


def unfinished(client: Client, seconds: float) -> list[str]:
    """Accepted jobs that have no end after so many seconds, or, if done, not all of their files."""
    client.kind, lost = "end", []
    due = time.monotonic() + seconds
    for id, n in client.tally.jobs.items():
        while True:
            found = json.loads(client.send("GET", f"/v1/samples/{id}")[1])
            if found.get("status") not in ("waiting", "running") or time.monotonic() > due:
                break
            time.sleep(0.2)
        complete = len(found.get("results", ())) == n if found.get("status") == "done" else True
        if found.get("status") not in ("done", "cancelled", "expired") or not complete:
            lost.append(f"{id}: {found.get('status')} {found.get('error')}")
    return lost


def main() -> None:
    """Load, watch, count."""
    parser = argparse.ArgumentParser(description="Random requests of every kind: nothing lost, broken or kept.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "serve_mixed.csv")
    args = parser.parse_args()
    server, tally = Server(32, args.threads), Tally()
    memory: list[tuple[int, float]] = []
    try:
        begin = time.monotonic()
        until = begin + 60 * args.minutes
        clients = [Client(server.url, tally, args.seed * 1000 + i) for i in range(args.clients)]
        users = [threading.Thread(target=user, args=(client, until)) for client in clients]
        for each in users:
            each.start()
        while any(each.is_alive() for each in users):
            memory.append((sum(tally.kinds.values()), server.megabytes()))
            time.sleep(min(5.0, 60 * args.minutes / 20))
        lost = unfinished(clients[0], 120)
    finally:
        code = server.close()
    late = memory[len(memory) // 2 :]
    slope = statistics.linear_regression([n for n, _ in late], [mb for _, mb in late]).slope if len(late) > 1 else 0.0
    row = {
        "minutes": args.minutes, "clients": args.clients, "requests": sum(tally.kinds.values()), "jobs": len(tally.jobs),
        "unexpected": len(tally.unexpected), "busy": tally.busy, "lost_jobs": len(lost), "exit_code": code,
        "mb_at_quarter": round(memory[len(memory) // 4][1]), "mb_at_half": round(late[0][1]), "mb_at_end": round(late[-1][1]),
        "mb_per_1000": round(1000 * slope, 1),
    }  # fmt: skip
    print(json.dumps(dict(tally.kinds)))
    for text in [*tally.unexpected, *lost][:20]:
        print(text)
    print(json.dumps(row))
    write_rows(args.out, [*read_rows(args.out), row])
    if tally.unexpected or lost or code:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
