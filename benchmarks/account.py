r"""Where the time of a network goes: operations counted, time of each part, and the share of what this machine can do.

    python benchmarks/account.py [--threads 2] [--repeats 7] [--networks unet unet-36m dit mlp] [--precision fp32 bf16]

For each network, a sampling step (forward pass) and a training step (forward, backward, clipping, AdamW) are timed, medians
of the repeats; floating-point operations are counted by PyTorch's counter (two to a multiply-add; products and convolutions
only); a profiled step is divided among kinds of kernels. Beside them stand what this machine reaches in a product of two
matrices of 2048 x 2048 and in a 3 x 3 convolution of 64 channels at 32 x 32, at either precision.

Peers' networks of equal parameters (diffusers) stand beside ours. Writes ``benchmarks/results/account.csv``, a row for each
network, task and precision, and ``account_machine.csv``.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from ornstein.networks import MLP, DiT, MPUNet
from ornstein.networks.presets import ddpm_cifar10

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


def networks() -> dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]]:
    """Makers of networks, the shape of one input, and the batch."""
    return {
        "unet": (lambda: MPUNet(channels=3, widths=(32, 60, 68), blocks=2, attention=(2,), head=68), (3, 32, 32), 64),
        "unet, patch 2": (
            lambda: MPUNet(channels=3, widths=(48, 84), blocks=2, attention=(), patch=2),
            (3, 32, 32),
            64,
        ),
        "unet-36m": (lambda: ddpm_cifar10(conditions=()), (3, 32, 32), 4),
        "dit": (lambda: DiT(channels=4, width=384, depth=12, head=64), (4, 32, 32), 8),
        "mlp": (lambda: MLP(size=64, width=256, depth=4), (64,), 1024),
    }


def _diffusers_unet() -> nn.Module:
    from peers import DiffusersUNet

    return _Diffusers()


def _diffusers_dit() -> nn.Module:
    from diffusers import DiTTransformer2DModel

    class Net(nn.Module):
        """Behind our calling convention; its labels are all class 0."""

        def __init__(self) -> None:
            super().__init__()
            self.net = DiTTransformer2DModel(
                num_attention_heads=6,
                attention_head_dim=64,
                in_channels=4,
                out_channels=4,
                num_layers=12,
                sample_size=32,
                patch_size=2,
                num_embeds_ada_norm=10,
            )

        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            labels = torch.zeros(len(x), dtype=torch.long)
            return self.net(x, timestep=(1000 * t).long(), class_labels=labels).sample

    return Net()


def peers() -> dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]]:
    """The same work by diffusers."""
    return {
        "unet, diffusers": (_diffusers_unet, (3, 32, 32), 64),
        "dit, diffusers": (_diffusers_dit, (4, 32, 32), 8),
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


def write(path: Path, rows: list[dict[str, object]]) -> None:
    """As CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


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
    write(args.out / "account_machine.csv", [{"what": k, "gflop_per_s": round(v)} for k, v in machine.items()])
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
                write(args.out / "account.csv", rows)


if __name__ == "__main__":
    main()
