"""Make docs/pictures/guidance.png: what each kind of guidance does to one class of two, by exact denoisers."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from torch import Tensor

from ornstein.core.cond import Cond
from ornstein.core.rng import Stream
from ornstein.denoisers.denoiser import Denoiser
from ornstein.guidance import APG, CFG, CFGPP, Autoguidance, Classifier, Given
from ornstein.processes import VP
from ornstein.recipes.checks.classes import CLASS, Classes
from ornstein.recipes.checks.classifier_free_guidance import Exact
from ornstein.samplers import DDIM, simulate
from ornstein.samplers.grids import uniform
from ornstein.testing import exact

N, STEPS = 600, 60


def main() -> None:
    """Draw one class under each method from the same noise."""
    process, data = VP(), Classes()
    both, grid = Exact(process, data), uniform(process, STEPS)
    one = exact.mixture(process, [0.5, 0.5], data.of(CLASS).means, data.of(CLASS).std ** 2)
    weak = exact.mixture(process, [0.5, 0.5], data.of(CLASS).means, (2 * data.of(CLASS).std) ** 2)

    def bayes(x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        return data.log_posterior(process, x, t).gather(1, cond["label"].unsqueeze(1)).squeeze(1)

    unknown = {"label": torch.tensor(-1)}  # the labels of these two problems are modes
    kinds: dict[str, Denoiser] = {
        "none": both,
        "CFG, scale 3": CFG(both, 3.0),
        "CFG, scale 3, t in [0.2, 0.6]": CFG(both, 3.0, (0.2, 0.6)),
        "APG, scale 3": APG(both, 3.0),
        "CFG++, scale 0.6": CFGPP(both, 0.6, grid),
        "classifier, scale 1": Classifier(data.denoiser(process), bayes),
        "classifier, scale 4": Classifier(data.denoiser(process), bayes, 4.0),
        "autoguidance, scale 2": Autoguidance(Given(one.denoiser, unknown), Given(weak.denoiser, unknown), 2.0),
    }
    noise = Stream(0).normal((N, 2), dtype=torch.float64)
    label = {"label": torch.full((N,), CLASS)}
    background = data.whole.sample(4000, Stream(1))
    figure, axes = plt.subplots(2, 4, figsize=(11, 5.6), sharex=True, sharey=True)
    for axis, (name, denoiser) in zip(axes.flat, kinds.items(), strict=True):
        x = simulate(DDIM(denoiser), noise, grid, Stream(2), label)
        axis.scatter(*background.T, s=1, color="0.85", linewidths=0)
        axis.scatter(*x.T, s=3, color="tab:blue", linewidths=0)
        axis.set(title=name, xlim=(-2.4, 2.4), ylim=(-2.2, 2.2), aspect="equal")
        axis.tick_params(labelsize=7)
    figure.tight_layout()
    figure.savefig(Path("docs") / "pictures" / "guidance.png", dpi=80)


if __name__ == "__main__":
    main()
