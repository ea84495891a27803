"""The generator's claims on series of known law: covariances of each class, and classes that can be told apart."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ornstein.data import Loader
from ornstein.data.series import Record, SeriesTable
from ornstein.recipes.check import Check, Condition
from ornstein.recipes.series.data import settings_of, training_windows
from ornstein.recipes.series.generator import Generator, series_diffwave
from ornstein.training.fit import Engine, fit

LENGTH, STEPS, BATCH, TRAINING, DRAWS = 24, 500, 64, 4000, 600
CLASSES = ("slow", "fast")
PERIODS = (12.0, 6.0)


def covariance(label: int) -> Tensor:
    """``[24, 24]``: 0.9^lag cos(2 pi lag / period) + 0.05 [lag = 0], a noisy oscillation of the class's period."""
    lag = (torch.arange(LENGTH)[:, None] - torch.arange(LENGTH)).abs().double()
    return 0.9**lag * torch.cos(2 * math.pi * lag / PERIODS[label]) + 0.05 * (lag == 0)


def draw(label: int, n: int, seed: int) -> Tensor:
    """``[n, 24]`` of the class's law."""
    root = torch.linalg.cholesky(covariance(label))
    return torch.randn((n, LENGTH), generator=torch.Generator().manual_seed(seed), dtype=torch.float64) @ root.T


def told_apart(x: Tensor) -> Tensor:
    """The likelier class of each series, by the exact laws: no classifier does better on data."""
    logs = []
    for label in range(len(CLASSES)):
        law = torch.distributions.MultivariateNormal(torch.zeros(LENGTH, dtype=torch.float64), covariance(label))
        logs.append(law.log_prob(x))
    return torch.stack(logs, -1).argmax(-1)


def distance(x: Tensor, label: int) -> float:
    """|S - S'| / |S| of the second moments, in the Frobenius norm."""
    s = covariance(label)
    return float(torch.linalg.norm(x.T @ x / len(x) - s) / torch.linalg.norm(s))


def measure(seed: int) -> dict[str, float]:
    """Accuracy of the exact classifier on draws and on data, and the distance of each class's covariance."""
    records = [
        Record(x[:, None].numpy().copy(), np.arange(LENGTH, dtype=float), f"{label}-{i}", label=CLASSES[label])
        for label in range(len(CLASSES))
        for i, x in enumerate(draw(label, TRAINING // 2, 10 * seed + label))
    ]
    table = SeriesTable(tuple(records), ("a",), "oscillations", calendar=False, series="series")
    config = Generator(
        **settings_of(table), window=LENGTH, batch=BATCH, steps=STEPS, decay_steps=STEPS, ema_half_life=8000
    )
    config = replace(config, width=48, layers=3)
    torch.manual_seed(seed)
    system = series_diffwave(config)
    engine = Engine(seed=seed, ema_half_life=config.ema_half_life)
    fit(system.modules, system.stages(Loader(training_windows(config, table), BATCH, seed)), engine)
    accuracy: list[float] = []
    accuracy_data: list[float] = []
    far: list[float] = []
    far_data: list[float] = []
    for label, name in enumerate(CLASSES):
        k = system.classes.index(name)
        made = system.sample(DRAWS, label=k, seed=seed * 10_000 + label * DRAWS, batch=500).tensor[:, 0].double()
        data = draw(label, DRAWS, 5000 + 10 * seed + label)
        for x, acc, dist in ((made, accuracy, far), (data, accuracy_data, far_data)):
            acc.append(float((told_apart(x) == label).double().mean()))
            dist.append(distance(x, label))
    other = distance(draw(1, DRAWS, seed + 77), 0)
    return {
        "accuracy": float(np.mean(accuracy)), "accuracy_data": float(np.mean(accuracy_data)),
        "covariance": max(far), "covariance_data": max(far_data), "covariance_other_class": other,
    }  # fmt: skip


CHECK = Check(
    recipe="series-diffwave",
    paper="class-conditional spoken digits: accuracy 98.3 %, Inception score 9.0 of a possible 10",
    claim="trained for half a minute on two classes of oscillations, draws of a class have its covariance, up to a fraction of "
    "the distance between the classes, and the best possible classifier knows them as it knows data",
    conditions=(
        Condition("accuracy", ">", "accuracy_data", "nearly as well as data are told apart", 0.97),
        Condition(
            "covariance",
            "<",
            "covariance_other_class",
            "a quarter of the way to the other class; 600 draws of data are an eighth of it off",
            0.25,
        ),
    ),
    measure=measure,
)
