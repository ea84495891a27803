"""Draw docs/pictures/systems/NAME.png: what a recipe does, with its own process, sampler and grid.

    python tools/system_pictures.py NAME [NAME ...]

Recipes whose process works on points of the plane are drawn on eight Gaussian modes, whose denoiser is known: above, data
become noise; below, the recipe's sampler takes noise back. Where the sampler is a learned map, the lines are the probability
flow whose ends the map joins. Other recipes are drawn on digits, which their codec brings into the process's state and back.
Nothing is trained, so that a picture takes seconds and shows the method, not the patience of who made it.
"""

from __future__ import annotations

import dataclasses
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ornstein.core.rng import Rng, Stream
from ornstein.core.shapes import expand
from ornstein.data import open_data
from ornstein.processes.base import Affine, GaussianProcess
from ornstein.recipes import registry
from ornstein.recipes.checks.toys import ExactDenoiser, Mixture
from ornstein.recipes.system import System
from ornstein.samplers.base import Step, simulate
from ornstein.samplers.grids import get_grid
from ornstein.samplers.heun import Heun
from ornstein.samplers.table import LEARNED, Choice

FOLDER = Path(__file__).parent.parent / "docs" / "pictures" / "systems"
LEVELS = (0.0, 0.15, 0.5, 1.2, float("inf"))
"""Of the noise against the signal, sigma_t / (alpha_t spread of the data), at which the panels stand."""
POINTS, LINES = 800, 60
SIZE = 32
SMALL = {"size": SIZE, "channels": 1, "widths": (8,), "blocks": 1, "patch": 2}


def system_of(name: str) -> System:
    """The recipe with its default config but for the size of its network, which no picture asks."""
    card = registry.card(name)
    fields = card.config.__dataclass_fields__
    return card.build(card.config(**{k: v for k, v in SMALL.items() if k in fields}))


def in_plane(system: System) -> bool:
    """Whether the state is the image itself, with one alpha and one sigma for each t, so that points will do as well."""
    process = system.process
    if not isinstance(process, Affine) or tuple(system.shape) != (1, SIZE, SIZE):
        return False
    t = torch.full((1, 1), 0.5, dtype=torch.float64)
    return process.alpha(t).numel() == 1 and process.sigma(t).numel() == 1


def spread(process: Affine, t: Tensor) -> float:
    """The standard deviation of a coordinate of the ring's points at t."""
    return float((process.alpha(t) ** 2 * 1.2**2 / 2 + process.sigma(t) ** 2).sqrt())


def moments(process: Affine) -> list[float]:
    """Times of the panels: where the noise has reached each level."""
    t = torch.linspace(process.t_min, process.t_max, 2000, dtype=torch.float64)
    level = process.sigma(t) / (process.alpha(t) * 1.2 / 2**0.5).clamp_min(1e-9)
    return [0.0, *(float(t[int((level - wanted).abs().argmin())]) for wanted in LEVELS[1:-1]), float(t[-1])]


def show(axis: Axes, x: Tensor, scale: float, title: str) -> None:
    """Points, in a window as wide as they spread."""
    axis.scatter(*x.T, s=1.5, color="tab:blue", linewidths=0)
    half = 2.6 * max(scale, 0.7)
    axis.set(xlim=(-half, half), ylim=(-half, half), xticks=[], yticks=[], aspect="equal")
    axis.set_title(title, fontsize=7, pad=2)


def plane(system: System) -> Figure:
    """Data to noise, and back by the recipe's sampler."""
    process, ring = system.process, Mixture.ring()
    back = isinstance(process, GaussianProcess)  # others have no denoiser in closed form
    figure, axes = plt.subplots(1 + back, len(LEVELS), figsize=(7, 1.4 * (1 + back) + 0.2), squeeze=False)
    at = moments(process)
    data = ring.sample(POINTS, Stream(0))
    for axis, value in zip(axes[0], at, strict=True):
        t = torch.tensor(max(value, process.t_min), dtype=torch.float64)
        x = data if value == 0 else process.marginal(data, expand(t, data)).sample(Stream(1))
        show(axis, x, spread(process, t), f"t = {value:.3g}")
    axes[0][0].set_ylabel("data to noise", fontsize=6)
    if back:
        reverse(system, ExactDenoiser(process, ring), axes[1], at)
    return figure


def reverse(system: System, exact: ExactDenoiser, axes: Sequence[Axes], at: Sequence[float]) -> None:
    """The row of the sampler, at about the same times; lines of the flow where the sampler is a learned map."""
    process, learned = system.process, system.sampler.name in LEARNED
    if learned:
        move, times = Heun(exact), get_grid("log_snr")(process, 48, None, None)
    else:
        move, times = (
            own(system)(exact),
            get_grid(system.sampler.grid or system.grid)(process, system.steps, None, None),
        )
    rng = Stream(2)
    start = process.prior((POINTS, 2)).sample(rng).double()
    run = [(float(times[0]), start)]

    def keep(step: Step) -> None:
        run.append((float(step.s.reshape(-1)[0]), step.x))

    with torch.no_grad():
        simulate(move, start, times, rng, on_step=keep)
    nearest = [min(range(len(run)), key=lambda i: abs(run[i][0] - t)) for t in reversed(at)]
    shown = [run[i] for i in dict.fromkeys([0, *nearest[1:-1], len(run) - 1])]
    for axis in axes:
        axis.axis("off")
    for axis, (value, x) in zip(axes, shown, strict=False):
        axis.axis("on")
        t = torch.tensor(max(value, process.t_min), dtype=torch.float64)
        show(axis, x, spread(process, t), f"t = {value:.3g}")
        if learned:
            for i in range(LINES):
                path = torch.stack([y[i] / spread_at(process, v) for v, y in run if v >= value])
                axis.plot(*(path * spread_at(process, value)).T, color="tab:orange", linewidth=0.3, zorder=0)
    label = "flow to the data" if learned else f"{system.sampler.name}, {len(times) - 1} step{'s' * (len(times) > 2)}"
    axes[0].set_ylabel(label, fontsize=6)


def own(system: System) -> Choice:
    """The recipe's sampler; where it reads a learned variance, the exact posterior's stands for it."""
    options = dict(system.sampler.options)
    if options.get("variance") == "range":
        options["variance"] = "posterior"
    return dataclasses.replace(system.sampler, options=tuple(options.items()))


def spread_at(process: Affine, value: float) -> float:
    """As :func:`spread`, of a number."""
    return spread(process, torch.tensor(max(value, process.t_min), dtype=torch.float64))


def pictures(system: System) -> Figure:
    """Digits on their way to noise, through the recipe's codec."""
    times, rows = (0.0, 0.1, 0.2, 0.35, 0.5, 1.0), 3
    images = torch.from_numpy(open_data("digits", size=SIZE, channels=1).x[[0, 2500, 5000]])
    state = system.codec.encode(images, Rng(range(rows)))
    figure, axes = plt.subplots(rows, len(times), figsize=(7, 3.8))
    for column, value in enumerate(times):
        x = state
        if value > 0:
            t = torch.tensor(value, dtype=torch.float64)
            x = system.process.marginal(state, expand(t, state)).sample(Rng(range(rows)))
        decoded = system.codec.decode(x).float()
        if x.is_floating_point():
            decoded = decoded / decoded.abs().flatten(1).quantile(0.99, dim=1).clamp_min(1).reshape(-1, 1, 1, 1)
        for row in range(rows):
            axes[row][column].imshow(decoded[row].mean(0), cmap="gray", vmin=-1, vmax=1)
            axes[row][column].axis("off")
        axes[0][column].set_title(f"t = {value:g}", fontsize=7, pad=2)
    return figure


def main() -> None:
    """Draw each recipe that is named."""
    for name in sys.argv[1:]:
        system = system_of(name)
        system.modules.requires_grad_(False)  # a schedule may be trained
        figure = plane(system) if in_plane(system) else pictures(system)
        figure.tight_layout(pad=0.3)
        drawn = io.BytesIO()
        figure.savefig(drawn, dpi=90, format="png")
        plt.close(figure)
        path = FOLDER / f"{name}.png"
        Image.open(drawn).convert("RGB").quantize(32, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
