"""Latents go through the cache: made once for the same data and the same encoder."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import torch

from ornstein.core.batch import Batch
from ornstein.data import Captions, Images, Loader, encode_once
from ornstein.data.decoded import decoded_dir


def images(seed: int = 0) -> Images:
    x = np.random.default_rng(seed).integers(0, 256, (11, 3, 8, 8), dtype=np.uint8)
    return Images(x, np.arange(11) % 2, ("a", "b"), "some", captions=Captions.of(map(str, range(11))))


class Encoder:
    """Averages over 4 x 4, in [-1, 1]."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, batch: Batch) -> torch.Tensor:
        self.seen += len(batch)
        return torch.nn.functional.avg_pool2d(batch.x.float() / 127.5 - 1, 4)


def test_encoded_once(cache: Path) -> None:
    encoder = Encoder()
    first = encode_once(images(), encoder, {"name": "mean", "weights": "1"}, batch=4)
    assert encoder.seen == 11 and first.kind == "latents" and first.x.shape == (11, 3, 2, 2)
    assert (
        np.array_equal(first.x, Encoder()(images()[:]).numpy())
        and first.captions is not None
        and first.captions[7] == "7"
    )
    second = encode_once(images(), encoder, {"name": "mean", "weights": "1"}, batch=4)
    assert encoder.seen == 11 and isinstance(second.x, np.memmap)
    for a, b in zip(islice(Loader(images(), 4, 3), 5), islice(Loader(second, 4, 3), 5), strict=True):
        assert torch.equal(b.x, Encoder()(a)) and torch.equal(a.cond["label"], b.cond["label"])


def test_another_encoder_or_other_data(cache: Path) -> None:
    encoder = Encoder()
    for number, (data, weights) in enumerate([(0, "1"), (0, "2"), (1, "2")], 1):
        encode_once(images(data), encoder, {"name": "mean", "weights": weights})
        assert encoder.seen == 11 * number
    assert len(list(decoded_dir().iterdir())) == 2  # the two latest
