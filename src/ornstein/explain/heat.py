"""Which words made which pixels: the attention of a whole way from noise to image, token by token."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError
from ornstein.core.shapes import expand
from ornstein.explain.attention import attention, text_length, token_maps
from ornstein.explain.influence import branches
from ornstein.explain.walk import Walk
from ornstein.recipes.system import System


@dataclass(frozen=True)
class Heat:
    """``maps [n, tokens, H, W]`` at the state's size; over tokens they sum to 1, or, where text and image are one sequence, to
    the part that is paid to the text. ``words``: the tokens of each sample's text.
    """

    maps: Tensor
    words: list[list[str]]

    def of(self, sample: int, word: str) -> Tensor:
        """``[H, W]``: a word's map, the sum over its tokens (case and the tokenizer's marks aside)."""
        wanted = [i for i, token in enumerate(self.words[sample]) if _plain(token) == _plain(word)]
        if not wanted:
            known = ", ".join(dict.fromkeys(_plain(w) for w in self.words[sample]))
            raise CapabilityError(f"the text has no token '{word}'; it has {known}")
        return self.maps[sample, wanted].sum(0)

    def names(self, sample: int) -> list[str]:
        """The words that :meth:`of` knows, each once, in their order; without the tokenizer's marks of begin, end and padding."""
        plain = [_plain(token) for token in self.words[sample]]
        return list(dict.fromkeys(word for word in plain if word and not MARK.fullmatch(word)))


def heat(system: System, path: Walk, prompt: str | None = None, frames: Sequence[int] | None = None) -> Heat:
    """The mean of :func:`token_maps` over the frames of a walk (all but the last, t = 0), of the conditional branch.

    Args:
        prompt: the text, to name its tokens; they are numbered without it.

    Raises:
        CapabilityError: the network attends to no text, or the state is no image.
    """
    if len(system.shape) != 3:
        raise CapabilityError(f"a state of shape {tuple(system.shape)} is no image; heat maps are drawn on images")
    size = (system.shape[1], system.shape[2])
    told, _ = branches(path.cond)
    total: Any = 0.0
    chosen = list(range(len(path) - 1)) if frames is None else list(frames)
    for i in chosen:
        x = path.states[i]
        heard = attention(system.denoiser, x, expand(path.times[i], x), told)
        tokens = text_length(heard, told, size)
        if not tokens:
            raise CapabilityError("this model reads no text by attention: there are no tokens to draw maps of")
        total = total + token_maps(heard, size, tokens)
    maps: Tensor = total / len(chosen)
    return Heat(maps, [_words(system, prompt, maps.shape[1])] * len(path.seeds))


def _words(system: System, prompt: str | None, length: int) -> list[str]:
    """The tokens by name, where the system has a tokenizer and the text is known."""
    prompts = getattr(system, "prompts", None)
    readers = [] if prompts is None else [m.tokenizer for m in prompts.modules() if hasattr(m, "tokenizer")]
    if not readers or prompt is None:
        return [str(i) for i in range(length)]
    # Where there are several, they read the same words side by side; but the last one's stand behind the others' where a
    # text is longer than the first can read (CLIP, then T5).
    first = min(length, readers[0].model_max_length)
    named = _tokens(readers[0], prompt, first)
    return named + (_tokens(readers[-1], prompt, length - first) if length > first else [])


def _tokens(tokenizer: Any, prompt: str, length: int) -> list[str]:
    ids = tokenizer(prompt, padding="max_length", max_length=length, truncation=True).input_ids
    return [str(w) for w in tokenizer.convert_ids_to_tokens(ids)]


MARK = re.compile(r"<.*>")
"""What tokenizers put around and behind the words: <|startoftext|>, </s>, <pad>."""


def _plain(token: str) -> str:
    return token.replace("</w>", "").strip("▁Ġ").lower()


def overlay(image: Tensor, weights: Tensor) -> Tensor:
    """A picture with a map over it: uint8 ``[3, H, W]`` of uint8 ``[C, H, W]`` and ``[h, w]`` of any size, scaled to its peak."""
    c, h, w = image.shape
    grey = image.float().mean(0) if c > 1 else image[0].float()
    fine = torch.nn.functional.interpolate(weights[None, None].float(), size=(h, w), mode="bilinear")[0, 0]
    share = (fine / fine.max().clamp_min(1e-12)).clamp(0, 1)
    hot = torch.tensor(HOT)[:, None, None]
    return ((1 - 0.75 * share) * grey + 0.75 * share * hot).round().to(torch.uint8)


HOT = (232.0, 119.0, 34.0)
"""The colour of a map's peak."""
