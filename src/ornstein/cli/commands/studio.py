"""``ornstein studio``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ornstein.cli.output import emit, require_folder, say
from ornstein.core.errors import CapabilityError, UsageError

EXAMPLES = """examples:
  ornstein studio
  ornstein studio runs/mine stable-diffusion/ --open
  ornstein studio --port 8080 -o pictures
"""

EXTRA = "the studio needs gradio: pip install 'ornstein[studio]'"


def add(parser: argparse.ArgumentParser) -> None:
    """What to offer, and where."""
    parser.add_argument(
        "models", nargs="*", help="runs or folders to offer beside the bundled models and those in runs/"
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=int, default=7860, help="0 for any that is free (default 7860)")
    parser.add_argument("--open", action="store_true", help="show the page in the browser")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default cpu)")
    parser.add_argument("-o", "--out", type=Path, help="keep the pictures in this folder (default: until it ends)")


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    if not 0 <= args.port <= 65535:
        raise UsageError(f"--port lies in 0 .. 65535, got {args.port}")
    if args.out is not None:
        require_folder(args.out)
    from importlib.util import find_spec

    if find_spec("gradio") is None:
        raise CapabilityError(EXTRA)
    from ornstein.studio.core import Studio
    from ornstein.studio.server import Server

    device = args.device
    if device != "cpu":  # which is always there, and need not be tried out in PyTorch before the page is
        from ornstein.cli.device import require_device

        device = str(require_device(device))
    with Studio(args.models, folder=args.out, device=device) as studio:
        for what in args.models:
            studio.system(what)  # what cannot be read is said before the page opens
        with Server(studio, args.host, args.port) as server:
            emit(args, {"url": server.url, "models": studio.models}, server.url)
            say("Ctrl-C ends it")
            if args.open:
                server.open()
            server.wait()
    return 0
