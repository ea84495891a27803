"""Make docs/pictures/explain-*.png: what the bundled Fashion-MNIST model does, by :mod:`ornstein.explain`.

    python tools/explain_pictures.py [way] [noise] [copies] [condition] [counterfactual]

Without names all of them. The words of a text are tools/word_pictures.py's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

import ornstein
from ornstein.core.batch import Batch
from ornstein.data import open_data
from ornstein.explain import (
    by_condition,
    by_guidance,
    curvature,
    error_by_noise,
    gradient_by_noise,
    influence,
    neighbours,
    walk,
)
from ornstein.recipes.system import System

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
SEED, LABEL = 3, "sneaker"


@cache
def system() -> System:
    """The model that is explained."""
    return ornstein.load("fashion-mnist")


def picture(axis: Axes, x: Tensor, title: str = "", frame: str | None = None) -> None:
    """``[1, H, W]`` in [-1, 1], or bytes."""
    low, high = (0, 255) if x.dtype == torch.uint8 else (-1, 1)
    axis.imshow(x[0], cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    axis.set_title(title, fontsize=7, pad=3)
    for side in axis.spines.values():
        side.set_visible(frame is not None)
        side.set(color=frame or "black", linewidth=2)


def save(name: str) -> None:
    """The figure that was drawn."""
    plt.savefig(FOLDER / f"explain-{name}.png", dpi=90, bbox_inches="tight", pil_kwargs={"optimize": True})
    plt.close()


def way() -> None:
    """States, what the model takes them for, and how sharply the way turns."""
    path = walk(system(), 1, seed=SEED, steps=12, sampler="heun", guidance=1.0, conditions={"label": LABEL})
    bend = curvature(path.states)
    shown = range(0, 13, 2)
    figure = plt.figure(figsize=(8, 4.2))
    grid = figure.add_gridspec(3, len(shown), height_ratios=(1, 1, 1.3))
    decode, spread = system().codec.decode, path.states.flatten(1).std(1)
    for column, i in enumerate(shown):
        scaled = path.states[i] * min(1.0, float(spread[-1] / spread[i]))  # noise of any strength can be seen
        picture(figure.add_subplot(grid[0, column]), decode(scaled, path.cond)[0], f"step {i}")
        picture(figure.add_subplot(grid[1, column]), decode(path.mean(i), path.cond)[0])
    figure.text(0.09, 0.82, "x_t", fontsize=8, rotation=90, va="center")
    figure.text(0.09, 0.58, "E[x_0 | x_t]", fontsize=8, rotation=90, va="center")
    axis = figure.add_subplot(grid[2, :])
    axis.plot(range(1, 12), bend.turn[:, 0].rad2deg(), marker="o", ms=3, color="tab:blue")
    axis.set_xlabel("step", fontsize=8)
    axis.set_ylabel("turn, degrees", fontsize=8)
    axis.set_title(
        f"the way is {float(bend.detour):.3f} times as long as the straight line between its ends", fontsize=8
    )
    axis.tick_params(labelsize=7)
    axis.grid(alpha=0.3)
    save("way")


def noise() -> None:
    """Error and gradient by noise level, on test images."""
    data = open_data("fashion-mnist", split="test")[0:128]
    errors, pulls = error_by_noise(system(), data), gradient_by_noise(system(), Batch(data.x[:32], _first(data, 32)))
    variance = float((torch.as_tensor(data.x).float() / 127.5 - 1).var())
    _, axes = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
    x, y, spread = (np.array([getattr(e, k) for e in errors]) for k in ("log_snr", "error", "stderr"))
    axes[0].fill_between(x, y - 2 * spread, y + 2 * spread, alpha=0.3)
    axes[0].plot(x, y, marker="o", ms=3)
    axes[0].axhline(variance, color="0.6", ls="--", lw=1)
    axes[0].text(x.max(), variance, "variance of the data", fontsize=7, color="0.4", va="bottom", ha="right")
    axes[0].set_title("squared error of E[x_0 | x_t]", fontsize=8)
    axes[1].plot([p.log_snr for p in pulls], [p.norm for p in pulls], marker="o", ms=3, color="tab:orange")
    axes[1].set_title("norm of the loss's gradient in the weights", fontsize=8)
    for axis in axes:
        axis.set_yscale("log")
        axis.set_xlabel("log-SNR (noise on the left, data on the right)", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    save("noise")


def _first(data: Batch[Tensor], n: int) -> dict[str, Tensor]:
    return {name: value[:n] for name, value in data.cond.items()}


def copies() -> None:
    """Samples and a planted copy beside their nearest training images."""
    train = torch.as_tensor(open_data("fashion-mnist", split="train")[0:60_000].x)
    made = system().sample(5, seed=10, steps=18).bytes
    planted = (
        train[123:124].float() + 8 * torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    ).clamp(0, 255)
    shown = torch.cat([made, planted.to(torch.uint8)])
    found = neighbours(shown, train, k=4)
    _, axes = plt.subplots(5, len(shown), figsize=(6.6, 5.6), layout="constrained")
    for column, x in enumerate(shown):
        copied = bool(found.copied[column])
        name = "a training image\nwith noise" if column == len(made) else f"sample {column + 1}\n"
        picture(axes[0, column], x, name, "tab:red" if copied else "tab:green")
        for row in range(4):
            title = f"{float(found.distance[column, row]):.1f}"
            picture(axes[row + 1, column], train[found.index[column, row]], title)
        axes[4, column].set_xlabel(f"ratio {float(found.ratio[column]):.2f}", fontsize=7)
    save("copies")


def condition() -> None:
    """What the label does at each step, and where."""
    acts = influence(system(), {"label": LABEL}, seed=SEED, steps=12, sampler="heun")
    shown = range(0, 12, 2)
    figure = plt.figure(figsize=(8, 3.6))
    grid = figure.add_gridspec(2, len(shown) + 2, height_ratios=(1, 1.1))
    picture(figure.add_subplot(grid[0, 0]), acts.with_it[0], f"told '{LABEL}'")
    picture(figure.add_subplot(grid[0, 1]), acts.without[0], "told nothing")
    most = float(acts.maps.abs().max())
    for column, i in enumerate(shown):
        axis = figure.add_subplot(grid[0, column + 2])
        axis.imshow(acts.maps[i, 0, 0], cmap="RdBu_r", vmin=-most, vmax=most)
        axis.set(xticks=[], yticks=[])
        axis.set_title(f"step {i}", fontsize=7, pad=3)
    axis = figure.add_subplot(grid[1, :])
    axis.plot(range(12), acts.rms[:, 0], marker="o", ms=3)
    axis.set_xlabel("step", fontsize=8)
    axis.set_title("root mean square of E[x_0 | x_t, label] - E[x_0 | x_t]", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.grid(alpha=0.3)
    save("condition")


def counterfactual() -> None:
    """The same noise under other strengths of guidance, and under other labels."""
    scales, labels = (1.0, 1.5, 2.0, 3.0, 5.0, 8.0), ("sneaker", "ankle boot", "sandal", "bag", "shirt", "dress")
    strengths = by_guidance(system(), scales, seed=SEED, steps=12, sampler="heun", conditions={"label": LABEL})
    others = by_condition(system(), "label", labels, seed=SEED, steps=12, sampler="heun")
    _, axes = plt.subplots(2, 6, figsize=(7.4, 2.9), layout="constrained")
    for axis, one in zip(axes[0], strengths, strict=True):
        picture(axis, one.samples.tensor[0], f"guidance {one.changed:g}\nmoved by {float(one.distance):.2f}")
    for axis, one in zip(axes[1], others, strict=True):
        picture(axis, one.samples.tensor[0], f"{one.changed}\nmoved by {float(one.distance):.2f}")
    save("counterfactual")


DRAWN: dict[str, Callable[[], None]] = {f.__name__: f for f in (way, noise, copies, condition, counterfactual)}


def main() -> None:
    """Those that are named, or all."""
    for name in sys.argv[1:] or DRAWN:
        DRAWN[name]()
        print(FOLDER / f"explain-{name}.png")


if __name__ == "__main__":
    main()
