r"""What a network may be told, declared by a tuple and shared by all networks.

``conditions=(ClassCondition("label", 10), TextCondition("text", 384))`` says which entries of ``cond`` a network reads
(:mod:`ornstein.core.cond` has their shapes). A missing row, and a name that the mapping lacks, become the same learned
*null* embedding, so one batch may mix conditional and unconditional rows. Names that are not declared are not read.

==================  ==================================================  =======================
kind                enters the network as                               a missing row is
==================  ==================================================  =======================
class, vector       a vector added to the embedding of the noise level  a learned vector
plain vector        the same, through a linear map                      nothing
text                a sequence for attention, padding masked            one learned token
image               channels next to x, resized to its size             a learned colour
==================  ==================================================  =======================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, TypeVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.cond import Cond, is_missing
from ornstein.core.conditions import ClassCondition as ClassCondition
from ornstein.core.conditions import Condition as Condition
from ornstein.core.conditions import ImageCondition as ImageCondition
from ornstein.core.conditions import TextCondition as TextCondition
from ornstein.core.conditions import VectorCondition as VectorCondition
from ornstein.core.errors import UsageError

_Kind = TypeVar("_Kind", ClassCondition, VectorCondition, TextCondition, ImageCondition)


def check_conditions(conditions: Sequence[Condition]) -> None:
    """Refuse what is not a declaration and names declared twice."""
    for c in conditions:
        if not isinstance(c, Condition):
            raise UsageError(
                f"conditions holds {c!r}; it takes ClassCondition, VectorCondition, TextCondition and ImageCondition"
            )
    twice = [name for name, n in Counter(c.name for c in conditions).items() if n > 1]
    if twice:
        raise UsageError(f"conditions declares '{twice[0]}' twice")


def of_kind(conditions: Sequence[Condition], kind: type[_Kind]) -> list[_Kind]:
    """The conditions of one kind, in the order of their declaration."""
    return [c for c in conditions if isinstance(c, kind)]


def read_class(c: ClassCondition, cond: Cond, like: Tensor) -> Tensor:
    """``[B]`` int64 labels on the device of ``like`` (``[B, ...]``), -1 where missing."""
    label = cond.get(c.name)
    if label is None:
        return torch.full((like.shape[0],), -1, device=like.device)
    if label.shape != like.shape[:1] or label.is_floating_point():
        raise UsageError(f"cond['{c.name}'] must be [{like.shape[0]}] integers, got {tuple(label.shape)} {label.dtype}")
    # On an accelerator the comparison would make the host wait; there the lookup itself fails.
    if label.device.type == "cpu" and not torch.compiler.is_compiling():
        highest = int(label.max()) if len(label) else -1
        if highest >= c.classes:
            raise UsageError(
                f"cond['{c.name}'] holds {highest}, but the network has {c.classes} classes, 0 to {c.classes - 1}"
            )
    return label.to(like.device)


def _read(name: str, shape: tuple[int | None, ...], cond: Cond, like: Tensor) -> Tensor | None:
    """A float condition on the device of ``like``; None stands for any size in ``shape``."""
    value = cond.get(name)
    if value is None:
        return None
    shape = (like.shape[0], *shape)
    fits = value.ndim == len(shape) and all(w in (None, g) for w, g in zip(shape, value.shape, strict=True))
    if not fits or not value.is_floating_point():
        wanted = ", ".join("any" if s is None else str(s) for s in shape)
        raise UsageError(f"cond['{name}'] must be floats of shape [{wanted}], got {tuple(value.shape)} {value.dtype}")
    return value.to(like.device)


def read_vector(c: VectorCondition, cond: Cond, null: Tensor, like: Tensor) -> Tensor:
    """``[B, width]`` with ``null [width]`` in missing rows."""
    value = _read(c.name, (c.width,), cond, like)
    if value is None:
        return null.expand(like.shape[0], -1)
    return torch.where(is_missing(value)[:, None], null, value.to(null.dtype))


def read_image(c: ImageCondition, cond: Cond, null: Tensor, x: Tensor) -> Tensor:
    """``[B, channels, H, W]`` at the size of ``x``, with ``null [channels]`` in missing rows.

    Made larger bilinearly, smaller by averaging over areas, so that no pixel is passed over.
    """
    size = x.shape[-2:]
    value = _read(c.name, (c.channels, None, None), cond, x)
    colour = null.float()[:, None, None]  # resizing is not written for all reduced formats
    if value is None:
        return colour.expand(x.shape[0], -1, *size)
    value = torch.where(is_missing(value)[:, None, None, None], colour, value.float())
    if value.shape[-2:] == size:
        return value
    if value.shape[-2] >= size[0] and value.shape[-1] >= size[1]:
        return F.adaptive_avg_pool2d(value, (size[0], size[1]))
    return F.interpolate(value, size=(size[0], size[1]), mode="bilinear", antialias=True)


class Text(NamedTuple):
    """A sequence to attend to: ``tokens [B, L, D]`` and ``mask [B, L]``, True at tokens (at least one per row)."""

    tokens: Tensor
    mask: Tensor


def read_text(c: TextCondition, cond: Cond, null: Tensor, like: Tensor) -> Text:
    """The tokens and their mask; a missing row is the single token ``null [width]``."""
    batch, device = like.shape[0], like.device
    value = _read(c.name, (None, c.width), cond, like)
    if value is None or value.shape[1] == 0:
        return Text(null.expand(batch, 1, -1), torch.ones(batch, 1, dtype=torch.bool, device=device))
    mask = cond.get(f"{c.name}_mask")
    if mask is None:
        mask = torch.ones(value.shape[:2], dtype=torch.bool, device=device)
    elif mask.shape != value.shape[:2] or mask.dtype != torch.bool:
        raise UsageError(
            f"cond['{c.name}_mask'] must be bool {tuple(value.shape[:2])}, got {mask.dtype} {tuple(mask.shape)}"
        )
    mask = mask.to(device)
    missing = (is_missing(value) | ~mask.any(1))[:, None]
    first = torch.arange(value.shape[1], device=device) == 0
    # Padding may hold anything, NaN too; attention multiplies it by a weight of zero, and 0 * NaN is NaN.
    tokens = torch.where((missing | ~mask)[..., None], null, value.to(null.dtype))
    return Text(tokens, torch.where(missing, first, mask))


@final
class Conditioning(nn.Module):
    """The learned part of the conditions of a network with additive embeddings (U-Net, DiT, MLP).

    Args:
        conditions: what is read from ``cond``.
        width: of the embedding to which classes and vectors are added; ``text_width`` that of the text's tokens.
    """

    def __init__(self, *, conditions: Sequence[Condition], width: int, text_width: int):
        super().__init__()
        check_conditions(conditions)
        self.classes = of_kind(conditions, ClassCondition)
        self.vectors = of_kind(conditions, VectorCondition)
        self.texts = of_kind(conditions, TextCondition)
        self.images = of_kind(conditions, ImageCondition)
        tables = {c.name: nn.Embedding(c.classes + 1, width) for c in self.classes}
        for table in tables.values():
            nn.init.normal_(table.weight, std=0.02)
        self.embedding = nn.ModuleDict(tables)
        self.vector = nn.ModuleDict(
            {
                c.name: nn.Linear(c.width, width, bias=False)
                if c.plain
                else nn.Sequential(nn.Linear(c.width, width), nn.SiLU(), nn.Linear(width, width))
                for c in self.vectors
            }
        )
        self.token = nn.ModuleDict({c.name: nn.Linear(c.width, text_width) for c in self.texts})
        null = {v.name: v.width for v in self.vectors if not v.plain}
        null |= {t.name: t.width for t in self.texts} | {i.name: i.channels for i in self.images}
        self.null = nn.ParameterDict({name: nn.Parameter(torch.zeros(n)) for name, n in null.items()})

    @property
    def image_channels(self) -> int:
        """How many channels :meth:`attach` adds."""
        return sum(c.channels for c in self.images)

    def add(self, emb: Tensor, cond: Cond) -> Tensor:
        """``emb [B, width]`` plus classes and vectors."""
        for c in self.classes:
            label = read_class(c, cond, emb)
            emb = emb + self.embedding[c.name](torch.where(label < 0, c.classes, label))
        for v in self.vectors:
            null = torch.zeros(v.width, device=emb.device) if v.plain else self.null[v.name]
            emb = emb + self.vector[v.name](read_vector(v, cond, null, emb))
        return emb

    def text(self, cond: Cond, like: Tensor) -> Text | None:
        """All texts as one sequence; None when none is declared."""
        if not self.texts:
            return None
        parts = [read_text(c, cond, self.null[c.name], like) for c in self.texts]
        tokens = [self.token[c.name](p.tokens) for c, p in zip(self.texts, parts, strict=True)]
        return Text(torch.cat(tokens, dim=1), torch.cat([p.mask for p in parts], dim=1))

    def attach(self, x: Tensor, cond: Cond) -> Tensor:
        """``x [B, C, H, W]`` with the images as further channels."""
        if not self.images:
            return x
        return torch.cat([x, *(read_image(c, cond, self.null[c.name], x).to(x.dtype) for c in self.images)], dim=1)
