"""Filling gaps and forecasting with a System of series: windows with a margin, all draws of many windows in one batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.rng import Rng
from ornstein.data.series.open import open_series
from ornstein.data.series.reading import Layout
from ornstein.data.series.record import Record, SeriesTable
from ornstein.data.series.static import encode
from ornstein.data.series.windows import Place, Windows
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.recipes.series.filled import Filled

if TYPE_CHECKING:
    from ornstein.recipes.series.system import SeriesSystem


Made = TypeVar("Made")

MANY = 16
"""Draws of a window from which on they make a batch of their own."""

AT_ONCE = {"cpu": 50}
"""Draws at once by kind of device, 1000 where it is not listed. More gain nothing on a CPU: they no longer fit its caches."""


@dataclass(frozen=True, kw_only=True)
class Draws:
    """How many draws of each sought value, and how they are made; the fields are the arguments of
    :meth:`SeriesSystem.impute`."""

    n: int = 100
    steps: int | None = None
    seed: int = 0
    sampler: str | None = None
    batch: int | None = None
    fast: bool = True
    on_step: Callable[[float], None] | None = None

    def __post_init__(self) -> None:
        if self.n < 1 or (self.batch is not None and self.batch < 1):
            raise UsageError(f"n and batch must be at least 1, got {self.n} and {self.batch}")

    def about(self, system: SeriesSystem, task: str) -> dict[str, Any]:
        """For the provenance of what was drawn."""
        return {"task": task, "draws": self.n, "steps": self.steps or system.steps, "seed": self.seed}


def impute(system: SeriesSystem, data: Any, draws: Draws) -> Filled:
    """Every missing value of a table ``n`` times; see :meth:`SeriesSystem.impute`.

    Windows overlap by a quarter: what lies in the outer eighths of one is drawn by its neighbour, so that a gap is seen from
    both sides. Draws are joint within a window.
    """
    c = system.config
    if system.fills_no_gaps:
        raise CapabilityError(f"'{system.recipe}' fills no gaps: {system.fills_no_gaps}. csdi and sssd do")
    table = read(c, data)
    margin = c.window // 8
    where: list[tuple[Place, int, int]] = []
    for r, record in enumerate(table.records):
        for start, low, high in tiles(len(record), c.window, margin):
            if not record.observed[low:high].all():
                where.append(((r, start), low, high))
    cells = _blank(table, draws.n)
    if where:
        windows = _windows(c, table, [place for place, _, _ in where])
        drawn = _draw(system, windows, draws)
        for i, ((r, start), low, high) in enumerate(where):
            part = drawn[i, :, :, low - start : high - start].transpose(0, 2, 1)
            gaps = ~table.records[r].observed[low:high]
            cells[r][:, low:high][:, gaps] = part[:, gaps]
    about = {**draws.about(system, "impute"), "windows": len(where)}
    return Filled(table, tuple(cells), system.provenance(about))


def forecast(system: SeriesSystem, data: Any, draws: Draws) -> Filled:
    """The steps after the end of each series ``n`` times; see :meth:`SeriesSystem.forecast`.

    What the table holds of the future is not looked at: it ends where its rows end. Gaps in the context are drawn along.
    """
    c = system.config
    if getattr(c, "horizon", 0) < 1:
        raise CapabilityError(
            f"this '{system.recipe}' was trained to fill gaps; train one to forecast (task=forecast, horizon=24)"
        )
    table = read(c, data)
    context = c.window - c.horizon
    records, places = [], []
    for r, record in enumerate(table.records):
        if not record.observed[-context:].any():
            raise DataError(
                f"the last {context} rows of series '{record.name}' hold no value to forecast from; give some"
            )
        ahead = record.stamps[-1] + c.step * np.arange(1, c.horizon + 1)
        values = np.concatenate([record.values, np.full((c.horizon, len(c.columns)), np.nan)])
        longer = Record(values, np.concatenate([record.stamps, ahead]), record.name, record.static, record.label)
        if len(longer) < c.window:  # what is missing before the first row is unknown, and stays out of sight
            pad = c.window - len(longer)
            before = longer.stamps[0] - c.step * np.arange(pad, 0, -1)
            longer = replace(
                longer,
                values=np.concatenate([np.full((pad, len(c.columns)), np.nan), values]),
                stamps=np.concatenate([before, longer.stamps]),
            )
        records.append(longer)
        places.append((r, len(longer) - c.window))
    wide = replace(table, records=tuple(records))
    windows = _windows(c, wide, places)
    drawn = _draw(system, windows, draws)
    ends = [replace(r, values=r.values[-c.horizon :], stamps=r.stamps[-c.horizon :]) for r in records]
    cells = tuple(d[:, :, context:].transpose(0, 2, 1).copy() for d in drawn)
    about = {**draws.about(system, "forecast"), "horizon": c.horizon}
    return Filled(replace(table, records=tuple(ends)), cells, system.provenance(about))


def layout_of(c: Any) -> Layout:
    """Which columns of a file are what, as the config says."""
    return Layout(c.time, c.columns, c.series, c.covariates, c.label)


def read(c: Any, data: Any) -> SeriesTable:
    """A table with the model's columns, refused where it is of another kind than what the model was trained on."""
    layout = layout_of(c)
    layout = replace(layout, label="")  # the class of a series with gaps need not be known
    table = open_series(data, layout)
    if table.columns != c.columns:
        missing = sorted(set(c.columns) - set(table.columns))
        if missing:
            raise DataError(f"'{table.name}' lacks the columns {', '.join(missing)}, which the model was trained on")
        table = table.select(c.columns)
    if c.calendar and not table.calendar:
        raise DataError(f"the model was trained on dates, and the time stamps of '{table.name}' are numbers")
    longest = max(map(len, table.records))
    if longest > 1 and not 0.5 <= table.step / c.step <= 2:
        raise DataError(
            f"the model was trained on time stamps {c.step:g} apart, those of '{table.name}' are {table.step:g} apart; bring "
            "them to the same step, or train a model on such data"
        )
    return table


def tiles(length: int, window: int, margin: int) -> list[tuple[int, int, int]]:
    """Windows that cover a record: (start, first row kept, row after the last kept)."""
    if length <= window:
        return [(0, 0, length)]
    found, low = [], 0
    while low < length:
        start = min(max(low - margin, 0), length - window)
        high = length if start == length - window else start + window - margin
        found.append((start, low, high))
        low = high
    return found


def _windows(c: Any, table: SeriesTable, places: Sequence[Place]) -> Windows:
    static = encode(table, c.static, c.static_mean, c.static_std) if c.static else None
    return Windows(table, c.window, step=c.step, calendar=c.calendar, static=static, places=places)


def _blank(table: SeriesTable, n: int) -> list[np.ndarray]:
    return [np.repeat(r.values[None].astype(np.float32), n, 0) for r in table.records]


def _draw(system: SeriesSystem, windows: Windows, draws: Draws) -> np.ndarray:
    """``[W, n, K, L]`` float32 in the data's unit."""
    denoiser = system.denoiser
    move, times, _ = system.prepare(draws.steps, draws.sampler, None, None)
    system.modules.eval()
    device, total = system.device, len(windows) * draws.n
    out = np.empty((total, *system.shape), np.float32)
    before = denoiser.autocast if isinstance(denoiser, Preconditioned) else None
    lengths = [len(r) for r in windows.table.records]

    @torch.no_grad()
    def made(rows: range) -> tuple[range, np.ndarray]:
        rng = Rng([draws.seed + i for i in rows])
        chosen = [i // draws.n for i in rows]
        cond = {k: v.to(device) for k, v in known(system, windows, chosen, lengths).items()}
        # A context around the network's own autocast: its weights stay in bf16 between calls.
        with torch.autocast(device.type, enabled=False):
            x, _ = system.draw(move, times, rng, cond)
        return rows, system.codec.decode(x, cond).cpu().numpy()

    done = 0
    try:
        if isinstance(denoiser, Preconditioned):
            denoiser.autocast = torch.bfloat16 if draws.fast else None
        batches = _batches(len(windows), draws.n, draws.batch or AT_ONCE.get(device.type, 1000))
        for rows, x in side_by_side(made, batches, torch.get_num_threads() if device.type == "cpu" else 1):
            out[rows.start : rows.stop] = x
            done += len(rows)
            if draws.on_step is not None:
                draws.on_step(done / total)
    finally:
        if isinstance(denoiser, Preconditioned):
            denoiser.autocast = before
    return out.reshape(len(windows), draws.n, *system.shape)


def side_by_side(work: Callable[[range], Made], batches: Sequence[range], threads: int) -> Iterator[Made]:
    """The batches' results in order, each batch on a thread of its own that shares no operation with others.

    Threads that part the small operations of one batch among them wait for one another at each, which costs half of what they
    gain, and many times that when other work runs on the machine.
    """
    if threads < 2 or len(batches) < 2:
        yield from map(work, batches)
        return
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting: deque[Future[Made]] = deque()
        try:
            for rows in batches:
                waiting.append(pool.submit(work, rows))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # an error, or an interruption
            for one in waiting:
                one.cancel()
            torch.set_num_threads(threads)


def _batches(windows: int, n: int, most: int) -> list[range]:
    """Draws that are made at once: of a single window where it has many, because they share all that the network is told."""
    if n < MANY:
        return [range(start, min(start + most, windows * n)) for start in range(0, windows * n, most)]
    return [range(w * n + i, w * n + min(i + most, n)) for w in range(windows) for i in range(0, n, most)]


def known(
    system: SeriesSystem, windows: Windows, chosen: Sequence[int], lengths: Sequence[int]
) -> Mapping[str, Tensor]:
    """The conditions of some windows: what is given, what is sought, when."""
    first = sorted(set(chosen))
    batch = windows[first]
    x = system.codec.encode(batch.x, Rng([0] * len(batch)), batch.cond)
    given = x.isfinite()
    inside = torch.tensor([lengths[windows.places[i][0]] - windows.places[i][1] for i in first])
    exists = torch.arange(x.shape[-1]) < inside[:, None]
    sought = ~given & exists[:, None]
    some = {**batch.cond, "values": torch.where(given, x, 0.0), "given": given, "sought": sought}
    anchor = system.config.anchor()
    if anchor is not None:
        some |= anchor(some["values"], given, batch.cond["position"])
    if len(first) == 1:  # what all draws share goes through the network once
        return some
    index = torch.tensor([first.index(i) for i in chosen])
    return {name: value[index] for name, value in some.items()}
