"""Options of what serves pictures: mark, filter, signature, audit log."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ornstein.cli.output import say
from ornstein.core.errors import UsageError

if TYPE_CHECKING:
    from ornstein.provenance.safeguards import Safeguards

OFF = "off"


def add_safeguards(parser: argparse.ArgumentParser) -> None:
    """What is done with each picture before it leaves. A signature is made if $ORNSTEIN_C2PA_CERT and _KEY are set."""
    parser.add_argument(
        "--mark", default="spread", metavar="METHOD", help="invisible mark: spread (default), rivagan or off"
    )
    parser.add_argument(
        "--filter",
        metavar="NAME",
        help="content filter: open-nsfw or off (default: open-nsfw for models that read text, off for others)",
    )
    parser.add_argument(
        "--filter-threshold", type=float, default=0.8, help="scores from there on are held back (default 0.8)"
    )
    parser.add_argument(
        "--filter-action",
        default="refuse",
        help="refuse (default), blank, blur or flag: what happens to pictures over the threshold",
    )
    parser.add_argument("--audit", type=Path, metavar="FILE", help="log each request and picture, without prompts")
    parser.add_argument("--audit-prompts", action="store_true", help="with --audit: log prompts as well")


def safeguards(args: argparse.Namespace, models: Iterable[str], reads_text: Callable[[str], bool]) -> Safeguards:
    """The hook that the options ask for. ``models``: what is served, as ``load`` takes it.

    Raises:
        UsageError: an option that cannot be; a filter whose weights are missing where it is wanted or must be.
    """
    from ornstein.interop.load import load
    from ornstein.provenance import AuditLog, Signer, choose_filter, get_mark
    from ornstein.provenance.safeguards import Safeguards
    from ornstein.provenance.weights import present

    if args.audit_prompts and args.audit is None:
        raise UsageError("--audit-prompts needs --audit FILE: where to log")
    # Where the default filter's weights are missing it must be known at once whether it is needed.
    text = args.filter is None and (present("open-nsfw") or any(load(what).reads_text for what in models))
    content = choose_filter(args.filter, text, args.filter_threshold, args.filter_action)
    if args.filter == OFF:
        say("warning: no content filter (--filter off)")
    return Safeguards(
        reads_text,
        content=content,
        everything=args.filter not in (None, OFF),
        required=args.filter != OFF,
        mark=None if args.mark == OFF else get_mark(args.mark),
        signer=Signer.configured(),
        audit=None if args.audit is None else AuditLog(args.audit, prompts=args.audit_prompts),
    )
