"""The command line. ``ornstein --help`` imports no PyTorch; each command imports what it needs when it runs."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from ornstein import __version__
from ornstein.core.errors import OrnsteinError, UsageError, suggest

COMMANDS: dict[str, str] = {
    "list": "the recipes and the bundled models",
    "show": "one recipe: paper, equations, config, claim, what was measured",
    "cite": "BibTeX of a recipe",
    "train": "train a recipe on data",
    "sample": "draw samples from a bundled model or a run",
    "evaluate": "measure samples against data",
    "reproduce": "run a recipe's check and write its ledger row",
    "data": "list, fetch and show data sets",
    "demo": "a tour in a few minutes: sample, train, measure, report",
    "env": "versions, threads, devices, folders",
}
"""Each is a module of ``ornstein.cli.commands`` with ``add(parser)`` and ``run(args) -> int``."""


class Parser(argparse.ArgumentParser):
    """argparse, whose errors suggest the nearest option or command and are raised rather than printed.

    argparse and not tyro: importing tyro takes longer than the whole of ``ornstein --help`` may.
    """

    def error(self, message: str) -> NoReturn:
        known = [o for a in self._actions for o in a.option_strings]
        if found := re.search(r"unrecognized arguments: (\S+)", message):
            name = found[1].split("=")[0]
            raise UsageError(f"unknown option '{name}': {suggest(name, known)}; see {self.prog} --help")
        raise UsageError(f"{message}; see {self.prog} --help")


def build_parser(command: str | None) -> Parser:
    """The top parser, with the options of ``command`` only: the others are not imported."""
    lines = "\n".join(f"  {name:<10} {text}" for name, text in COMMANDS.items())
    top = Parser(
        prog="ornstein",
        description="Train, sample, measure and explain diffusion models.",
        epilog=f"commands:\n{lines}\n\nexample:\n  ornstein sample fashion-mnist -n 64 --steps 10 -o out\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="ornstein COMMAND [options]",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"ornstein {__version__}")
    if command is None:
        return top
    module = import_module(f"ornstein.cli.commands.{command}")
    parser = Parser(
        prog=f"ornstein {command}",
        description=COMMANDS[command].capitalize() + ".",
        epilog=module.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
    parser.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if not words or words[0].startswith("-"):
            parser = build_parser(None)
            parser.parse_args(words)
            parser.print_help()
            return 0
        command, rest = words[0], words[1:]
        if command not in COMMANDS:
            raise UsageError(f"unknown command '{command}': {suggest(command, COMMANDS)}; see ornstein --help")
        args = build_parser(command).parse_args(rest)
        return int(args.run(args))
    except OrnsteinError as e:
        print(f"{_red('error:')} {e}", file=sys.stderr)
        return e.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone: `ornstein list | head`
        sys.stderr.close()
        return 1


def _red(text: str) -> str:
    return f"\033[31m{text}\033[0m" if sys.stderr.isatty() else text
