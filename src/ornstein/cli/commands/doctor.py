"""``ornstein doctor``."""

from __future__ import annotations

import argparse
import dataclasses
import textwrap

from ornstein.cli.output import emit, say

EXAMPLES = """examples:
  ornstein doctor digits
  ornstein doctor photos/ --size 32
  ornstein doctor runs/mine --data photos/
  ornstein doctor runs/mine --quick --json
"""


def add(parser: argparse.ArgumentParser) -> None:
    """A run or data."""
    parser.add_argument("what", metavar="RUN|DATA", help="a run folder; or a named set, a folder of images, .npz, .npy")
    parser.add_argument("--data", help="with a run: its training data, if they are not where they were")
    parser.add_argument("--size", type=int, help="with data: bring the images to this size")
    parser.add_argument("--quick", action="store_true", help="with a run: do not train on a batch, and draw no samples")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default cpu)")


def run(args: argparse.Namespace) -> int:
    """Print each finding as it comes; 1 if there is an error among them."""
    from ornstein.cli.device import require_device
    from ornstein.core.errors import UsageError
    from ornstein.recipes import doctor

    require_device(args.device)
    of_run = doctor.is_run(args.what)
    wrong = [f"--{name}" for name in (("size",) if of_run else ("data", "quick")) if getattr(args, name)]
    if wrong:
        raise UsageError(f"'{args.what}' is {'a run' if of_run else 'data'}, which takes no {' or '.join(wrong)}")
    findings = []
    if of_run:
        stream = doctor.examine_run(args.what, args.data, args.quick, args.device)
    else:
        stream = doctor.examine_data(args.what, args.size)
    for finding in stream:
        findings.append(finding)
        if not args.json:
            say(f"{finding.level:<8} {finding.check}: {finding.what}")
            if finding.remedy:
                say(textwrap.fill(finding.remedy, 110, initial_indent=" " * 9 + "-> ", subsequent_indent=" " * 12))
    emit(args, [dataclasses.asdict(f) for f in findings], doctor.verdict(findings))
    return int(any(f.level == "error" for f in findings))
