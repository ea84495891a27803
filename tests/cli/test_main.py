"""The frame around the commands: help, JSON, exit codes, messages."""

from __future__ import annotations

import errno
import json
import os
import shlex
import subprocess
import sys
import warnings
from collections.abc import Callable
from importlib import import_module

import pytest

from cli.shell import Outcome
from house.tree import environment
from ornstein.cli import COMMANDS, build_parser, main
from ornstein.training.checkpoint import CheckpointWarning

Call = Callable[..., Outcome]


def test_help_names_every_command(ornstein: Call) -> None:
    for words in ([], ["--help"], ["-h"]):
        done = ornstein(*words)
        assert done.code == 0
        assert all(f"  {name} " in done.out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples_and_json(ornstein: Call, command: str) -> None:
    done = ornstein(command, "--help")
    assert done.code == 0
    assert "examples:" in done.out and "--json" in done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_are_commands(command: str) -> None:
    lines = [line.strip() for line in import_module(f"ornstein.cli.commands.{command}").EXAMPLES.splitlines()[1:]]
    assert lines
    for line in lines:
        # Under torchrun the program is the module: torchrun --nproc-per-node 2 -m ornstein COMMAND ...
        words = shlex.split(line)
        program, name, *rest = words[words.index("ornstein") :] if words[0] == "torchrun" else words
        assert (program, name) == ("ornstein", command)
        build_parser(command).parse_args(rest)


def test_help_imports_no_torch() -> None:
    code = (
        "import sys; from ornstein.cli import COMMANDS, main\n"
        "for c in COMMANDS: main([c, '--help'])\n"
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_version(ornstein: Call) -> None:
    assert ornstein("--version").out.startswith("ornstein ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sampel"], "unknown command 'sampel': did you mean 'sample'?"),
        (["--jsn"], "unknown option '--jsn'"),
        (["data", "lst"], "unknown action 'lst': did you mean 'list'?"),
        (["list", "extra"], "unknown argument 'extra'"),
        (["sample", "x", "-n", "many"], "-n: invalid int value: 'many'"),
        (["train", "edm"], "the following arguments are required: --data"),
        (["train", "edm", "--data", "d", "--minutes", "1", "--steps", "2"], "not allowed with argument"),
        (["sample", "x", "--sed", "1"], "unknown option '--sed': did you mean '--seed'?"),
    ],
)
def test_wrong_usage(ornstein: Call, words: list[str], message: str) -> None:
    done = ornstein(*words)
    assert done.code == 2
    assert message in done.err
    assert "--help" in done.err
    assert done.out == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_named_before_a_missing_one(ornstein: Call, command: str) -> None:
    done = ornstein(command, "--jsonn")
    assert done.code == 2
    assert "unknown option '--jsonn': did you mean '--json'?" in done.err


@pytest.mark.parametrize("words", [["list"], ["show", "edm"], ["cite", "edm"], ["env"], ["data", "list"]])
def test_json_is_json(ornstein: Call, words: list[str]) -> None:
    done = ornstein(*words, "--json")
    assert done.code == 0
    assert json.loads(done.out)


def test_show_and_cite(ornstein: Call) -> None:
    shown = ornstein("show", "ddpm").out
    assert "arxiv:2006.11239" in shown and "sampling_steps" in shown and "--set" in shown
    assert ornstein("cite", "ddpm").out.startswith("@inproceedings{ho2020ddpm")


def test_data_show(ornstein: Call) -> None:
    assert json.loads(ornstein("data", "show", "digits", "--split", "test", "--json").out)["images"] == 1000
    assert "comes with the package" in ornstein("data", "fetch", "digits").out
    done = ornstein("data", "show")
    assert done.code == 2 and "needs a name" in done.err


def raising(error: BaseException) -> Callable[[object], int]:
    def run(args: object) -> int:
        raise error

    return run


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ornstein.cli.commands.list.run", raising(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        main(["list"])


def test_a_full_disk_is_a_message(monkeypatch: pytest.MonkeyPatch, ornstein: Call) -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/x/metrics.jsonl")
    monkeypatch.setattr("ornstein.cli.commands.list.run", raising(error))
    done = ornstein("list")
    assert done.code == 1
    assert "error: runs/x/metrics.jsonl: No space left on device" in done.err


def test_ctrl_c_is_a_message(monkeypatch: pytest.MonkeyPatch, ornstein: Call) -> None:
    monkeypatch.setattr("ornstein.cli.commands.list.run", raising(KeyboardInterrupt()))
    done = ornstein("list")
    assert (done.code, done.err) == (130, "stopped\n")


def test_warnings_meant_for_the_user_are_plain(monkeypatch: pytest.MonkeyPatch, ornstein: Call) -> None:
    def run(args: object) -> int:
        warnings.warn_explicit("one is torn", CheckpointWarning, "house.py", 1, module="ornstein.recipes.house")
        return 0

    monkeypatch.setattr("ornstein.cli.commands.list.run", run)
    assert ornstein("list").err == "warning: one is torn\n"


def test_a_closed_pipe_is_silent() -> None:
    command = f"{shlex.quote(sys.executable)} -m ornstein.cli list --json | true"
    done = subprocess.run(["bash", "-c", command], env=environment(), capture_output=True, text=True)
    assert done.stderr == ""


def test_show_prints_the_ledger_row(ornstein: Call) -> None:
    done = ornstein("show", "edm")
    assert "heun_gain > 2.82843" in done.out and "holds over 3 seeds" in done.out
    assert json.loads(ornstein("show", "edm", "--json").out)["measured"]["recipe"] == "edm"
