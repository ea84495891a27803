r"""Where the time of a network goes: operations counted, time of each part, and the share of what this machine can do.

    python benchmarks/account.py [--threads 2] [--repeats 7] [--networks unet unet-36m dit series text mlp] [--precision fp32]

For each network, a sampling step (forward pass) and a training step (forward, backward, clipping, AdamW) are timed, medians
of the repeats; floating-point operations are counted by PyTorch's counter (two to a multiply-add; products and convolutions
only); a profiled step is divided among kinds of kernels. Beside them stand what this machine reaches in a product of two
matrices of 2048 x 2048 and in a 3 x 3 convolution of 64 channels at 32 x 32, at either precision.

Peers' networks of equal parameters (diffusers) stand beside ours. Writes ``benchmarks/results/account.csv``, a row for each
network, task and precision, and ``account_machine.csv``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from csv_rows import merge_rows, write_rows
from peers import DiffusersDiT, DiffusersUNet, mp_unet
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from ornstein.core.conditions import TextCondition
from ornstein.networks import MLP, DiT
from ornstein.networks.presets import ddpm_cifar10
from ornstein.networks.series.structured import StructuredStateSpace

RESULTS = Path(__file__).resolve().parent / "results"
KINDS: dict[str, tuple[str, ...]] = {
    "convolution": ("conv",),
    "matrix products": ("mm", "bmm", "addmm", "linear", "baddbmm"),
    "attention": ("scaled_dot_product", "flash_attention", "softmax"),
    "norms": ("norm", "layer_norm", "group_norm"),
    "copies": ("copy_", "cat", "clone", "contiguous", "_to_copy", "pixel_shuffle", "upsample", "avg_pool"),
    "optimiser": ("_foreach", "adam", "Adam", "clip"),
}
"""The first kind of which a word occurs in a kernel's name has its time; the rest is called pointwise."""


DDPM_DIFFUSERS = partial(DiffusersUNet, (128, 256, 256, 256), (1,), 32, 256)
"""The layout of DDPM's network for CIFAR-10, 36 M parameters, attention at 16 x 16 with one head."""


def _reader() -> nn.Module:
    """A transformer on latents that attends to a text of 77 tokens."""
    net = DiT(channels=4, width=384, depth=12, head=64, conditions=(TextCondition("text", 512),))
    return Told(net, {"text": (77, 512)})


class Told(nn.Module):
    """A network with conditions drawn once, behind the convention (x, t) -> out."""

    def __init__(self, network: nn.Module, shapes: Mapping[str, tuple[int, ...]]):
        super().__init__()
        self.network, self.shapes = network, dict(shapes)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        cond = {name: torch.randn((len(x), *shape), generator=generator) for name, shape in self.shapes.items()}
        return self.network(x, t, cond)


def networks() -> dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]]:
    """Makers of networks, the shape of one input, and the batch."""
    return {
        "unet": (partial(mp_unet, 1), (3, 32, 32), 64),
        "unet, patch 2": (partial(mp_unet, 2), (3, 32, 32), 64),
        "unet-36m": (lambda: ddpm_cifar10(conditions=()), (3, 32, 32), 4),
        "dit": (lambda: DiT(channels=4, width=384, depth=12, head=64), (4, 32, 32), 8),
        "series": (lambda: StructuredStateSpace(8, width=64, layers=4), (8, 128), 16),
        "text": (_reader, (4, 32, 32), 8),
        "mlp": (lambda: MLP(size=64, width=256, depth=4), (64,), 1024),
    }


def peers() -> dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]]:
    """The same work by diffusers."""
    return {
        "unet, diffusers": (DiffusersUNet, (3, 32, 32), 64),
        "unet, diffusers, one head": (partial(DiffusersUNet, head=None), (3, 32, 32), 64),
        "unet-36m, diffusers": (DDPM_DIFFUSERS, (3, 32, 32), 4),
        "dit, diffusers": (DiffusersDiT, (4, 32, 32), 8),
    }


def median_seconds(step: Callable[[], object], repeats: int) -> float:
    """Of so many calls, after one that does not count."""
    step()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def peaks(repeats: int) -> dict[str, float]:
    """GFLOP/s of this machine in products and convolutions."""
    found: dict[str, float] = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = torch.randn(2048, 2048, dtype=dtype), torch.randn(2048, 2048, dtype=dtype)
        found[f"product, {name}"] = 2 * 2048**3 / median_seconds(lambda a=a, b=b: a @ b, repeats) / 1e9
        x, w = torch.randn(64, 64, 32, 32, dtype=dtype), torch.randn(64, 64, 3, 3, dtype=dtype)
        for layout, memory in (("", torch.contiguous_format), (", channels_last", torch.channels_last)):
            y, v = x.contiguous(memory_format=memory), w.contiguous(memory_format=memory)
            with torch.no_grad():
                seconds = median_seconds(lambda y=y, v=v: torch.conv2d(y, v, padding=1), repeats)
            found[f"convolution, {name}{layout}"] = 2 * 64 * 32**2 * 64 * 64 * 9 / seconds / 1e9
    return found


def steps(net: nn.Module, shape: tuple[int, ...], batch: int, bf16: bool) -> Mapping[str, Callable[[], None]]:
    """A sampling step and a training step."""
    x, t = torch.randn(batch, *shape), torch.rand(batch)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, foreach=True)

    @torch.no_grad()
    def sample() -> None:
        net.eval()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            net(x, t)

    def train() -> None:
        net.train()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            out = net(x, t)
        (out.float()[:, : x.shape[1]] - x).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()

    return {"sample": sample, "train": train}


def kind_of(kernel: str) -> str:
    """Which part of the account a kernel belongs to."""
    return next((kind for kind, words in KINDS.items() if any(w in kernel for w in words)), "pointwise")


def shares(step: Callable[[], None]) -> dict[str, float]:
    """The share of each kind of kernel in the time of a step."""
    with profile(activities=[ProfilerActivity.CPU]) as record:
        step()
    spent = dict.fromkeys((*KINDS, "pointwise"), 0.0)
    for event in record.key_averages():
        spent[kind_of(event.key)] += event.self_cpu_time_total
    total = sum(spent.values())
    return {kind: seconds / total for kind, seconds in spent.items()}


def operations(step: Callable[[], None]) -> float:
    """GFLOP of a step, in products and convolutions."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() / 1e9


def main() -> None:
    """Measure and write."""
    every = {**networks(), **peers()}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--networks", nargs="+", choices=list(every), default=list(every))
    parser.add_argument("--precision", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    machine = peaks(args.repeats)
    write_rows(args.out / "account_machine.csv", [{"what": k, "gflop_per_s": round(v)} for k, v in machine.items()])
    for what, speed in machine.items():
        print(f"{what:36}{speed:8.0f} GFLOP/s", flush=True)
    rows: list[dict[str, object]] = []
    for name in args.networks:
        make, shape, batch = every[name]
        torch.manual_seed(0)
        net = make()
        for precision in args.precision:
            best = max(speed for what, speed in machine.items() if precision in what)
            for task, step in steps(net, shape, batch, precision == "bf16").items():
                seconds, counted = median_seconds(step, args.repeats), operations(step)
                row: dict[str, object] = {
                    "network": name,
                    "parameters": sum(p.numel() for p in net.parameters()),
                    "batch": batch,
                    "task": task,
                    "precision": precision,
                    "gflop": round(counted, 1),
                    "ms": round(1000 * seconds, 1),
                    "gflop_per_s": round(counted / seconds),
                    "of_peak": round(counted / seconds / best, 3),
                }
                rows.append(row | {kind: round(share, 3) for kind, share in shares(step).items()})
                print(f"{name:18}{precision:6}{task:8}{row['ms']:>9} ms {row['gflop_per_s']:>6} GFLOP/s", flush=True)
                merge_rows(args.out / "account.csv", rows, ("network", "task", "precision"))


if __name__ == "__main__":
    main()
