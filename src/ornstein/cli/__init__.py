"""The command line. ``ornstein --help`` imports no PyTorch; each command imports what it needs when it runs."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import TextIO

from ornstein import __version__
from ornstein.cli.output import red, say
from ornstein.cli.parser import Parser
from ornstein.core.arenas import keep_blocks
from ornstein.core.errors import OrnsteinError, UsageError, suggest

COMMANDS: dict[str, str] = {
    "list": "the recipes and the bundled models",
    "show": "one recipe: paper, equations, config, claim",
    "cite": "BibTeX of a recipe",
    "train": "train a recipe on data",
    "ema": "make an average of the weights of any width, after training",
    "sample": "draw samples from a bundled model or a run",
    "edit": "restore and change pictures: inpaint, enlarge, deblur, colour, strokes, translate",
    "convert": "change checkpoints between single file, diffusers folder and run",
    "evaluate": "measure samples against data",
    "benchmark": "several systems, samplers and step counts on one data set: a table and plots",
    "likelihood": "measure the likelihood of data, in bits per dimension",
    "serve": "answer requests over HTTP: OpenAI's image API, jobs for every modality",
    "reproduce": "run a recipe's check and write its ledger row",
    "data": "list, fetch and show data sets",
    "studio": "a page in the browser: generate, edit, compare, explain, train, evaluate",
    "doctor": "what is wrong with data or a run, and what to do about it",
    "demo": "a tour in a few minutes: sample, train, measure, report",
    "env": "versions, threads, devices, folders",
}
"""Each is a module of ``ornstein.cli.commands`` with ``EXAMPLES``, ``add(parser)`` and ``run(args) -> int``."""

STOPPED = 130
"""The exit code after Ctrl-C, as shells have it."""

_OF_THE_MACHINE = {
    errno.EACCES, errno.EDQUOT, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOSPC, errno.ENOTDIR, errno.EPERM,
    errno.EROFS,
}  # fmt: skip


def build_parser(command: str | None) -> Parser:
    """The parser of one command, or of ``ornstein`` alone: the modules of other commands are not imported."""
    if command is None:
        lines = "\n".join(f"  {name:<10} {text}" for name, text in COMMANDS.items())
        top = Parser(
            prog="ornstein",
            description="Train, sample and measure diffusion models.",
            epilog=f"commands:\n{lines}\n\nexamples:\n  ornstein sample fashion-mnist -n 64 --steps 10 -o out\n"
            "  ornstein train --help\n",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            usage="ornstein COMMAND [options]",
            allow_abbrev=False,
        )
        top.add_argument("--version", action="version", version=f"ornstein {__version__}")
        return top
    module = import_module(f"ornstein.cli.commands.{command}")
    parser = Parser(
        prog=f"ornstein {command}",
        description=COMMANDS[command][0].upper() + COMMANDS[command][1:] + ".",
        epilog=module.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
    parser.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C.

    What a user can mend is one message on standard error; any other exception is a defect and keeps its traceback.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        keep_blocks()  # the process is ours
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("always", category=UserWarning, module=r"ornstein\b")
            warnings.showwarning = _show_warning
            return _run(words)
    except OrnsteinError as e:
        say(f"{red('error:')} {e}")
        return e.exit_code
    except KeyboardInterrupt:
        say("stopped")
        return STOPPED
    except BrokenPipeError:  # the reader of our output has gone: `ornstein list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's last flush fails as well
        return 1
    except OSError as e:
        if e.errno not in _OF_THE_MACHINE:
            raise
        say(f"{red('error:')} {e.filename or 'the disk'}: {e.strerror}; free or choose another place")
        return 1


def _run(words: list[str]) -> int:
    if not words or words[0].startswith("-"):
        parser = build_parser(None)
        try:
            parser.parse_args(words)
        except SystemExit as e:  # --help and --version have printed
            return int(e.code or 0)
        parser.print_help()
        return 0
    command, rest = words[0], words[1:]
    if command not in COMMANDS:
        raise UsageError(f"unknown command '{command}': {suggest(command, COMMANDS)}; see ornstein --help")
    try:
        args = build_parser(command).parse_args(rest)
    except SystemExit as e:
        return int(e.code or 0)
    return int(args.run(args))


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Ours are meant for the user, and need no place in the code."""
    if category.__module__.startswith("ornstein"):
        say(f"warning: {message}")
    else:
        say(warnings.formatwarning(message, category, filename, lineno, line).rstrip())
