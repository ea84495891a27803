"""Every codec through the conformance suite."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ornstein.codecs import Codec, Identity, Scale, to_bytes
from ornstein.core.errors import DataError, UsageError
from ornstein.core.rng import Rng
from ornstein.testing.conformance import check_codec

BYTES = torch.arange(256, dtype=torch.uint8).reshape(4, 1, 8, 8)
FLOATS = BYTES.float() / 127.5 - 1

CODECS: dict[str, tuple[Codec, Tensor, Tensor]] = {
    "identity": (Identity(), FLOATS, FLOATS),
    "scale_bytes": (Scale(), BYTES, FLOATS),
    "scale_floats": (Scale(), FLOATS, FLOATS),
    "scale_half": (Scale(0.5), BYTES, FLOATS),
}


@pytest.mark.parametrize("name", CODECS)
def test_codec(name: str) -> None:
    check_codec(*CODECS[name])


def test_scale_sets_the_range_and_bytes_come_back_exactly() -> None:
    state = Scale(0.5).encode(BYTES, Rng(range(4)))
    assert state.min() == -0.5
    assert state.max() == pytest.approx(0.5, abs=1e-6)
    assert torch.equal(to_bytes(Scale(0.5).decode(state)), BYTES)


@pytest.mark.parametrize(("codec", "words"), [(Identity(), "Scale"), (Scale(), "uint8")])
def test_wrong_kind_of_data_is_refused(codec: Codec, words: str) -> None:
    with pytest.raises(DataError, match=words):
        codec.encode(torch.zeros(1, 3, dtype=torch.int64), Rng([0]))


def test_a_scale_is_positive() -> None:
    with pytest.raises(UsageError, match="scale must be positive, got 0"):
        Scale(0)
