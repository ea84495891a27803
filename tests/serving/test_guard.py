"""What a server refuses: strangers, haste, floods, and bodies that are too large, too slow or no JSON."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import ImageOps

from ornstein.cli import main
from ornstein.core.errors import DataError, UsageError
from ornstein.serving import Hook, Refused, Request, Served, keys
from ornstein.serving.http.app import create_app
from ornstein.serving.limits import Buckets
from ornstein.serving.settings import Limits
from serving.server import Running, running
from serving.tiny import Gate, engine


class Inverted(Hook):
    """Refuses owls, and marks every picture."""

    def before(self, request: Request, client: str) -> None:
        if request.prompt == "owl":
            raise Refused("no owls")

    def after(self, request: Request, served: Served, client: str) -> Served:
        return Served(ImageOps.invert(served.image), served.about | {"marked": client})


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The keys of two clients."""
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    made = {
        name: keys.add(path, keys.Client(name, rate=rate))
        for name, rate in (("alice", None), ("bob", 6.0), ("carol", None))
    }
    assert not any(key in path.read_text() for key in made.values())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    return made | {"file": str(path)}


@pytest.fixture(scope="module")
def server(words: dict[str, str]) -> Iterator[Running]:
    served = engine(queue_limit=8)
    limits = Limits(samples=4, steps=50, body=100_000, body_seconds=0.3, seconds=20, pixels=200)
    app = create_app(served, keys=keys.read(Path(words["file"])), limits=limits, hooks=[Inverted()], drain=5)
    with running(app, served) as it:
        it.http.headers["Authorization"] = f"Bearer {words['alice']}"
        yield it


@pytest.mark.parametrize("header", [None, "Bearer sk-orn-wrong", "Basic abc", "Bearer", "Bearer \xff"])
def test_strangers_are_refused(server: Running, header: str | None) -> None:
    headers = {"Authorization": b"" if header is None else header.encode("latin-1")}
    for path in ("/v1/models", "/v1/samples/x", "/sdapi/v1/options", "/metrics", "/openapi.json"):
        answer = server.http.get(path, headers=headers)
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["type"] == "authentication_error"
    assert server.http.get("/health", headers=headers).status_code == 200


def test_haste_is_slowed(server: Running, words: dict[str, str]) -> None:
    """Bob may ask six times a minute; the server says when he may come back."""
    answers = [server.http.get("/v1/models", headers={"Authorization": f"Bearer {words['bob']}"}) for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 429, 429]
    assert 1 <= int(answers[1].headers["retry-after"]) <= 10
    assert server.http.get("/v1/models").status_code == 200


def test_buckets_fill_up() -> None:
    now = [0.0]
    buckets = Buckets(lambda: now[0])
    assert [buckets.take("a", 60.0) for _ in range(10)] == [0] * 10
    assert buckets.take("a", 60.0) == pytest.approx(1)
    now[0] += 0.9
    assert buckets.take("a", 60.0) == pytest.approx(0.1)
    now[0] += 0.2
    assert buckets.take("a", 60.0) == 0 and buckets.take("b", 60.0) == 0


def test_jobs_belong_to_who_asked(server: Running, words: dict[str, str]) -> None:
    job = server.http.post("/v1/samples?wait=20", json={"steps": 2}).json()
    assert job["status"] == "done" and job["about"][0]["marked"] == "alice"
    carol = {"Authorization": f"Bearer {words['carol']}"}
    for path in ("", "/events", "/results/0"):
        assert server.http.get(f"/v1/samples/{job['id']}{path}").status_code == 200
        assert server.http.get(f"/v1/samples/{job['id']}{path}", headers=carol).status_code == 404
    assert server.http.delete(f"/v1/samples/{job['id']}", headers=carol).status_code == 404
    for path in ("x", "..%2f..%2fjobs.sqlite", "%00", f"{job['id']}/results/-1", f"{job['id']}/results/{2**70}"):
        assert server.http.get(f"/v1/samples/{path}").status_code == 404, path
    assert server.http.get("/v1/files/..%2f..%2fetc%2fpasswd/0").status_code == 404


def test_hooks_see_requests_and_pictures(server: Running) -> None:
    refused = server.http.post("/v1/images/generations", json={"prompt": "owl", "steps": 2})
    assert refused.status_code == 400 and refused.json()["error"]["code"] == "content_policy_violation"
    assert server.http.post("/v1/images/generations", json={"prompt": "cat", "steps": 2}).status_code == 200


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"n": 5}, "limit of 4"),
        ({"n": 4}, "4 pictures of 64 pixels are above"),
        ({"steps": 51}, "limit of 50"),
        ({}, "takes 250 steps by itself"),
        ({"guidance": "much"}, "guidance"),
        ({"label": {"a": 1}}, "label"),
        ({"prompt": "\ud800"}, "half a surrogate pair"),
        ({"model": "a\x00b"}, "control characters"),
    ],
)
def test_too_much_is_refused(server: Running, asked: dict, match: str) -> None:
    answer = server.http.post("/v1/samples", content=json.dumps(asked), headers={"Content-Type": "application/json"})
    assert answer.status_code == 400 and match in answer.json()["error"]["message"], answer.text


@pytest.mark.parametrize(
    "body", [b"{", b"", b"[]", b'"x"', b"\xff\xfe", b'{"guidance": NaN}', b"[" * 50_000, b'{"n": 1e400}']
)
def test_no_json(server: Running, body: bytes) -> None:
    answer = server.http.post("/v1/samples", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400 and answer.json()["error"]["message"], answer.text
    assert body != b"{" or "the body is no JSON" in answer.json()["error"]["message"]


def test_routes_that_are_not_there(server: Running) -> None:
    for method, path, status in (("GET", "/v2/models", 404), ("PUT", "/v1/samples", 405), ("POST", "/health", 405)):
        answer = server.http.request(method, path)
        assert answer.status_code == status and answer.json()["error"]["type"] == "invalid_request_error"


def test_bodies_that_are_too_large(server: Running) -> None:
    """By what they say of themselves, and by what comes."""
    assert server.http.post("/v1/samples", content=b"x" * 100_001).status_code == 413
    chunks = (b"x" * 10_000 for _ in range(50))
    try:
        assert server.http.post("/v1/samples", content=chunks).status_code == 413
    except Exception as error:  # the server may answer and close before all is sent
        assert "closed" in str(error).lower() or "reset" in str(error).lower() or "pipe" in str(error).lower()
    assert server.http.get("/health").status_code == 200


def test_bodies_that_come_too_slowly(server: Running, words: dict[str, str]) -> None:
    host, port = re.fullmatch(r"http://(.+):(\d+)", server.url).groups()  # type: ignore[union-attr]
    head = (
        f"POST /v1/samples HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {words['alice']}\r\nContent-Length: 50\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(head.encode() + b"{")
        assert b" 408 " in line.recv(4096)


def test_a_full_queue_is_told(server: Running) -> None:
    held = server.engine.submit(Request("tiny", steps=50))
    gate = Gate(held)
    assert gate.reached.wait(20)
    try:
        waiting = [server.engine.submit(Request("tiny", n=4, steps=1, client="x")) for _ in range(2)]
        for path, body in (("/v1/samples", {"steps": 2}), ("/v1/images/generations", {"prompt": "cat", "steps": 2})):
            answer = server.http.post(path, json=body)
            assert answer.status_code == 503 and int(answer.headers["retry-after"]) >= 1
    finally:
        gate.opened.set()
    for job in waiting:
        job.result(20)


def test_metrics_and_cross_origin(server: Running) -> None:
    text = server.http.get("/metrics").text
    for name in (
        "ornstein_http_requests_total",
        "ornstein_network_rows_total",
        "ornstein_waiting_samples",
        "ornstein_jobs_total",
    ):
        assert re.search(rf"^{name}(\{{.*\}})? [\d.e+]+$", text, re.M), name
    assert 'route="/v1/samples"' in text and "sqlite" not in text
    answer = server.http.get("/health", headers={"Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_pages_that_are_named_may_call() -> None:
    """A browser asks first, without a key."""
    app = create_app(engine(), keys=keys.Keys({"0": keys.Client("x")}), origins=["https://here.example"])
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    with TestClient(app) as http:
        for origin, status in (("https://here.example", 200), ("https://elsewhere.example", 400)):
            answer = http.options("/v1/samples", headers={"Origin": origin, **asked})
            assert answer.status_code == status
        refused = http.get("/v1/models", headers={"Origin": "https://here.example"})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://here.example"


@pytest.mark.parametrize(
    ("words_", "match"),
    [
        ([], "needs a model"),
        (["fashion-mnist", "--host", "0.0.0.0"], "give --keys"),
        (["a/b=fashion-mnist"], "cannot be a model's name"),
        (["x=fashion-mnist", "x=runs/y"], "two models are called 'x'"),
        (["fashion-mnist", "--port", "70000"], "0 .. 65535"),
        (["fashion-mnist", "--max-n", "0"], "at least 1"),
        (["fashion-mnist", "--rate", "0"], "above 0"),
        (["--new-key", "me"], "needs --keys"),
    ],
)
def test_the_command_refuses(words_: list[str], match: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *words_]) == 2
    assert match in capsys.readouterr().err


def test_the_command_makes_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "keys.json"
    assert main(["serve", "--new-key", "me", "--keys", str(path)]) == 0
    key = capsys.readouterr().out.strip()
    found = keys.read(path).client(key)
    assert found is not None and found.name == "me"
    assert main(["serve", "--new-key", "me", "--keys", str(path)]) == 2
    path.write_text("[{}]")
    with pytest.raises(DataError, match="not a file of keys"):
        keys.read(path)
    with pytest.raises(DataError, match="--new-key"):
        keys.read(tmp_path / "none.json")
    with pytest.raises(UsageError):
        Limits(samples=0)
    assert os.listdir(tmp_path) == ["keys.json"]
