"""T5 as a text encoder: sequences of a few hundred tokens."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from ornstein.interop.diffusers.prompts.clip import PromptWarning, stressed
from ornstein.interop.diffusers.prompts.weights import weighted


@final
class T5Prompts(nn.Module):
    """A T5 tokenizer and encoder: prompts ``-> [B, length, D]``, and ``[B, length]`` bool, True at tokens.

    ``masked``: whether the encoder is kept from the padding. ``(words:1.3)`` counts as for
    :class:`~ornstein.interop.diffusers.prompts.clip.Prompts`; what exceeds the length is cut, with a warning.
    """

    def __init__(self, tokenizer: Any, encoder: nn.Module, length: int, masked: bool = False):
        super().__init__()
        self.tokenizer, self.encoder, self.length, self.masked = tokenizer, encoder, length, masked

    @torch.no_grad()
    def forward(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Sequences and mask."""
        rows = {prompt: self._tokens(prompt) for prompt in dict.fromkeys(prompts)}
        device = next(self.encoder.parameters()).device
        ids = torch.stack([rows[p][0] for p in prompts]).to(device)
        weights = torch.stack([rows[p][1] for p in prompts])
        mask = torch.stack([rows[p][2] for p in prompts]).to(device)
        encoder: Any = self.encoder
        text: Tensor = encoder(ids, attention_mask=mask.long())[0] if self.masked else encoder(ids)[0]
        text = stressed(text, weights)
        return text, mask

    def _tokens(self, prompt: str) -> tuple[Tensor, Tensor, Tensor]:
        """Ids, weights and mask of one prompt, each ``[length]``."""
        pieces = weighted(prompt)
        plain = "".join(text for text, _ in pieces)
        by_letter = [weight for text, weight in pieces for _ in text]
        found = self.tokenizer(plain, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ids, spans = list(found.input_ids), list(found.offset_mapping)
        inner = self.length - 1
        if len(ids) > inner:
            lost = self.tokenizer.decode(ids[inner:])
            warnings.warn(
                f"the prompt is {len(ids) + 1} tokens long and the encoder is given {self.length}; cut: '{lost.strip()}'",
                PromptWarning,
                stacklevel=5,
            )
        ids, spans = ids[:inner], spans[:inner]
        # A token that begins with a space counts as the word that follows.
        weights = [by_letter[max(end - 1, 0)] if by_letter else 1.0 for _, end in spans]
        rest = inner - len(ids)
        t = self.tokenizer
        return (
            torch.tensor([*ids, t.eos_token_id, *[t.pad_token_id] * rest]),
            torch.tensor([*weights, 1.0, *[1.0] * rest]),
            torch.tensor([True] * (len(ids) + 1) + [False] * rest),
        )
