"""How long the studio takes from the command to its first tab, drawn and ready for use in Chromium.

    python benchmarks/studio_opens.py [--repeats 3] [--out benchmarks/results/studio_opens.csv]

Seconds from ``ornstein studio``: ``serves_s`` to the address on its screen, when the page can be asked for; ``drawn_s`` to the
first tab, drawn with all its fields, in a browser that runs already and is sent to the address at once; ``ready_s`` to the
model's name and settings on it. ``opens_s`` is from the address to the drawn tab. Needs Chromium with its driver.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from csv_rows import write_rows

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from studio.browser import Visit, programs, start  # noqa: E402


def measure(program: str, driver: str) -> dict[str, float]:
    """Once, with a server and a browser of its own."""
    opened = start(program, driver)
    around = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
    }
    begin = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "ornstein", "studio", "--port", "0"], env=around, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        served = time.perf_counter()
        visit = Visit(opened, url)
        opened.get(url)
        visit.until(lambda: visit.seen("#o-tab-generate .o-go") and visit.seen("#o-tab-generate .o-seed input"))
        drawn = time.perf_counter()
        visit.until(lambda: "parameters" in visit.text("o-about"))
        ready = time.perf_counter()
    finally:
        server.terminate()
        server.wait(60)
        opened.quit()
    spans = {"serves_s": served - begin, "drawn_s": drawn - begin, "ready_s": ready - begin, "opens_s": drawn - served}
    return {name: round(seconds, 2) for name, seconds in spans.items()}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="How long the studio takes to open.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "studio_opens.csv")
    args = parser.parse_args()
    program, driver = programs()
    if program is None or driver is None:
        raise SystemExit("install Chromium and its driver: apt install chromium chromium-driver")
    rows = [measure(program, driver) for _ in range(args.repeats)]
    write_rows(args.out, rows)
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
