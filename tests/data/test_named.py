"""Named sets: brought by package managers, converted once, checked, and never left half-made."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ornstein.core.errors import DataError, UsageError
from ornstein.data import SOURCES, Arrays, Images, fetch, open_data, open_table
from ornstein.data.sets.all import NAMED
from ornstein.data.sets.named import Named, as_tokens, fingerprint, held_out
from ornstein.data.sets.packages import Debian, Npm, Package, PyPI, Sdist


def convert(root: Path) -> dict[str, Images | Arrays]:
    """Two splits of what the package's one file says."""
    values = np.frombuffer((root / "usr/share/small/data.bin").read_bytes(), np.uint8).reshape(-1, 1, 2, 2)
    return {"train": Images(values[:4]), "test": Images(values[4:])}


CONTENTS = bytes(range(24))


def small(package: Package, expected: dict[str, tuple[int, str]] | None = None) -> Named:
    x = np.frombuffer(CONTENTS, np.uint8).reshape(-1, 1, 2, 2)
    right = {"train": (4, fingerprint(Images(x[:4]))), "test": (2, fingerprint(Images(x[4:])))}
    return Named("small", "about", (package,), "origin", "a licence", convert, expected or right)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the programs of this machine, pip included."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    return folder


def script(folder: Path, name: str, body: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{body}\n")
    (folder / name).chmod(0o755)


def managers(tools: Path, contents: bytes = CONTENTS) -> None:
    """Programs that do as apt-get, dpkg-deb, pip and npm do, with a package of one file."""
    store = tools.parent / "store"
    store.mkdir(exist_ok=True)
    (store / "data.bin").write_bytes(contents)
    with zipfile.ZipFile(store / "small.whl", "w") as wheel:
        wheel.writestr("usr/share/small/data.bin", contents)
    for name in ("small.tgz", "small.tar.gz"):
        with tarfile.open(store / name, "w:gz") as archive:
            info = tarfile.TarInfo("usr/share/small/data.bin")
            info.size = len(contents)
            archive.addfile(info, io.BytesIO(contents))
    script(tools, "apt-get", 'test "$1 $2" = "download small" && touch small_1_all.deb')
    script(tools, "dpkg-deb", f'mkdir -p "$3/usr/share/small" && cp "{store}/data.bin" "$3/usr/share/small"')
    wanted = f'case "$*" in *install*) exit 0;; *--no-build-isolation*) cp "{store}/small.tar.gz" .;; '
    script(
        tools,
        "python",
        wanted + f'*"--no-deps --only-binary"*"small==1.0") cp "{store}/small.whl" .;; *) exit 3;; esac',
    )
    script(tools, "npm", f'test "$*" = "pack --silent small@1.0" && cp "{store}/small.tgz" .')


PACKAGES = [Debian("small"), PyPI("small", "1.0"), Sdist("small", "1.0", ("setuptools<70",)), Npm("small", "1.0")]


@pytest.mark.parametrize("package", PACKAGES, ids=str)
def test_from_a_package(cache: Path, tools: Path, package: Package) -> None:
    managers(tools)
    source = small(package)
    images = source.read("train")
    assert isinstance(images.x, np.memmap) and images.x.tobytes() == CONTENTS[:16]
    assert (images.name, images.source, images.licence) == ("small", "origin", "a licence")
    assert sorted(p.name for p in source.folder().iterdir()) == ["test", "train"]
    for tool in list(tools.iterdir()):
        tool.unlink()
    assert len(source.read("test")) == 2  # now without the package manager


UNREACHED = {
    "apt-get": "echo \"E: Failed to fetch: Could not resolve 'mirror'\" >&2; exit 100",
    "python": "echo \"WARNING: Failed to establish a new connection: 'index'\" >&2; echo 'ERROR: No matching' >&2; exit 1",
    "npm": "echo 'npm error code ENOTFOUND mirror' >&2; exit 1",
}


@pytest.mark.parametrize("package", PACKAGES, ids=str)
def test_no_network(cache: Path, tools: Path, package: Package) -> None:
    """It says what could not be reached and what else to do, and leaves nothing half-made."""
    managers(tools)
    for name, body in UNREACHED.items():
        script(tools, name, body)
    with pytest.raises(
        DataError, match=r"cannot download .*(mirror|connection).*; check the network, or unpack .* --path FOLDER"
    ):
        small(package).read("train")
    assert not list((cache / "sets").iterdir())


@pytest.mark.parametrize("package", [Debian("small"), Npm("small", "1.0")], ids=str)
def test_no_package_manager(cache: Path, tools: Path, package: Package) -> None:
    with pytest.raises(
        DataError, match=r"cannot fetch .*this system has no (apt-get|npm); unpack the package elsewhere"
    ):
        small(package).fetch()
    assert not list((cache / "sets").iterdir())


def test_from_a_folder(cache: Path, tools: Path, tmp_path: Path) -> None:
    root = tmp_path / "unpacked"
    (root / "usr/share/small").mkdir(parents=True)
    (root / "usr/share/small/data.bin").write_bytes(CONTENTS)
    source = small(Debian("small"))
    assert source.fetch(root) == source.folder() and len(source.read("train")) == 4
    assert (root / "usr/share/small/data.bin").is_file()


def test_a_folder_without_the_files(cache: Path, tools: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"does not hold .*data\.bin, which 'small' is made from; give a folder with the unpacked"
    ):
        small(Debian("small")).fetch(tmp_path)
    with pytest.raises(DataError, match=r"no folder .*none; give the folder"):
        small(Debian("small")).fetch(tmp_path / "none")
    assert not list((cache / "sets").iterdir())


def test_other_contents(cache: Path, tools: Path) -> None:
    managers(tools, CONTENTS[:-1] + b"?")
    message = r"test part of 'small' is not the expected one: 2 samples with the hash \w{16}, expected 2 with \w{16}; the package"
    with pytest.raises(DataError, match=message):
        small(Debian("small")).fetch()
    assert not list((cache / "sets").iterdir())


def test_a_torn_set_is_made_again(cache: Path, tools: Path) -> None:
    managers(tools)
    source = small(Debian("small"))
    (source.fetch() / "test" / "x.npy").unlink()
    assert len(source.read("test")) == 2


def test_installed_packages_are_read_in_place(cache: Path) -> None:
    source = Named("small", "", (Debian("small"),), "", "", convert, {"train": (0, "")}, installed="usr")
    roots = []

    def remember(root: Path) -> dict[str, Images]:
        roots.append(root)
        return {}

    object.__setattr__(source, "convert", remember)
    with pytest.raises(DataError, match=r"has the parts \[\], expected \['train'\]"):
        source.fetch()
    assert roots == [Path("/")]


def test_every_set_says_what_it_is() -> None:
    assert len({n.name for n in NAMED}) == len(NAMED)
    for n in NAMED:
        assert SOURCES[n.name].kind == n.kind and n.about and n.licence and n.origin and "train" in n.expected
        assert all(count > 0 and len(hashed) == 16 for count, hashed in n.expected.values()), n.name
        assert not any(isinstance(p, PyPI) and not p.version for p in n.packages)


def test_unknown_names_and_splits(cache: Path) -> None:
    with pytest.raises(UsageError, match="unknown data set 'stamp': did you mean 'stamps'"):
        fetch("stamp")
    with pytest.raises(DataError, match=r"unknown data 'austin': .*did you mean 'austen'"):
        open_data("austin")
    with pytest.raises(DataError, match="'austen' has no split 'val'"):
        open_table("austen", split="val")


def test_fingerprints() -> None:
    x = np.random.default_rng(0).normal(size=(4, 1, 8)).astype(np.float32)
    a = Arrays(x, np.array([0, 1, 0, 1]), ("a", "b"))
    nearly = Arrays(np.nextafter(x, 9), a.labels, a.classes)
    assert fingerprint(a, exact=False) == fingerprint(nearly, exact=False)
    assert fingerprint(a) != fingerprint(nearly)
    others = [
        Arrays(x, np.array([0, 1, 1, 1]), a.classes),
        Arrays(x, a.labels, ("a", "c")),
        Arrays(x[:3], a.labels[:3], a.classes),  # type: ignore[index]
        Arrays(x, a.labels, a.classes, hertz=5),
    ]
    assert len({fingerprint(t, exact=False) for t in (a, *others)}) == 5


def test_held_out_depends_on_the_key_alone() -> None:
    keys = [f"key {i}" for i in range(20_000)]
    out = held_out(keys)
    assert abs(out.mean() - 0.1) < 4 * np.sqrt(0.09 / 20_000)
    assert np.array_equal(out[::-1], held_out(keys[::-1]))


def test_tokens() -> None:
    x, length, alphabet = as_tokens(["ab", "cab", ""], 4)
    assert (
        alphabet == ("", "a", "b", "c")
        and x.tolist() == [[1, 2, 0, 0], [3, 1, 2, 0], [0] * 4]
        and length.tolist() == [2, 3, 0]
    )
    table = Arrays(x, of="tokens", alphabet=alphabet)
    assert [table.text(i) for i in range(3)] == ["ab", "cab", ""]
    with pytest.raises(UsageError, match="it has no alphabet"):
        Arrays(x, of="tokens").text(0)
    with pytest.raises(DataError, match=r"256 different characters|do not fit into bytes"):
        as_tokens(["".join(map(chr, range(300)))], 300)


def test_listed_as_json() -> None:
    from ornstein.cli import main

    assert json.dumps([s.name for s in SOURCES.values()]) and main(["data", "list", "--json"]) == 0
