"""Jobs over HTTP: kept, followed, cancelled; the web UI's convention; clients that go away."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image

from serving.server import Running, running
from serving.tiny import tiny


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running() as it:
        yield it


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that is to happen soon."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def events_of(text: str) -> list[tuple[str, dict]]:
    """Kind and data of server-sent events."""
    found = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")]
    return [(e["event"], json.loads(e["data"])) for e in found]


def test_a_job_from_start_to_end(server: Running) -> None:
    asked = {"n": 2, "seed": 4, "steps": 3, "label": "owl", "preview_every": 1, "guidance": 2.0}
    answer = server.http.post("/v1/samples", json=asked)
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"].endswith(job["id"]) and job["status"] in ("waiting", "running", "done")
    told = events_of(server.http.get(f"/v1/samples/{job['id']}/events").text)
    assert told[-1][0] == "done" and told[-1][1]["progress"] == 1
    done = server.http.get(f"/v1/samples/{job['id']}").json()
    assert done["status"] == "done" and done["request"] | asked == done["request"]
    wanted = tiny().sample(2, seed=4, steps=3, label="owl", guidance=2.0)
    for address, image, about in zip(done["results"], wanted.images, done["about"], strict=True):
        file = server.http.get(address)
        shown = Image.open(io.BytesIO(file.content))
        assert np.abs(np.asarray(shown).astype(int) - np.asarray(image)).max() <= 1
        assert json.loads(shown.text["ornstein"]) == about
    assert server.http.delete(f"/v1/samples/{job['id']}").json()["status"] == "done"


def test_progress_and_previews(server: Running) -> None:
    job = server.http.post("/v1/samples", json={"steps": 60, "preview_every": 20}).json()
    steps = [e for kind, e in events_of(server.http.get(f"/v1/samples/{job['id']}/events").text) if kind == "step"]
    assert all(e["progress"] == pytest.approx(e["step"] / 60) for e in steps)
    shown = [e for e in steps if "previews" in e]
    assert {e["step"] for e in shown} <= {20, 40, 60} and shown
    assert Image.open(io.BytesIO(base64.b64decode(shown[-1]["previews"][0]))).size == (8, 8)


def test_a_job_is_stopped(server: Running) -> None:
    job = server.http.post("/v1/samples", json={"steps": 1000, "n": 64}).json()
    assert server.http.delete(f"/v1/samples/{job['id']}").json()["status"] == "cancelled"
    until(lambda: server.engine.stats().running == 0)
    again = server.http.get(f"/v1/samples/{job['id']}").json()
    assert (again["status"], again["error"], again["results"]) == ("cancelled", "the job was cancelled", [])


def test_the_same_token_is_the_same_job(server: Running) -> None:
    first, second = (
        server.http.post("/v1/samples?wait=20", json={"steps": 2}, headers={"Idempotency-Key": "once"}).json()
        for _ in "ab"
    )
    assert first["id"] == second["id"] and first["status"] == "done"


def test_failures_are_told(server: Running) -> None:
    job = server.http.post("/v1/samples?wait=20", json={"steps": 2, "label": "fish"}).json()
    assert job["status"] == "failed" and "unknown label 'fish'" in job["error"]
    late = server.http.post("/v1/samples?wait=20", json={"steps": 1000, "n": 64, "deadline": 0.05}).json()
    assert late["status"] == "expired" and "0.05 s" in late["error"]


def test_a_client_that_goes_away_stops_the_work(server: Running) -> None:
    """In the middle of a stream, and while it waits for an answer."""
    asked = {"prompt": "cat", "n": 64, "steps": 1000}
    with server.http.stream(
        "POST", "/v1/images/generations", json={**asked, "stream": True, "partial_images": 16}
    ) as stream:
        next(stream.iter_lines())
    until(lambda: server.engine.stats().running == 0)
    with pytest.raises(Exception, match="timed out"):
        server.http.post("/v1/images/generations", json=asked, timeout=0.3)
    until(lambda: server.engine.stats().running == 0)
    assert server.engine.stats().jobs["cancelled"] >= 2


def test_web_ui_convention(server: Running) -> None:
    lists = [server.http.get(f"/sdapi/v1/{name}").json() for name in ("sd-models", "samplers", "schedulers")]
    assert all(lists) and lists[0][0]["title"] == "tiny"
    assert (
        server.http.post(
            "/sdapi/v1/options", json={"sd_model_checkpoint": "tiny [0123abc]", "CLIP_stop": 1}
        ).status_code
        == 200
    )
    assert server.http.get("/sdapi/v1/options").json()["sd_model_checkpoint"] == "tiny"
    asked = {
        "prompt": "dog", "negative_prompt": "", "seed": 7, "steps": 3, "cfg_scale": 2, "sampler_name": "Euler a",
        "scheduler": "Karras", "batch_size": 2, "width": 512, "height": 512, "restore_faces": False,
    }  # fmt: skip
    answer = server.http.post("/sdapi/v1/txt2img", json=asked).json()
    wanted = tiny().sample(2, seed=7, steps=3, guidance=2, sampler="Euler a", grid="karras", label="dog")
    for b64, image in zip(answer["images"], wanted.images, strict=True):
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(b64)))).astype(int)
        assert np.abs(shown - np.asarray(image)).max() <= 1
    info = json.loads(answer["info"])
    assert (info["all_seeds"], info["width"], info["sampler_name"]) == ([7, 8], 8, "ddim")
    assert "Steps: 3, Sampler: ddim" in info["infotexts"][0]
    for bad, match in (
        ({"enable_hr": True}, "enable_hr is not served"),
        ({"override_settings": {"sd_model_checkpoint": "other"}}, "unknown model 'other'"),
        ({"negative_prompt": "blurry"}, "reads no text"),
        ({"batch_size": 2**70, "n_iter": 2**70}, "limit of 64"),
    ):
        refused = server.http.post("/sdapi/v1/txt2img", json={"prompt": "dog", **bad})
        assert refused.status_code in (400, 404) and match in refused.json()["error"]["message"]
