"""Make the pictures of analytic-dpm, extended-analytic-dpm, adversarial-score-matching and pds, from exact denoisers."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from torch import Tensor

from ornstein.core.rng import Stream
from ornstein.denoisers import Eps, Preconditioned
from ornstein.processes import EDM, VE, VP
from ornstein.processes.schedules import Table
from ornstein.recipes.checks import adversarial_score_matching as annealed
from ornstein.recipes.checks import analytic_dpm as analytic
from ornstein.recipes.checks import pds as fields
from ornstein.recipes.checks.strides import strided
from ornstein.recipes.checks.toys import ExactDenoiser, Mixture
from ornstein.samplers import PDS, AnalyticDPM, Ancestral, AnnealedLangevin, ConsistentAnnealed, Spectrum, simulate

PICTURES = Path("docs/pictures/systems")
N = 1500


def save(figure: plt.Figure, name: str) -> None:
    figure.tight_layout()
    figure.savefig(PICTURES / f"{name}.png", dpi=70)
    plt.close(figure)


def scatters(name: str, samples: dict[str, Tensor]) -> None:
    figure, axes = plt.subplots(1, len(samples), figsize=(2.6 * len(samples), 3.1))
    for ax, (title, x) in zip(axes, samples.items(), strict=True):
        ax.scatter(x[:, 0], x[:, 1], s=1, alpha=0.5)
        ax.set(title=title, xlim=(-2, 2), ylim=(-2, 2), xticks=[], yticks=[], aspect="equal")
    save(figure, name)


def mixtures() -> None:
    """GMM-8 with the exact noise in 25 steps: fixed variances, one number for each level, one for each coordinate."""
    process, data, rng = VP(Table.linear(1000), t_min=1e-3), Mixture.ring(), Stream(0)
    exact = ExactDenoiser(process, data)
    plain = Preconditioned(analytic.ExactNoise(exact), process, Eps())
    level = analytic.measured(plain, data, 50, rng)
    noise, grid = rng.normal((N, 2), dtype=torch.float64), strided(1000, 25)
    kinds = {
        "beta": Ancestral(plain, "large"),
        "beta~": Ancestral(plain),
        "analytic, DDPM": AnalyticDPM(level),
        "analytic, DDIM": AnalyticDPM(level, eta=0.0),
        "diagonal, DDPM": AnalyticDPM(exact),
    }
    drawn = {title: simulate(sampler, noise, grid, Stream(1)) for title, sampler in kinds.items()}
    drawn["data"] = data.sample(N, rng)
    scatters("analytic-dpm", {k: drawn[k] for k in ("beta", "beta~", "analytic, DDPM", "analytic, DDIM", "data")})
    scatters("extended-analytic-dpm", {k: drawn[k] for k in ("beta", "analytic, DDPM", "diagonal, DDPM", "data")})


def schedules() -> None:
    """The noise that the score meets, over that which it is told, at each level."""
    process = EDM(0.02, 20.0)
    count = annealed.level_count(20.0, 0.02, annealed.level_ratio(annealed.DIMS))
    grid = annealed.levels_of(process, count)
    exact = ExactDenoiser(process, Mixture(torch.zeros(1, annealed.DIMS), 1e-9))
    noise = process.prior((300, annealed.DIMS)).sample(Stream(0)).double()
    figure, ax = plt.subplots(figsize=(6, 3))
    for eta, colour in zip((0.4, 0.8), ("C0", "C1"), strict=True):
        for kind, line in ((ConsistentAnnealed, "-"), (AnnealedLangevin, "--")):
            watched = annealed.Watched(exact, process)
            sampler = kind(watched, eta=eta) if kind is ConsistentAnnealed else kind(watched, eta, 1)
            simulate(sampler, noise, grid, Stream(1))
            name = "consistent" if kind is ConsistentAnnealed else "Langevin"
            ax.plot(watched.seen[:count], line, color=colour, label=f"{name}, eta = {eta}")
    ax.set(xlabel="level", ylabel="std(x) / sigma", ylim=(0.8, 2.7))
    ax.legend(fontsize=8, ncol=2, loc="upper center")
    save(figure, "adversarial-score-matching")


def power_of(sampler: PDS, steps: int) -> Tensor:
    """The power of the samples at each frequency, exactly: the sum of the squared gains of all draws."""
    grid = torch.cat([torch.linspace(1, 1e-5, steps, dtype=torch.float64), torch.zeros(1)])
    rng = fields._Impulses()
    x = sampler.process.sigma(grid[0]) * rng.normal((2 * steps + 2, 1, fields.SIZE, fields.SIZE), dtype=torch.float64)
    return (torch.fft.fft2(simulate(sampler, x, grid, rng), norm="ortho").abs() ** 2).sum((0, 1))


def preconditioned() -> None:
    """The power that samples have at each frequency over that of the field, exactly."""
    process, power, rng = VE(0.01, 20.0, 1e-5), fields.field_power(), Stream(0)
    masks = Spectrum((1, fields.SIZE, fields.SIZE), alpha=5.0, pixels=False)
    masks.add(fields.transform(rng.normal((200, 1, 16, 16), dtype=torch.float64), power.sqrt()))
    denoiser = fields.Field(process, power)
    f = torch.fft.fftfreq(fields.SIZE, 1 / fields.SIZE, dtype=torch.float64)
    radius = (f[:, None] ** 2 + f[None] ** 2).sqrt().flatten()
    order = radius.argsort()
    figure, ax = plt.subplots(figsize=(6, 3))
    for steps, colour in ((20, "C0"), (40, "C1")):
        for name, spectrum, line in (("plain", None, "--"), ("PDS", masks, "-")):
            ratio = power_of(PDS(denoiser, spectrum, fields.SNR), steps) / power
            ax.plot(radius[order], ratio.flatten()[order], line, color=colour, label=f"{name}, {steps} steps")
    ax.axhline(1, color="k", lw=0.5)
    ax.set(xlabel="frequency", ylabel="power of samples / field", yscale="log")
    ax.legend(fontsize=7, ncol=3)
    save(figure, "pds")


if __name__ == "__main__":
    mixtures()
    schedules()
    preconditioned()
