"""Alignment of pictures and captions: cosines by hand, the bundled aligner's weights, bad input."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ornstein.core.errors import CheckpointError, DataError, UsageError
from ornstein.evaluation import measure
from ornstein.evaluation.captions import (
    Captioned,
    CaptionSettings,
    Projected,
    Towers,
    alignment,
    caption_alignment,
    retrieval,
)
from ornstein.evaluation.captions.collection import read_captioned
from ornstein.evaluation.features import PixelFeatures
from ornstein.evaluation.features.extractors import WEIGHTS, Extractor, Features

WORDS = {"left": [1.0, 0], "right": [0, 1.0], "both": [3.0, 3.0]}


def see(x: Tensor) -> Tensor:
    """How bright the left and the right half are."""
    return torch.stack([half.float().mean((1, 2, 3)) for half in x.chunk(2, 3)], 1)


def read(texts: Sequence[str]) -> Tensor:
    return torch.tensor([WORDS[t] for t in texts])


def toy() -> Towers:
    return Towers(see, read, "halves", "0123456789abcdef")


def images(*sides: tuple[int, int]) -> Tensor:
    return torch.stack([torch.tensor([a] * 4 + [b] * 4, dtype=torch.uint8).expand(1, 8, 8) for a, b in sides])


def test_cosines_by_hand() -> None:
    x = Captioned(images((200, 0), (0, 90), (50, 50), (200, 0)), ["left", "left", "both", "both"])
    found = measure(x, metrics=[caption_alignment(toy())])
    assert found.values["caption_alignment"] == pytest.approx((1 + 0 + 1 + 0.5**0.5) / 4, abs=1e-9)
    # Nearest of all captions: the first and the third have their own, the second is nearer to "both", the last to "left".
    assert found.values["caption_retrieval"] == 0.5
    assert found.protocol["settings"] == {"towers": "halves", "towers_hash": "0123456789ab"}


def test_lengths_do_not_count_and_equal_captions_are_no_rivals() -> None:
    a, b = torch.randn(9, 4), torch.randn(9, 4)
    torch.testing.assert_close(alignment(a, b), alignment(7 * a, b / 3))
    assert retrieval(b, b) == 1 and retrieval(torch.cat([b, b]), torch.cat([b, b])) == 1


def test_bad_input_is_refused(tmp_path: Path) -> None:
    good = images((1, 2), (3, 4))
    for x, captions, words in (
        (good.float(), ["a", "b"], "must be uint8"),
        (good, ["a"], "1 captions for 2 images"),
        (good, ["a", " "], "caption 1 is empty"),
        (good[:0], [], "not empty"),
    ):
        with pytest.raises(DataError, match=words):
            Captioned(x, captions)
    with pytest.raises(DataError, match="the image tower gives NaN, infinity or zero for sample 1"):
        alignment(torch.tensor([[1.0, 2], [0, 0]]), torch.ones(2, 2))
    with pytest.raises(DataError, match=r"vectors \[N, D\] of one space"):
        alignment(torch.ones(2, 2), torch.ones(2, 3))
    two = Captioned(good, ["left", "right"])
    with pytest.raises(UsageError, match="needs the setting 'towers'"):
        measure(two, metrics=["caption_alignment"])
    with pytest.raises(UsageError, match="gives dict, not Towers"):
        measure(two, metrics=["caption_alignment"], settings=CaptionSettings(towers="builtins:dict"))
    np.savez(tmp_path / "a.npz", images=good.numpy())
    with pytest.raises(DataError, match="no array 'captions'"):
        read_captioned(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", images=np.zeros((2, 8, 8, 3), np.uint8), captions=["x", "y"])
    assert read_captioned(tmp_path / "b.npz").images.shape == (2, 3, 8, 8)


class Numbered(Extractor):
    """As many features as EfficientNet gives, from pixels."""

    name, hash, dims, preprocessing = "numbered", "0", 1280, "none"

    def batch(self, x: Tensor) -> Features:
        return Features(x.float().flatten(1).repeat(1, 20) / 255)


def test_linear_maps_from_a_file(tmp_path: Path) -> None:
    """Known by their hash, and only for features of their own number."""
    g = torch.Generator().manual_seed(0)
    shapes = {"image.weight": (4, 1280), "image.bias": (4,), "text.weight": (4, 384), "text.bias": (4,)}
    file = tmp_path / "aligner.safetensors"
    save_file({name: torch.randn(shape, generator=g).half() for name, shape in shapes.items()}, file)
    file.with_suffix(".json").write_text(json.dumps({"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}))
    maps = Projected(file, Numbered(), lambda texts: torch.ones(len(texts), 384))
    x = images(*[(i, 9) for i in range(5)])
    wanted = maps.extractor(x).features @ maps.maps["image.weight"].T + maps.maps["image.bias"]
    torch.testing.assert_close(maps.image(x), wanted)
    torch.testing.assert_close(maps.text(["a"])[0], maps.maps["text.weight"].sum(1) + maps.maps["text.bias"])
    with pytest.raises(CheckpointError, match="maps 1280 features and pixels 16x16 gives 256"):
        Projected(file, PixelFeatures(1), lambda texts: torch.ones(len(texts), 384))
    file.write_bytes(file.read_bytes()[:-2] + b"00")
    with pytest.raises(CheckpointError, match="has hash"):
        Projected(file, Numbered(), lambda texts: torch.ones(len(texts), 384))


def test_the_bundled_aligner_fits_its_networks() -> None:
    file = WEIGHTS / "emoji-aligner.safetensors"
    about = json.loads(file.with_suffix(".json").read_text())
    maps = Projected(file, Numbered(), lambda texts: torch.ones(len(texts), 384))
    assert maps.text(["a"]).shape == (1, 64) and file.stat().st_size < 1_000_000
    assert about["retrieval_test"]["text to image@1"] > 10 / about["test"]  # ten times chance on emoji never seen
