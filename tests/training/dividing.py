"""Training whose weights are divided among processes, killed, damaged and resumed on other numbers of processes.

    python tests/training/dividing.py FOLDER [all]

Started by test_sharded.py as a program of its own. The processes are forks of it, which have imported what they need; each
joins the others as torchrun would have it do. The last line printed is a report in JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed.checkpoint.hf_storage
import torch.distributed.fsdp  # slow: once, before the forks
import torch.utils.tensorboard

import ornstein
from ornstein.core.shards import local
from ornstein.data import Images
from ornstein.recipes.house import train
from ornstein.recipes.system import System
from ornstein.training import checkpoint, load_checkpoint, together
from ornstein.training.checkpoint import checkpoints
from ornstein.training.distributed import joined
from ornstein.training.posthoc import reconstruct

STEPS, HALF = 6, 3


def images() -> Images:
    """Pictures in two classes."""
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    return Images(rng.integers(0, 255, (40, 1, 8, 8), dtype=np.uint8), y, ("a", "b"), "noise")


def session(run: Path, steps: int, divided: bool, doom: str) -> None:
    """One process's part of a run; process 0 writes down what it saw. ``doom``: what process 1 does to it."""
    settings = {"widths": "16", "blocks": 1, "batch": 8, "flip": True, "cond_dropout": 0.3, "precision": "fp32"}
    settings |= {"lr": 1e-3, "warmup": 3}
    losses: list[float] = []
    held: list[int] = []
    drawn: list[float] = []

    def on_save(system: System, step: int) -> None:
        held.append(sum(local(p).numel() for p in system.denoiser.parameters()))
        drawn.append(float(system.sample(2, seed=3, steps=2).tensor.double().square().mean()))

    with joined() as (ranks, device):
        if ranks.rank == 1 and doom:
            die_at(doom)
        if ranks.rank == 1 and doom == "full":
            fill_disk()
        _, result = train(
            "edm",
            data=images(),
            out=run,
            settings=settings,
            steps=steps,
            snapshots=STEPS,
            sharded=divided,
            device=device,
            save_seconds=0 if doom else 1e9,
            on_step=lambda p: losses.append(p.loss),
            on_save=on_save,
        )
        everyone = [int(n) for n in ranks.gather(torch.tensor(held[-1] if held else 0))]
    if ranks.main:
        about = {"losses": losses, "notes": list(result.notes), "held": everyone, "drawn": drawn}
        run.with_suffix(".json").write_text(json.dumps(about))


def die_at(doom: str) -> None:
    """Kill the whole run when this process opens a checkpoint's rows to write them ("rows") or to hash them ("hash")."""
    count = 0

    def audit(event: str, words: tuple[Any, ...]) -> None:
        nonlocal count
        names = [str(w) for w in words if isinstance(w, str | Path)]
        rows = event == "open" and any("shards/" in n and f"step-{HALF + 2:07d}" in n for n in names)
        count += rows
        if rows and count == {"rows": 1, "hash": 3}.get(doom):
            os.killpg(0, signal.SIGKILL)

    sys.addaudithook(audit)


def fill_disk() -> None:
    """No room for this process's rows of one checkpoint."""
    whole = together.entry_of

    def entry_of(file: Path) -> dict[str, Any]:
        if f"step-{HALF + 1:07d}" in str(file):
            raise OSError(28, "No space left on device")
        return whole(file)

    together.entry_of = entry_of


def start(run: Path, processes: int, steps: int, divided: bool = True, doom: str = "") -> dict[str, Any] | None:
    """A run on so many processes; what process 0 wrote down, or None where all were killed."""
    note = run.with_suffix(".json")
    note.unlink(missing_ok=True)
    group = os.fork()
    if group == 0:  # a process group of its own, so that it can be killed as one
        os.setpgid(0, 0)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        children = []
        for rank in range(processes):
            pid = os.fork()
            if pid == 0:
                os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
                os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
                try:
                    if doom != "":
                        warnings.simplefilter("ignore")
                    session(run, steps, divided, doom)
                except BaseException:
                    traceback.print_exc()
                    os._exit(1)
                os._exit(0)
            children.append(pid)
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
        os._exit(1 if any(codes) else 0)
    _, status = os.waitpid(group, 0)
    if os.WIFSIGNALED(status):
        return None
    if os.WEXITSTATUS(status):
        raise SystemExit(f"{run.name} failed")
    return dict(json.loads(note.read_text()))


class Runs:
    """Runs in a folder, and the report on them."""

    def __init__(self, folder: Path):
        self.folder, self.report = folder, dict[str, Any]()

    def begin(self, name: str, processes: int, steps: int = STEPS, divided: bool = True) -> None:
        """A new run."""
        self.report[name] = start(self.folder / name, processes, steps, divided)

    def resume(self, name: str, of: str, processes: int, divided: bool = True, doom: str = "") -> None:
        """A copy of a run, to its end."""
        shutil.copytree(self.folder / of, self.folder / name)
        self.report[name] = start(self.folder / name, processes, STEPS, divided, doom)

    def state(self, name: str) -> dict[str, torch.Tensor]:
        """Every tensor of the last checkpoint but the random states, read in one process."""
        parts = load_checkpoint(checkpoints(self.folder / name)[-1]).parts
        return {f"{part}/{k}": v for part in parts if part != "random" for k, v in parts[part].items()}

    def compare(self, name: str, other: str) -> None:
        """The largest difference of weights and averages beyond a part of 1e-5, and whether all bits are equal."""
        a, b = self.state(name), self.state(other)
        same = a.keys() == b.keys()
        near = [k for k in a if k.split("/")[0] in ("model", "ema")]
        self.report[name] |= {
            "beyond": max(float(((a[k] - b[k]).abs() - 1e-5 * b[k].abs()).max()) for k in near) if same else None,
            "bits": same and all(torch.equal(a[k], b[k]) for k in a),
            "tensors": len(near),
        }

    def aside(self, name: str) -> list[str]:
        """What lies among the checkpoints and is none."""
        return sorted(p.name for p in (self.folder / name / "checkpoints").glob("*.*"))


def few(runs: Runs) -> None:
    """One process against two, resumed on one and on four."""
    runs.begin("alone", 1)
    runs.begin("half", 2, HALF)
    for processes in (1, 4):
        runs.resume(f"on-{processes}", "half", processes)
        runs.compare(f"on-{processes}", "alone")
    samples = [ornstein.load(runs.folder / name).sample(2, steps=2).tensor for name in ("on-4", "alone")]
    runs.report["loaded"] = float((samples[0] - samples[1]).abs().max())
    hashes = [ornstein.load(runs.folder / name).weights["hash"] for name in ("half", "on-4")]
    runs.report["hashes"] = hashes


def rest(runs: Runs) -> None:
    """Other ways to go on, kills inside of a write, a full disk, a flipped bit, averages of any width."""
    runs.begin("unbroken", 2)
    runs.resume("on-2", "half", 2)
    runs.resume("undivided", "half", 2, divided=False)
    runs.begin("plain", 1, HALF)
    runs.resume("divided", "plain", 2)
    for doom in ("rows", "hash"):
        runs.resume(doom, "half", 2, doom=doom)
        runs.report[f"{doom} left"] = runs.aside(doom)
        runs.report[f"{doom} killed"] = runs.report[doom] is None
        runs.report[doom] = start(runs.folder / doom, 2, STEPS)
        runs.report[f"{doom} cleared"] = runs.aside(doom) == []
    for name in ("on-2", "rows", "hash"):
        runs.compare(name, "unbroken")
    for name in ("undivided", "divided"):
        runs.compare(name, "alone")
    runs.resume("full", "half", 2, doom="full")
    shutil.copytree(runs.folder / "on-2", runs.folder / "torn")
    shard = sorted((checkpoints(runs.folder / "torn")[-1] / checkpoint.SHARDS).iterdir())[-1]
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    runs.report["torn"] = start(runs.folder / "torn", 2, STEPS)
    averages = [reconstruct(runs.folder / name, 0.15).tensors for name in ("on-2", "alone")]
    runs.report["averages"] = max(float((averages[0][k] - v).abs().max()) for k, v in averages[1].items())


def main(folder: Path, everything: bool) -> dict[str, Any]:
    """All the runs, and what they have in common."""
    torch.set_num_threads(1)
    runs = Runs(folder)
    few(runs)
    if everything:
        rest(runs)
    return runs.report


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2:] == ["all"])))
