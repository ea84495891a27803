"""Gaps in hourly records of air and weather in Beijing: csdi and sssd against classical methods.

    python benchmarks/series.py [--seeds 3] [--minutes 3] [--out benchmarks/results/series.csv]

Trained (where there is anything to train) on 2010 to 2013, measured on stretches of 2014 of which 10, 50 and 90 % of the observed
cells are hidden at random, or 12 hours of every 60 in all columns. Learned methods get the same training time, in minutes of
processor time. Scores are means over the hidden cells of the five columns, each divided by its standard deviation in training;
``pm2.5`` rows give the first column alone. A point has as CRPS its absolute error. Kalman smoothing needs statsmodels, gradient
boosting scikit-learn, the peer PyPOTS (https://pypots.com); what is not installed is said and left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from csv_rows import read_rows, write_rows

from ornstein.data import Loader
from ornstein.data.series import Record, SeriesTable, open_series
from ornstein.data.series.clock import calendar_features, parse_stamps
from ornstein.evaluation.series import covered, crps, crps_fair, crps_sum
from ornstein.recipes import registry
from ornstein.recipes.series.data import settings_of, training_windows
from ornstein.recipes.series.fill import tiles
from ornstein.recipes.series.system import SeriesSystem
from ornstein.training.callbacks import Callback
from ornstein.training.fit import Engine, Progress, fit

LEVELS = tuple((i + 0.5) / 100 for i in range(100))
"""Methods that give quantiles give these: so many that the mean over them is nearly the integral over all."""
DRAWS = 20
"""Of methods that draw. Their CRPS is the fair estimate, which does not depend on how many there are."""
HOURS = 1500
"""Of 2014, that are measured."""


@dataclass(frozen=True)
class Task:
    """Values ``[T, K]`` with gaps, what is hidden, and the truth."""

    name: str
    record: Record
    truth: np.ndarray
    hidden: np.ndarray


Draws = np.ndarray
"""``[M, T, K]``"""


def split(table: SeriesTable) -> tuple[SeriesTable, Record]:
    """Training years, and the stretch that is measured."""
    cut = float(parse_stamps(["2014-01-01"], [""]).seconds[0])
    last = table.between(cut, np.inf).records[0]
    return table.between(-np.inf, cut), replace(last, values=last.values[:HOURS], stamps=last.stamps[:HOURS])


def tasks(record: Record, seed: int) -> list[Task]:
    """The four patterns of gaps."""
    rng = np.random.default_rng(seed)
    patterns = {f"{share:.0%}": rng.random(record.values.shape) < share for share in (0.1, 0.5, 0.9)}
    block = np.zeros(record.values.shape, bool)
    for start in range(24, len(record) - 24, 60):
        at = start + int(rng.integers(0, 24))
        block[at : at + 12] = True
    patterns["blocks"] = block
    found = []
    for name, pattern in patterns.items():
        hidden = pattern & record.observed
        values = np.where(hidden, np.nan, record.values)
        found.append(Task(name, replace(record, values=values), record.values, hidden))
    return found


def linear(task: Task) -> Draws:
    """The line between the neighbours that are known."""
    values, step = task.record.values, np.arange(len(task.record))
    out = values.copy()
    for k in range(values.shape[1]):
        known = np.isfinite(values[:, k])
        out[:, k] = np.interp(step, step[known], values[known, k])
    return out[None]


def seasonal(task: Task) -> Draws:
    """The nearest day on which the hour is known, before or after."""
    values = task.record.values
    out = linear(task)[0]
    for days in range(6, 0, -1):
        for shift in (-24 * days, 24 * days):
            other = np.full_like(values, np.nan)
            if shift > 0:
                other[shift:] = values[:-shift]
            else:
                other[:shift] = values[-shift:]
            out = np.where(np.isnan(values) & np.isfinite(other), other, out)
    return np.where(np.isfinite(values), values, out)[None]


def kalman(train: SeriesTable) -> Callable[[Task], Draws]:
    """A local level with a stationary autoregression for each column, fitted on the last 3000 hours, smoothed."""
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    fitted = []
    for k in range(len(train.columns)):
        past = train.records[0].values[-3000:, k]
        model = UnobservedComponents(past, level="local level", autoregressive=1)
        fitted.append(model.fit(disp=0, maxiter=60).params)

    def fill(task: Task) -> Draws:
        values = task.record.values
        z = np.sqrt(2) * torch.erfinv(2 * torch.tensor(LEVELS, dtype=torch.float64) - 1).numpy()
        out = np.repeat(values[None], len(LEVELS), 0)
        for k in range(values.shape[1]):
            smooth = UnobservedComponents(values[:, k], level="local level", autoregressive=1).smooth(fitted[k])
            design = smooth.model.ssm["design"][0]
            mean = design @ smooth.smoothed_state
            var = np.einsum("i,ijt,j->t", design, smooth.smoothed_state_cov, design)
            gaps = ~np.isfinite(values[:, k])
            out[:, gaps, k] = mean[gaps] + z[:, None] * np.sqrt(np.maximum(var[gaps], 0))
        return out

    return fill


def features(values: np.ndarray, stamps: np.ndarray, k: int, rows: np.ndarray) -> np.ndarray:
    """What boosting sees of the gaps of column k: the two nearest known values on either side and how far they are, the other
    columns (known or interpolated), the line across the gap, the calendar."""
    known = np.flatnonzero(np.isfinite(values[:, k]))
    after = np.searchsorted(known, rows, side="right")
    columns = []
    for offset in (-2, -1, 0, 1):
        at = known[np.clip(after + offset, 0, len(known) - 1)]
        columns += [values[at, k], at - rows]
    step = np.arange(len(values))
    for j in range(values.shape[1]):
        there = np.isfinite(values[:, j])
        line = np.interp(step, step[there], values[there, j])
        columns.append(np.interp(rows, step[there & (step != -1)], values[there, j]) if j == k else line[rows])
        if j != k:
            columns += [line[np.clip(rows + d, 0, len(values) - 1)] for d in (-3, 3)]
    return np.column_stack([*columns, calendar_features(stamps[rows], ("hour", "yearday"))])


def boosted(train: SeriesTable, seed: int, minutes: float) -> Callable[[Task], Draws]:
    """Gradient-boosted quantile regression of each column's gaps on :func:`features`, trained on hidden values of any share."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    levels = (0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.95)
    record, rng = train.records[0], np.random.default_rng(seed)
    xs: list[list[np.ndarray]] = [[] for _ in train.columns]
    ys: list[list[np.ndarray]] = [[] for _ in train.columns]
    for _ in range(12):
        start = int(rng.integers(0, len(record) - 3000))
        values, stamps = record.values[start : start + 3000], record.stamps[start : start + 3000]
        hidden = (rng.random(values.shape) < rng.random()) & np.isfinite(values)
        if rng.random() < 0.3:
            hidden = np.repeat(np.repeat(rng.random(250) < 0.2, 12)[:3000, None], values.shape[1], 1) & np.isfinite(
                values
            )
        seen = np.where(hidden, np.nan, values)
        for k in range(values.shape[1]):
            rows = np.flatnonzero(hidden[:, k])[:700]
            if len(rows) and np.isfinite(seen[:, k]).sum() > 4:
                xs[k].append(features(seen, stamps, k, rows))
                ys[k].append(values[rows, k])
    share = 60 * minutes / (len(train.columns) * len(levels))
    models = []
    for k in range(len(train.columns)):
        x, y = np.concatenate(xs[k]), np.concatenate(ys[k])
        row = []
        for level in levels:
            rounds, begin = 20, time.process_time()
            model = HistGradientBoostingRegressor(
                loss="quantile", quantile=level, max_iter=rounds, learning_rate=0.1, max_leaf_nodes=24, warm_start=True,
                early_stopping=False, random_state=seed,
            )  # fmt: skip
            while True:
                model.fit(x, y)
                if time.process_time() - begin > share or rounds >= 200:
                    break
                rounds += 20
                model.set_params(max_iter=rounds)
            row.append(model)
        models.append(row)

    def fill(task: Task) -> Draws:
        values, stamps = task.record.values, task.record.stamps
        out = np.repeat(values[None], len(LEVELS), 0)
        for k, row in enumerate(models):
            rows = np.flatnonzero(~np.isfinite(values[:, k]))
            x = features(values, stamps, k, rows)
            q = np.sort(np.stack([m.predict(x) for m in row]), 0)
            out[:, rows, k] = np.stack([_between(q, levels, level) for level in LEVELS])
        return out

    return fill


def _between(q: np.ndarray, levels: tuple[float, ...], level: float) -> np.ndarray:
    """A quantile from its neighbours; beyond the outermost along the line of the last two."""
    i = int(np.clip(np.searchsorted(levels, level) - 1, 0, len(levels) - 2))
    part = (level - levels[i]) / (levels[i + 1] - levels[i])
    return q[i] + part * (q[i + 1] - q[i])


class Spent(Callback):
    """Stops training after so much processor time."""

    def __init__(self, minutes: float):
        self.begin, self.seconds = time.process_time(), 60 * minutes

    @property
    def share(self) -> float:
        """Of the time that is gone."""
        return min((time.process_time() - self.begin) / self.seconds, 1.0)

    def on_step(self, progress: Progress) -> str | None:
        """The reason to stop."""
        return "minutes" if self.share >= 1 else None


class Pace(Callback):
    """The usual seconds of processor time of a step."""

    def __init__(self) -> None:
        self.stamps: list[float] = []

    @property
    def seconds(self) -> float:
        """The median; the first steps take longer."""
        return float(np.median(np.diff(self.stamps)))

    def on_step(self, progress: Progress) -> str | None:
        """Look at the clock."""
        self.stamps.append(time.process_time())
        return None


def trained(
    name: str, train: SeriesTable, seed: int, steps: int, decay: int, clock: Callback
) -> tuple[SeriesSystem, int]:
    """A recipe after so many steps or minutes of processor time, and how many steps it was."""
    card = registry.card(name)
    settings = {**settings_of(train), "steps": steps, "decay_steps": decay}
    torch.manual_seed(seed)
    system: SeriesSystem = card.build(registry.make_config(card.config, settings))
    c = system.config
    loader = Loader(training_windows(c, train), c.batch, seed)
    engine = Engine(seed=seed, ema_half_life=c.ema_half_life, callbacks=(clock,))
    return system, fit(system.modules, system.stages(loader), engine).step


def ours(name: str, train: SeriesTable, seed: int, minutes: float) -> tuple[SeriesSystem, int]:
    """A recipe trained for so many minutes. A few steps first say how long one takes, and so how many the learning rate has to
    fall over."""
    pace = Pace()
    trained(name, train, seed, 20, 20, pace)
    steps = max(int(60 * minutes / pace.seconds), 10)
    return trained(name, train, seed, steps, steps, Spent(minutes))


@dataclass(frozen=True)
class Drawing:
    """Draws of a trained system, in its own number of steps or in another."""

    system: SeriesSystem
    table: SeriesTable
    seed: int
    steps: int | None = None

    def __call__(self, task: Task) -> Draws:
        gaps = replace(self.table, records=(task.record,))
        found = self.system.impute(gaps, n=DRAWS, seed=1000 * self.seed, steps=self.steps)
        return found.draws[0].astype(np.float64)


def scores(task: Task, draws: Draws, std: np.ndarray) -> dict[str, float]:
    """CRPS, CRPS-sum, errors and coverage over the hidden cells, each column divided by its deviation."""
    x, y = draws / std, task.truth / std
    found: dict[str, list[float]] = {n: [] for n in ("crps", "mae", "rmse", "coverage")}
    for k in range(y.shape[1]):
        m = task.hidden[:, k]
        d, t = torch.from_numpy(np.ascontiguousarray(x[:, m, k].T)), torch.from_numpy(y[m, k])
        point = np.median(x[:, m, k], 0)
        found["crps"].append(float((crps_fair if len(d[0]) == DRAWS else crps)(d, t).mean()))
        found["mae"].append(float(np.abs(point - y[m, k]).mean()))
        found["rmse"].append(float(np.sqrt(np.mean((x[:, m, k].mean(0) - y[m, k]) ** 2))))
        found["coverage"].append(float(covered(d, t, 0.9).mean()) if len(d[0]) >= 20 else float("nan"))
    # The sum at every hour of which something is hidden and everything known: what is not hidden is equal in all draws.
    rows = task.hidden.any(1) & np.isfinite(task.truth).all(1)
    sums = torch.from_numpy(np.where(task.hidden, x, y)[:, rows]).transpose(0, 1)
    total = float(crps_sum(sums, torch.from_numpy(y[rows])).mean())
    return {n: fmean(v) for n, v in found.items()} | {
        "crps_sum": total,
        "pm25_crps": found["crps"][0],
        "pm25_coverage": found["coverage"][0],
    }


def peer(train: SeriesTable, seed: int, minutes: float) -> tuple[Callable[[Task], Draws], int]:
    """PyPOTS' CSDI, its network, loss and chain of 50, at the size of our recipe's default: on the same windows of 48, with cells
    hidden at random and the paper's Adam at 1e-3 in batches of 16, until the time is over."""
    from pypots.imputation.csdi.core import _CSDI

    c = registry.make_config(registry.card("csdi").config, settings_of(train))
    windows, batch = training_windows(c, train), 16
    torch.manual_seed(seed)
    net = _CSDI(len(c.columns), c.layers, c.heads, c.width, 128, 16, 128, False, 50, "quad", 1e-4, 0.5)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, weight_decay=1e-6)
    mean, std = (torch.tensor(v)[:, None] for v in train.scales())
    position, rng = torch.arange(float(c.window)), np.random.default_rng(seed)
    spent, steps = Spent(minutes), 0
    net.train()
    while spent.share < 1:
        for group in optimizer.param_groups:  # the paper's rate, after 75 and 90 % of the training
            group["lr"] = 1e-3 * 0.1 ** ((spent.share > 0.75) + (spent.share > 0.9))
        x = ((windows[rng.integers(len(windows), size=batch)].x - mean) / std).float()
        observed = x.isfinite()
        given = observed & (torch.rand(x.shape) >= torch.rand(batch, 1, 1))
        inputs = {
            "X_ori": torch.where(observed, x, 0.0),
            "cond_mask": given.float(),
            "indicating_mask": (observed & ~given).float(),
            "observed_tp": position.expand(batch, -1),
        }
        optimizer.zero_grad()
        net(inputs, calc_criterion=True)["loss"].backward()
        optimizer.step()
        steps += 1
    net.eval()

    def fill(task: Task) -> Draws:
        values = torch.from_numpy(task.record.values.T).float()
        out = np.repeat(task.record.values[None], DRAWS, 0)
        cover = tiles(len(task.record), c.window, c.window // 8)
        x = torch.stack([(values[:, start : start + c.window] - mean) / std for start, _, _ in cover]).float()
        given = x.isfinite()
        inputs = {
            "X": torch.where(given, x, 0.0),
            "cond_mask": given.float(),
            "observed_tp": position.expand(len(x), -1),
        }
        with torch.no_grad():
            drawn = net(inputs, n_sampling_times=DRAWS)["imputation"]
        unit = (drawn * std[:, 0] + mean[:, 0]).double().numpy()
        for (start, low, high), part in zip(cover, unit, strict=True):
            gaps = ~np.isfinite(task.record.values[low:high])
            out[:, low:high][:, gaps] = part[:, low - start : high - start][:, gaps]
        return out

    return fill, steps


FIELDS = (
    "method", "gaps", "seed", "crps", "crps_sum", "mae", "rmse", "coverage", "pm25_crps", "pm25_coverage", "train_seconds",
    "steps", "fill_seconds",
)  # fmt: skip


def methods(
    train: SeriesTable, seed: int, minutes: float, only: set[str]
) -> list[tuple[str, Callable[[], tuple[Callable[[Task], Draws], int]]]]:
    """Name and how to make each: what is made fills tasks, after so many training steps."""

    def recipe(name: str) -> tuple[Callable[[Task], Draws], int]:
        system, steps = ours(name, train, seed, minutes)
        return Drawing(system, train, seed), steps

    table: list[tuple[str, Callable[[], tuple[Callable[[Task], Draws], int]]]] = [
        ("linear interpolation", lambda: (linear, 0)),
        ("seasonal naive", lambda: (seasonal, 0)),
        ("Kalman smoothing", lambda: (kalman(train), 0)),
        ("gradient boosting", lambda: (boosted(train, seed, minutes), 0)),
        ("csdi", lambda: recipe("csdi")),
        ("sssd", lambda: recipe("sssd")),
        ("PyPOTS' CSDI", lambda: peer(train, seed, minutes)),
    ]
    return [row for row in table if not only or row[0] in only]


def _key(row: dict[str, object]) -> tuple[str, ...]:
    return str(row["method"]), str(row["gaps"]), str(row["seed"])


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=3.0, help="of training, in processor time (default 3)")
    parser.add_argument("--only", nargs="*", default=[], help="methods, by name")
    parser.add_argument("--gaps", nargs="*", default=[], help="10%%, 50%%, 90%% or blocks (default all)")
    parser.add_argument(
        "--sampling-steps", type=int, nargs="*", default=[], help="of csdi besides its own, as rows of their own"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/series.csv"))
    args = parser.parse_args()
    train, record = split(open_series("beijing-hours"))
    std = np.array(train.scales()[1])
    rows: list[dict[str, object]] = [dict(row) for row in read_rows(args.out)]
    for seed in args.seeds:
        for name, make in methods(train, seed, args.minutes, set(args.only)):
            begin = time.process_time()
            try:
                fill, steps = make()
            except ImportError as error:
                print(f"{name}: left out, {error}", flush=True)
                continue
            seconds = time.process_time() - begin
            fills = {name: fill}
            if isinstance(fill, Drawing) and name == "csdi":
                fills |= {f"csdi, {n} steps": replace(fill, steps=n) for n in args.sampling_steps}
            for label, each in fills.items():
                for task in tasks(record, seed):
                    if args.gaps and task.name not in args.gaps:
                        continue
                    begin = time.process_time()
                    draws = each(task)
                    spent = time.process_time() - begin
                    found = scores(task, draws, std)
                    row = {
                        "method": label,
                        "gaps": task.name,
                        "seed": seed,
                        **{k: f"{v:.4f}" for k, v in found.items()},
                    }
                    row |= {"train_seconds": f"{seconds:.0f}", "steps": steps, "fill_seconds": f"{spent:.1f}"}
                    rows = [r for r in rows if _key(r) != _key(row)] + [row]
                    print({k: row[k] for k in FIELDS}, flush=True)
            write_rows(args.out, rows)


if __name__ == "__main__":
    main()
