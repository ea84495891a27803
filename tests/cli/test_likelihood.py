"""``ornstein likelihood``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from cli.shell import SMALL, Outcome, write_pictures

Call = Callable[..., Outcome]


def test_a_run_is_measured(ornstein: Call, tmp_path: Path) -> None:
    photos = write_pictures(tmp_path / "photos")
    run = tmp_path / "run"
    assert ornstein("train", "edm", "--data", photos, "--size", 8, "--steps", 2, "--out", run, *SMALL).code == 0
    out = tmp_path / "bits.json"
    done = ornstein(
        "likelihood", run, "--data", photos, "-n", 6, "--method", "vlb", "--repeats", 3, "-o", out, "--json"
    )
    assert done.code == 0, done.err
    told, kept = json.loads(done.out), json.loads(out.read_text())
    assert told["bits_per_dim"] == kept["bits_per_dim"] and len(kept["bits"]) == 6
    assert told["bound"] and told["noise_stderr"] > 0 and told["protocol"]["labels"] == "given"
    flow = ornstein("likelihood", run, "--data", photos, "-n", 2, "--steps", 4, "--unlabelled")
    assert flow.code == 0 and "bits per dimension" in flow.out and "labels none" in flow.out
    assert "--repeats 2 would tell" in flow.out


def test_mistakes_are_named(ornstein: Call) -> None:
    for words, message in (
        (("--method", "odd"), "unknown method 'odd'"),
        (("--method", "discrete"), "EDM is not"),
        (("--repeats", 0), "--repeats must be at least 1"),
        (("--trace", "exactly"), "unknown --trace 'exactly'"),
        (("--method", "vlb", "--importance"), "give steps"),
    ):
        done = ornstein("likelihood", "fashion-mnist", "--data", "digits", "-n", 2, *words)
        assert done.code in (1, 2) and message in done.err, done
        assert "Traceback" not in done.err
