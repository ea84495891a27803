"""Data sets that Debian and Ubuntu carry as packages: downloaded and unpacked without root and without installing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ornstein.core.errors import DataError
from ornstein.data.watching import doing

_PATIENCE = 1800  # seconds for one command
_LONGEST = 400  # letters of a reason
_UNREACHED = re.compile(r"resolv|connect|timed out|unreachable|ENOTFOUND|ECONNREFUSED|EAI_AGAIN", re.IGNORECASE)


def unpack(package: str, into: Path, instead: str) -> None:
    """Download ``package`` with apt and unpack it under ``into``; ``instead`` is the remedy to name on failure."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise DataError(f"cannot fetch the Debian package '{package}': this system has no {tool}; {instead}")
    work = into / "download"
    work.mkdir(parents=True)
    failure = run(["apt-get", "download", package], work)
    if failure:  # the system's package lists may be missing or old, as in fresh containers: use lists of our own
        own = _own_lists(work)
        failure = run(["apt-get", *own, "update"], work) or run(["apt-get", *own, "download", package], work)
    if failure:
        raise DataError(f"cannot download the Debian package '{package}': {failure}; check the network, or {instead}")
    files = sorted(work.glob("*.deb"))
    if len(files) != 1:
        raise DataError(f"apt-get downloaded {len(files)} files for the package '{package}', expected one; {instead}")
    failure = run(["dpkg-deb", "-x", str(files[0]), str(into)], work)
    if failure:
        raise DataError(f"cannot unpack {files[0].name}: {failure}; {instead}")
    shutil.rmtree(work)


def _own_lists(work: Path) -> list[str]:
    """Options that make apt keep package lists below ``work``, which needs no root."""
    lists, cache = work / "lists", work / "cache"
    (lists / "partial").mkdir(parents=True)
    (cache / "archives" / "partial").mkdir(parents=True)
    return ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={cache}", "-o", "APT::Sandbox::User="]


def run(command: list[str], folder: Path, extra: Mapping[str, str] | None = None) -> str:
    """Run a package manager in ``folder``; what went wrong in one line, or nothing. ``extra``: of the environment."""
    doing(" ".join([Path(command[0]).name, *(word for word in command[1:] if not word.startswith("-"))]), folder)
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive", **(extra or {})},
        )
    except subprocess.TimeoutExpired:
        return f"{command[0]} gave no answer in {_PATIENCE} s"
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines()
    errors = [line for line in lines if _UNREACHED.search(line)]  # pip names these in warnings only
    errors = errors or [line for line in lines if line.startswith(("E:", "dpkg", "ERROR:", "npm error"))] or lines
    return errors[0][:_LONGEST] if errors else f"{command[0]} failed with exit code {done.returncode}"
