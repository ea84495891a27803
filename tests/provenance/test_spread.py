"""The own mark: what it survives, what it does not see where it is not, what it refuses."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ornstein.core.errors import CapabilityError, UsageError
from ornstein.provenance import SpreadMark
from ornstein.provenance.files import as_bytes
from ornstein.recipes.samples import to_image
from provenance.pictures import photograph

PAYLOAD = 0xC0FFEE42
ROW = "+..+++--------.+++.++++----.+.-----.+----+++--+++.-+++--------.+"


@pytest.fixture(scope="module")
def marked() -> Image.Image:
    return to_image(SpreadMark().mark(photograph(0), PAYLOAD))


def jpeg(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=75)
    with Image.open(file) as again:
        return again.copy()


def resize(image: Image.Image) -> Image.Image:
    return image.resize((round(image.width * 0.75), round(image.height * 0.75)), Image.Resampling.BICUBIC)


def crop(image: Image.Image) -> Image.Image:
    return image.crop((17, 31, 17 + int(0.8 * image.width), 31 + int(0.8 * image.height)))


@pytest.mark.parametrize(
    "changes",
    [(), (jpeg,), (resize,), (crop,), (crop, jpeg)],
    ids=["nothing", "jpeg", "resize", "crop", "crop and jpeg"],
)
def test_it_survives(changes: tuple[object, ...], marked: Image.Image) -> None:
    image = marked
    for change in changes:
        image = change(image)  # type: ignore[operator]
    found = SpreadMark().detect(as_bytes(image))
    assert found.found and found.payload == PAYLOAD, found


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_it_is_hard_to_see(channels: int) -> None:
    x = photograph(1, channels=channels)
    y = SpreadMark().mark(x, PAYLOAD)
    assert y.shape == x.shape and y.dtype == torch.uint8
    error = (y.float() - x.float())[:3]
    assert 10 * torch.log10(255**2 / error.square().mean()) > 36
    assert error.abs().max() <= 3 * 5  # three times the strength, and the tile stays within five deviations
    if channels == 4:
        assert torch.equal(y[3], x[3])  # opacity is kept
    assert SpreadMark().detect(y).payload == PAYLOAD


def test_nothing_is_seen_in_unmarked_pictures() -> None:
    scores = [SpreadMark().detect(photograph(seed, side=128)) for seed in range(4)]
    assert not any(s.found or s.payload for s in scores), scores
    assert not SpreadMark().detect(torch.full((1, 160, 160), 200, dtype=torch.uint8)).found


def test_another_key_sees_nothing(marked: Image.Image) -> None:
    x = as_bytes(marked)[:, :160, :160]
    assert SpreadMark().detect(x).found
    assert not SpreadMark("another").detect(x).found


def test_marks_stay_readable() -> None:
    """The signs of a row of the tile of the public key: a change of them would make all marks unreadable."""
    row = SpreadMark().tile(0)[0]
    clear = row.abs() > 0.2
    assert "".join("+-"[int(v < 0)] if c else "." for v, c in zip(row, clear, strict=True)) == ROW


def test_the_tile_is_made_of_the_waves_that_it_says() -> None:
    tile = SpreadMark("k").tile(0)
    assert abs(float(tile.mean())) < 1e-5 and abs(float(tile.std(correction=0)) - 1) < 1e-5
    spectrum = torch.fft.fft2(tile.double()).abs()
    k = torch.fft.fftfreq(64, 1 / 64)
    outside = ~((torch.hypot(k[:, None], k[None]) >= 4.5) & (torch.hypot(k[:, None], k[None]) <= 14))
    assert spectrum[outside].max() < 1e-2 * spectrum.max()
    inside = spectrum[~outside]
    assert inside.max() / inside.min() < 1.001  # all waves are equally strong
    assert not torch.equal(tile, SpreadMark("l").tile(0)) and torch.equal(tile, SpreadMark("k").tile(0))


def test_scores_of_noise_are_chances() -> None:
    """Of pure noise, the score exceeds 1 in about one of ten pictures, not in more."""
    rng = np.random.default_rng(0)
    noise = [torch.from_numpy(rng.normal(128, 20, (1, 64, 64)).clip(0, 255).astype(np.uint8)) for _ in range(40)]
    high = sum(SpreadMark("n")._best(*_places(x))[0] > 1 for x in noise)
    assert high <= 9  # 4 are expected; more than 9 of 40 happen once in 200


def _places(x: Tensor) -> tuple[list[object], Tensor]:
    from ornstein.provenance.mark import luminance
    from ornstein.provenance.spread import _Place, _whitened

    return [_Place(1.0)], _whitened(luminance(x))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(3, 200, 100, dtype=torch.uint8), "a picture of 100 x 200 pixels cannot hold a spread mark"),
        (torch.zeros(3, 200, 200), "uint8"),
        (torch.zeros(2, 200, 200, dtype=torch.uint8), "1, 3 or 4 channels"),
    ],
)
def test_what_cannot_be_marked(x: Tensor, message: str) -> None:
    with pytest.raises(CapabilityError, match=message):
        SpreadMark().mark(x)


@pytest.mark.parametrize("payload", [-1, 2**32])
def test_payloads_have_32_bits(payload: int) -> None:
    with pytest.raises(UsageError, match="payload of a mark lies in 0"):
        SpreadMark().mark(torch.zeros(1, 128, 128, dtype=torch.uint8), payload)


def test_wrong_settings() -> None:
    with pytest.raises(UsageError, match="key of a mark is empty"):
        SpreadMark("")
    with pytest.raises(UsageError, match="strength of a mark"):
        SpreadMark(strength=0)
