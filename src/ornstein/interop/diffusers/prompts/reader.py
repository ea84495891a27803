"""From what a user says to what a network is told: prompts and their negatives, one or one per sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from ornstein.core.errors import CapabilityError, UsageError, unknown
from ornstein.guidance.negative import PREFIX
from ornstein.interop.diffusers.prompts.clip import Long, Prompts


class Reader(nn.Module, ABC):
    """The encoders of a pipeline; what it returns goes to the network, the names with ``negative_`` to guidance."""

    known: ClassVar[tuple[str, ...]] = ("prompt", "negative", "clip_skip", "long_prompts")

    @property
    def names(self) -> tuple[str, ...]:
        """The conditions that it knows."""
        return self.known

    def forward(self, n: int, given: Mapping[str, Any], guided: bool = True) -> dict[str, Tensor]:
        """The conditions of ``n`` samples; those of the negative prompt too unless the network is not ``guided``.

        Raises:
            CapabilityError: a negative prompt for a network that is told the guidance scale.
            UsageError: no prompt, an unknown condition, or another number of prompts than of samples.
        """
        for name in given:
            if name not in self.names:
                raise unknown("condition", name, self.names)
        if given.get("prompt") is None:
            raise UsageError("this system draws what a prompt says: give prompt='...' (--prompt)")
        long: Long = given.get("long_prompts") or "cut"
        skip = int(given.get("clip_skip") or 0)
        prompts = _each(given["prompt"], n, "prompts")
        away = given.get("negative")
        words = self.encode(prompts, skip, long)
        if not guided:
            if away is not None:
                raise CapabilityError("this network is told the guidance scale and has no use for a negative prompt")
            return self.more(n, given, words, {})[0]
        # "clip skip" is counted for the prompt alone, as the ecosystem does.
        against = self.nothing(words) if away is None else None
        if against is None:
            against = self.encode(_each(away or "", n, "negative prompts"), 0, long)
        words, against = _same_length(words, against, lambda: self.encode([""], 0, "cut"))
        words, against = self.more(n, given, words, against)
        return {**words, **{PREFIX + name: value for name, value in against.items()}}

    @abstractmethod
    def encode(self, prompts: Sequence[str], skip: int, long: Long) -> dict[str, Tensor]:
        """What the network is told of the prompts."""

    def nothing(self, like: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """What stands for the negative prompt where none is given; None for that of an empty text."""
        return None

    def more(
        self, n: int, given: Mapping[str, Any], words: dict[str, Tensor], against: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What the network is told beside the prompts."""
        return words, against


class Wrapped(Reader):
    """A reader that leaves the prompts to another one and tells the network more."""

    def __init__(self, inner: Reader):
        super().__init__()
        self.inner = inner

    @property
    def names(self) -> tuple[str, ...]:
        return self.inner.names

    @abstractmethod
    def forward(self, n: int, given: Mapping[str, Any], guided: bool = True) -> dict[str, Tensor]: ...

    def encode(self, prompts: Sequence[str], skip: int, long: Long) -> dict[str, Tensor]:
        return self.inner.encode(prompts, skip, long)


@final
class OneEncoder(Reader):
    """One CLIP encoder: Stable Diffusion 1 and 2, latent consistency."""

    def __init__(self, tokenizer: Any, encoder: nn.Module):
        super().__init__()
        self.prompts = Prompts(tokenizer, encoder)

    def encode(self, prompts: Sequence[str], skip: int, long: Long) -> dict[str, Tensor]:
        return {"text": self.prompts(prompts, skip, long)}


def no_chunks(long: Long, what: str) -> None:
    """Refuse chunks where the encoder has no such thing.

    Raises:
        CapabilityError: ``long`` is "chunk".
    """
    if long == "chunk":
        raise CapabilityError(f"{what} does not read prompts in chunks: leave long_prompts at 'cut'")


def _same_length(words: dict[str, Tensor], against: dict[str, Tensor], empty: Any) -> tuple[Any, Any]:
    """The shorter text followed by the sequence of an empty one, in whole chunks."""
    a, b = words["text"], against["text"]
    if a.shape[1] == b.shape[1]:
        return words, against
    blank = empty()["text"]

    def longer(x: Tensor, length: int) -> Tensor:
        return torch.cat([x, *[blank.expand(len(x), -1, -1)] * ((length - x.shape[1]) // blank.shape[1])], 1)

    length = max(a.shape[1], b.shape[1])
    return {**words, "text": longer(a, length)}, {**against, "text": longer(b, length)}


def _each(given: str | Sequence[str], n: int, what: str) -> list[str]:
    many = [given] * n if isinstance(given, str) else list(given)
    if len(many) != n:
        raise UsageError(f"{len(many)} {what} were given for {n} samples; give one, or one for each")
    return many
