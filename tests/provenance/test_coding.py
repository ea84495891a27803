"""The code of the marks: what noise it bears, what its checksum refuses."""

from __future__ import annotations

import numpy as np
import pytest

from ornstein.provenance import coding


@pytest.mark.parametrize("payload", [0, 1, 0xDEADBEEF, 2**32 - 1])
def test_a_payload_comes_back(payload: int) -> None:
    assert coding.decode(coding.encode(payload)) == payload


def test_the_checksum_is_the_published_one() -> None:
    """CRC-16/CCITT started at ones: "123456789" gives 0x29B1."""
    bits = np.concatenate([coding.bits_of(ord(c), 8) for c in "123456789"])
    assert coding.checksum(bits) == 0x29B1


def test_free_distance() -> None:
    """Any two messages differ in at least 20 coded bits, as published for these generators: the lightest way round from the
    zero state, found by relaxing all steps until nothing changes."""
    far = 10**6
    least = np.full(coding._STATES, far)
    least[1 << 5] = (coding._SIGNS[1 << 5, 0] > 0).sum()  # a one leaves the zero state
    weight = (coding._SIGNS > 0).sum(-1)
    for _ in range(coding._STATES):
        arriving = (least[coding._BEFORE] + weight).min(1)
        arriving[0] = far  # only the way back counts, and it ends there
        least = np.minimum(least, arriving)
    assert (least[coding._BEFORE[0]] + weight[0])[coding._BEFORE[0] != 0].min() == 20


def test_nine_wrong_bits_are_always_mended() -> None:
    """Fewer than half of the free distance."""
    rng = np.random.default_rng(0)
    right = 0
    for _ in range(20):
        payload = int(rng.integers(2**32))
        coded = coding.encode(payload)
        wrong = rng.permutation(coding.CODED_BITS)[:9]
        coded[wrong] *= -1
        right += coding.decode(coded) == payload
    assert right == 20


def test_noise_is_refused() -> None:
    rng = np.random.default_rng(1)
    read = [coding.decode(rng.normal(size=coding.CODED_BITS)) for _ in range(60)]
    assert read == [None] * 60  # by chance one in 65,536 agrees
