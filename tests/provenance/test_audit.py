"""The audit log: what is in it and what is not."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ornstein.core.errors import OrnsteinError
from ornstein.provenance import AuditLog

FIELDS = {
    "model": "m",
    "seed": 4,
    "prompt": "secret words",
    "about": {"steps": 2, "negative": "secret words", "list": [{"caption": "secret words", "n": 1}]},
}


def test_no_prompts_unless_they_are_wanted(tmp_path: Path) -> None:
    AuditLog(tmp_path / "a.jsonl").write("request", FIELDS)
    text = (tmp_path / "a.jsonl").read_text()
    assert "secret" not in text
    line = json.loads(text)
    assert (
        line["event"] == "request"
        and line["about"] == {"steps": 2, "list": [{"n": 1}]}
        and line["time"].endswith("+00:00")
    )
    AuditLog(tmp_path / "b.jsonl", prompts=True).write("request", FIELDS)
    assert (tmp_path / "b.jsonl").read_text().count("secret words") == 3


def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    AuditLog(tmp_path / "logs" / "a.jsonl").write("request", {})
    assert stat.S_IMODE((tmp_path / "logs" / "a.jsonl").stat().st_mode) == 0o600


def test_it_turns_over(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "a.jsonl", limit=500)
    for i in range(12):
        log.write("request", {"i": i})
    files = sorted(p.name for p in tmp_path.iterdir())
    assert files == ["a.jsonl", "a.jsonl.1"] and all(p.stat().st_size <= 500 for p in tmp_path.iterdir())
    last = (tmp_path / "a.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["i"] == 11


def test_lines_of_threads_do_not_mix(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "a.jsonl")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: log.write("picture", {"i": i, "pad": "x" * 3000}), range(200)))
    assert sorted(json.loads(line)["i"] for line in (tmp_path / "a.jsonl").read_text().splitlines()) == list(range(200))


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OrnsteinError, match=r"audit log .*file/a\.jsonl cannot be written"):
        AuditLog(tmp_path / "file" / "a.jsonl").write("request", {})
