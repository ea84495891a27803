"""``ornstein serve``."""

from __future__ import annotations

import argparse
import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ornstein.cli.output import emit, require_folder, say
from ornstein.cli.safeguarding import add_safeguards, safeguards
from ornstein.core.errors import OrnsteinError, UsageError

EXAMPLES = """examples:
  ornstein serve fashion-mnist
  ornstein serve fashion-mnist mine=runs/mine --port 8000 --data served
  ornstein serve pipeline/ --filter open-nsfw --audit audit.jsonl
  ornstein serve --new-key alice --keys keys.json
  ornstein serve fashion-mnist --keys keys.json --host 0.0.0.0 --rate 60
"""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def add(parser: argparse.ArgumentParser) -> None:
    """Models, address, who may ask, how much."""
    parser.add_argument(
        "models", nargs="*", help="bundled models, runs or checkpoints, or NAME=WHAT: see ornstein list"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1: this machine alone)"
    )
    parser.add_argument("--port", type=int, default=8000, help="port (default 8000; 0 is any that is free)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default cpu)")
    parser.add_argument(
        "--precision",
        choices=("auto", "bf16", "float32"),
        default="auto",
        help="of network calls (default auto: bf16 on a CPU that multiplies in it, float32 elsewhere)",
    )
    parser.add_argument(
        "--data", type=Path, help="folder where jobs and results are kept (default: a temporary file, gone at the end)"
    )
    parser.add_argument("--keys", type=Path, help="file of API keys; without it anyone may ask")
    parser.add_argument(
        "--new-key", metavar="NAME", help="make a key for NAME in the file given by --keys, print it, and end"
    )
    parser.add_argument(
        "--no-keys", action="store_true", help="serve other machines (--host) without keys, as anyone's"
    )
    parser.add_argument(
        "--origin", action="append", default=[], help="a web page that may call from browsers; repeatable"
    )
    parser.add_argument("--max-batch", type=int, default=32, help="samples that move together (default 32)")
    parser.add_argument("--queue", type=int, default=1024, help="samples that may wait; then 503 (default 1024)")
    parser.add_argument("--memory", type=float, help="MB of weights to keep loaded (default: no limit)")
    parser.add_argument("--max-n", type=int, default=64, help="samples of one request (default 64)")
    parser.add_argument("--max-steps", type=int, default=1000, help="steps of one request (default 1000)")
    parser.add_argument("--rate", type=float, help="requests per minute of one client; then 429 (default: no limit)")
    parser.add_argument("--timeout", type=float, default=300, help="seconds until a request is given up (default 300)")
    parser.add_argument(
        "--drain", type=float, default=30, help="seconds to finish at the end, after SIGTERM (default 30)"
    )
    add_safeguards(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal ends it."""
    if args.new_key is not None:
        return _new_key(args)
    models = named(args.models)
    if not ipaddress_is_loopback(args.host) and args.keys is None and not args.no_keys:
        raise UsageError(
            f"--host {args.host} lets other machines ask: give --keys FILE (ornstein serve --new-key NAME --keys FILE makes "
            "one), or --no-keys if anyone may"
        )
    if not 0 <= args.port < 65536:
        raise UsageError(f"--port must lie in 0 .. 65535, got {args.port}")
    if args.memory is not None and not args.memory > 0:
        raise UsageError(f"--memory must be above 0 MB, got {args.memory:g}")
    if not args.drain >= 0:
        raise UsageError(f"--drain must be at least 0 s, got {args.drain:g}")
    try:
        from ornstein.serving.http.app import create_app
        from ornstein.serving.http.server import listen, serve
    except ModuleNotFoundError as e:
        raise OrnsteinError(f"serving needs the package '{e.name}': pip install 'ornstein[serve]'") from e
    from ornstein.cli.device import require_device
    from ornstein.serving import Engine, keys, loader
    from ornstein.serving.settings import Limits
    from ornstein.serving.store import Store

    require_device(args.device)
    limits = Limits(samples=args.max_n, steps=args.max_steps, seconds=args.timeout, rate=args.rate)
    known = None if args.keys is None else keys.read(args.keys)
    engine = Engine(
        {name: loader(what, precision=args.precision, device=args.device) for name, what in models.items()},
        memory_limit=None if args.memory is None else int(args.memory * 1e6),
        max_batch=args.max_batch,
        queue_limit=args.queue,
        device=args.device,
    )

    def reads_text(name: str) -> bool:
        """Nothing leaves a model before it was loaded, and then this is known."""
        about = engine.describe(name)
        return about is None or about.reads_text

    hook = safeguards(args, models.values(), reads_text)
    store = Store("" if args.data is None else require_folder(args.data) / "jobs.sqlite")
    app = create_app(
        engine, store=store, keys=known, limits=limits, hooks=(hook,), origins=args.origin, drain=args.drain
    )
    sock = listen(args.host, args.port)
    host, port = sock.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    seconds = serve(app, sock, drain=args.drain, ready=lambda: say(f"serving {', '.join(models)} at {address}"))
    stats = engine.stats()
    about: dict[str, Any] = {
        "address": address,
        "models": list(models),
        "seconds": round(seconds, 1),
        "samples": stats.samples,
    }
    emit(args, about | {"jobs": dict(stats.jobs)}, f"{stats.samples} samples in {seconds:.0f} s")
    return 0


def named(words: Sequence[str]) -> dict[str, str]:
    """Models by the names that requests use: ``NAME=WHAT``, or the last part of a path.

    Raises:
        UsageError: none, one that cannot be a name, or the same twice.
    """
    if not words:
        raise UsageError("serve needs a model: ornstein serve fashion-mnist (ornstein list shows the bundled ones)")
    models: dict[str, str] = {}
    for word in words:
        name, _, what = word.rpartition("=")
        name = name or Path(word).name
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"'{name}' cannot be a model's name: letters, digits, '.', '_' and '-' can; say NAME={what}"
            )
        if name in models:
            raise UsageError(f"two models are called '{name}': name one of them, NAME={what}")
        models[name] = what
    return models


def ipaddress_is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _new_key(args: argparse.Namespace) -> int:
    if args.keys is None:
        raise UsageError("--new-key needs --keys FILE: where its digest is kept")
    from ornstein.serving import keys

    key = keys.add(args.keys, keys.Client(args.new_key))
    emit(args, {"name": args.new_key, "key": key}, key)
    say(f"{args.keys} has its digest; the key itself is kept nowhere, so write it down")
    return 0
