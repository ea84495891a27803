"""Named sets: the cache, the download through the package manager, and what is left when it fails."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from ornstein.core.errors import DataError, UsageError
from ornstein.data import SOURCES, cache_dir, fashion_mnist, fetch, open_data
from ornstein.data.cache import written_aside

COUNT = {"train": 20, "test": 10}
NAMES = {"train": "train", "test": "t10k"}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small Fashion-MNIST, valid by its own hashes, and no installed one."""
    folder = tmp_path / "files"
    folder.mkdir()
    hashes = {}
    for split, prefix in NAMES.items():
        n = COUNT[split]
        x = np.random.default_rng(n).integers(0, 256, (n, 28, 28), dtype=np.uint8)
        y = (np.arange(n) % 10).astype(np.uint8)
        hashes[split] = (hashlib.sha256(x.data).hexdigest(), hashlib.sha256(y.data).hexdigest())
        for kind, values in (("images-idx3", x), ("labels-idx1", y)):
            header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
            (folder / f"{prefix}-{kind}-ubyte.gz").write_bytes(gzip.compress(header + values.tobytes()))
    monkeypatch.setattr(fashion_mnist, "_SHA256", hashes)
    monkeypatch.setattr(fashion_mnist, "_COUNT", COUNT)
    monkeypatch.setattr(fashion_mnist, "INSTALLED", Path("/nowhere/usr/share/datasets/fashion-mnist"))
    return folder


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of the programs of this machine; ``script`` puts programs there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def script(folder: Path, name: str, body: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{body}\n")
    (folder / name).chmod(0o755)


def package_manager(tools: Path, files: Path) -> None:
    """Programs that behave as apt-get and dpkg-deb do, with the small set as the package."""
    script(tools, "apt-get", 'test "$1 $2" = "download dataset-fashion-mnist" && touch dataset-fashion-mnist_0_all.deb')
    installed = fashion_mnist.INSTALLED.relative_to("/")
    script(tools, "dpkg-deb", f'mkdir -p "$3/{installed}" && cp "{files}"/* "$3/{installed}"')


def test_cache_dir(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_dir() == cache
    monkeypatch.delenv("ORNSTEIN_CACHE")
    monkeypatch.setenv("HOME", "/somewhere")
    assert cache_dir() == Path("/somewhere/.cache/ornstein")


def test_the_table() -> None:
    assert all(name == source.name and source.licence and source.origin for name, source in SOURCES.items())


def test_from_the_package_manager(cache: Path, files: Path, tools: Path) -> None:
    package_manager(tools, files)
    images = open_data("fashion-mnist")
    assert images.shape == (1, 28, 28) and len(images) == 20 and images.classes[7] == "sneaker"
    assert [p.name for p in cache.iterdir()] == ["fashion-mnist"]
    assert sorted(p.name for p in (cache / "fashion-mnist").iterdir()) == sorted(p.name for p in files.iterdir())
    for tool in list(tools.iterdir()):
        tool.unlink()
    assert len(open_data("fashion-mnist", split="test")) == 10  # now without the package manager


def test_missing_package_lists(cache: Path, files: Path, tools: Path) -> None:
    """As in a fresh container: the first download fails, lists of our own are brought, the second succeeds."""
    package_manager(tools, files)
    script(
        tools,
        "apt-get",
        'case "$*" in "download "*) echo "E: Unable to locate package" >&2; exit 100;; *" update") touch updated;;\n'
        "*) test -f updated && touch dataset-fashion-mnist_0_all.deb;; esac",
    )
    assert fetch("fashion-mnist") == cache / "fashion-mnist"


def test_from_a_folder(cache: Path, files: Path, tools: Path) -> None:
    assert fetch("fashion-mnist", files) == cache / "fashion-mnist"
    assert len(open_data("fashion-mnist")) == 20


def test_folder_of_idx_files_as_data(cache: Path, files: Path) -> None:
    """Plain files serve as those in gzip do, without touching the cache."""
    for path in list(files.iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    images = open_data(files, split="test", size=32)
    assert len(images) == 10 and images.shape == (1, 32, 32) and not list(cache.iterdir())
    with pytest.raises(DataError, match="has no split 'val'"):
        open_data(files, split="val")


def test_installed_files_are_used_where_they_lie(
    cache: Path, files: Path, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fashion_mnist, "INSTALLED", files)
    assert fetch("fashion-mnist") == files and not list(cache.iterdir())


def test_half_a_set_in_the_cache_is_replaced(cache: Path, files: Path, tools: Path) -> None:
    (cache / "fashion-mnist").mkdir()
    (cache / "fashion-mnist" / "train-images-idx3-ubyte.gz").write_bytes(b"torn")
    package_manager(tools, files)
    assert len(open_data("fashion-mnist")) == 20


def failure(cache: Path, message: str) -> None:
    """The fetch fails with that message, names the other way, and leaves nothing behind."""
    with pytest.raises(DataError, match=message):
        open_data("fashion-mnist")
    assert not list(cache.iterdir())


def test_files_of_another_set_with_these_names(cache: Path, files: Path) -> None:
    """MNIST has the same file names; its classes are no clothes."""
    assert open_data(files).classes[7] == "sneaker"
    labels = files / "train-labels-idx1-ubyte.gz"
    data = bytearray(gzip.decompress(labels.read_bytes()))
    data[-1] ^= 1
    labels.write_bytes(gzip.compress(bytes(data)))
    images = open_data(files)
    assert images.classes == tuple("0123456789") and images.name == "files" and images.source == str(files)


def test_one_idx_file(cache: Path, files: Path) -> None:
    images = open_data(files / "t10k-images-idx3-ubyte.gz")
    assert len(images) == 10 and images.name == "t10k" and images.classes == tuple("0123456789")
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz holds uint8 of shape \(10,\); images are uint8"):
        open_data(files / "t10k-labels-idx1-ubyte.gz")


def test_no_package_manager(cache: Path, files: Path, tools: Path) -> None:
    failure(
        cache, "cannot fetch .*'dataset-fashion-mnist': this system has no apt-get; download the four files from https"
    )


def test_no_network(cache: Path, files: Path, tools: Path) -> None:
    package_manager(tools, files)
    script(tools, "apt-get", 'echo "W: noise" >&2; echo "E: Temporary failure resolving \'mirror\'" >&2; exit 100')
    failure(
        cache, "cannot download .*: E: Temporary failure resolving 'mirror'; check the network, or download the four"
    )


def test_silent_failure(cache: Path, files: Path, tools: Path) -> None:
    package_manager(tools, files)
    script(tools, "apt-get", "exit 7")
    failure(cache, "apt-get failed with exit code 7")


def test_nothing_downloaded(cache: Path, files: Path, tools: Path) -> None:
    package_manager(tools, files)
    script(tools, "apt-get", "exit 0")
    failure(cache, "apt-get downloaded 0 files")


def test_torn_package(cache: Path, files: Path, tools: Path) -> None:
    package_manager(tools, files)
    script(tools, "dpkg-deb", 'echo "dpkg-deb: error: not a Debian archive" >&2; exit 2')
    failure(
        cache, "cannot unpack dataset-fashion-mnist_0_all.deb: dpkg-deb: error: not a Debian archive; download the four"
    )


def test_package_without_the_files(cache: Path, files: Path, tools: Path) -> None:
    package_manager(tools, files)
    script(tools, "dpkg-deb", "exit 0")
    failure(cache, "the package dataset-fashion-mnist does not hold the four files of Fashion-MNIST")


def test_other_contents(cache: Path, files: Path, tools: Path) -> None:
    package_manager(tools, files)
    labels = files / "t10k-labels-idx1-ubyte.gz"
    data = bytearray(gzip.decompress(labels.read_bytes()))
    data[-1] ^= 1
    labels.write_bytes(gzip.compress(bytes(data)))
    failure(cache, "the test files fetched for Fashion-MNIST are not the published ones")


def test_folder_without_the_files(cache: Path, tmp_path: Path, files: Path) -> None:
    with pytest.raises(
        DataError, match="does not hold the four files of Fashion-MNIST; expected train-images-idx3-ubyte"
    ):
        fetch("fashion-mnist", tmp_path)
    assert not list(cache.iterdir())


def test_cache_that_cannot_be_written(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ORNSTEIN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(
        DataError, match=r"cannot be kept in .*: Not a directory; make room there, or set ORNSTEIN_CACHE"
    ):
        fetch("fashion-mnist", files)


def test_full_disk(cache: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(source: Path, target: Path) -> None:
        target.write_bytes(b"some of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", copy)
    with pytest.raises(DataError, match=r"fashion-mnist cannot be kept in .*: No space left on device; make room"):
        fetch("fashion-mnist", files)
    assert not list(cache.iterdir())


def test_two_processes_at_once(cache: Path, files: Path) -> None:
    """Who comes second keeps what the first has made."""
    with written_aside(cache / "set") as second:
        (second / "by").write_text("second")
        with written_aside(cache / "set") as first:
            (first / "by").write_text("first")
    assert (cache / "set" / "by").read_text() == "first" and [p.name for p in cache.iterdir()] == ["set"]


def test_unknown_source() -> None:
    with pytest.raises(UsageError, match="unknown data set 'digit': did you mean 'digits'"):
        fetch("digit")


def test_embedded_source(tmp_path: Path) -> None:
    assert fetch("digits") is None
    with pytest.raises(UsageError, match="'digits' comes with the package"):
        fetch("digits", tmp_path)
