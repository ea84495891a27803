"""One network, one first state, one stream of noise, through diffusers' scheduler and through ours."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import diffusers
import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.shapes import expand
from ornstein.denoisers import Preconditioned
from ornstein.interop.diffusers import scheduler
from ornstein.samplers import simulate
from ornstein.samplers.base import Step


class Wave(nn.Module):
    """A smooth network of x and of the time step; its output stays of order one. ``variance`` doubles its channels."""

    def __init__(self, variance: str | None = None):
        super().__init__()
        self.variance = variance

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        t = expand(t.to(x), x).to(x.dtype)
        mean = torch.tanh(0.7 * x + 0.4 * x.roll(1, -1) + torch.sin(t / 150)) * (1 + 0.2 * torch.cos(t / 90))
        if self.variance not in ("learned", "learned_range"):
            return mean
        raw = torch.sin(2 * x + t / 40)
        return torch.cat([mean, raw if self.variance == "learned_range" else 0.1 * raw**2], 1)


class Tape:
    """The same noise for both: draw number k is a function of k."""

    def __init__(self) -> None:
        self.drawn = 0

    def next(self, like: Tensor) -> Tensor:
        self.drawn += 1
        return torch.randn(like.shape, generator=torch.Generator().manual_seed(1000 + self.drawn))

    normal_like = next

    def between(self, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """The noise of a step."""
        return self.next(x)


def first(shape: tuple[int, ...] = (2, 3, 4, 4)) -> Tensor:
    """The first noise."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))


def theirs(config: Mapping[str, Any], steps: int, monkeypatch: Any, **call: Any) -> list[tuple[float, Tensor]]:
    """(sigma reached, state) after each call of diffusers' ``step``; sigma is nan where the scheduler keeps none."""
    kind = getattr(diffusers, config["_class_name"])
    tape = Tape()
    module = __import__(kind.__module__, fromlist=["x"])
    if hasattr(module, "randn_tensor"):
        monkeypatch.setattr(module, "randn_tensor", lambda shape, **_: tape.next(torch.empty(shape)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        s = kind.from_config({k: v for k, v in config.items() if not k.startswith("_")})
        s.set_timesteps(steps, **call.pop("set_timesteps", {}))
        if config.get("_exact"):
            # Its coefficients cancel in float32: the levels as it has them, the arithmetic in float64.
            for name in ("sigmas", "alphas_cumprod", "final_alpha_cumprod", "initial_alpha_cumprod"):
                if hasattr(s, name):
                    setattr(s, name, getattr(s, name).double())
        x = first() * float(getattr(s, "init_noise_sigma", 1.0))
        out = []
        network = Wave(config.get("variance_type"))
        for i, t in enumerate(s.timesteps):
            scaled = s.scale_model_input(x, t) if hasattr(s, "scale_model_input") else x
            x = s.step(network(scaled, t.reshape(1).expand(len(x))), t, x, **call).prev_sample
            sigma = float(s.sigmas[i + 1]) if hasattr(s, "sigmas") and i + 1 < len(s.sigmas) else float("nan")
            out.append((sigma, x))
    return out


def ours(config: Mapping[str, Any], steps: int, **options: Any) -> list[tuple[float, Tensor]]:
    """(alpha reached, state) after each of our steps."""
    s = scheduler(config, **options)
    plan = s.plan(steps)
    denoiser = Preconditioned(Wave(config.get("variance_type")), s.process, plan.parametrization or s.parametrization)
    out: list[tuple[float, Tensor]] = []

    def keep(step: Step[Tensor]) -> None:
        out.append((float(s.process.alpha(step.s.flatten()[:1])), step.x))

    simulate(plan.sampler(denoiser), first() * s.start(float(plan.grid[0])), plan.grid, Tape(), NO_COND, keep)  # type: ignore[arg-type]
    return out


def difference(a: Tensor, b: Tensor) -> float:
    """Largest difference relative to the root mean square."""
    return float((a - b).abs().max() / b.square().mean().sqrt())
