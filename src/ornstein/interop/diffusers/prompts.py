"""Prompts as the sequence of vectors that a text-to-image network attends to."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn


class PromptWarning(UserWarning):
    """A prompt was longer than its encoder reads."""


@final
class Prompts(nn.Module):
    """A CLIP tokenizer and text encoder: prompts ``-> [B, L, D]``, padded to the encoder's length."""

    def __init__(self, tokenizer: Any, encoder: nn.Module):
        super().__init__()
        self.tokenizer, self.encoder = tokenizer, encoder

    @property
    def length(self) -> int:
        """Tokens that the encoder reads, both ends included."""
        return int(self.tokenizer.model_max_length)

    @torch.no_grad()
    def forward(self, prompts: Sequence[str], skip: int = 0) -> Tensor:
        """``skip`` leaves out so many of the last layers ("clip skip"); what exceeds the length is cut, with a warning."""
        tokens = self.tokenizer(
            list(prompts), padding="max_length", max_length=self.length, truncation=True, return_tensors="pt"
        ).input_ids
        for prompt in dict.fromkeys(prompts):
            ids = self.tokenizer(prompt).input_ids
            if len(ids) > self.length:
                lost = self.tokenizer.decode(ids[self.length - 1 : -1])
                warnings.warn(
                    f"the prompt is {len(ids)} tokens long and the encoder reads {self.length}; cut: '{lost.strip()}'",
                    PromptWarning,
                    stacklevel=2,
                )
        device = next(self.encoder.parameters()).device
        encoder: Any = self.encoder
        if skip == 0:
            return encoder(tokens.to(device))[0]
        states = encoder(tokens.to(device), output_hidden_states=True).hidden_states
        model = getattr(encoder, "text_model", encoder)
        return model.final_layer_norm(states[-(skip + 1)])
