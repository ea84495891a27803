"""The plan of a long run on many GPUs: memory, communication, data, checkpoints, time.

    python benchmarks/plan_run.py                    # the plan from the stored constants
    python benchmarks/plan_run.py --images 1e7 --gpus 8 --batch 512 --network ddpmpp_cifar10
    python benchmarks/plan_run.py --measure          # count and measure the constants anew

Of the constants some are counted (operations, parameters, bytes kept for the backward pass: the same on every
machine), some are measured on this machine's CPU (preparing images, copying and hashing checkpoints), and some are
assumed (what a GPU, its links and the disk do); the plan says which. ``--rate`` takes the images a second of one GPU
from a short run in place of the assumption.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from csv_rows import read_rows, write_rows
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from ornstein.data import EDMAugment, Images, Loader
from ornstein.networks import presets
from ornstein.training.checkpoint import load_checkpoint, save_checkpoint
from ornstein.training.regions import blocks, recomputing

GB = 1e9
EVERY = 300
"""Seconds between checkpoints."""

FILE = Path("benchmarks/results/plan_constants.csv")
NETWORKS = {"adm_imagenet64": 64, "ddpmpp_cifar10": 32}
"""Networks that are counted, and the side of their images."""

ASSUMED = {
    "peak": (989e12, "bf16 operations a second of one GPU: the data sheet of an H100 SXM"),
    "utilisation": (0.35, "share of the peak that convolutions of this kind reach; measure it with a short run"),
    "link": (50e9, "bytes a second to and from each GPU between machines: 400 Gb/s"),
    "memory": (80e9, "bytes of one GPU"),
    "cores": (8, "CPU cores for each GPU"),
    "disk": (1e9, "bytes a second that one machine writes to the shared folder, or reads from it"),
    "machine": (8, "GPUs in one machine"),
}

STATE = {"weights": 4, "gradient": 4, "Adam, two moments": 8, "average by half-life": 4}
"""Bytes for each parameter; each average that ``--snapshots`` keeps is 4 more."""


def network(name: str) -> nn.Module:
    """Untrained."""
    build: Any = getattr(presets, name)
    return build() if name == "adm_imagenet64" else build(channels=3)


def counted(name: str, side: int) -> dict[str, float]:
    """Parameters, operations of a forward pass, and bytes that it keeps for the backward pass, of one image."""
    with FakeTensorMode():
        net = network(name).train()
        x, t = torch.zeros(1, 3, side, side), torch.zeros(1)
        counter = FlopCounterMode(display=False)
        with counter, torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            net(x, t)
        kept = saved_bytes(net, x, t)
        with recomputing(blocks(net)):
            again = saved_bytes(net, x, t)
        return {
            "parameters": float(sum(p.numel() for p in net.parameters())),
            "operations": float(counter.get_total_flops()),
            "activations": kept,
            "activations recomputed": again,
        }


def saved_bytes(net: nn.Module, x: Tensor, t: Tensor) -> float:
    """Bytes of the tensors that autograd keeps, parameters left out, each storage once."""
    own = {id(p.untyped_storage()) for p in net.parameters()}
    kept: dict[int, Any] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if id(storage) not in own:
            kept[id(storage)] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        net(x.clone().requires_grad_(), t)
    return float(sum(storage.nbytes() for storage in kept.values()))


def loader_rate(side: int, augment: bool) -> float:
    """Images a second of the loader on one core, from memory; of processor time, which the machine's other work does not move."""
    rng = np.random.default_rng(0)
    images = Images(rng.integers(0, 256, (4096, 3, side, side), dtype=np.uint8))
    stream = iter(Loader(images, 64, 0, augment=EDMAugment(0.12) if augment else None))
    next(stream)
    rates = []
    for _ in range(5):
        begin = time.process_time()
        for _ in range(10):
            next(stream)
        rates.append(640 / (time.process_time() - begin))
    return statistics.median(rates)


def checkpoint_rates(megabytes: int = 256) -> tuple[float, float]:
    """Bytes for each second of processor time in writing a checkpoint (copied, hashed) and in reading one."""
    tensors = {str(i): torch.randn(megabytes * 250_000 // 4) for i in range(4)}
    with tempfile.TemporaryDirectory(dir=".") as folder:
        begin = time.process_time()
        path = save_checkpoint(Path(folder) / "step-1", {"model": tensors}, {})
        wrote = time.process_time() - begin
        begin = time.process_time()
        load_checkpoint(path)
        read = time.process_time() - begin
    return megabytes * 1e6 / wrote, megabytes * 1e6 / read


def measure(path: Path) -> None:
    """Write the constants."""
    torch.set_num_threads(1)
    rows: list[tuple[str, str, float, str]] = []
    for name, side in NETWORKS.items():
        rows += [(name, what, value, "counted") for what, value in counted(name, side).items()]
    how = f"measured on one core, {platform.machine()}, processor time"
    for side in sorted(set(NETWORKS.values())):
        rows += [
            (f"side {side}", "loader", loader_rate(side, False), how),
            (f"side {side}", "loader, augmented", loader_rate(side, True), how),
        ]
    write, read = checkpoint_rates()
    rows += [("checkpoint", "write", write, how), ("checkpoint", "read", read, how)]
    write_rows(path, [{"of": a, "what": b, "value": f"{value:.5g}", "how": c} for a, b, value, c in rows])


def constants(path: Path) -> dict[tuple[str, str], float]:
    """As stored."""
    return {(row["of"], row["what"]): float(row["value"]) for row in read_rows(path)}


@dataclass(frozen=True)
class Plan:
    """A run: what is wanted, and the constants."""

    images: float
    gpus: int
    batch: int
    network: str
    side: int
    snapshots: bool
    known: dict[tuple[str, str], float]
    rate: float | None = None

    def of(self, what: str) -> float:
        """A counted constant of the network."""
        return self.known[self.network, what]

    @property
    def steps(self) -> float:
        """Of training."""
        return self.images / self.batch

    @property
    def share(self) -> float:
        """Images of a GPU in a step."""
        return self.batch / self.gpus

    @property
    def state(self) -> float:
        """Bytes of weights, gradients, optimiser and averages."""
        return self.of("parameters") * (sum(STATE.values()) + 8 * self.snapshots)

    def compute(self, recompute: bool) -> float:
        """Seconds of a step without communication: a backward pass is two forward passes, a recomputed one three."""
        if self.rate is not None:
            return self.share / self.rate
        operations = self.of("operations") * (4 if recompute else 3) * self.share
        return operations / (ASSUMED["peak"][0] * ASSUMED["utilisation"][0])

    def step(self, sharded: bool) -> float:
        """Seconds of a step: computing, then sending."""
        return self.compute(False) + self.sent(sharded) / ASSUMED["link"][0]

    def sent(self, sharded: bool) -> float:
        """Bytes that a GPU sends in a step: a ring's all-reduce of the gradients; or two all-gathers and a reduce-scatter."""
        around = (self.gpus - 1) / self.gpus
        return (3 if sharded else 2) * around * 4 * self.of("parameters")

    @property
    def checkpoint(self) -> float:
        """Bytes: all of the state but the gradient."""
        return self.state - 4 * self.of("parameters")

    def rows(self) -> list[tuple[str, str]]:
        """The plan."""
        return [*self._memory(), *self._step(), *self._data(), *self._disk()]

    def _memory(self) -> list[tuple[str, str]]:
        kept, again = (self.of(what) * self.share / GB for what in ("activations", "activations recomputed"))
        size = f"{self.of('parameters') / 1e6:.1f} M parameters"
        return [
            ("run", f"{self.images:.0e} images: {self.steps:,.0f} steps of {self.batch} on {self.gpus} GPUs"),
            ("network", f"{self.network}, {size}, {self.of('operations') / 1e9:.0f} G operations forward"),
            ("memory, weights to averages", f"{self.state / GB:.2f} GB; sharded {self.state / self.gpus / GB:.3f} GB"),
            ("memory, activations", f"{kept:.1f} GB for {self.share:g} images; with --recompute {again:.1f} GB"),
            ("memory, one GPU has", f"{ASSUMED['memory'][0] / GB:.0f} GB"),
        ]

    def _step(self) -> list[tuple[str, str]]:
        compute, again = (f"{1000 * self.compute(r):.0f} ms" for r in (False, True))
        sent = [
            f"{self.sent(s) / GB:.2f} GB in {1000 * self.sent(s) / ASSUMED['link'][0]:.0f} ms" for s in (False, True)
        ]
        hours = [self.steps * self.step(s) / 3600 for s in (False, True)]
        return [
            ("step, computing", f"{compute}; with --recompute {again}"),
            ("step, sending", f"{sent[0]}; sharded {sent[1]}"),
            ("time", f"{hours[0]:.2f} h; sharded {hours[1]:.2f} h (sending counted in full, not hidden by computing)"),
        ]

    def _data(self) -> list[tuple[str, str]]:
        wanted = self.batch / self.step(False)
        pixels = 3 * self.side**2
        plain, augmented = (self.known[f"side {self.side}", what] for what in ("loader", "loader, augmented"))
        each = wanted / self.gpus
        return [
            (
                "data, wanted",
                f"{wanted:,.0f} images/s, {each:,.0f} for each GPU, {wanted * pixels / 1e6:.0f} MB/s from the cache",
            ),
            ("data, one core gives", f"{plain:,.0f} images/s; augmented {augmented:,.0f}"),
            (
                "data, cores for each GPU",
                f"{each / plain:.3f}; augmented {each / augmented:.2f}; it has {ASSUMED['cores'][0]}",
            ),
        ]

    def _disk(self) -> list[tuple[str, str]]:
        disk, machines = ASSUMED["disk"][0], self.gpus / ASSUMED["machine"][0]
        write, read = (1 / self.known["checkpoint", what] + 1 / disk for what in ("write", "read"))
        one = self.checkpoint * write
        # Each process copies and hashes its own rows; those of a machine share its disk.
        all_ = self.checkpoint * (1 / self.known["checkpoint", "write"] / self.gpus + 1 / disk / max(machines, 1))
        return [
            ("checkpoint", f"{self.checkpoint / GB:.2f} GB"),
            ("checkpoint, written by one", f"{one:.0f} s, {100 * one / EVERY:.1f} % of the time at one in 5 minutes"),
            ("checkpoint, written by all", f"{all_:.1f} s, {100 * all_ / EVERY:.2f} % (sharded)"),
            ("checkpoint, read by one", f"{self.checkpoint * read:.0f} s"),
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=float, default=1e8)
    parser.add_argument("--gpus", type=int, default=64)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--network", choices=tuple(NETWORKS), default="adm_imagenet64")
    parser.add_argument("--snapshots", action="store_true", help="two averages more")
    parser.add_argument("--rate", type=float, help="images a second of one GPU, measured")
    parser.add_argument("--measure", action="store_true", help="write the constants anew")
    parser.add_argument("--constants", type=Path, default=FILE)
    args = parser.parse_args()
    if args.measure:
        measure(args.constants)
    side = NETWORKS[args.network]
    known = constants(args.constants)
    plan = Plan(args.images, args.gpus, args.batch, args.network, side, args.snapshots, known, args.rate)
    for name, text in plan.rows():
        print(f"{name:36} {text}")
    print("\nassumed:")
    for name, (value, why) in ASSUMED.items():
        print(f"{name:36} {value:g}: {why}")
    print("counted or measured: see", args.constants)


if __name__ == "__main__":
    main()
