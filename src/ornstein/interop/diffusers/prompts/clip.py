"""Prompts as what a text-to-image network is told: sequences of vectors, and one vector for the whole."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from ornstein.core.errors import UsageError
from ornstein.interop.diffusers.prompts.weights import weighted

Long = Literal["cut", "chunk"]


class PromptWarning(UserWarning):
    """A prompt was longer than its encoder reads."""


@dataclass(frozen=True)
class Read:
    """What an encoder makes of prompts."""

    text: Tensor
    """``[B, L, D]``"""
    pooled: Tensor
    """``[B, P]``"""


def stressed(text: Tensor, weights: Tensor) -> Tensor:
    """Each token's vector times its weight, and then each sequence brought back to its mean: ``[B, ..., D]``, ``[B, ...]``.

    A mean that is zero but for rounding says nothing of the scale, and nothing is brought back to it.
    """
    if not bool((weights != 1).any()):
        return text
    strong = text * weights.to(text)[..., None]
    before, after = text.flatten(1).mean(1), strong.flatten(1).mean(1)
    sound = torch.minimum(before.abs(), after.abs()) > 1e-4 * text.flatten(1).std(1)
    ratio = torch.where(sound, before / after, torch.ones_like(before))
    return strong * ratio.reshape(-1, *[1] * (text.ndim - 1))


@final
class Prompts(nn.Module):
    """A CLIP tokenizer and text encoder: prompts ``-> [B, L, D]``, padded to the encoder's length.

    ``deep``: the sequence is that before the encoder's last layer, and not normed, as the networks from SDXL on read it.
    """

    def __init__(self, tokenizer: Any, encoder: nn.Module, deep: bool = False):
        super().__init__()
        self.tokenizer, self.encoder, self.deep = tokenizer, encoder, deep

    @property
    def length(self) -> int:
        """Tokens that the encoder reads, both ends included."""
        return int(self.tokenizer.model_max_length)

    def forward(self, prompts: Sequence[str], skip: int = 0, long: Long = "cut") -> Tensor:
        """The sequences alone."""
        return self.read(prompts, skip, long).text

    @torch.no_grad()
    def read(self, prompts: Sequence[str], skip: int = 0, long: Long = "cut") -> Read:
        """Both, as :meth:`look` finds them, without gradients."""
        return self.look(prompts, skip, long)

    def look(self, prompts: Sequence[str], skip: int = 0, long: Long = "cut") -> Read:
        """Both; ``skip`` leaves out so many of the last layers ("clip skip").

        ``long``: what exceeds the encoder's length is ``cut``, with a warning, or read in chunks whose sequences are joined.
        ``(words:1.3)`` multiplies those words' vectors, after which the sequence's mean is brought back to what it was.
        """
        layers = int(getattr(self.encoder.config, "num_hidden_layers", 0))
        if not 0 <= skip < layers:
            raise UsageError(f"clip_skip lies in 0 .. {layers - 1} for this encoder, got {skip}")
        ids, weights = self._tokens(prompts, long)
        many, chunks, _ = ids.shape
        device = next(self.encoder.parameters()).device
        text, pooled = self._encode(ids.flatten(0, 1).to(device), skip)
        text = text.unflatten(0, (many, chunks))
        text = stressed(text, weights)
        return Read(text.flatten(1, 2), pooled.unflatten(0, (many, chunks))[:, 0])

    def _encode(self, ids: Tensor, skip: int) -> tuple[Tensor, Tensor]:
        encoder: Any = self.encoder
        if not self.deep and skip == 0:
            out = encoder(ids)
            return out[0], out[1]
        out = encoder(ids, output_hidden_states=True)
        pooled = out.text_embeds if hasattr(out, "text_embeds") and out.text_embeds is not None else out.pooler_output
        if self.deep:
            return out.hidden_states[-(skip + 2)], pooled
        model = getattr(encoder, "text_model", encoder)
        return model.final_layer_norm(out.hidden_states[-(skip + 1)]), pooled

    def _tokens(self, prompts: Sequence[str], long: Long) -> tuple[Tensor, Tensor]:
        """Ids and weights, ``[B, chunks, length]``."""
        if long not in ("cut", "chunk"):
            raise UsageError(f"long_prompts is 'cut' or 'chunk', got '{long}'")
        found = {prompt: self._pieces(prompt) for prompt in dict.fromkeys(prompts)}
        inner = self.length - 2
        if long == "cut":
            for prompt, (ids, weights) in found.items():
                if len(ids) > inner:
                    lost = self.tokenizer.decode(ids[inner:])
                    warnings.warn(
                        f"the prompt is {len(ids) + 2} tokens long and the encoder reads {self.length}; cut: "
                        f"'{lost.strip()}'. long_prompts='chunk' reads it in parts",
                        PromptWarning,
                        stacklevel=4,
                    )
                    found[prompt] = ids[:inner], weights[:inner]
        chunks = max(1, max(-(-len(ids) // inner) for ids, _ in found.values()))
        rows = {prompt: self._rows(*pieces, chunks) for prompt, pieces in found.items()}
        return torch.stack([rows[p][0] for p in prompts]), torch.stack([rows[p][1] for p in prompts])

    def _pieces(self, prompt: str) -> tuple[list[int], list[float]]:
        ids: list[int] = []
        weights: list[float] = []
        for text, weight in weighted(prompt):
            part = self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids
            ids += part
            weights += [weight] * len(part)
        return ids, weights

    def _rows(self, ids: list[int], weights: list[float], chunks: int) -> tuple[Tensor, Tensor]:
        """Between their ends and padded: ``[chunks, length]`` both."""
        t, inner = self.tokenizer, self.length - 2
        all_ids, all_weights = [], []
        for i in range(chunks):
            part, its = ids[i * inner : (i + 1) * inner], weights[i * inner : (i + 1) * inner]
            rest = inner - len(part)
            all_ids.append([t.bos_token_id, *part, t.eos_token_id, *[t.pad_token_id] * rest])
            all_weights.append([1.0, *its, 1.0, *[1.0] * rest])
        return torch.tensor(all_ids), torch.tensor(all_weights)
