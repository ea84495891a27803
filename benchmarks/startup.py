"""Start-up and memory: processes of their own that import, sample once and train one step; ours and diffusers'.

    python benchmarks/startup.py [--repeats 3] [--batch 16] [--out benchmarks/results/startup.csv]

Quoted are medians of the processor's seconds from the start of the interpreter to the end of the task, and the largest
resident memory in MB above that of the imports. The networks are DDPM's for CIFAR-10 (36 M parameters), laid out alike;
a training step is forward, backward and AdamW in the recipe's precision (bf16), or in float32 for both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from csv_rows import write_rows

RESULTS = Path(__file__).resolve().parent / "results"
OURS = "from ornstein.networks.presets import ddpm_cifar10; net = ddpm_cifar10(conditions=())"
THEIRS = "from account import DDPM_DIFFUSERS; net = DDPM_DIFFUSERS()"
SMALL = (
    "from ornstein.networks import MPUNet; net = MPUNet(channels=3, widths=(48, 84), attention=(), head=84, patch=2)"
)
SMALL_THEIRS = "from peers import DiffusersUNet; net = DiffusersUNet()"
SAMPLE = """
with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled={bf16}):
    net.eval()
    for _ in range(2): net(torch.randn({batch}, 3, 32, 32), torch.rand({batch}))
"""
TRAIN = """
optimizer = torch.optim.AdamW(net.parameters(), foreach=True)
for _ in range(2):
    x = torch.randn({batch}, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16, enabled={bf16}):
        out = net(x, torch.rand({batch}))
    (out.float() - x).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
"""
WRAP = """
import json, resource, sys, time
sys.path.insert(0, {here!r})
import torch
torch.set_num_threads(1)
{make}
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
{task}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([time.process_time(), peak / 1024, (peak - base) / 1024]))
"""


def measured(code: str, repeats: int) -> list[float]:
    """Medians of processor seconds, peak memory and what the task added to it, in MB."""
    runs = []
    for _ in range(repeats):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True, env=os.environ
        )
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    return [statistics.median(values) for values in zip(*runs, strict=True)]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--out", type=Path, default=RESULTS / "startup.csv")
    args = parser.parse_args()
    cases = {
        "import": ("import ornstein; net = None", "import diffusers; net = None", "", 1),
        "first sample, 1.7 M": (SMALL, SMALL_THEIRS, SAMPLE, 1),
        "first training step, 1.7 M": (SMALL, SMALL_THEIRS, TRAIN, 1),
        "sampling, 36 M": (OURS, THEIRS, SAMPLE, args.batch),
        "training, 36 M": (OURS, THEIRS, TRAIN, args.batch),
    }
    rows: list[dict[str, object]] = []
    for name, (ours, theirs, task, batch) in cases.items():
        for precision in ("fp32", "bf16") if "36 M" in name else ("fp32",):
            for who, make in (("ornstein", ours), ("diffusers", theirs)):
                body = task.format(bf16=precision == "bf16", batch=batch)
                seconds, peak, more = measured(
                    WRAP.format(here=str(Path(__file__).parent), make=make, task=body), args.repeats
                )
                rows.append(
                    {"task": name, "batch": batch, "precision": precision, "system": who}
                    | {"cpu_s": round(seconds, 2), "peak_mb": round(peak), "of_the_task_mb": round(more)}
                )
                print(*rows[-1].values(), sep="\t", flush=True)
    write_rows(args.out, rows)


if __name__ == "__main__":
    main()
