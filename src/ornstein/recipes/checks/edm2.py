"""EDM2's claims: layers that keep magnitudes, activations that do not drift, and averages made after training."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.codecs.base import Identity
from ornstein.core.cond import NO_COND, Cond
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import EDMScaling
from ornstein.networks.layers.magnitude import (
    SILU_GAIN,
    MPAttention,
    MPConv,
    MPFourier,
    MPLinear,
    mp_cat,
    pixel_norm,
    sum_weights,
)
from ornstein.networks.mlp import MLP
from ornstein.networks.uncertainty import Uncertainty
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import LogNormalSigma
from ornstein.objectives.uncertain import Uncertain
from ornstein.processes.gaussian import EDM
from ornstein.recipes.check import Check, Condition
from ornstein.recipes.checks.toys import Mixture, Points
from ornstein.training.ema import PowerEMA, gamma_of
from ornstein.training.engine import Engine
from ornstein.training.fit import fit
from ornstein.training.optim import OptimizerSpec
from ornstein.training.posthoc import reconstruct
from ornstein.training.progress import Progress
from ornstein.training.snapshots import Snapshots
from ornstein.training.stage import Stage, Update

STEPS = 2000
BATCH = 128
WANTED = 0.07
DATA = Mixture.ring(radius=0.65, std=0.08)


def layer_spread(seed: int) -> float:
    """The largest deviation from 1 of the standard deviation behind each kind of layer, for inputs of unit variance."""
    torch.manual_seed(seed)
    x, y = torch.randn(64, 64, 8, 8), torch.randn(64, 32, 8, 8)
    keep, add = sum_weights(0.3)
    v = torch.randn(4096, 128)
    with torch.no_grad():
        outs = {
            "conv": MPConv(64, 96, 3)(x)[..., 1:-1, 1:-1],  # without the padding
            "linear": MPLinear(128, 64)(v),
            "silu": F.silu(v) * SILU_GAIN,
            "sum": keep * x + add * torch.randn_like(x),
            "cat": mp_cat(x, y),
            "fourier": MPFourier(256)(torch.randn(4096)),
            "pixel_norm": pixel_norm(3 * x),
            "attention": MPAttention(64, 32, 0.0)(x),
        }
    # SiLU and Fourier features keep the mean square, not the variance: their mean is not 0.
    return max(abs(float((o**2).mean().sqrt()) - 1) for o in outs.values())


@final
class MPNet(nn.Module):
    """A magnitude-preserving perceptron for the plane: three residual blocks of 64 units."""

    def __init__(self, width: int = 64, depth: int = 3):
        super().__init__()
        self.noise, self.emb = MPFourier(width), MPLinear(width, width)
        self.first = MPLinear(3, width)
        self.inner = nn.ModuleList(MPLinear(width, width) for _ in range(depth))
        self.outer = nn.ModuleList(MPLinear(width, width) for _ in range(depth))
        self.last, self.gain = MPLinear(width, 2), nn.Parameter(torch.zeros(()))
        self.keep, self.add = sum_weights(0.3)
        self.magnitude = 0.0

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        emb = F.silu(self.emb(self.noise(t))) * SILU_GAIN
        h = self.first(torch.cat([x, torch.ones_like(x[:, :1])], 1))
        for inner, outer in zip(self.inner, self.outer, strict=True):
            h = F.rms_norm(h, h.shape[1:], eps=1e-4)  # the pixel norm of the paper's encoder
            y = F.silu((inner(F.silu(h) * SILU_GAIN) + emb) / math.sqrt(2)) * SILU_GAIN
            h = self.keep * h + self.add * outer(y)
        self.magnitude = h.detach().square().mean().sqrt().item()
        return self.last(h, self.gain)


def growth(kind: str, seed: int, folder: Path | None = None) -> tuple[float, PowerEMA | None]:
    """Magnitude of the last hidden activations at the end of training over that at its first tenth."""
    torch.manual_seed(seed)
    network = MPNet() if kind == "mp" else MLP(size=2, width=64, depth=3, embedding="fourier")
    seen: list[float] = []
    if isinstance(network, MLP):
        network.last.register_forward_pre_hook(
            lambda _, given: seen.append(given[0].detach().square().mean().sqrt().item())
        )
    denoiser = Preconditioned(network, EDM(), EDMScaling())
    uncertainty = Uncertainty()
    model = nn.ModuleDict({"denoiser": denoiser, "uncertainty": uncertainty})
    tracked = PowerEMA(model, WANTED) if folder is not None else None

    def on_step(progress: Progress) -> None:
        if isinstance(network, MPNet):
            seen.append(network.magnitude)
        if tracked is not None:
            tracked.update(BATCH, progress.seen)

    objective = Uncertain(Denoising(denoiser, Identity(), LogNormalSigma(EDM(), -1.2, 1.2)), uncertainty)
    spec = OptimizerSpec(lr=1e-2 if kind == "mp" else 2e-3, warmup=50, decay="inverse_sqrt", decay_steps=500)
    stage = Stage("points", Points(DATA, BATCH, seed + 1), [Update(objective, list(model.parameters()), spec)], STEPS)
    snapshots = Snapshots(every=STEPS // 8) if folder is not None else None
    fit(model, [stage], Engine(run=folder, seed=seed, ema_half_life=20_000, snapshots=snapshots, on_step=on_step))
    tenth = len(seen) // 10
    early, late = sum(seen[:tenth]) / tenth, sum(seen[-tenth:]) / tenth
    return late / early, tracked


def measure(seed: int) -> dict[str, float]:
    """Spread behind each layer, drift of activations, and the error of an average made afterwards."""
    found = {"layer_spread": layer_spread(seed)}
    widths = torch.linspace(0.01, 0.28, 28).tolist()
    worst = 0.0
    for std in widths:
        g = gamma_of(std)
        worst = max(worst, abs(math.sqrt((g + 1) / ((g + 2) ** 2 * (g + 3))) - std))
    found["width_round_trip"] = worst
    with TemporaryDirectory() as place:
        folder = Path(place) / "run"
        found["growth_mp"], tracked = growth("mp", seed, folder)
        made = reconstruct(folder, WANTED)
        assert tracked is not None
        square = sum(float(((made.tensors[n] - v) ** 2).sum()) for n, v in tracked.shadow.items())
        norm = sum(float((v**2).sum()) for v in tracked.shadow.values())
        found["average_error"] = math.sqrt(square / norm)
    found["growth_plain"], _ = growth("plain", seed)
    return found


CHECK = Check(
    recipe="edm2",
    paper="ImageNet 512 x 512: FID 2.56 (S) and 1.91 (XXL) at 63 network evaluations, 1.81 with guidance; before it 2.65",
    claim="layers keep unit magnitude to 5 %; on GMM-8 the hidden activations of a magnitude-preserving network stay bounded "
    "while those of a plain one grow; an average of width 0.07 made from 8 snapshots of two others equals the tracked one",
    conditions=(
        Condition("layer_spread", "<", 0.05, "the paper's design goal, with some room for finite widths"),
        Condition("width_round_trip", "<", 1e-6, "width to exponent and back, by closed forms in double precision"),
        Condition(
            "growth_mp",
            "<",
            1.1,
            "flat to a tenth: the sum's weights allow no more than 1.31, so a bound there could not fail",
        ),
        Condition("growth_plain", ">", "growth_mp", "the drift that the paper found in the network before it"),
        Condition(
            "average_error", "<", 1e-2, "relative error of the weights; the paper's profiles fit to about a per cent"
        ),
    ),
    measure=measure,
)
