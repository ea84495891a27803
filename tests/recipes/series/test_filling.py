"""Filling gaps and forecasting with trained systems: what stays, what is drawn, what is refused; the commands too."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from PIL import Image

import ornstein
from ornstein.cli import main
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.data import open_table
from ornstein.recipes.series.fill import side_by_side, tiles
from ornstein.recipes.series.plot import plot
from ornstein.recipes.series.system import SeriesSystem

SMALL = {"window": 12, "width": 8, "layers": 1, "hidden": 8, "batch": 4, "steps": 3, "precision": "fp32"}


def frame(rows: int = 60, seed: int = 0) -> pandas.DataFrame:
    """Two columns by the hour, with gaps."""
    rng = np.random.default_rng(seed)
    hours = np.arange(rows)
    made = pandas.DataFrame(
        {
            "time": pandas.date_range("2014-01-01", periods=rows, freq="h"),
            "pm2.5": 50 + 20 * np.sin(hours / 4) + rng.normal(size=rows),
            "temp": 5 * np.cos(hours / 4) + rng.normal(size=rows),
        }
    )
    made.loc[20:24, "pm2.5"] = np.nan
    made.loc[40, ["pm2.5", "temp"]] = np.nan
    return made


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> SeriesSystem:
    trained, _ = ornstein.train("csdi", data=frame(), out=tmp_path_factory.mktemp("runs") / "air", settings=SMALL)
    assert isinstance(trained, SeriesSystem)
    return trained


def test_observed_values_stay_and_gaps_are_drawn(system: SeriesSystem) -> None:
    given = frame()
    filled = system.impute(given, n=7, steps=3)
    made = filled.to_frame()
    assert list(made.columns[:7]) == [
        "time", "pm2.5", "pm2.5_mean", "pm2.5_q0.05", "pm2.5_q0.25", "pm2.5_q0.75", "pm2.5_q0.95",
    ]  # fmt: skip
    observed = given["pm2.5"].notna()
    np.testing.assert_allclose(made["pm2.5"][observed], given["pm2.5"][observed])
    assert made["pm2.5"].notna().all() and made["pm2.5_mean"].notna().tolist() == (~observed).tolist()
    assert (made["time"] == given["time"]).all()
    (draws,) = filled.draws
    gaps = ~observed.to_numpy()
    assert draws.shape == (7, 60, 2) and float(draws[:, gaps, 0].std(0).min()) > 0
    np.testing.assert_allclose(made["pm2.5_mean"][gaps], draws[:, gaps, 0].mean(0), rtol=1e-5)
    assert (made["pm2.5_q0.05"][gaps] <= made["pm2.5_q0.95"][gaps]).all()
    assert filled.completed().missing == 0
    with pytest.raises(UsageError, match="between 0 and 1"):
        filled.quantile(1.0)


def test_a_draw_depends_on_its_seed_only(system: SeriesSystem) -> None:
    one, other = (system.impute(frame(), n=5, steps=2, batch=b, fast=False).draws[0] for b in (3, 64))
    np.testing.assert_allclose(one, other, atol=1e-4)
    again = system.impute(frame(), n=5, steps=2, seed=9).draws[0]
    assert not np.allclose(again, one)


def test_threads_change_no_draw_and_end_with_an_error(system: SeriesSystem) -> None:
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(system.impute(frame(), n=20, steps=2, batch=5, fast=False).draws[0])
        np.testing.assert_array_equal(*found)
        assert torch.get_num_threads() == 2

        def work(rows: range) -> int:
            if rows.start == 3:
                raise DataError("this batch")
            return rows.start

        some = [range(i, i + 1) for i in range(6)]
        with pytest.raises(DataError, match="this batch"):
            list(side_by_side(work, some, 2))
        assert list(side_by_side(work, some[:3], 2)) == [0, 1, 2]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_windows_without_gaps_cost_nothing(system: SeriesSystem) -> None:
    whole = frame().interpolate()
    filled = system.impute(whole, n=3)
    assert filled.provenance["windows"] == 0
    np.testing.assert_allclose(filled.draws[0][0], whole[["pm2.5", "temp"]].to_numpy(), rtol=1e-6)


@pytest.mark.parametrize("length", [1, 11, 12, 13, 20, 21, 60, 61])
def test_tiles_cover_every_row_once_and_see_both_sides(length: int) -> None:
    found = tiles(length, 12, 2)
    assert [low for _, low, _ in found] == [0, *[high for _, _, high in found[:-1]]] and found[-1][2] == length
    for start, low, high in found:
        assert 0 <= start <= low < high <= max(start + 12, length)
        assert (low == 0 or low - start >= 2) and (high == length or start + 12 - high >= 2)


def test_a_column_without_values_is_filled_from_the_others(system: SeriesSystem) -> None:
    given = frame().assign(temp=np.nan)
    assert system.impute(given, n=3, steps=2).to_frame()["temp"].notna().all()


def test_forecasts_go_on_after_the_last_row(system: SeriesSystem, tmp_path: Path) -> None:
    with pytest.raises(CapabilityError, match="trained to fill gaps"):
        system.forecast(frame())
    for name, more in (("csdi", {"task": "forecast"}), ("timegrad", {"recurrent_layers": 1, "blocks": 1})):
        settings = {k: v for k, v in SMALL.items() if name == "csdi" or k not in ("width", "layers")}
        ahead, _ = ornstein.train(name, data=frame(), out=tmp_path / name, settings=settings | more | {"horizon": 4})
        assert isinstance(ahead, SeriesSystem)
        made = ahead.forecast(frame(), n=6, steps=2).to_frame()
        assert made["time"].tolist() == pandas.date_range("2014-01-03 12:00", periods=4, freq="h").tolist()
        assert made.drop(columns="time").notna().all(axis=None)
        short = ahead.forecast(frame().iloc[:5], n=2, steps=2)  # fewer rows than the context
        assert short.draws[0].shape == (2, 4, 2) and np.isfinite(short.draws[0]).all()
        empty = frame().assign(temp=np.nan)
        empty.loc[45:, "pm2.5"] = np.nan
        with pytest.raises(DataError, match="hold no value to forecast from"):
            ahead.forecast(empty)
    with pytest.raises(CapabilityError, match="fills no gaps"):
        ahead.impute(frame())


def test_data_of_another_kind_are_refused(system: SeriesSystem) -> None:
    with pytest.raises(UsageError, match=r"no column 'pm2\.5'"):
        system.impute(frame().rename(columns={"pm2.5": "pm25"}))
    daily = frame().assign(time=pandas.date_range("2014-01-01", periods=60, freq="D"))
    with pytest.raises(DataError, match="stamps 3600 apart, those of 'frame' are 86400 apart"):
        system.impute(daily)
    with pytest.raises(UsageError, match="n and batch must be at least 1"):
        system.impute(frame(), n=0)


def test_training_refuses_what_cannot_be_learned(tmp_path: Path) -> None:
    def train(data: Any, settings: dict[str, Any]) -> None:
        ornstein.train("csdi", data=data, out=tmp_path / "run", settings=SMALL | settings)

    with pytest.raises(UsageError, match=r"horizon must lie in 1 \.\. 11, below the window of 12 steps, got 24"):
        train(frame(), {"task": "forecast", "horizon": 24})
    with pytest.raises(UsageError, match="say how many steps ahead: horizon"):
        train(frame(), {"task": "forecast"})
    with pytest.raises(UsageError, match="task must be one of"):
        train(frame(), {"task": "imputation"})
    with pytest.raises(DataError, match="column 'temp' of 'frame' has no value at all"):
        train(frame().assign(temp=np.nan), {})
    with pytest.raises(DataError, match="column 'temp' of 'frame' is 3 throughout"):
        train(frame().assign(temp=3.0), {})
    with pytest.raises(UsageError, match="size and captions are for images"):
        ornstein.train("csdi", data=frame(), out=tmp_path / "run", size=8, settings=SMALL)
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match="a lag of 9 steps reaches back beyond the context of 8"):
        ornstein.build("timegrad", settings={"window": 12, "horizon": 4, "lags": "9"})
    with pytest.raises(DataError, match=r"'frame' has 1 windows, fewer than a batch of 4; lower .* or add rows"):
        train(frame().iloc[:12], {})


def test_covariates_series_and_classes_reach_the_network(tmp_path: Path) -> None:
    parts = [frame(60, i).assign(site=s, height=h) for i, (s, h) in enumerate((("x", 10.0), ("y", 30.0)))]
    data = pandas.concat(parts, ignore_index=True)
    settings = SMALL | {"series": "site", "covariates": "height", "columns": "pm2.5,temp"}
    trained, _ = ornstein.train("csdi", data=data, out=tmp_path / "run", settings=settings)
    c = trained.config
    assert (c.static, c.static_mean, c.static_std) == (("height",), (20.0,), (10.0,)) and c.calendar == ("hour",)
    made = trained.impute(data, n=2, steps=2).to_frame()
    assert made["site"].tolist() == data["site"].tolist()
    resumed, result = ornstein.train(
        "csdi", data=data, out=tmp_path / "run", settings={"series": "site", "covariates": "height"}, steps=5
    )
    assert result.step == 5 and resumed.config.columns == ("pm2.5", "temp")


def test_the_plot_shows_gaps(system: SeriesSystem) -> None:
    filled = system.impute(frame(), n=4, steps=2)
    picture = plot(filled)
    assert picture.size[0] == 900 and len(picture.getcolors(100_000) or []) > 20
    assert plot(filled, rows=(15, 30)).size == (900, 176), "one column has gaps there"


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    frame().to_csv("air.csv", index=False)
    words = ["--data", "air.csv", "--time", "time", "--columns", "pm2.5,temp", "--steps", "3", "--out", "runs/air"]
    words += [w for k, v in SMALL.items() if k != "steps" for w in ("--set", f"{k}={v}")]
    assert main(["train", "csdi", *words]) == 0
    assert "ornstein edit runs/air --task impute" in capsys.readouterr().out
    assert main(["edit", "runs/air", "--task", "impute", "--input", "air.csv", "-n", "4", "--steps", "2",
                 "-o", "filled.csv", "--json"]) == 0  # fmt: skip
    about = json.loads(capsys.readouterr().out)
    assert about["filled"] == 7 and about["draws"] == 4 and about["recipe"] == "csdi"
    with Path("filled.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60 and rows[21]["pm2.5"] and rows[21]["pm2.5_q0.05"] and rows[19]["pm2.5_q0.05"] == ""
    with Image.open("filled.png") as picture:
        assert picture.size[0] == 900
    assert json.loads(Path("filled.json").read_text())["task"] == "impute"
    for wrong, message in (
        (["edit", "runs/air", "--task", "impute", "--image", "air.csv"], "--task impute needs --input FILE.csv"),
        (["edit", "runs/air", "--task", "forecast", "--input", "air.csv"], "trained to fill gaps"),
        (["edit", "fashion-mnist", "--task", "impute", "--input", "air.csv"], "knows no series"),
        (["edit", "runs/air", "--task", "impute", "--input", "air.csv", "--label", "x"], "--label is for pictures"),
        (["edit", "fashion-mnist", "--task", "inpaint"], "--task inpaint needs --image"),
        (["train", "ddpm", "--data", "digits", "--horizon", "3"], "--horizon is for recipes of series"),
        (["train", "csdi", "--data", "air.csv", "--task", "forecast", "--set", "task=impute"], "task is given twice"),
    ):
        assert main(wrong) != 0
        assert message in capsys.readouterr().err, wrong


def test_a_generator_draws_classes_and_fills_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = pandas.concat([frame().assign(site=s, kind=k) for s, k in (("x", "u"), ("y", "v"))], ignore_index=True)
    settings = {"window": 12, "width": 8, "layers": 1, "batch": 4, "steps": 2, "series": "site", "label": "kind"}
    run = tmp_path / "run"
    made, _ = ornstein.train("series-diffwave", data=data, out=run, settings=settings | {"columns": "pm2.5,temp"})
    assert isinstance(made, SeriesSystem) and made.classes == ("u", "v")
    with pytest.raises(CapabilityError, match="fills no gaps"):
        made.impute(frame())
    assert main(["sample", str(run), "-n", "4", "--steps", "3", "--label", "v", "-o", str(tmp_path / "out")]) == 0
    table = open_table(tmp_path / "out" / "series.npz")
    assert table.kind == "series" and table.x.shape == (4, 2, 12) and table.labels is not None
    assert table.classes == ("u", "v") and table.labels.tolist() == [1] * 4
    assert main(["sample", str(run), "-n", "1", "-o", str(tmp_path / "a.png")]) == 2
    assert "series are no picture" in capsys.readouterr().err


def test_samples_are_windows_in_the_data_s_unit(system: SeriesSystem) -> None:
    drawn = system.sample(3, steps=3, seed=1)
    assert drawn.tensor.shape == (3, 2, 12) and bool(torch.isfinite(drawn.tensor).all())
    std, mean = torch.std_mean(system.sample(64, steps=2).tensor[:, 0])
    assert 20 < float(mean) < 80 and float(std) < 200
