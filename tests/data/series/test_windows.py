"""Windows: which rows they hold, how irregular stamps, short records and the calendar appear in them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ornstein.core.errors import DataError, UsageError
from ornstein.data.loader import Loader
from ornstein.data.series import Record, SeriesTable, Windows
from ornstein.data.series.clock import parse_stamps, show_stamp, suitable


def table(*lengths: int, calendar: bool = False) -> SeriesTable:
    records = [
        Record(np.arange(2 * n, dtype=float).reshape(n, 2), np.arange(n) * 3600.0, f"r{i}", (("h", float(i)),))
        for i, n in enumerate(lengths)
    ]
    return SeriesTable(tuple(records), ("a", "b"), calendar=calendar)


def test_windows_cover_every_row() -> None:
    windows = Windows(table(10, 4), 4, 3)
    assert windows.places == [(0, 0), (0, 3), (0, 6), (1, 0)]
    assert Windows(table(11), 4, 3).places[-1] == (0, 7), "one more window reaches the end"
    batch = windows[[1, 3]]
    assert batch.x.shape == (2, 2, 4) and batch.x[0, 0].tolist() == [6, 8, 10, 12]
    assert batch.cond["position"].tolist() == [[0, 1, 2, 3]] * 2


def test_a_short_record_is_padded_with_missing_values() -> None:
    batch = Windows(table(10, 3), 5)[slice(-1, None)]
    assert batch.x[0, 0, :3].tolist() == [0, 2, 4] and bool(batch.x[0, :, 3:].isnan().all())
    assert batch.cond["position"][0].tolist() == [0, 1, 2, 3, 4]


def test_irregular_stamps_become_positions() -> None:
    record = Record(np.ones((4, 1)), np.array([0.0, 1.0, 1.5, 4.0]))
    batch = Windows(SeriesTable((record,), ("a",), calendar=False), 4, step=0.5)[[0]]
    assert batch.cond["position"][0].tolist() == [0, 2, 3, 8]


def test_calendar_and_covariates() -> None:
    stamps = parse_stamps(["2024-01-01 06:00", "2024-01-01 18:00"], ["1", "2"]).seconds  # a Monday
    record = Record(np.ones((2, 1)), stamps)
    windows = Windows(SeriesTable((record,), ("a",)), 2, calendar=("hour", "weekday"), static=np.array([[7.0, 8.0]]))
    batch = windows[[0]]
    angle = 2 * math.pi * 0.25 / 7
    wanted = [[1, 0, math.sin(angle), math.cos(angle)], [-1, 0, math.sin(3 * angle), math.cos(3 * angle)]]
    np.testing.assert_allclose(batch.cond["calendar"][0], wanted, atol=1e-6)
    assert batch.cond["static"].tolist() == [[7, 8]]
    assert suitable(3600, 800 * 86400) == ("hour", "weekday", "yearday")
    assert suitable(86400, 30 * 86400) == ("weekday",) and suitable(8 * 86400, 3e7) == ()
    assert show_stamp(stamps[0], True) == "2024-01-01 06:00:00" and show_stamp(2.5, False) == "2.5"
    with pytest.raises(DataError, match="numbers, which have no hour"):
        Windows(table(4), 2, calendar=("hour",))


def test_windows_without_values_are_left_out() -> None:
    values = np.full((8, 1), np.nan)
    values[:2] = 1
    empty_end = SeriesTable((Record(values, np.arange(8.0)),), ("a",), calendar=False)
    assert Windows(empty_end, 3, least=1).places == [(0, 0), (0, 1)]
    with pytest.raises(DataError, match="no window of 3 rows with 4 observed values"):
        Windows(empty_end, 3, least=4)
    with pytest.raises(UsageError, match="length of at least 2"):
        Windows(empty_end, 1)


def test_a_loader_streams_them() -> None:
    windows = Windows(table(30), 4)
    a, b = (next(iter(Loader(windows, 8, seed))) for seed in (0, 0))
    assert torch.equal(a.x, b.x) and a.x.shape == (8, 2, 4)
    assert Loader(windows, 8, 0).state()["images"] == len(windows) == 27
