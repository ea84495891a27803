"""SSSD's claims: its convolution is a recurrence, and long gaps are filled better by it than by convolutions of a few steps."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ornstein.data import Loader
from ornstein.data.series import Record, SeriesTable
from ornstein.evaluation.series import crps_fair
from ornstein.networks.series.s4 import S4D
from ornstein.networks.series.structured import Mixer
from ornstein.recipes.check import Check, Condition
from ornstein.recipes.series.data import settings_of, training_windows
from ornstein.recipes.series.sssd import SSSD, sssd
from ornstein.training.fit import Engine, fit

LENGTH, GAP, COLUMNS = 60, 18, 3
STEPS, BATCH, TRAINING, TESTS, DRAWS = 220, 32, 4000, 60, 20


def waves(n: int, seed: int) -> Tensor:
    """``[n, 3, 60]``: in each column the same two sines, of periods from 8 to 30 steps, with amplitudes and phases of its own."""
    g = torch.Generator().manual_seed(seed)
    period = 8 + 22 * torch.rand((n, 1, 2, 1), generator=g)
    phase = 2 * math.pi * torch.rand((n, COLUMNS, 2, 1), generator=g)
    size = 0.5 + torch.rand((n, COLUMNS, 2, 1), generator=g)
    x = (size * torch.sin(2 * math.pi * torch.arange(LENGTH) / period + phase)).sum(2)
    return (x + 0.05 * torch.randn(x.shape, generator=g)).double()


def table_of(x: Tensor) -> SeriesTable:
    """Series as a table."""
    records = tuple(Record(v.T.numpy().copy(), np.arange(LENGTH, dtype=float), str(i)) for i, v in enumerate(x))
    return SeriesTable(records, ("a", "b", "c"), "waves", calendar=False, series="series")


def scan_error(seed: int) -> float:
    """The largest difference between the convolution and the recurrence, relative to the largest output."""
    torch.manual_seed(seed)
    layer = S4D(8, state=16)
    u = torch.randn(4, 8, LENGTH)
    with torch.no_grad():
        return float((layer(u) - layer.scan(u)).abs().max() / layer.scan(u).abs().max())


def errors(mixer: Mixer, seed: int) -> tuple[float, float]:
    """Mean squared error of the mean, and CRPS, over gaps of 30 % of all columns at once."""
    table = table_of(waves(TRAINING, seed))
    config = SSSD(
        **settings_of(table), window=LENGTH, batch=BATCH, steps=STEPS, decay_steps=STEPS, masks=("blackout",), mixer=mixer,
        width=32, ema_half_life=2000,
    )  # fmt: skip
    torch.manual_seed(seed)
    system = sssd(config)
    engine = Engine(seed=seed, ema_half_life=config.ema_half_life)
    fit(system.modules, system.stages(Loader(training_windows(config, table), BATCH, seed)), engine)
    truth, start = tests(seed)
    gaps = table_of(truth)
    records = [replace(r, values=_hidden(r.values, s)) for r, s in zip(gaps.records, start, strict=True)]
    drawn = np.stack(system.impute(replace(gaps, records=tuple(records)), n=DRAWS, seed=seed).draws)
    draws = torch.from_numpy(drawn).transpose(2, 3).double()
    inside = _inside(start)
    cells = draws.transpose(0, 1)[:, inside].T
    y = truth[inside]
    return float(((cells.mean(1) - y) ** 2).mean()), float(crps_fair(cells, y).mean())


def tests(seed: int) -> tuple[Tensor, list[int]]:
    """Series, and the step at which the gap of each begins."""
    truth = waves(TESTS, seed + 1000)
    start = torch.randint(5, LENGTH - GAP - 5, (TESTS,), generator=torch.Generator().manual_seed(seed)).tolist()
    return truth, start


def _hidden(values: np.ndarray, start: int) -> np.ndarray:
    values = values.copy()
    values[start : start + GAP] = np.nan
    return values


def _inside(start: list[int]) -> Tensor:
    step, first = torch.arange(LENGTH), torch.tensor(start)[:, None]
    return ((step >= first) & (step < first + GAP))[:, None].expand(-1, COLUMNS, -1)


def linear_error(seed: int) -> float:
    """Mean squared error of the line across each gap."""
    truth, start = tests(seed)
    total = 0.0
    for x, s in zip(truth.numpy(), start, strict=True):
        part = np.arange(1, GAP + 1) / (GAP + 1)
        line = x[:, s - 1 : s] + part * (x[:, s + GAP : s + GAP + 1] - x[:, s - 1 : s])
        total += float(((line - x[:, s : s + GAP]) ** 2).mean())
    return total / len(truth)


def measure(seed: int) -> dict[str, float]:
    """The layer against its recurrence; errors in long gaps with state spaces, with convolutions, and of a line."""
    found = {"scan_error": scan_error(seed), "mse_linear": linear_error(seed)}
    for mixer, name in (("s4", "sssd"), ("convolution", "convolution")):
        found[f"mse_{name}"], found[f"crps_{name}"] = errors(mixer, seed)  # type: ignore[arg-type]
    return found


CHECK = Check(
    recipe="sssd",
    paper="MuJoCo with 70 / 90 % missing at random: mean squared error 0.59e-3 / 1.90e-3; best where whole stretches are missing",
    claim="the Fourier convolution is the recurrence; trained for seconds on sums of sines, gaps of 30 % of all columns are "
    "filled far better than by a line, and better than by the same network with convolutions of three steps",
    conditions=(
        Condition("scan_error", "<", 1e-5, "the same sums in another order, in float32"),
        Condition("mse_sssd", "<", "mse_linear", "a line across a gap of up to two periods knows nothing of it", 0.5),
        Condition("mse_sssd", "<", "mse_convolution", "the state spaces see the whole window"),
        Condition("crps_sssd", "<", "crps_convolution", "the same of the whole law"),
    ),
    measure=measure,
)
