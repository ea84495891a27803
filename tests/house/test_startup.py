"""What `import ornstein` and `ornstein --help` cost."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

from house.tree import environment

HEAVY = (
    "torchvision",
    "diffusers",
    "transformers",
    "gradio",
    "matplotlib",
    "scipy",
    "sklearn",
    "torchmetrics",
    "tensorboard",
)


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def seconds(code: str, repeats: int) -> float:
    """Processor seconds of a fresh interpreter, the least of some runs after a warm-up.

    Not wall time: that would measure what else the machine is doing.
    """
    run(code)
    taken = []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(code)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(taken)


def test_import_loads_nothing_heavy() -> None:
    loaded = set(json.loads(run("import sys, json, ornstein; print(json.dumps(list(sys.modules)))")))
    assert not loaded & set(HEAVY)


def test_import_is_fast() -> None:
    assert seconds("import ornstein", repeats=2) < 2.0


def test_help_is_fast() -> None:
    code = "import sys; sys.argv = ['ornstein', '--help']; from ornstein.cli import main; sys.exit(main())"
    assert seconds(code, repeats=3) < 0.5
