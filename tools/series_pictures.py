"""Draw docs/pictures/systems/NAME.png of a recipe of series: it is trained for a minute or three, and what it draws is shown.

    python tools/series_pictures.py NAME [NAME ...]

csdi fills real gaps of the air in Beijing, sssd long gaps in sums of sines, timegrad goes on with a season, series-diffwave draws
two classes beside data of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ornstein.data import Loader
from ornstein.data.series import open_series
from ornstein.data.series.clock import parse_stamps
from ornstein.recipes.checks import series_diffwave as oscillations
from ornstein.recipes.checks import sssd as sines
from ornstein.recipes.checks import timegrad as forks
from ornstein.recipes.series.csdi import CSDI, csdi
from ornstein.recipes.series.data import settings_of, training_windows
from ornstein.recipes.series.generator import Generator, series_diffwave
from ornstein.recipes.series.plot import plot
from ornstein.recipes.series.sssd import SSSD, sssd
from ornstein.training.fit import Engine, fit

FOLDER = Path(__file__).parent.parent / "docs" / "pictures" / "systems"


def air() -> Image.Image:
    """A fortnight of Beijing with real gaps, and cells hidden beside them."""
    table = open_series("beijing-hours")
    cut, end = (float(parse_stamps([t], [""]).seconds[0]) for t in ("2014-01-01", "2014-01-15"))
    train = table.between(-np.inf, cut)
    c = CSDI(**settings_of(train), steps=1200, decay_steps=1200)
    torch.manual_seed(0)
    system = csdi(c)
    fit(system.modules, system.stages(Loader(training_windows(c, train), c.batch, 0)), Engine(ema_half_life=2000))
    shown = table.between(cut, end)
    record = shown.records[0]
    values = record.values.copy()
    rng = np.random.default_rng(0)
    values[rng.random(values.shape) < 0.3] = np.nan
    for k, start in enumerate((60, 100, 150, 220, 260)):
        values[start : start + 18, k] = np.nan
    return plot(system.impute(replace(shown, records=(replace(record, values=values),)), n=50))


def gaps() -> Image.Image:
    """A gap of 18 steps in all columns."""
    table = sines.table_of(sines.waves(sines.TRAINING, 0))
    c = SSSD(**settings_of(table), window=60, batch=32, steps=800, decay_steps=800, masks=("blackout",), width=32)
    torch.manual_seed(0)
    system = sssd(c)
    fit(system.modules, system.stages(Loader(training_windows(c, table), c.batch, 0)), Engine(ema_half_life=2000))
    one = sines.table_of(sines.waves(1, 5))
    values = one.records[0].values.copy()
    values[22:40] = np.nan
    return plot(system.impute(replace(one, records=(replace(one.records[0], values=values),)), n=50))


def ahead() -> Image.Image:
    """Twelve steps after the end of two columns."""
    system = forks.train(forks.table_of(forks.seasons(1500, 36, 0)), 0, 36, 12, 200)
    past = forks.table_of(forks.seasons(1, 24, 7))
    made = system.forecast(past, n=50)
    before, after = past.records[0], made.table.records[0]
    whole = replace(
        before,
        values=np.concatenate([before.values, after.values]),
        stamps=np.concatenate([before.stamps, after.stamps]),
    )
    draws = np.concatenate([np.repeat(before.values[None], 50, 0).astype(np.float32), made.draws[0]], 1)
    return plot(replace(made, table=replace(past, records=(whole,)), draws=(draws,)))


def classes() -> Image.Image:
    """Six draws of each class in a row, above six of the data."""
    records = []
    for label, name in enumerate(oscillations.CLASSES):
        for i, x in enumerate(oscillations.draw(label, 2000, label)):
            records.append(forks.table_of(x[None, :, None]).records[0])
            records[-1] = replace(records[-1], name=f"{label}-{i}", label=name)
    table = replace(
        forks.table_of(torch.zeros(1, 24, 1).double() + torch.arange(24)[None, :, None]), records=tuple(records)
    )
    c = replace(Generator(**settings_of(table), window=24, batch=64, steps=300, decay_steps=300), width=48, layers=3)
    torch.manual_seed(0)
    system = series_diffwave(c)
    fit(system.modules, system.stages(Loader(training_windows(c, table), c.batch, 0)), Engine(ema_half_life=4000))
    rows = []
    for label, name in enumerate(oscillations.CLASSES):
        k = system.classes.index(name)
        rows.append((f"{name}: drawn", system.sample(6, label=k, seed=0).tensor[:, 0].numpy()))
        rows.append((f"{name}: data", oscillations.draw(label, 6, 99).numpy()))
    width, high, left = 130, 70, 90
    image = Image.new("RGB", (2 * (left + 6 * width), 2 * high * len(rows)), "white")
    draw = ImageDraw.Draw(image)
    for r, (title, lines) in enumerate(rows):
        draw.text((12, 2 * high * r + high - 10), title, fill="#39414d", font=ImageFont.load_default(size=20))
        for i, line in enumerate(lines):
            x = 2 * (left + i * width + 6 + np.arange(24) / 23 * (width - 12))
            y = 2 * (high * r + high / 2 - line * high / 7)
            colour = "#2f6fb0" if r % 2 == 0 else "#39414d"
            draw.line([(float(a), float(b)) for a, b in zip(x, y, strict=True)], fill=colour, width=3, joint="curve")
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


PICTURES: dict[str, Callable[[], Image.Image]] = {
    "csdi": air, "sssd": gaps, "timegrad": ahead, "series-diffwave": classes,
}  # fmt: skip


def main(names: list[str]) -> None:
    """Draw them."""
    for name in names:
        path = FOLDER / f"{name}.png"
        PICTURES[name]().quantize(48, method=Image.Quantize.MAXCOVERAGE).save(path, optimize=True)
        print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main(sys.argv[1:] or list(PICTURES))
