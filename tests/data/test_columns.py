"""Parquet files and objects of the datasets library: which columns are read, and what is wrong with others."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ornstein.core.errors import DataError, UsageError
from ornstein.data import DataWarning, open_data


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8))


def png(seed: int) -> bytes:
    out = io.BytesIO()
    picture(seed).save(out, "PNG")
    return out.getvalue()


def pixels(seed: int) -> np.ndarray:
    return np.asarray(picture(seed)).transpose(2, 0, 1)


def write(path: Path, names: list[str] | None = None, rows: int = 7, start: int = 0, **columns: Any) -> Path:
    """A file as the hub has them: pictures in a structure, labels with names in the schema, three rows a group."""
    numbers = range(start, start + rows)
    table = {
        "image": [{"bytes": png(i), "path": f"{i}.png"} for i in numbers],
        "label": [i % 2 for i in numbers],
        "text": [f"number {i}" for i in numbers],
    }
    made = pa.table({**table, **columns})
    if names:
        about = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        made = made.replace_schema_metadata({"huggingface": json.dumps(about)})
    pq.write_table(made, path, row_group_size=3)
    return path


def test_a_file_of_the_hub(tmp_path: Path, cache: Path) -> None:
    images = open_data(write(tmp_path / "a.parquet", ["cat", "dog"]), size=8)
    assert images.classes == ("cat", "dog") and images.labels is not None and images.labels.tolist() == [0, 1] * 3 + [0]
    assert images.captions is not None and images.captions[5] == "number 5"
    assert all(np.array_equal(images.x[i], pixels(i)) for i in range(7))


def test_plain_bytes_and_strings(tmp_path: Path, cache: Path) -> None:
    table = {"jpg": [png(i) for i in range(3)], "category": ["b", None, "a"], "caption": [["x", "y"], [], None]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    images = open_data(tmp_path / "a.parquet", size=8)
    assert images.classes == ("a", "b") and images.labels is not None and images.labels.tolist() == [1, -1, 0]
    assert images.captions is not None and list(images.captions) == ["x", "", ""]


def test_a_folder_with_splits(tmp_path: Path, cache: Path) -> None:
    write(tmp_path / "train-00000-of-00002.parquet", ["cat", "dog"])
    write(tmp_path / "train-00001-of-00002.parquet", ["cat", "dog"], start=7)
    write(tmp_path / "test-00000-of-00001.parquet", ["cat", "dog"], rows=2, start=20)
    train, test = open_data(tmp_path, size=8), open_data(tmp_path, size=8, split="test")
    assert len(train) == 14 and len(test) == 2
    assert np.array_equal(train.x[11], pixels(11)) and np.array_equal(test.x[1], pixels(21))
    with pytest.raises(DataError, match=r"has no split 'val'; it has test, train"):
        open_data(tmp_path, split="val")


def test_no_picture_column(tmp_path: Path, cache: Path) -> None:
    pq.write_table(pa.table({"label": [1, 2], "text": ["a", "b"]}), tmp_path / "a.parquet")
    message = (
        r"has no columns that may hold pictures: label \(int64\), text \(string\); call one 'image', of binary type"
    )
    with pytest.raises(DataError, match=message):
        open_data(tmp_path / "a.parquet")


def test_two_picture_columns(tmp_path: Path, cache: Path) -> None:
    pq.write_table(pa.table({"left": [png(0)], "right": [png(1)]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"has 2 columns that may hold pictures: left \(binary\), right \(binary\)"):
        open_data(tmp_path / "a.parquet")


def test_rows_without_pictures(tmp_path: Path, cache: Path) -> None:
    pq.write_table(pa.table({"image": [png(0), None, b"no picture"]}), tmp_path / "a.parquet")
    with pytest.warns(
        DataWarning, match=r"2 of 3 files skipped: .*row 1: the row has no picture; .*row 2: it is not a picture"
    ):
        assert len(open_data(tmp_path / "a.parquet", size=8)) == 1


def test_damaged_parquet(tmp_path: Path, cache: Path) -> None:
    path = write(tmp_path / "a.parquet")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"a\.parquet cannot be read as Parquet"):
        open_data(path)


def test_files_of_two_sets(tmp_path: Path, cache: Path) -> None:
    write(tmp_path / "a.parquet")
    write(tmp_path / "b.parquet", extra=list(range(7)))
    with pytest.raises(DataError, match=r"b\.parquet has other columns than .*a\.parquet"):
        open_data(tmp_path)


@pytest.mark.parametrize(
    ("labels", "message"), [([5] * 7, "labels run up to 5 but 2 classes"), ([0.5] * 7, "label column holds float")]
)
def test_bad_labels(tmp_path: Path, cache: Path, labels: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_data(write(tmp_path / "a.parquet", ["cat", "dog"], label=labels))


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(DataError, match=r"needs pyarrow: pip install 'ornstein\[parquet\]'"):
        open_data(write(tmp_path / "a.parquet"))


class ClassLabel:
    names = ["cat", "dog"]


class Value:
    pass


FeatureImage = type("Image", (), {})


class Rows:
    """What a datasets.Dataset looks like from outside."""

    column_names = ["image", "label", "text"]

    def __init__(self, n: int = 5, fingerprint: str = "f00d"):
        self.features: dict[str, Any] = {"image": FeatureImage(), "label": ClassLabel(), "text": Value()}
        self.n, self.decoded = n, 0
        self._fingerprint = fingerprint

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, key: int | str) -> Any:
        if key == "label":
            return [i % 2 for i in range(self.n)]
        if key == "text":
            return [f"number {i}" for i in range(self.n)]
        self.decoded += 1
        return {"image": picture(int(key)), "label": int(key) % 2}


def test_rows_of_the_library(cache: Path) -> None:
    rows = Rows()
    images = open_data(rows, size=8)
    assert images.classes == ("cat", "dog") and images.labels is not None and images.labels.tolist() == [0, 1, 0, 1, 0]
    assert images.captions is not None and images.captions[3] == "number 3"
    assert all(np.array_equal(images.x[i], pixels(i)) for i in range(5)) and rows.decoded == 5
    again = Rows()
    assert open_data(again, size=8).content_hash == images.content_hash and again.decoded == 0
    other = Rows(fingerprint="beef")
    assert len(open_data(other, size=8)) == 5 and other.decoded == 5
    unknown = Rows(fingerprint="")
    assert len(open_data(unknown, size=8)) == len(open_data(unknown, size=8)) and unknown.decoded == 10


def test_splits_of_rows(cache: Path) -> None:
    splits = {"train": Rows(5), "test": Rows(3, "cafe")}
    assert len(open_data(splits, size=8)) == 5 and len(open_data(splits, size=8, split="test")) == 3
    with pytest.raises(DataError, match="has no split 'tset': did you mean 'test'"):
        open_data(splits, split="tset")
    with pytest.raises(DataError, match="is one split, not 'test'"):
        open_data(Rows(), split="test")


def test_rows_without_pictures_column(cache: Path) -> None:
    rows = Rows()
    del rows.features["image"]
    with pytest.raises(DataError, match=r"has no one column of pictures: label \(ClassLabel\), text \(Value\)"):
        open_data(rows)


def test_something_else() -> None:
    with pytest.raises(UsageError, match="data of type list cannot be opened; give a name, a path"):
        open_data([1, 2, 3])  # type: ignore[arg-type]
