"""Ray Serve: what a replica serves, and a local cluster of two."""

from __future__ import annotations

import base64
import builtins
import contextlib
import io
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
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

DEPLOY = """
import sys
import ray
from ray import serve
from ornstein.serving.ray import Replica, deployment
ray.init(address=sys.argv[1], log_to_driver=False, configure_logging=False)
serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
options = {"ray_actor_options": {"num_cpus": 0.5}}
serve.run(deployment(Replica({"clothes": "fashion-mnist"}), replicas=2, options=options), route_prefix="/")
print("up", flush=True)
sys.stdin.read()
serve.shutdown()
ray.shutdown()
"""


PATIENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_worker_register_timeout_seconds": "300",
}
"""For machines that are busy with other things."""


def free_ports(n: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


@contextlib.contextmanager
def node(folder: str) -> Iterator[str]:
    """A Ray node of this machine alone, in processes of its own; its address.

    Its agents are told their ports. A node that lets them choose gives them 15 s to start and to write down what they chose,
    and ends if they take longer (Ray 2.60, ``WaitForDashboardAgentPorts``), which they do on a machine that is busy.
    """
    port, grpc, listen, metrics, environment = free_ports(5)
    words = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2"]
    words += ["--node-ip-address=127.0.0.1", f"--port={port}", "--include-dashboard=false", "--disable-usage-stats"]
    words += [f"--dashboard-agent-grpc-port={grpc}", f"--dashboard-agent-listen-port={listen}"]
    words += [f"--metrics-export-port={metrics}", f"--runtime-env-agent-port={environment}"]
    words += [f"--temp-dir={folder}", "--object-store-memory=100000000"]
    told = Path(folder, "start.log")
    with told.open("w") as log, subprocess.Popen(words, stdout=log, stderr=log, env=os.environ | PATIENT) as process:
        try:
            while "Ray runtime started" not in told.read_text():
                if process.poll() is not None:
                    pytest.fail(f"no node (it needs pip install 'ornstein[ray]'):\n{told.read_text()[-2000:]}")
                time.sleep(0.5)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(60)


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
    """Both answer, and a picture is the same from either as from the system alone."""
    (port,) = free_ports(1)
    with (
        tempfile.TemporaryDirectory(
            prefix="ray", ignore_cleanup_errors=True
        ) as folder,  # paths of sockets must be short
        node(folder) as address,
        subprocess.Popen(
            [sys.executable, "-c", DEPLOY, address, str(port)],
            env=os.environ | PATIENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        if not any(line.strip() == "up" for line in process.stdout):
            pytest.fail(f"the deployment did not start:\n{process.stderr.read()[-2000:]}")
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
