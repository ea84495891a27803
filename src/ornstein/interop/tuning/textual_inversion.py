"""Textual inversion: the vectors of a new word are all that is trained. Gal et al. 2022, 2208.01618."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ornstein.core.batch import Batch
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.data import Images
from ornstein.interop.adapters.embedding import learn
from ornstein.interop.adapters.lora import base_of, shared
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.interop.diffusers.prompts.clip import Prompts
from ornstein.interop.diffusers.prompts.reader import OneEncoder
from ornstein.interop.tuning.lora import Tuned
from ornstein.interop.tuning.pictures import Drawn, Stream, encoded, pictures_of
from ornstein.interop.tuning.settings import Settings, denoiser_of, times_of, trained
from ornstein.objectives.denoising import Denoising

FILE = "learned_embeds.safetensors"
TEMPLATES = (
    "a photo of {}",
    "a rendering of {}",
    "a cropped photo of {}",
    "a close-up photo of {}",
    "a bright photo of {}",
    "a good photo of {}",
)
STYLES = (
    "a painting in the style of {}",
    "a rendering in the style of {}",
    "a picture in the style of {}",
    "the style of {}",
)


@final
class Rows(nn.Module):
    """Some rows of a table, in place of those that are in it."""

    def __init__(self, rows: Tensor, ids: Sequence[int]):
        super().__init__()
        self.rows = nn.Parameter(rows.clone())
        self.register_buffer("ids", torch.tensor(list(ids)), persistent=False)

    def forward(self, table: Tensor) -> Tensor:
        return table.index_put((self.ids,), self.rows.to(table.dtype))  # type: ignore[arg-type]


@final
class Spoken:
    """The regression under prompts that hold the word; they are read at every step, for their vectors change."""

    def __init__(self, objective: Denoising, prompts: Prompts, word: str, templates: Sequence[str]):
        self.objective, self.prompts, self.word, self.templates = objective, prompts, word, templates

    def __call__(self, batch: Batch[Tensor], rng: Random) -> Loss:
        index = rng.integers(len(self.templates), (len(batch),)).tolist()
        text = self.prompts.look([self.templates[i].format(self.word) for i in index]).text
        return self.objective(replace(batch, cond={"text": text}), rng)


def fitting(templates: Sequence[str], prompts: Prompts, word: str) -> list[str]:
    """The templates that the encoder reads to their end, for a word that is cut learns nothing.

    Raises:
        UsageError: none.
    """
    lengths = {t: len(prompts.tokenizer(t.format(word), add_special_tokens=False).input_ids) for t in templates}
    short = [t for t, n in lengths.items() if n <= prompts.length - 2 and "{}" in t]
    if not short:
        raise UsageError(f"no template holds {{}} and fits into {prompts.length} tokens with '{word}': give templates")
    return short


def train_textual_inversion(
    base: Pipeline,
    data: str | Path | Images,
    out: str | Path,
    *,
    token: str,
    start: str,
    vectors: int = 1,
    style: bool = False,
    templates: Sequence[str] | None = None,
    settings: Settings | None = None,
) -> Tuned:
    """Learn a word for what a few pictures show; ``OUT/learned_embeds.safetensors`` holds it.

    Args:
        token: the word, one that is not known yet ("<cat-toy>").
        start: a known word of the kind ("toy"), whose vector the new ones begin with.
        vectors: how many tokens the word becomes.
        style: the pictures share a style and not a thing.
        templates: prompts in which the word stands at ``{}``; those of the paper's kind by default.

    Raises:
        UsageError: a known token, a start of several tokens, fewer than 1 vector.
        CapabilityError: a pipeline of several text encoders.
    """
    settings, out = settings or Settings(lr=5e-3), Path(out)
    denoiser_of(base)
    if vectors < 1:
        raise UsageError(f"vectors must be at least 1, got {vectors}")
    if not isinstance(base.prompts, OneEncoder):
        raise CapabilityError("a word is learned for pipelines of one CLIP text encoder (Stable Diffusion 1 and 2)")
    pictures = pictures_of(data, base)
    system: Pipeline = shared(base)
    assert isinstance(system.prompts, OneEncoder)
    prompts = system.prompts.prompts
    table: Any = prompts.encoder.get_input_embeddings()  # type: ignore[operator]
    begin = prompts.tokenizer(start, add_special_tokens=False, verbose=False).input_ids
    if len(begin) != 1:
        raise UsageError(f"'{start}' is {len(begin)} tokens: give a start that is one, a plain word of the kind")
    first = table.weight.detach()[begin[0]].float()
    learn(prompts, token, first.expand(vectors, -1), "the new word", base_of(base))
    ids = prompts.tokenizer(token, add_special_tokens=False).input_ids
    table.weight.requires_grad_(False)
    rows = Rows(table.weight.detach()[torch.tensor(ids)].float(), ids)
    parametrize.register_parametrization(table, "weight", rows, unsafe=True)
    system.to(settings.device)
    system.modules.eval()
    stream = Stream([(encoded(pictures, system.codec), {})], [settings.batch], settings.seed)
    objective = Denoising(denoiser_of(system), Drawn(system.codec), times_of(system))
    spoken = Spoken(objective, prompts, token, fitting(templates or (STYLES if style else TEMPLATES), prompts, token))
    about = {"base": base_of(base), "token": token, "start": start, "vectors": vectors, "style": style}
    result = trained(nn.ModuleDict({"word": rows}), spoken, stream, out, settings, "textual-inversion", about)
    path = out / FILE
    save_file({token: rows.rows.detach().cpu().contiguous()}, path, {"format": "pt", "ornstein_base": base_of(base)})
    parametrize.remove_parametrizations(table, "weight", leave_parametrized=True)
    table.weight.requires_grad_(False)
    return Tuned(system, path, result.loss, result.step)
