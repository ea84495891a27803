"""What a server does with pictures before they leave: filtered, marked, signed, logged."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from cli.shell import Outcome
from ornstein.cli import main
from ornstein.provenance import AuditLog, Classifier, Filter, Signer, SpreadMark, read_settings, verify
from ornstein.provenance.safeguards import Safeguards
from ornstein.recipes.samples import Samples
from ornstein.serving import Refused, Request
from ornstein.serving.http.app import create_app
from ornstein.serving.pictures import previews, results
from provenance import certificates
from provenance.pictures import ABOUT, photograph
from serving.server import running
from serving.tiny import engine


class Always(Classifier):
    """Whatever it sees, the score is that."""

    name = "always"

    def __init__(self, score: float):
        self.value = score

    def score(self, image: Image.Image) -> float:
        return self.value


REQUEST = Request("m", prompt="secret words")


def samples(side: int = 256) -> Samples:
    x = photograph(4, side).float()[None] / 127.5 - 1
    return Samples(
        x, [41], {}, (), {k: v for k, v in ABOUT.items() if k not in ("seed", "label")} | {"prompt": "secret words"}
    )


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_served_pictures_are_marked_and_signed(format: str, tmp_path: Path) -> None:
    hook = Safeguards(
        lambda name: True, content=Filter(Always(0.1)), mark=SpreadMark(), signer=Signer(*certificates.make(tmp_path)),
        audit=AuditLog(tmp_path / "audit.jsonl"),
    )  # fmt: skip
    hook.before(REQUEST, "alice")
    made = results(samples(), REQUEST, "alice", [hook], format)  # type: ignore[arg-type]
    path = tmp_path / f"a.{format}"
    path.write_bytes(made[0].content)
    origin = verify(path)
    assert origin.agrees and origin.manifest is not None and origin.manifest.state == "Valid"
    assert origin.settings is not None and origin.settings.values["seed"] == 41
    text = (tmp_path / "audit.jsonl").read_text()
    request, picture = (json.loads(line) for line in text.splitlines())
    assert "secret" not in text and request["client"] == "alice" and request["event"] == "request"
    assert picture["payload"] == origin.marks[0].payload and picture["filter"]["score"] == 0.1


def test_what_the_filter_holds_back_does_not_leave(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    hook = Safeguards(lambda name: True, content=Filter(Always(0.9)), mark=SpreadMark(), audit=AuditLog(log))
    with pytest.raises(Refused, match="content filter always holds this picture back"):
        results(samples(32), REQUEST, "", [hook])
    with pytest.raises(Refused):
        previews(torch.zeros(1, 3, 64, 64), REQUEST, "", [hook])
    assert [json.loads(line)["event"] for line in log.read_text().splitlines()] == ["blocked"] * 2


def test_what_is_flagged_says_so() -> None:
    hook = Safeguards(lambda name: True, content=Filter(Always(0.9), action="flag"))
    found = read_settings(Image.open(io.BytesIO(results(samples(32), REQUEST, "", [hook])[0].content)))
    assert found is not None and found.values["filter"] == {
        "classifier": "always", "score": 0.9, "threshold": 0.8, "action": "flag"
    }  # fmt: skip


def test_models_that_read_text_are_not_served_without_a_word_about_filters() -> None:
    with pytest.raises(Refused, match="no content filter, and none was switched off"):
        results(samples(32), REQUEST, "", [Safeguards(lambda name: True)])
    assert results(samples(32), REQUEST, "", [Safeguards(lambda name: True, required=False)])
    # Others are not filtered, unless that is asked for.
    strict = Filter(Always(0.9))
    assert results(samples(32), REQUEST, "", [Safeguards(lambda name: False, content=strict)])
    with pytest.raises(Refused):
        results(samples(32), REQUEST, "", [Safeguards(lambda name: False, content=strict, everything=True)])


def test_over_http(tmp_path: Path) -> None:
    """The tiny model's pictures are too small for a mark: their settings say so; a filter answers with an error."""
    content = Filter(Always(0.1))
    hook = Safeguards(lambda name: True, content=content, mark=SpreadMark(), audit=AuditLog(tmp_path / "audit.jsonl"))
    own = engine()
    with running(create_app(own, hooks=(hook,), drain=5), own) as server:
        ask = {"model": "tiny", "prompt": "owl", "n": 1, "steps": 2, "response_format": "b64_json"}
        done = server.http.post("/v1/images/generations", json=ask)
        assert done.status_code == 200, done.text
        file = Image.open(io.BytesIO(base64.b64decode(done.json()["data"][0]["b64_json"])))
        found = read_settings(file)
        assert found is not None and found.values["mark"] == {"method": None, "reason": "smaller than 128 pixels"}
        content.classifier = Always(1.0)
        refused = server.http.post("/v1/images/generations", json=ask)
        assert 400 <= refused.status_code < 500 and "content filter always" in refused.text
    events = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [e["event"] for e in events] == ["request", "picture", "request", "blocked"]
    assert all("prompt" not in e for e in events) and events[1]["seed"] == events[0]["seed"]


def test_previews_are_marked_but_not_signed(tmp_path: Path) -> None:
    hook = Safeguards(lambda name: False, mark=SpreadMark(), signer=Signer(*certificates.make(tmp_path)))
    x = photograph(4).float()[None] / 127.5 - 1
    (tmp_path / "p.png").write_bytes(previews(x, replace(REQUEST, preview_every=1), "", [hook])[0])
    origin = verify(tmp_path / "p.png")
    assert origin.marked and origin.manifest is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--mark", "spred"), "unknown mark 'spred': did you mean 'spread'"),
        (("--filter", "nsfw"), "unknown content filter 'nsfw': did you mean 'open-nsfw'"),
        (("--filter", "open-nsfw"), "the weights 'open-nsfw' are not on this machine: ornstein env --fetch open-nsfw"),
        (("--audit-prompts",), "--audit-prompts needs --audit FILE"),
    ],
)
def test_wrong_words_of_serve(
    words: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("ORNSTEIN_CACHE", str(tmp_path))
    monkeypatch.setattr("ornstein.provenance.weights.find_spec", lambda name: None)
    done = Outcome(main(["serve", "fashion-mnist", "--port", "0", *words]), *capsys.readouterr())
    assert done.code == 2 and message in done.err, done


def test_a_model_that_reads_text_needs_its_filter_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ornstein.recipes.system import System

    monkeypatch.setenv("ORNSTEIN_CACHE", str(tmp_path))
    monkeypatch.setattr("ornstein.provenance.weights.find_spec", lambda name: None)
    monkeypatch.setattr(System, "reads_text", True)
    done = Outcome(main(["serve", "fashion-mnist", "--port", "0"]), *capsys.readouterr())
    assert (
        done.code == 2 and "a model that reads text is served with a content filter" in done.err and "'off'" in done.err
    )
