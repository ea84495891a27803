"""Augmentation: what is done is what the condition says, and a stream resumes with the same."""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor

from ornstein.core.batch import Batch
from ornstein.core.errors import DataError, UsageError
from ornstein.data import EDMAugment, Images, InTurn, Loader, RandomCrop
from ornstein.data.augment import EDM_WIDTH, transform, uniforms
from ornstein.data.order import raw


def blobs(n: int = 40, size: int = 24) -> Images:
    """Smooth pictures: a Gaussian at a random place near the centre."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    centres = rng.uniform(size * 0.42, size * 0.55, (n, 2))
    pictures = [255 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 5) for a, b in centres]
    return Images(np.stack(pictures).astype(np.uint8)[:, None], np.arange(n) % 3, ("a", "b", "c"))


def bits(n: int, draws: int = 14, seed: int = 0) -> np.ndarray:
    return raw(seed, 3, 0, n * draws).reshape(n, draws)


def centre(x: Tensor) -> Tensor:
    """The centre of mass of each picture ``[B, 1, H, W]``, in units of half the width from the middle: ``[B, 2]``."""
    h, w = x.shape[-2:]
    weight = x.double() / x.double().sum((1, 2, 3), keepdim=True)
    rows = (torch.arange(h) + 0.5) * 2 / h - 1
    columns = (torch.arange(w) + 0.5) * 2 / w - 1
    return torch.stack([(weight.sum((1, 2)) * columns).sum(-1), (weight.sum((1, 3)) * rows).sum(-1)], dim=1)


def test_frequencies() -> None:
    """Each transform in 12 of 100, mirror images in half: within 4 standard deviations of 20,000 draws."""
    n, p = 20_000, 0.12
    _, cond = EDMAugment(p).draw(uniforms(bits(n)))
    assert cond.shape == (n, EDM_WIDTH)
    mirror_x, mirror_y, scale, _, sine, *_ = (cond != 0).double().mean(0).tolist()
    for found, expected in ((mirror_x, 0.5), (mirror_y, p / 2), (scale, p), (sine, p)):
        assert abs(found - expected) < 4 * math.sqrt(expected * (1 - expected) / n)
    assert abs(((cond[:, 5] != 0) | (cond[:, 6] != 0)).double().mean() - p) < 4 * math.sqrt(p / n)
    values = cond[:, 7][cond[:, 7] != 0]
    assert abs(float(values.std()) - 1) < 0.1 and abs(float(values.mean())) < 0.1


def test_nothing_at_probability_zero_but_the_mirror() -> None:
    images = blobs()
    batch = EDMAugment(0.0).apply(images[:], bits(40))
    mirrored = batch.cond["augment"][:, 0] == 1
    assert 5 < mirrored.sum() < 35 and (batch.cond["augment"][:, 1:] == 0).all()
    expected = torch.where(mirrored[:, None, None, None], images[:].x.flip(3), images[:].x)
    assert torch.equal(batch.x, expected) and torch.equal(batch.cond["label"], images[:].cond["label"])


@pytest.mark.parametrize("which", ["scale", "turn", "stretch", "shift", "mirror y"])
def test_the_condition_says_what_was_done(which: str) -> None:
    """The centre of mass moves as the map that the condition describes: checked one transform at a time."""
    u = torch.full((40, 14), 0.9, dtype=torch.float64)  # no mirror, no gate open
    gates = {"scale": 3, "turn": 5, "stretch": 7, "shift": 11, "mirror y": 1}
    u[:, gates[which]] = 0.01
    spread = torch.linspace(0.351, 0.65, 40, dtype=torch.float64)
    u[:, 2] = 0.1
    for column in (6, 10, 12, 13):
        u[:, column] = spread
    u[:, 4] = 0.4 + 1.6 * (spread - 0.4)
    u[:, 8] = spread + 0.15  # a shrinks along c where it is negative, which the condition does not tell
    u[:, 9] = 0.1
    inverse, cond = EDMAugment(0.12).draw(u)
    images = blobs()[:].x
    before, after = centre(images), centre(transform(images, inverse))
    mirror_y, scale, cos, sin, along_x, along_y, shift_x, shift_y = cond[:, 1:].T
    size = torch.exp2(0.2 * scale)
    c, s = cos + 1, sin
    x, y = before.T
    y = y * (1 - 2 * mirror_y)
    x, y = size * x, size * y
    x, y = c * x - s * y, s * x + c * y
    amount = torch.hypot(along_x, along_y)
    angle = torch.atan2(along_y, along_x)
    factor = torch.exp2(0.2 * amount)
    a, b = angle.cos() * x + angle.sin() * y, -angle.sin() * x + angle.cos() * y
    a, b = a * factor, b / factor
    x, y = angle.cos() * a - angle.sin() * b, angle.sin() * a + angle.cos() * b
    expected = torch.stack([x + shift_x / 4, y + shift_y / 4], dim=1)
    assert (after - before).abs().max() > 0.01
    assert (after - expected).abs().max() < 0.004


def test_a_row_does_not_depend_on_its_batch() -> None:
    images, augment = blobs(), EDMAugment(0.9)
    whole = augment.apply(images[:], bits(40))
    for rows in (slice(0, 7), slice(7, 40), slice(12, 13)):
        part = augment.apply(images[rows], bits(40)[rows])
        assert torch.equal(part.x, whole.x[rows]) and torch.equal(part.cond["augment"], whole.cond["augment"][rows])


def test_a_stream_resumes_with_the_same() -> None:
    def loader(**share: int) -> Loader:
        return Loader(blobs(), 8, 3, augment=InTurn([RandomCrop(16), EDMAugment(0.5)]), **share)  # type: ignore[arg-type]

    whole = list(islice(loader(), 9))
    assert whole[0].x.shape == (8, 1, 16, 16) and set(whole[0].cond) == {"label", "augment"}
    first, second = loader(), loader()
    list(islice(first, 4))
    second.restore(first.state())
    for a, b in zip(whole[4:], islice(second, 5), strict=True):
        assert torch.equal(a.x, b.x) and torch.equal(a.cond["augment"], b.cond["augment"])
    halves = zip(loader(rank=0, world=2), loader(rank=1, world=2), strict=True)
    for a, (b, c) in zip(whole, halves, strict=False):
        assert torch.equal(a.x, torch.cat([b.x, c.x]))


@pytest.mark.parametrize(
    ("other", "was"), [(EDMAugment(0.2), r"augment was \d+, is \d+"), (None, r"augment was \d+, is none")]
)
def test_another_augmentation_is_refused(other: EDMAugment | None, was: str) -> None:
    state = Loader(blobs(), 8, 3, augment=EDMAugment(0.12)).state()
    with pytest.raises(DataError, match=was):
        Loader(blobs(), 8, 3, augment=other).restore(state)


def test_random_crops_reach_every_place() -> None:
    x = torch.arange(36, dtype=torch.uint8).reshape(1, 1, 6, 6).repeat(4000, 1, 1, 1)
    corners = RandomCrop(4).apply(Batch(x), bits(4000, 2)).x[:, 0, 0, 0]
    count = torch.bincount(corners.long())
    places = count[count > 0]
    assert len(places) == 9 and ((places - 4000 / 9) ** 2 / (4000 / 9)).sum() < 31.8  # p = 1e-4, 8 degrees of freedom


def test_bad_arguments() -> None:
    with pytest.raises(UsageError, match=r"must lie in \[0, 1\], got 1.2"):
        EDMAugment(1.2)
    with pytest.raises(UsageError, match="at least 1 pixel"):
        RandomCrop(0)
    with pytest.raises(DataError, match="images of 24 x 24 have no part of 32 x 32"):
        RandomCrop(32).apply(blobs()[:2], bits(2, 2))
    with pytest.raises(DataError, match="takes uint8 images"):
        EDMAugment().apply(Batch(torch.zeros(2, 3, 8)), bits(2))
