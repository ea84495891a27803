"""The conformance suite of codecs."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.codecs.base import Codec
from ornstein.core.rng import Rng
from ornstein.testing.conformance.compare import close, require


def check_codec(codec: Codec, x: Tensor, wanted: Tensor | None = None, *, atol: float = 1e-5) -> None:
    """Decoding undoes encoding, sample by sample, repeatably.

    Args:
        codec: any codec.
        x: a batch of data ``[B, ...]`` of at least two samples.
        wanted: what ``decode(encode(x))`` should give; x itself by default.
        atol: what the codec loses and says it loses.
    """
    name = type(codec).__name__
    seeds = range(len(x))
    before = x.clone()
    state = codec.encode(x, Rng(seeds))
    require(torch.equal(x, before), f"{name}: encode changes its input")
    require(len(state) == len(x), f"{name}: {len(x)} samples became {len(state)} states")
    kept = state.clone()
    decoded = codec.decode(state)
    require(torch.equal(state, kept), f"{name}: decode changes its input")
    close(decoded, x if wanted is None else wanted, f"{name}: decode(encode(x)) is not x", rtol=0, atol=atol)
    require(torch.equal(codec.encode(x, Rng(seeds)), state), f"{name}: the same seeds encode differently")
    for i in seeds:
        alone = codec.encode(x[i : i + 1], Rng([i]))
        close(alone[0], state[i], f"{name}: the state of sample {i} depends on its batch", rtol=0, atol=1e-5)
        back = codec.decode(state[i : i + 1])
        close(back[0], decoded[i], f"{name}: the data of sample {i} depend on its batch", rtol=0, atol=1e-5)
    require(len(codec.preview(state)) == len(x), f"{name}: preview loses samples")
