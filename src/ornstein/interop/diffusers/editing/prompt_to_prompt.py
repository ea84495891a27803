"""Prompt-to-prompt: the same picture under a changed prompt, by keeping attention maps. Hertz et al. 2022, 2208.01626."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Posterior
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Rng
from ornstein.denoisers.denoiser import Denoiser, Preconditioned
from ornstein.guidance.negative import NegativeCFG
from ornstein.interop.diffusers.editing.attention import changed
from ornstein.interop.diffusers.editing.ddim import on_ddim
from ornstein.interop.diffusers.editing.inversion import Inverted
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.interop.diffusers.prompts.clip import Prompts
from ornstein.interop.diffusers.prompts.reader import OneEncoder
from ornstein.recipes.samples import Samples
from ornstein.samplers.base import Sampler, simulate
from ornstein.samplers.ddim import DDIM

Mode = Literal["replace", "refine"]


@dataclass(frozen=True)
class Change:
    """How the edited prompt's maps come from the source's."""

    mapped: Tensor
    """``[L, L]``: source token -> edited token"""
    taken: Tensor
    """``[L]``: 1 where the edited token takes the source's map, 0 where it keeps its own"""
    weights: Tensor
    """``[L]``: what each edited token's map is multiplied by"""

    def __call__(self, source: Tensor, own: Tensor) -> Tensor:
        """Maps ``[..., L]``."""
        mapped, taken, weights = self.mapped.to(own), self.taken.to(own), self.weights.to(own)
        return ((source @ mapped) * taken + own * (1 - taken)) * weights


@final
class PromptToPrompt(Denoiser):
    """A denoiser on rows in pairs (source, edited), whose edited rows see the source's attention.

    Maps over the text are changed at times above ``cross``; maps of the picture on itself of up to ``largest`` queries are
    the source's at times above ``own``. To be guided it goes inside the guidance: of a doubled batch the second half changes.
    """

    def __init__(self, denoiser: Preconditioned, change: Change, cross: float, own: float, largest: int = 256):
        super().__init__()
        self.denoiser, self.process = denoiser, denoiser.process
        self.change, self.cross, self.own, self.largest = change, cross, own, largest
        self.rows = 0

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        at = float(t.flatten()[0])
        pairs = len(x_t) if self.rows == 0 else self.rows

        def change(maps: Tensor, over_text: bool) -> Tensor:
            if at <= (self.cross if over_text else self.own) or (not over_text and maps.shape[2] > self.largest):
                return maps
            first, rest = maps[: len(maps) - pairs], maps[len(maps) - pairs :]
            source, edited = rest[::2], rest[1::2]
            edited = self.change(source, edited) if over_text else source
            return torch.cat([first, torch.stack([source, edited], 1).flatten(0, 1)])

        with changed(self.denoiser.network.model, change):
            return self.denoiser(x_t, t, cond)


@torch.no_grad()
def edit_prompt(
    system: Pipeline,
    source: str,
    edited: str,
    *,
    mode: Mode | None = None,
    weights: Mapping[str, float] | None = None,
    cross: float = 0.8,
    own: float = 0.4,
    n: int = 1,
    seed: int = 0,
    steps: int = 50,
    guidance: float | None = None,
    negative: str | None = None,
    start: Inverted | None = None,
) -> Samples:
    """``n`` pairs of pictures: of the source prompt, and of the edited one with the same composition.

    Args:
        mode: "replace" swaps words one for one, "refine" adds or leaves out words; by default what the prompts differ by.
        weights: word of the edited prompt -> how strongly it shows (re-weighting).
        cross: how much of the steps, from the start, keeps the source's maps over the text.
        own: likewise for the maps of the picture on itself.
        start: a real picture's inversion, made with the source prompt; its noise (and its null texts) are used.

    Raises:
        UsageError: "replace" of prompts of different numbers of words, a word that is not in the edited prompt, a share
            outside [0, 1].
        CapabilityError: no UNet with one text encoder, or a network that is told its guidance scale.
    """
    if (
        not isinstance(system.prompts, OneEncoder)
        or not isinstance(system.denoiser, Preconditioned)
        or system.tells_scale
    ):
        raise CapabilityError("prompt-to-prompt needs a guided UNet with one CLIP encoder: Stable Diffusion 1 or 2")
    if not 0 <= cross <= 1 or not 0 <= own <= 1:
        raise UsageError(f"cross and own are shares of the steps in [0, 1], got {cross} and {own}")
    if start is not None and n != 1:
        raise UsageError("a picture's inversion is edited once: leave n at 1")
    base, grid = on_ddim(system, steps if start is None else len(start.grid) - 1)
    grid = grid if start is None else start.grid
    until_cross, until_own = (float(grid[round(share * (len(grid) - 1))]) for share in (cross, own))
    change = alignment(system.prompts, source, edited, mode, weights or {})
    assert isinstance(base.denoiser, Preconditioned)
    inner = PromptToPrompt(base.denoiser, change, until_cross, until_own)
    inner.rows = 2 * n
    scale = system.guidance if guidance is None else guidance
    move: Sampler[Tensor] = DDIM(NegativeCFG(inner, scale, system.guidance_rescale))
    seeds = [seed + i // 2 for i in range(2 * n)]
    rng = Rng(seeds)
    cond = base.conditions(
        seeds, {"prompt": [source, edited] * n, **({} if negative is None else {"negative": negative})}
    )
    here = {k: v.to(system.device) for k, v in cond.items()}
    if start is None:
        x = base.begin(rng, grid).to(system.device)
    else:
        x, move = start.noise.expand(2, *start.noise.shape[1:]), start.told(move)
    system.modules.eval()
    made = system.codec.decode(simulate(move, x, grid, rng, here), here).cpu()
    about = {"edit": "prompt-to-prompt", "prompt": [source, edited], "steps": len(grid) - 1, "guidance": scale}
    return Samples(made, seeds, cond, (), system.provenance(about))


def alignment(reader: OneEncoder, source: str, edited: str, mode: Mode | None, weights: Mapping[str, float]) -> Change:
    """Which token of the edited prompt stands where which of the source stood.

    Raises:
        UsageError: as in :func:`edit_prompt`.
    """
    if mode not in (None, "replace", "refine"):
        raise UsageError(f"mode is 'replace' or 'refine', got '{mode}'")
    prompts = reader.prompts
    before, after = _words(prompts.tokenizer, source), _words(prompts.tokenizer, edited)
    if mode is None:
        mode = "replace" if len(before) == len(after) else "refine"
    if mode == "replace" and len(before) != len(after):
        raise UsageError(
            f"'replace' swaps words one for one, and the prompts have {len(before)} and {len(after)} words: use 'refine'"
        )
    length = prompts.length
    mapped, taken, strengths = torch.zeros(length, length), torch.zeros(length), torch.ones(length)
    places = _places(before, length), _places(after, length)
    if mode == "replace":
        pairs = list(zip(range(len(before)), range(len(after)), strict=True))
    else:
        matcher = SequenceMatcher(None, [w for w, _ in before], [w for w, _ in after], autojunk=False)
        pairs = [(a + i, b + i) for a, b, size in matcher.get_matching_blocks() for i in range(size)]
    for i, j in pairs:
        old, new = places[0][i], places[1][j]
        if len(old) == len(new):
            mapped[list(old), list(new)] = 1
        else:  # what one word's tokens saw is shared among the other's
            mapped[old.start : old.stop, new.start : new.stop] = 1 / max(len(new), 1)
        taken[list(new)] = 1
    # The start, and all that follows the words: the end and the padding.
    ends = [1 + sum(count for _, count in words) for words in (before, after)]
    mapped[0, 0] = taken[0] = 1
    for k in range(length - max(ends)):
        mapped[ends[0] + k, ends[1] + k] = 1
    taken[ends[1] : ends[1] + length - max(ends)] = 1
    for word, weight in weights.items():
        found = [j for j, (text, _) in enumerate(after) if text == word.lower()]
        if not found:
            raise UsageError(f"'{word}' is no word of the edited prompt: {' '.join(text for text, _ in after)}")
        for j in found:
            strengths[list(places[1][j])] = float(weight)
    return Change(mapped, taken, strengths)


def token_places(reader: Prompts, prompt: str) -> list[tuple[str, range]]:
    """The words of a prompt, and where their tokens lie."""
    words = _words(reader.tokenizer, prompt)
    return [(word, place) for (word, _), place in zip(words, _places(words, reader.length), strict=True)]


def _words(tokenizer: Any, prompt: str) -> list[tuple[str, int]]:
    """The words, each with its number of tokens."""
    return [(word.lower(), len(tokenizer(word, add_special_tokens=False).input_ids)) for word in prompt.split()]


def _places(words: Sequence[tuple[str, int]], length: int) -> list[range]:
    """Where each word's tokens lie, after the start; those beyond the encoder's length are left out."""
    out, at = [], 1
    for _, count in words:
        out.append(range(min(at, length - 1), min(at + count, length - 1)))
        at += count
    return out
