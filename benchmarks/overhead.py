"""What a sampler costs beside its network: processor time per step, ours and diffusers', against a U-Net of 1.6 M parameters.

    python benchmarks/overhead.py [--rounds 40] [--steps 20] [--out benchmarks/results/overhead.csv]

A run of ``simulate`` at batch 1 with a trivial network, which returns a tensor that lies ready, is all overhead: the process,
the parametrisation, the coefficients, the step and the check for numbers that are not finite. The same loop around diffusers'
scheduler (scale_model_input, step) is its overhead. The share is of the U-Net's own time on one image of 32 x 32, called
alone. All are timed in turn, by the thread's processor time, so that other work on the machine moves none of them more than
the others; quoted are medians over the rounds. The real network through ``simulate``, less its own time, checks the
subtraction: that difference is small beside what it is a difference of, and noisy.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from csv_rows import write_rows
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.rng import Rng
from ornstein.denoisers import Preconditioned
from ornstein.interop.diffusers import scheduler
from ornstein.networks.mp_unet import MPUNet
from ornstein.samplers import get, simulate
from ornstein.samplers.grids import get_grid

ROOT = Path(__file__).resolve().parents[1]
PAIRS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {"clip_sample": False}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {"solver_order": 3}),
    "lms": ("LMSDiscreteScheduler", {}),
    "deis log_rho": ("DEISMultistepScheduler", {"solver_order": 3}),
}
"""Ours, and diffusers' scheduler of the same method."""


class Trivial(nn.Module):
    """Returns a tensor that lies ready."""

    def __init__(self, like: Tensor):
        super().__init__()
        self.out = torch.zeros_like(like)

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        return self.out


class Real(nn.Module):
    """A U-Net of 1.6 M parameters."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = MPUNet(channels=3, widths=(32, 58, 66), blocks=2, attention=(2,), head=66)

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        return self.net(x, t / 1000)


def of_ours(name: str, network: nn.Module, x: Tensor, steps: int) -> Callable[[], None]:
    """A run of ours on DDPM's table."""
    s = scheduler({"_class_name": "DDIMScheduler", "clip_sample": False})
    denoiser = Preconditioned(network, s.process, s.parametrization)
    grid, rng = get_grid("uniform")(s.process, steps, None, None), Rng([0])
    own, _, variant = name.partition(" ")
    sampler = get(own, options={"variant": variant} if variant else None)(denoiser)

    def run() -> None:
        simulate(sampler, x, grid, rng)

    return run


def of_theirs(name: str, options: dict[str, Any], network: nn.Module, x: Tensor, steps: int) -> Callable[[], None]:
    """A pipeline's loop around one of diffusers' schedulers."""
    import diffusers

    s = getattr(diffusers, name)(**options)

    def run() -> None:
        s.set_timesteps(steps)
        y = x * s.init_noise_sigma
        for t in s.timesteps:
            y = s.step(network(s.scale_model_input(y, t), t.reshape(1)), t, y).prev_sample

    return run


def spent(run: Callable[[], None]) -> float:
    """The thread's processor time, in milliseconds."""
    start = time.thread_time_ns()
    run()
    return (time.thread_time_ns() - start) / 1e6


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "overhead.csv")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # diffusers' own, on options
    x, steps = torch.randn(1, 3, 32, 32), args.steps
    real, trivial, t = Real().eval(), Trivial(x), torch.tensor([500.0])
    parameters = sum(p.numel() for p in real.parameters())

    def alone() -> None:
        for _ in range(steps):
            real(x, t)

    runs: dict[str, Callable[[], None]] = {"network": alone}
    for name, (peer, options) in PAIRS.items():
        runs[f"ours {name}"] = of_ours(name, trivial, x, steps)
        runs[f"theirs {name}"] = of_theirs(peer, options, trivial, x, steps)
    runs["through ddim"] = of_ours("ddim", real, x, steps)
    times: dict[str, list[float]] = {key: [] for key in runs}
    with torch.inference_mode():
        for run in runs.values():
            run()
        for _ in range(args.rounds):
            for key, run in runs.items():
                times[key].append(spent(run) / steps)
    median = {key: statistics.median(values) for key, values in times.items()}
    net = median["network"]
    through = statistics.median(b - a for a, b in zip(times["network"], times["through ddim"], strict=True))
    print(f"a U-Net of {parameters / 1e6:.2f} M parameters: {net:.2f} ms a step; ddim around it adds {through:.3f} ms")
    rows: list[dict[str, str]] = []
    for name, (peer, _) in PAIRS.items():
        a, b = median[f"ours {name}"], median[f"theirs {name}"]
        rows.append(
            {"sampler": name, "ms": f"{a:.4f}", "share": f"{a / net:.4f}", "diffusers": peer}
            | {"diffusers_ms": f"{b:.4f}", "network_ms": f"{net:.3f}", "parameters": str(parameters)}
        )
        print(f"{name:12} {a:.3f} ms ({a / net:.1%}), {peer} {b:.3f} ms ({b / net:.1%})")
    write_rows(args.out, rows)


if __name__ == "__main__":
    main()
