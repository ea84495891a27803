"""Training step and sampling step of our U-Net against two peers of equal parameters, paired in one process.

    python benchmarks/unet_speed.py [--batch 64] [--repeats 7] [--threads 2] [--out benchmarks/results/unet_speed.csv]

Peers: ``diffusers`` (UNet2DModel) and ``denoising-diffusion-pytorch`` (Unet), each about 1.7 M parameters at 32 x 32 x 3,
within 3 % of ours. The second imports torchvision and pytorch-fid for image files and scores only; empty stand-in modules
take their places here, which the CSV says. Each repetition times all systems in turn, so that a drift of the machine's
speed meets all of them; quoted are medians, and the median of the ratios pair by pair.
"""

from __future__ import annotations

import argparse
import csv
import importlib.machinery
import statistics
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ornstein.networks.mp_unet import MPUNet

SIZE, CHANNELS = 32, 3
STAND_IN = "stand-in modules for torchvision and pytorch_fid"
STAND_INS = (
    "torchvision",
    "torchvision.transforms",
    "torchvision.utils",
    "pytorch_fid",
    "pytorch_fid.fid_score",
    "pytorch_fid.inception",
)


class _Diffusers(nn.Module):
    """diffusers' network behind our calling convention."""

    def __init__(self) -> None:
        super().__init__()
        from diffusers import UNet2DModel

        self.net = UNet2DModel(
            sample_size=SIZE,
            in_channels=CHANNELS,
            out_channels=CHANNELS,
            layers_per_block=2,
            block_out_channels=(32, 64, 64),
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            norm_num_groups=8,
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.net(x, t).sample


def _lucidrains() -> nn.Module:
    for name in STAND_INS:
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
    sys.modules["pytorch_fid.fid_score"].calculate_frechet_distance = None  # type: ignore[attr-defined]
    sys.modules["pytorch_fid.inception"].InceptionV3 = None  # type: ignore[attr-defined]
    from denoising_diffusion_pytorch.denoising_diffusion_pytorch import Unet

    return Unet(dim=36, dim_mults=(1, 2, 2), channels=CHANNELS)


def _ours() -> nn.Module:
    return MPUNet(channels=CHANNELS, widths=(32, 60, 68), blocks=2, attention=(2,), head=68)


def systems() -> dict[str, nn.Module]:
    """diffusers must be built before the stand-ins are in place: it asks for torchvision."""
    return {"diffusers": _Diffusers(), "ornstein": _ours(), "denoising-diffusion-pytorch": _lucidrains()}


def step_of(net: nn.Module, mode: str, train: bool, batch: int) -> Callable[[], None]:
    """One training or sampling step in a mode: fp32, fp32-cl (channels_last), bf16 (autocast), bf16-cl."""
    x, t = torch.randn(batch, CHANNELS, SIZE, SIZE), torch.rand(batch)
    if mode.endswith("-cl"):
        net = net.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    else:
        net = net.to(memory_format=torch.contiguous_format)
    autocast = mode.startswith("bf16")
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, foreach=True)

    def training() -> None:
        net.train()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out = net(x, t)
        (out.float() - x).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()

    @torch.no_grad()
    def sampling() -> None:
        net.eval()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            net(x, t)

    return training if train else sampling


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--modes", nargs="+", default=["fp32", "fp32-cl", "bf16", "bf16-cl"])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/unet_speed.csv"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    nets = systems()
    sizes = {name: sum(p.numel() for p in net.parameters()) for name, net in nets.items()}
    spread = max(abs(n / sizes["ornstein"] - 1) for n in sizes.values())
    if spread > 0.03:
        raise SystemExit(f"parameters differ by {spread:.1%}, more than 3 %: {sizes}")
    rows = []
    for task in ("train", "sample"):
        for mode in args.modes:
            steps = {name: step_of(net, mode, task == "train", args.batch) for name, net in nets.items()}
            times: dict[str, list[float]] = {name: [] for name in nets}
            for repeat in range(args.repeats + 1):
                for name, step in steps.items():
                    begin = time.perf_counter()
                    step()
                    if repeat:  # the first is the warm-up
                        times[name].append(time.perf_counter() - begin)
            for name in nets:
                ratio = statistics.median(o / p for o, p in zip(times["ornstein"], times[name], strict=True))
                row = {
                    "task": task,
                    "mode": mode,
                    "system": name,
                    "parameters": sizes[name],
                    "batch": args.batch,
                    "threads": args.threads,
                    "median_ms": round(1000 * statistics.median(times[name]), 1),
                    "min_ms": round(1000 * min(times[name]), 1),
                    "ours_over_this": round(ratio, 3),
                    "note": STAND_IN if name == "denoising-diffusion-pytorch" else "",
                }
                rows.append(row)
                print(
                    f"{task:7}{mode:9}{name:30}{row['median_ms']:9} ms   ours/this {row['ours_over_this']}", flush=True
                )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with args.out.open("w", newline="") as f:
        writer = csv.DictWriter(f, rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
