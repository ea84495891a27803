"""CSV files and frames of series: what is read, and what is refused with its place and the remedy."""

from __future__ import annotations

import lzma
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest

from ornstein.core.errors import DataError, UsageError
from ornstein.data import Arrays
from ornstein.data.series import Layout, SeriesTable, from_frame, open_series, read_csv, to_frame
from ornstein.data.series.static import describe, encode

GOOD = "time,a,b\n2014-01-01 00:00,1,2\n2014-01-01 01:00,,3\n2014-01-01 04:00,5,NA\n"


def csv_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "air.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_irregular_stamps_and_gaps(tmp_path: Path) -> None:
    table = read_csv(csv_of(tmp_path, GOOD))
    assert table.columns == ("a", "b") and table.name == "air" and table.calendar
    (record,) = table.records
    assert np.diff(record.stamps).tolist() == [3600, 3 * 3600]
    np.testing.assert_array_equal(record.values, [[1, 2], [np.nan, 3], [5, np.nan]])
    assert table.missing == pytest.approx(2 / 6) and table.step == 2 * 3600
    assert table.scales()[0] == (3.0, 2.5)
    packed = tmp_path / "air.csv.xz"
    packed.write_bytes(lzma.compress(GOOD.encode()))
    assert read_csv(packed).content_hash == table.content_hash


def test_stamps_may_be_numbers_or_columns_of_a_date(tmp_path: Path) -> None:
    numbers = read_csv(csv_of(tmp_path, "time,a\n0.5,1\n2.5,2\n"))
    assert not numbers.calendar and numbers.records[0].stamps.tolist() == [0.5, 2.5]
    parts = read_csv(csv_of(tmp_path, "year,month,day,hour,a\n2014,1,1,0,1\n2014,1,1,2,2\n"))
    whole = read_csv(csv_of(tmp_path, "time,a\n2014-01-01 00:00,1\n2014/01/01 02:00,2\n"))
    assert parts.content_hash == whole.content_hash


def test_several_series_with_covariates_and_classes(tmp_path: Path) -> None:
    text = "site,time,height,kind,a\nx,1,10,urban,1\ny,1,30,rural,5\nx,2,10,urban,2\n"
    table = read_csv(csv_of(tmp_path, text), Layout("time", ("a",), "site", ("height",), "kind"))
    assert [r.name for r in table.records] == ["x", "y"] and table.labels == ("urban", "rural")
    assert [len(r) for r in table.records] == [2, 1]
    both = read_csv(csv_of(tmp_path, text), Layout("time", ("a",), "site", ("height", "kind")))
    names, means, stds = describe(both)
    assert names == ("height", "kind=rural", "kind=urban")
    np.testing.assert_allclose(encode(both, names, means, stds), [[-1, 0, 1], [1, 1, 0]])
    with pytest.raises(DataError, match="trained with the covariate 'height', which series 'x' lacks"):
        encode(replace(table, records=tuple(replace(r, static=()) for r in table.records)), names, means, stds)


BAD = {
    "unsorted": ("time,a\n2,1\n1,2\n", "line 3 lies before .*line 2 in time; sort"),
    "duplicated": ("time,a\n1,1\n1,2\n", "line 3 has the time stamp of .*line 2 again; keep one"),
    "text": ("time,a\n1,1\n2,high\n", "line 3, column 'a': 'high' is no number"),
    "no header": ("2014-01-01,1\n2014-01-02,2\n", "has no header: its first line holds '2014-01-01'"),
    "no header of numbers": ("1,1\n2,2\n", "has no header"),
    "infinite": ("time,a\n1,1\n2,-inf\n", "line 3, column 'a' is infinite"),
    "zones": (
        "time,a\n2014-01-01T00:00+01:00,1\n2014-01-01T01:00Z,2\n",
        r"line 3: '2014-01-01T01:00Z' is written in the zone UTC\+0000, .*line 2 in the zone UTC\+0100; write all",
    ),
    "some zones": ("time,a\n2014-01-01T00:00,1\n2014-01-01T01:00Z,2\n", "line 2 in no zone"),
    "no stamp": ("time,a\n1,1\n,2\n", "line 3: there is no time stamp"),
    "not a stamp": ("time,a\nmonday,1\n", "'monday' is no time stamp"),
    "ragged": ("time,a\n1,1,7\n", "line 2 has 3 cells, the header 2"),
    "two names": ("time,a,a\n1,1,7\n", "two columns 'a'"),
    "no rows": ("time,a\n", "no rows below its header"),
    "impossible date": ("year,month,day,a\n2014,x,1,1\n", "do not make a date"),
}


@pytest.mark.parametrize("case", BAD)
def test_unusable_files_are_refused(case: str, tmp_path: Path) -> None:
    text, message = BAD[case]
    with pytest.raises(DataError, match=message):
        read_csv(csv_of(tmp_path, text))


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    path = csv_of(tmp_path, GOOD)
    with pytest.raises(UsageError, match="no column 'tim': did you mean 'time'"):
        read_csv(path, Layout("tim"))
    with pytest.raises(UsageError, match="column 'a' is asked for as a value and as something else"):
        read_csv(path, Layout("time", ("a",), static=("a",)))
    with pytest.raises(UsageError, match="no column that is called time or"):
        read_csv(csv_of(tmp_path, "when,a\n1,1\n"))
    with pytest.raises(DataError, match="'a' is to stay the same within series 'air' and holds"):
        read_csv(csv_of(tmp_path, "time,a,b\n1,1,2\n2,3,4\n"), Layout("time", ("b",), static=("a",)))
    with pytest.raises(DataError, match=r"gone\.csv is not there"):
        read_csv(tmp_path / "gone.csv")


def test_columns_with_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="column 'b' of 'air' has no value at all"):
        read_csv(csv_of(tmp_path, "time,a,b\n1,1,\n2,2,NaN\n")).require_trainable()
    with pytest.raises(DataError, match="column 'b' of 'air' is 7 throughout"):
        read_csv(csv_of(tmp_path, "time,a,b\n1,1,7\n2,2,7\n3,2,\n")).require_trainable()


def test_a_frame_is_read_as_its_file_is(tmp_path: Path) -> None:
    path = csv_of(tmp_path, GOOD)
    frame = pandas.read_csv(path, parse_dates=["time"])
    table = read_csv(path)
    assert from_frame(frame).content_hash == table.content_hash
    assert from_frame(frame.set_index("time")).content_hash == table.content_hash
    back = to_frame(table)
    pandas.testing.assert_frame_equal(back, frame, check_dtype=False)
    assert open_series(back).content_hash == table.content_hash


def test_unusable_frames_are_refused() -> None:
    frame = pandas.DataFrame({"time": ["2014-01-02", "2014-01-01"], "a": [1.0, 2.0]}, index=[7, 9])
    with pytest.raises(DataError, match="'frame', row 9 lies before 'frame', row 7 in time"):
        from_frame(frame)
    with pytest.raises(DataError, match="row 7, column 'a': 'x' is no number"):
        from_frame(frame.assign(a=["x", 1]))
    with pytest.raises(DataError, match="has no rows"):
        from_frame(frame.iloc[:0])
    stamps = [pandas.Timestamp("2014-01-01", tz="UTC"), pandas.Timestamp("2014-01-02", tz="Asia/Shanghai")]
    with pytest.raises(DataError, match=r"row 9: .* is written in the zone UTC\+0800, .* row 7 in the zone UTC\+0000"):
        from_frame(frame.assign(time=stamps))
    with pytest.raises(UsageError, match="series cannot be read from a list"):
        open_series([1, 2])
    with pytest.raises(DataError, match=r"unknown series 'beijing-hour': .*did you mean 'beijing-hours'"):
        open_series("beijing-hour")


def test_arrays_of_one_length_are_records() -> None:
    data = Arrays(
        np.arange(12, dtype=np.float32).reshape(2, 2, 3), np.array([0, 1]), ("u", "v"), "two", of="series", hertz=2.0,
        conds={"length": np.array([3, 2])},
    )  # fmt: skip
    table = open_series(data)
    assert table.labels == ("u", "v") and [len(r) for r in table.records] == [3, 2]
    assert table.records[1].values.tolist() == [[6, 9], [7, 10]] and table.step == 0.5
    assert isinstance(table, SeriesTable) and table.columns == ("channel_0", "channel_1")
