"""Textual inversion: words that were learned, added to a text encoder. Gal et al. 2022, 2208.01618."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ornstein.core.errors import CheckpointError, UsageError
from ornstein.interop.adapters.beside import reader_of
from ornstein.interop.adapters.lora import base_of, shared
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.interop.diffusers.prompts.clip import Prompts
from ornstein.interop.files.weights import read_file
from ornstein.training.checkpoint import refuse_pickle

ENCODERS = {"clip_l": 0, "clip_g": 1}


class Expanding:
    """A tokenizer for which a word may stand for several: ``<cat>`` is read as ``<cat> <cat>_1 ...``."""

    def __init__(self, tokenizer: Any, words: Mapping[str, Sequence[str]]):
        self.tokenizer, self.words = tokenizer, dict(words)

    def __call__(self, text: str, *, add_special_tokens: bool = True, verbose: bool = True) -> Any:
        """As the tokenizer itself."""
        for word, many in self.words.items():
            text = text.replace(word, " ".join(many))
        return self.tokenizer(text, add_special_tokens=add_special_tokens, verbose=verbose)

    def __getattr__(self, name: str) -> Any:
        if name in ("tokenizer", "words"):  # not yet set while a copy is made
            raise AttributeError(name)
        return getattr(self.tokenizer, name)


def read_embedding(path: str | Path, token: str | None = None) -> tuple[str, dict[int, Tensor]]:
    """The word of a file, and its vectors ``[n, D]`` by text encoder.

    Raises:
        CheckpointError: not there, a pickle, or no learned embedding.
        UsageError: the file names no word and ``token`` is not given.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "learned_embeds.safetensors"
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist")
    refuse_pickle(path)
    tensors = read_file(path)
    if set(tensors) <= set(ENCODERS) and tensors:
        word, found = token, {ENCODERS[k]: v for k, v in tensors.items()}
    elif "emb_params" in tensors:
        word, found = token, {0: tensors["emb_params"]}
    elif len(tensors) == 1 and next(iter(tensors.values())).ndim <= 2:
        word, value = next(iter(tensors.items()))
        word, found = token or word, {0: value}
    else:
        raise CheckpointError(f"{path} is no learned embedding: its tensors are {', '.join(list(tensors)[:3])}")
    if word is None:
        raise UsageError(f"{path.name} does not name its word: give token, such as '<{path.stem}>'")
    return word, {i: v.float().reshape(-1, v.shape[-1]) for i, v in found.items()}


def with_embedding(system: Pipeline, path: str | Path, *, token: str | None = None) -> Pipeline:
    """A system that knows one more word; the one given stays as it is.

    Args:
        path: a ``.safetensors`` file of diffusers, of A1111 or of SDXL (``clip_l``, ``clip_g``), or its folder.
        token: the word, where the file does not name it.

    Raises:
        CheckpointError: no such file, or of another base (both are named).
        UsageError: the word is known already.
    """
    reader_of(system, "a learned embedding")
    word, vectors = read_embedding(path, token)
    made: Pipeline = shared(system)
    assert made.prompts is not None
    encoders = [m for m in made.prompts.modules() if isinstance(m, Prompts)]
    if len(vectors) != len(encoders) and not (len(vectors) == 1 and len(encoders) == 1):
        raise CheckpointError(
            f"the embedding {Path(path).name} has vectors for {len(vectors)} text encoders, {base_of(system)} has {len(encoders)}"
        )
    for i, value in vectors.items():
        learn(encoders[i], word, value, f"the embedding {Path(path).name}", base_of(system))
    return made


def learn(prompts: Prompts, word: str, vectors: Tensor, what: str, base: str) -> None:
    """Add a word of some vectors ``[n, D]`` to a tokenizer and its encoder, in place; both must be this system's own."""
    table: Any = prompts.encoder.get_input_embeddings()  # type: ignore[operator]
    if vectors.shape[1] != table.weight.shape[1]:
        raise CheckpointError(
            f"{what} was made for an encoder of width {vectors.shape[1]} and does not fit {base}, whose encoder has "
            f"{table.weight.shape[1]}"
        )
    outer = prompts.tokenizer
    plain = outer.tokenizer if isinstance(outer, Expanding) else outer
    words = [word, *(f"{word}_{i}" for i in range(1, len(vectors)))]
    known = set(plain.get_vocab()) & set(words)
    if known:
        raise UsageError(f"the word '{min(known)}' is known already: give another token")
    plain = copy.deepcopy(plain)
    plain.add_tokens(words)
    ids = plain.convert_tokens_to_ids(words)
    rows = table.weight.detach()
    grown = rows.new_zeros(max(len(rows), max(ids) + 1), rows.shape[1])
    grown[: len(rows)] = rows
    grown[torch.tensor(ids)] = vectors.to(grown)
    table.weight = nn.Parameter(grown, requires_grad=False)
    table.num_embeddings = len(grown)
    several = dict(outer.words) if isinstance(outer, Expanding) else {}
    prompts.tokenizer = Expanding(plain, {**several, word: words})
