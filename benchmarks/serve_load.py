"""Step-level batching under load: 32 clients, each asking again as soon as it is answered, against one request at a time.

    python benchmarks/serve_load.py [--seconds 60] [--clients 32] [--steps 12] [--guidance 2] [--precision float32] [--mixed]

Both servers are ``ornstein serve fashion-mnist`` in a process of its own; the one that serves one request at a time has
``--max-batch 1``, and both compute in the same precision, by default the server's own. Every request asks for one picture of a
seed of its own by ``/v1/images/generations``. Told are pictures per second of the clock, pictures per second of the server's
processor time (which other work on the machine moves less), their ratios, the latencies' median and 95th percentile, requests
without an answer, and the server's memory at a quarter of the time, at half of it, and at the end. ``--mixed``: requests differ
in sampler, steps, guidance and number, some are given up by the client, and some are jobs that are cancelled.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import re
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from csv_rows import read_rows, write_rows

ROOT = Path(__file__).resolve().parents[1]
SAMPLERS = ("edm_heun", "ddim", "dpmpp_2m", "unipc", "euler", "lms", "DPM++ 2M Karras", "Euler a")
TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """``ornstein serve`` in a process of its own."""

    def __init__(self, batch: int, threads: int, precision: str = "auto"):
        words = [sys.executable, "-m", "ornstein", "serve", "fashion-mnist", "--port", "0", "--max-batch", str(batch)]
        words += ["--precision", precision]
        paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
        around = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        self.process = subprocess.Popen(words, env=around, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.search(r"http://\S+", line):
                self.url = found.group()
                break
        else:
            raise RuntimeError("the server did not start")
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/ready", timeout=30).read()
                return
            except urllib.error.URLError:
                time.sleep(0.05)

    def processor_seconds(self) -> float:
        """User and system time so far."""
        parts = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(parts[11]) + int(parts[12])) / TICKS

    def megabytes(self) -> float:
        """Resident memory."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) / 1024

    def close(self) -> int:
        """SIGTERM, and what it ended with."""
        self.process.terminate()
        return self.process.wait(120)


@dataclass
class Tally:
    """What the clients saw."""

    pictures: int = 0
    sent: int = 0
    answered: int = 0
    refused: int = 0
    given_up: int = 0
    latencies: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def ask(url: str, body: dict[str, Any], timeout: float, method: str = "POST") -> dict[str, Any]:
    """One request, and its answer."""
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        told: dict[str, Any] = json.load(answer)
        return told


def client(server: Server, tally: Tally, number: int, until: float, args: argparse.Namespace) -> None:
    """Ask until the time is over."""
    draw, count = random.Random(number), 0
    while time.monotonic() < until:
        body: dict[str, Any] = {"prompt": "", "steps": args.steps, "seed": number * 100_000 + count}
        count += 1
        timeout = 600.0
        if args.guidance is not None:
            body["guidance"] = args.guidance
        if args.mixed:
            body |= {
                "sampler": draw.choice(SAMPLERS), "steps": draw.randint(2, 20), "guidance": draw.choice((1, 1.5, 2)),
                "n": draw.choice((1, 1, 1, 2, 5)),
            }  # fmt: skip
            timeout = 0.2 if draw.random() < 0.1 else timeout
            if draw.random() < 0.1:
                job = ask(f"{server.url}/v1/samples", {k: v for k, v in body.items() if k != "prompt"}, 600)
                ask(f"{server.url}/v1/samples/{job['id']}", {}, 600, "DELETE")
        begin = time.monotonic()
        with tally.lock:
            tally.sent += 1
        try:
            made = ask(f"{server.url}/v1/images/generations", body, timeout)["data"]
        except TimeoutError:
            with tally.lock:
                tally.given_up += 1
            continue
        except urllib.error.HTTPError:
            with tally.lock:
                tally.refused += 1
            continue
        whole = all(base64.b64decode(p["b64_json"]).startswith(b"\x89PNG") for p in made)
        with tally.lock:
            tally.answered += 1
            tally.pictures += len(made) if whole and len(made) == body.get("n", 1) else 0
            tally.latencies.append(time.monotonic() - begin)


def measure(batch: int, args: argparse.Namespace) -> dict[str, Any]:
    """One server under load."""
    server, tally = Server(batch, args.threads, args.precision), Tally()
    try:
        begin, busy = time.monotonic(), server.processor_seconds()
        clients = [
            threading.Thread(target=client, args=(server, tally, i, begin + args.seconds, args))
            for i in range(args.clients)
        ]
        for each in clients:
            each.start()
        memory = []
        for _ in range(2):
            time.sleep(args.seconds / 4)
            memory.append(server.megabytes())
        for each in clients:
            each.join()
        seconds, busy = time.monotonic() - begin, server.processor_seconds() - busy
        memory.append(server.megabytes())
    finally:
        code = server.close()
    lost = tally.sent - tally.answered - tally.refused - tally.given_up
    ordered = sorted(tally.latencies)
    return {
        "max_batch": batch,
        "pictures": tally.pictures,
        "seconds": round(seconds, 1),
        "per_second": round(tally.pictures / seconds, 3),
        "per_processor_second": round(tally.pictures / busy, 3),
        "median_s": round(statistics.median(ordered), 2),
        "p95_s": round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 2),
        "lost": lost,
        "refused": tally.refused,
        "given_up": tally.given_up,
        **{f"mb_at_{when}": round(mb) for when, mb in zip(("quarter", "half", "end"), memory, strict=True)},
        "exit_code": code,
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="Step-level batching under load.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument(
        "--guidance", type=float, help="default: the model's own, which doubles the rows of each request"
    )
    parser.add_argument("--max-batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--precision", default="auto", help="of both servers' network calls (default: the server's own)"
    )
    parser.add_argument("--mixed", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "serve_load.csv")
    args = parser.parse_args()
    rows = [measure(batch, args) for batch in ((args.max_batch,) if args.mixed else (args.max_batch, 1))]
    kind = "mixed" if args.mixed else f"{args.steps} steps, guidance {args.guidance or 'as the model has it'}"
    kind += "" if args.precision == "auto" else f", {args.precision}"
    for row in rows:
        row |= {"requests": kind, "clients": args.clients, "threads": args.threads}
        print(json.dumps(row), flush=True)
    if len(rows) == 2:
        for name in ("per_second", "per_processor_second"):
            print(f"{name}: {rows[0][name] / rows[1][name]:.2f} times as many")
    write_rows(args.out, [*read_rows(args.out), *rows])


if __name__ == "__main__":
    main()
