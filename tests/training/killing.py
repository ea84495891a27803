"""A run that is killed again and again, against one that is not. Started by test_kill.py as a program of its own.

    python tests/training/killing.py FOLDER KILLS SEED

Every session of the run is a fork of this process, which has imported what a session needs; it is ended by SIGKILL, so
nothing of it survives but what is on the disk. The last line printed is a report in JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.utils.tensorboard  # slow: once, before the forks

from ornstein.data import Images
from ornstein.recipes.house import train
from ornstein.training import checkpoint
from ornstein.training.checkpoint import checkpoints, latest_checkpoint, load_checkpoint
from ornstein.training.progress import Progress
from ornstein.training.snapshots import snapshots

MODES = ("write", "write", "half a file", "any time", "damage")
"""Where a session dies: at an operation on a checkpoint's files, with half a file written, wherever it is after some time;
"damage" also spoils the newest checkpoint afterwards, as a power cut may."""
PER_KILL = 6  # steps of training for each kill


def images() -> Images:
    """Pictures in two classes."""
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    return Images(rng.integers(0, 255, (40, 1, 8, 8), dtype=np.uint8), y, ("a", "b"), "noise")


def session(run: Path, steps: int, on_step: Callable[[Progress], None]) -> list[str]:
    """Train to the end, with a checkpoint at every step.

    Two workers shuffle and mirror; dropout, dropped labels, warm-up, averages and snapshots are in use.
    """
    settings = {"widths": "16,16", "blocks": 1, "batch": 8, "flip": True, "dropout": 0.2, "cond_dropout": 0.3}
    settings |= {"lr": 1e-3, "warmup": 20, "decay": "inverse_sqrt", "decay_steps": 30}
    losses = (run.parent / f"{run.name}.losses").open("a")

    def note(progress: Progress) -> None:
        losses.write(f"{progress.step} {progress.loss.hex()}\n")
        losses.flush()
        on_step(progress)

    _, result = train(
        "edm",
        data=images(),
        out=run,
        settings=settings,
        steps=steps,
        seed=5,
        save_seconds=0,
        snapshots=7,
        workers=2,
        on_step=note,
    )
    return list(result.notes)


def die() -> None:
    """As by a power switch."""
    os.kill(os.getpid(), signal.SIGKILL)


class Doom:
    """Ends this process at a drawn point, after ``steps`` steps."""

    def __init__(self, mode: str, steps: int, draw: random.Random, pipe: int, run: Path):
        self.mode, self.left, self.pipe, self.run = mode, steps, pipe, run
        self.count = draw.randrange(1, 90) if mode == "write" else draw.randrange(1, 6)
        self.armed = False
        sys.addaudithook(self.audit)

    def on_step(self, progress: Progress) -> None:
        """One step less to live."""
        self.left -= 1
        if self.left == 0:
            self.armed = True
            os.write(self.pipe, b"!")
            if self.mode == "half a file":
                self.tear()

    def audit(self, event: str, words: tuple[Any, ...]) -> None:
        """Called by the interpreter at every operation on files."""
        if self.armed and self.mode == "write" and (event in ("open", "shutil.rmtree") or event.startswith("os.")):
            if not any(isinstance(w, str | Path) and ("step-0" in str(w)) for w in words):
                return
            self.count -= 1
            if self.count == 0:
                die()

    def tear(self) -> None:
        """The next files are written whole until the drawn one, of which a part is written."""
        whole = checkpoint.save_file

        def half(tensors: dict[str, torch.Tensor], path: Path) -> None:
            whole(tensors, path)
            self.count -= 1
            if self.count <= 0:
                os.truncate(path, path.stat().st_size // 2)
                die()

        checkpoint.save_file = half


def killed(run: Path, steps: int, mode: str, live: int, draw: random.Random) -> tuple[bool, list[str]]:
    """Fork a session and let it die; whether it did (rather than come to its end), and its notes if it came to its end."""
    reading, writing = os.pipe()
    seed = draw.random()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            warnings.simplefilter("ignore")
            doom = Doom(mode, live, random.Random(seed), writing, run)
            notes = session(run, steps, doom.on_step)
            (run.parent / "notes.json").write_text(json.dumps(notes))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writing)
    if mode in ("any time", "damage") and os.read(reading, 1):  # nothing where it ended first
        time.sleep(draw.random() * 0.08)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(reading)
    if os.WIFSIGNALED(status):
        return True, []
    if os.WEXITSTATUS(status):
        raise SystemExit("a session failed")
    return False, json.loads((run.parent / "notes.json").read_text())


def damage(run: Path, draw: random.Random) -> str | None:
    """Spoil a file of the newest of several checkpoints: cut it, or flip a bit of it."""
    found = checkpoints(run)
    if len(found) < 2:
        return None
    file = draw.choice(sorted(found[-1].iterdir()))
    data = bytearray(file.read_bytes())
    if draw.random() < 0.5 or file.suffix == ".json":
        data = data[: draw.randrange(len(data))]
    else:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    file.write_bytes(data)
    return found[-1].name


def losses_of(run: Path) -> dict[int, set[str]]:
    """Every value that any session had for the loss of a step; a half-written last line is left out."""
    out: dict[int, set[str]] = {}
    for line in (run.parent / f"{run.name}.losses").read_text().splitlines():
        step, _, value = line.partition(" ")
        if "p" in value:
            out.setdefault(int(step), set()).add(value)
    return out


def state_of(run: Path) -> dict[str, torch.Tensor]:
    """The last checkpoint and all snapshots, every tensor."""
    folders = [checkpoints(run)[-1], *snapshots(run)]
    return {
        f"{folder.name}/{part}/{name}": value
        for folder in folders
        for part, tensors in load_checkpoint(folder).parts.items()
        for name, value in tensors.items()
    }


def records_of(run: Path) -> list[dict[str, float]]:
    """The metrics, without what the clock gave."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "images_per_second")} for line in lines]


def main(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """The two runs, and what they have in common."""
    torch.set_num_threads(1)
    draw = random.Random(seed)
    steps = PER_KILL * kills
    whole, broken = folder / "whole", folder / "broken"
    session(folder / "imports", 1, lambda progress: None)
    if os.fork() == 0:
        session(whole, steps, lambda progress: None)
        os._exit(0)
    os.wait()
    report: dict[str, Any] = {"kills": 0, "inside_a_write": 0, "damaged": 0, "named": 0, "modes": {}}
    while True:
        mode = draw.choice(MODES) if report["kills"] < kills else "none"
        died, notes = killed(broken, steps, mode, draw.randrange(1, 4), draw)
        if not died:
            report["notes"] = notes
            break
        report["kills"] += 1
        report["modes"][mode] = report["modes"].get(mode, 0) + 1
        rooms = [broken / "checkpoints", broken / "snapshots"]
        report["inside_a_write"] += any(p.suffix for room in rooms if room.is_dir() for p in room.iterdir())
        if mode == "damage" and (spoilt := damage(broken, draw)):
            report["damaged"] += 1
            taken, torn = latest_checkpoint(broken)
            report["named"] += len(torn) == 1 and spoilt in torn[0] and taken is not None
    a, b = state_of(whole), state_of(broken)
    wanted, found = losses_of(whole), losses_of(broken)
    report["steps"] = steps
    report["repeated_steps"] = sum(1 for _ in (folder / "broken.losses").open()) - len(found)
    report["losses_equal"] = wanted == found and len(wanted) == steps and all(len(v) == 1 for v in wanted.values())
    report["weights_equal"] = a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    report["tensors"] = len(a)
    report["records_equal"] = records_of(whole) == records_of(broken)
    report["left_over"] = sorted(p.name for room in ("checkpoints", "snapshots") for p in (broken / room).glob("*.*"))
    return report


if __name__ == "__main__":
    begin = time.monotonic()
    result = main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps(result | {"seconds": round(time.monotonic() - begin, 1)}))
