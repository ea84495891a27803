"""Ray Serve: what a replica serves, and a local cluster of two."""

from __future__ import annotations

import base64
import builtins
import io
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

import ornstein
from ornstein.core.errors import UsageError
from ornstein.serving.precision import settle
from ornstein.serving.ray import Replica, deployment

CLUSTER = """
import sys
import ray
from ray import serve
from ornstein.serving.ray import Replica, deployment
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
options = {"ray_actor_options": {"num_cpus": 0.5}}
serve.run(deployment(Replica({"clothes": "fashion-mnist"}), replicas=2, options=options), route_prefix="/")
print("up", flush=True)
sys.stdin.read()
serve.shutdown()
ray.shutdown()
"""


def test_a_replica_keeps_nothing_for_later() -> None:
    app = Replica({"clothes": "fashion-mnist"}, max_batch=4).application()
    assert "/v1/samples" not in {getattr(r, "path", "") for r in app.routes}
    with TestClient(app) as http:
        assert http.post("/v1/samples", json={}).status_code == 404
        answer = http.post("/v1/images/generations", json={"prompt": "bag", "response_format": "url"})
        assert answer.status_code == 400 and "keeps no files" in answer.json()["error"]["message"]
        assert http.get("/health").json()["process"] == os.getpid()


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "ray":
            raise ImportError("No module named 'ray'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(UsageError, match=r"pip install 'ornstein\[ray\]'"):
        deployment(Replica({"clothes": "fashion-mnist"}))


def test_a_replica_serves_something() -> None:
    with pytest.raises(UsageError, match="at least one model"):
        Replica({})


@pytest.mark.slow
def test_two_replicas() -> None:
    """Both answer, and a picture is the same from either as from the system alone.

    Ray's node must have its share of the processor to start: its raylet waits 15 s for each port file of its Python agent and
    then ends (``NodeManager::WaitForDashboardAgentPorts``), and whoever starts it gives up after 30 s (``Node.__init__``). Both
    numbers are constants of Ray 2.60, which no setting moves.
    """
    port = 18_000 + os.getpid() % 10_000
    with (
        tempfile.TemporaryDirectory(prefix="ray") as folder,  # sockets lie in it, and their paths must be short
        subprocess.Popen(
            [sys.executable, "-c", CLUSTER, str(port)],
            env=os.environ
            | {
                "RAY_TMPDIR": folder,
                "RAY_USAGE_STATS_ENABLED": "0",
                "RAY_AUTH_MODE": "disabled",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        if not any(line.strip() == "up" for line in process.stdout):
            pytest.fail(
                "the cluster did not start (it needs pip install 'ornstein[ray]', and a machine that is not busy):\n"
                + process.stderr.read()[-2000:]
            )
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as http, ThreadPoolExecutor(12) as pool:

            def ask(seed: int) -> np.ndarray:
                body = {"prompt": "bag", "seed": seed, "steps": 2, "guidance": 1}
                answer = http.post("/v1/images/generations", json=body)
                assert answer.status_code == 200, answer.text
                content = base64.b64decode(answer.json()["data"][0]["b64_json"])
                return np.asarray(Image.open(io.BytesIO(content))).astype(int)

            made = list(pool.map(ask, range(24)))
            processes = {told.json()["process"] for told in pool.map(lambda _: http.get("/health"), range(60))}
        process.stdin.close()
        assert process.wait(120) == 0
    assert len(processes) == 2
    system = settle(ornstein.load("fashion-mnist"), "auto")
    for seed in (0, 11, 23):
        wanted = np.asarray(system.sample(1, seed=seed, steps=2, guidance=1, label="bag").images[0]).astype(int)
        assert np.abs(made[seed] - wanted).max() <= 1
