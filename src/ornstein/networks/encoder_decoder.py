"""An encoder-decoder transformer on tokens: one sequence is seen whole, another is made of it token by token."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.networks.layers.conditioning import ClassCondition, read_class
from ornstein.networks.layers.sequence import SequenceLayer


@final
class EncoderDecoder(nn.Module):
    """``forward(made [B, L], given [B, L]) -> [B, L, K]``: logits of each token of ``made`` by those before it and all ``given``.

    Args:
        tokens: K; values are ``0 .. K - 1``.
        length: L, of both sequences; each has places of its own.
        width: of the layers; ``head`` that of an attention head.
        encoder: layers that look both ways; ``decoder`` layers that look back, and at the encoder's result.
        label: a class of the whole, told as one more token of the encoder's result; a missing one has its own.
    """

    def __init__(
        self,
        tokens: int,
        length: int,
        *,
        width: int = 128,
        head: int = 32,
        encoder: int = 4,
        decoder: int = 2,
        label: ClassCondition | None = None,
    ):
        super().__init__()
        if tokens < 2 or length < 1 or encoder < 1 or decoder < 1:
            raise UsageError(
                "an encoder-decoder needs at least 2 tokens, a length of 1 and a layer on either side, got "
                f"tokens={tokens}, length={length}, encoder={encoder}, decoder={decoder}"
            )
        self.tokens, self.length, self.label = tokens, length, label
        self.given, self.made = nn.Embedding(tokens, width), nn.Embedding(tokens, width)
        self.classes = None if label is None else nn.Embedding(label.classes + 1, width)
        self.given_place, self.made_place = (nn.Parameter(0.02 * torch.randn(length, width)) for _ in range(2))
        self.start = nn.Parameter(0.02 * torch.randn(width))
        self.encoder = nn.ModuleList(SequenceLayer(width, head) for _ in range(encoder))
        self.decoder = nn.ModuleList(SequenceLayer(width, head, causal=True, cross=True) for _ in range(decoder))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.out = nn.Linear(width, tokens)

    def encode(self, given: Tensor, cond: Cond = NO_COND) -> Tensor:
        """What the decoder attends to, ``[B, L (+ 1), width]``; once per sequence."""
        if given.shape[1:] != (self.length,):
            raise UsageError(f"the sequence seen has {self.length} tokens, got {tuple(given.shape[1:])}")
        x = self.given(given) + self.given_place
        for layer in self.encoder:
            x = layer(x)
        x = self.norms[0](x)
        if self.label is None or self.classes is None:
            return x
        label = read_class(self.label, cond, x)
        told = self.classes(torch.where(label < 0, self.label.classes, label))
        return torch.cat([x, told[:, None]], 1)

    def decode(self, before: Tensor, context: Tensor) -> Tensor:
        """Logits of tokens 0 .. n by the n tokens ``before [B, n]``, ``[B, n + 1, K]``; n < L."""
        start = self.start.expand(len(before), 1, -1)
        x = torch.cat([start, self.made(before)], 1) + self.made_place[: before.shape[1] + 1]
        for layer in self.decoder:
            x = layer(x, context)
        logits: Tensor = self.out(self.norms[1](x))
        return logits

    def forward(self, made: Tensor, given: Tensor, cond: Cond = NO_COND) -> Tensor:
        return self.decode(made[:, :-1], self.encode(given, cond))
