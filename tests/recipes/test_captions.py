"""Captions as conditions: trained on, shipped with the weights, looked up, and refused by name where they are unknown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import ornstein
from ornstein.core.errors import CheckpointError, DataError, UsageError
from ornstein.data import Images
from ornstein.data.captions import Captions
from ornstein.recipes import captions
from ornstein.recipes.captions import Book, embed

SMALL = {"widths": (64,), "blocks": 1, "patch": 2, "batch": 8, "steps": 2, "warmup": 1}
NAMES = ("a red square", "a blue square", "a green dot", "a black dot")


def letters(texts: tuple[str, ...] | list[str]) -> Tensor:
    """How often each letter occurs: an encoder without weights."""
    counts = [[text.count(chr(97 + i)) for i in range(26)] for text in texts]
    return torch.nn.functional.normalize(torch.tensor(counts, dtype=torch.float32), dim=1)


@pytest.fixture(autouse=True)
def encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """``letters`` among the encoders."""
    monkeypatch.setitem(captions.ENCODERS, "letters", letters)


def pictures() -> Images:
    """Sixteen pictures with four captions."""
    x = np.random.default_rng(0).integers(0, 256, (16, 3, 8, 8), np.uint8)
    return Images(x, name="pictures", captions=Captions.of(NAMES[i % 4] for i in range(16)))


def test_each_row_gets_the_vector_of_its_caption() -> None:
    images, book = embed(pictures(), "letters")
    batch = images[[5, 2]]
    assert torch.allclose(batch.cond["caption"], letters([NAMES[1], NAMES[2]]), atol=1e-3)
    assert book.texts == NAMES and torch.equal(book.vector("A  Red SQUARE"), book.vectors[0].float())


def test_a_run_is_asked_by_its_captions(tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained, _ = ornstein.train("edm", data=pictures(), out=run, settings=SMALL, captions="letters")
    a = trained.sample(2, steps=2, prompt=["a red square", "a green dot"], seed=3)
    with torch.no_grad():  # an untrained embedding's gain is zero
        for name, p in trained.denoiser.named_parameters():
            if name.endswith("emb_gain") or name.endswith("out_gain"):
                p.fill_(0.5)
    named = trained.sample(1, steps=2, prompt="a red square", seed=3, guidance=1.0).tensor
    other = trained.sample(1, steps=2, prompt="a green dot", seed=3, guidance=1.0).tensor
    none = trained.sample(1, steps=2, seed=3, guidance=1.0).tensor
    assert not torch.equal(named, other) and not torch.equal(named, none)
    assert a.provenance["prompt"] == ["a red square", "a green dot"]
    for where in (run, ornstein.export(trained, tmp_path / "small", half=False)):
        loaded = ornstein.load(where)
        assert loaded.captions is not None and loaded.captions.texts == NAMES
    assert torch.equal(loaded.sample(1, steps=2, prompt="a red square", seed=3, guidance=1.0).tensor, named)
    with pytest.raises(UsageError, match="3 prompts were given for 2 samples"):
        trained.sample(2, steps=2, prompt=["a", "b", "c"])


def test_resuming_takes_the_stored_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    ornstein.train("edm", data=pictures(), out=run, settings=SMALL, captions="letters")
    monkeypatch.setitem(captions.ENCODERS, "letters", None)  # not asked again
    _, result = ornstein.train("edm", data=pictures(), out=run, settings={**SMALL, "steps": 3})
    assert result.step == 3
    changed = Images(pictures().x, name="pictures", captions=Captions.of(["a new dot"] * 16))
    with pytest.raises(DataError, match="the run knows no caption 'a new dot'"):
        ornstein.train("edm", data=changed, out=run, settings={**SMALL, "steps": 4})


def test_further_captions_travel_with_exported_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = ornstein.build("edm", data=embed(pictures(), "letters")[0], settings=SMALL)
    _, book = embed(pictures(), "letters")
    system.captions = book.extended(["a white dot", "A black  dot", "a white dot"])
    assert system.captions.texts == (*NAMES, "a white dot") and book.extended(["a black dot"]) is book
    exported = ornstein.export(system, tmp_path / "small")
    monkeypatch.setitem(captions.ENCODERS, "letters", None)  # not asked
    loaded = ornstein.load(exported)
    assert loaded.captions is not None
    assert torch.allclose(loaded.captions.vector("a white dot"), letters(["a white dot"])[0], atol=1e-3)


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(texts: list[str]) -> Tensor:
        raise UsageError("the encoder 'letters' is not installed: pip install letters")

    _, book = embed(pictures(), "letters")
    assert torch.allclose(book.vector("a white dot"), letters(["a white dot"])[0])
    monkeypatch.setitem(captions.ENCODERS, "letters", absent)
    with pytest.raises(
        UsageError, match=r"'a red sqare' is not among the 4 known captions: did you mean 'a red square'.*pip"
    ):
        book.vector("a red sqare")
    with pytest.raises(UsageError, match="unknown caption encoder 'mini': did you mean 'minilm'"):
        embed(pictures(), "mini")
    with pytest.raises(DataError, match="'bare' has no captions"):
        embed(Images(pictures().x, name="bare"), "letters")
    book.save(tmp_path)
    (tmp_path / "captions.json").write_text('{"encoder": "letters", "texts": ["one"]}')
    with pytest.raises(CheckpointError, match="has 1 captions and 4 vectors"):
        Book.read(tmp_path)
