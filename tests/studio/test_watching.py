"""Long work: its commands, its process, a run as it is watched; the catalogue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ornstein.core.errors import UsageError
from ornstein.core.finding import ok, warning
from ornstein.studio.parts import catalogue
from ornstein.studio.parts.evaluating import Evaluation, shown
from ornstein.studio.parts.running import Command
from ornstein.studio.parts.training import Plan, doctor_word, level_curve, look, loss_curve


def test_a_plan_is_a_command(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = Plan("edm", "digits", str(out), 2.5, 8, "lr=1e-3\nwidths=8,16", 4).words()
    assert words[:6] == ["train", "edm", "--data", "digits", "--out", str(out)]
    assert words[6:] == ["--minutes", "2.5", "--seed", "4", "--size", "8", "--set", "lr=1e-3", "--set", "widths=8,16"]
    (out / "checkpoints").mkdir(parents=True)
    assert Plan("edm", "digits", str(out)).words()[-1] == "--resume"


def test_the_commands_are_those_of_the_command_line(tmp_path: Path) -> None:
    from ornstein.cli import build_parser

    words = Plan("edm", "digits", str(tmp_path), 1, 8, "lr=1e-3", 2).words()
    args = build_parser(words[0]).parse_args(words[1:])
    assert (args.recipe, args.minutes, args.size, args.set, args.seed) == ("edm", 1.0, 8, ["lr=1e-3"], 2)
    words = Evaluation("m", "digits", 50, "train", "kid", 9).words(tmp_path / "r.html")
    args = build_parser(words[0]).parse_args(words[1:])
    assert (args.what, args.against, args.n, args.split, args.metrics, args.steps) == (
        "m",
        "digits",
        50,
        "train",
        "kid",
        9,
    )
    assert args.report == tmp_path / "r.html"


@pytest.mark.slow
def test_a_run_is_trained_and_stopped(tmp_path: Path) -> None:
    """The real command: it begins, it is stopped, and what it had is there."""
    import time

    command = Command(tmp_path / "log.txt")
    run = tmp_path / "run"
    command.start(Plan("edm", "digits", str(run), 60, None, "widths=8 blocks=1 attention= batch=8").words())
    try:
        deadline = time.monotonic() + 300
        while not (run / "config.json").is_file() and command.running and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(5)
        command.stop()
        assert command.wait(120) == 143, command.tail()
    finally:
        command.close()
    assert look(run).findings and look(run).strips


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (Plan("emd", "digits", "o"), "edm"),
        (Plan("edm", " ", "o"), "name the data"),
        (Plan("edm", "digits", ""), "folder"),
        (Plan("edm", "digits", "o", 0), "positive"),
        (Plan("edm", "digits", "o", settings="fast"), "field=value"),
    ],
)
def test_plans_that_cannot_be_meant(plan: Plan, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        plan.words()


def test_an_evaluation_is_a_command(tmp_path: Path) -> None:
    words = Evaluation("m", "digits", 50, "test", "kid, prdc", 9).words(tmp_path / "r.html")
    assert words == [
        "evaluate", "m", "--against", "digits", "-n", "50", "--seed", "0", "--report", str(tmp_path / "r.html"),
        "--split", "test", "--metrics", "kid,prdc", "--steps", "9",
    ]  # fmt: skip
    for wrong, says in ((Evaluation("", "digits"), "what is measured"), (Evaluation("m", "digits", 1), "at least 2")):
        with pytest.raises(UsageError, match=says):
            wrong.words(tmp_path)


def test_a_report_is_framed(tmp_path: Path) -> None:
    report = tmp_path / "r.html"
    assert "will stand here" in shown(report)
    report.write_text("<h1>\"A\" & 'B'</h1>", encoding="utf-8")
    framed = shown(report)
    assert 'srcdoc="&lt;h1&gt;&quot;A&quot;' in framed and "allow-scripts" not in framed


def test_a_command_runs_and_says_what_it_said(tmp_path: Path) -> None:
    command = Command(tmp_path / "logs" / "log.txt")
    assert command.code is None and not command.running and command.tail() == ""
    command.start(["--version"])
    with pytest.raises(UsageError, match="running already"):
        command.start(["--version"])
    assert command.wait(60) == 0
    assert command.tail().startswith("ornstein ")
    command.start(["no-such-command"])
    assert command.wait(60) == 2
    assert "unknown command" in command.tail()
    command.close()


def records(run: Path, n: int) -> None:
    lines = [
        json.dumps({"step": 50 * (i + 1), "loss": 1 / (i + 1), "loss/level_0": 0.1, "loss/level_7": 0.9})
        for i in range(n)
    ]
    run.mkdir(parents=True, exist_ok=True)
    (run / "metrics.jsonl").write_text("\n".join([*lines, '{"step": 9']), encoding="utf-8")


def test_a_run_is_watched(tmp_path: Path) -> None:
    assert look(tmp_path / "nothing").records == []
    records(tmp_path, 1000)
    state = look(tmp_path)
    assert state.step == 50_000 and len(state.records) == 1000  # the line that is being written is left out
    curve = loss_curve(state)
    points = curve.split("points='")[1].split("'")[0].split(" ")
    assert len(points) == 400
    assert "half way" in level_curve(state) and "will stand here" in level_curve(look(tmp_path / "nothing"))


def test_the_doctors_word() -> None:
    html = doctor_word([ok("whole", "all there"), warning("falling", "it <rises>", "lower lr")])
    assert "2 checks, 1 with something to say" in html and "it &lt;rises&gt; lower lr" in html
    assert "nothing found" in doctor_word([ok("whole", "all there")])


def test_the_catalogue_holds_every_system() -> None:
    import ornstein

    all_ = catalogue.entries()
    assert [e.card.name for e in all_] == [c.name for c in ornstein.recipes()]
    (edm,) = (e for e in all_ if e.card.name == "edm")
    assert edm.row is not None and edm.state == "holds"
    first = edm.row.conditions[0]
    assert f"{sum(first.measured) / len(first.measured):.3g}" in catalogue.figure(edm)
    html = catalogue.detail(edm)
    assert html.count("<tr>") == len(edm.row.conditions) + 1
    found = catalogue.find(all_, "edm karras")
    assert edm in found and len(found) < len(all_) / 2
    assert catalogue.find(all_, "", "no such area") == []
    assert "no system" in catalogue.listing([])
    assert catalogue.listing(all_).count("<tr>") == len(all_) + 1
