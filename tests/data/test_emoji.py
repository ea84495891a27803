"""The emoji that come with the package."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ornstein.data import open_data
from ornstein.data.sets import emoji


def test_counts_and_captions() -> None:
    train, test = open_data("emoji"), open_data("emoji", split="test")
    assert (len(train), len(test)) == (1707, 199) and train.shape == (3, 64, 64)
    for images in (train, test):
        assert images.captions is not None and all(images.captions) and len(images.captions) == len(images)
        assert images.labels is not None and set(images.labels.tolist()) == set(range(9))
    assert train.captions is not None and test.captions is not None
    assert not set(train.captions) & set(test.captions)


def test_pictures_are_what_their_names_say() -> None:
    images, codes = emoji.read("train"), emoji.codes("train")
    fruit = next(i for i, code in enumerate(codes) if code in ("1F34E", "1F353", "1F345"))
    assert images.captions is not None and images.captions[fruit] in ("red apple", "strawberry", "tomato")
    red, green, blue = images.x[fruit].reshape(3, -1).mean(1)
    assert red > green + 20 and red > blue + 20
    assert images.classes[int(images.labels[fruit])] == "food"  # type: ignore[index]
    assert (images.x[fruit, :, 0, 0] == 255).all()


def test_white_ground_is_alpha_compositing() -> None:
    rgba, white = emoji.read_rgba("test"), emoji.read("test").x
    for i in range(0, len(white), 20):
        picture = Image.fromarray(np.ascontiguousarray(rgba[i].transpose(1, 2, 0)))
        expected = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
        assert np.abs(np.asarray(expected).transpose(2, 0, 1).astype(int) - white[i]).max() <= 1


def test_no_group_is_on_both_sides() -> None:
    """Who walks to the right, and whether man or woman, is no other picture to hold out."""

    def group(code: str) -> str:
        parts = [c for c in code.split("-") if c not in ("200D", "2640", "2642", "27A1", "FE0F")]
        return "-".join("person" if c in ("1F468", "1F469", "1F9D1") else c for c in parts)

    train, test = ({group(code) for code in emoji.codes(split)} for split in ("train", "test"))
    assert not train & test
    assert len({group(code) for code in ("1F6B6", "1F6B6-200D-2640-FE0F", "1F6B6-200D-27A1-FE0F")}) == 1


def test_no_picture_is_on_both_sides() -> None:
    train, test = ({x.tobytes() for x in open_data("emoji", split=split).x} for split in ("train", "test"))
    assert not train & test
