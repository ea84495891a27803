r"""The attention weights of a network while it denoises: softmax(q k^T / sqrt(D)), layer by layer.

Listening changes nothing: a view of the network, which shares its parameters, is called under a mode that reads the weights
where they are made. So it works for our U-Net and DiT and for the classes of diffusers alike, on any thread.
"""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ornstein.core.cond import Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.perturb import view_of
from ornstein.denoisers.denoiser import Denoiser, Preconditioned
from ornstein.networks.dit import DiTBlock
from ornstein.networks.layers.blocks import CrossAttention, SelfAttention
from ornstein.networks.layers.magnitude import MPAttention, MPCrossAttention
from ornstein.networks.layers.spatial_transformer import SpatialTransformer

Kind = Literal["itself", "text"]
"""What the places of the image attend to: one another, or the tokens of a text."""


@dataclass(frozen=True)
class Attention:
    """One call of one layer: ``weights [B, heads, places, keys]``, each row of keys sums to 1."""

    layer: str
    kind: Kind
    weights: Tensor


class _Listener(TorchFunctionMode):
    """Keeps the weights that the layer on top of the stack makes."""

    def __init__(self, kinds: Sequence[Kind]):
        super().__init__()
        self.kinds = frozenset(kinds)
        self.heard: list[Attention] = []
        self.stack: list[tuple[str, list[Kind], int, int]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        out = func(*args, **options)
        if self.stack and func in (Tensor.softmax, torch.softmax, F.softmax):
            keys = args[1] if len(args) > 1 else options["dim"]  # short ones lie along the first axis
            self._keep(lambda: out.movedim(keys, -1))
        elif self.stack and func is F.scaled_dot_product_attention:
            self._keep(lambda: _weights(*args, **options))
        return out

    def _keep(self, made: Any) -> None:
        layer, calls, batch, behind = self.stack[-1]
        if not calls:
            return
        kind = calls.pop(0)
        if kind in self.kinds:
            weights: Tensor = made().detach().float().cpu()
            weights = weights.reshape(batch, -1, *weights.shape[-2:]).roll((behind, behind), (-2, -1))
            self.heard.append(Attention(layer, kind, weights))


def _weights(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """What the fused kernel does not give out; the arguments are those of ``F.scaled_dot_product_attention``."""
    if is_causal or enable_gqa:
        raise CapabilityError("causal and grouped attention are not those of an image's denoiser, and are not read")
    logits = (query * (scale or 1 / math.sqrt(query.shape[-1]))) @ key.transpose(-2, -1)
    if attn_mask is not None:
        logits = logits.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else logits + attn_mask
    return logits.float().softmax(-1)


def _calls(layer: nn.Module, args: tuple[Any, ...]) -> list[Kind]:
    """The attentions of one call of a layer, in their order."""
    if isinstance(layer, SelfAttention | MPAttention):
        return ["itself"]
    if isinstance(layer, CrossAttention | MPCrossAttention):
        return ["text"]
    if isinstance(layer, SpatialTransformer):
        return ["itself", "itself" if args[1] is None else "text"]
    if isinstance(layer, DiTBlock):
        return ["itself", "text"]
    return ["text"] if getattr(layer, "is_cross_attention", False) else ["itself"]


IMAGE_FIRST = frozenset({"JointAttnProcessor2_0"})
"""Processors of diffusers that put the text behind the image where the two are one sequence; here the text comes first."""


def _behind(layer: nn.Module, options: Mapping[str, Any]) -> int:
    """How many tokens of text follow the image in a layer's sequence."""
    text = options.get("encoder_hidden_states")
    joint = type(getattr(layer, "processor", None)).__name__ in IMAGE_FIRST
    return int(text.shape[1]) if joint and text is not None else 0


def attention_layers(network: nn.Module) -> list[str]:
    """The names of a network's attention layers, in the order in which they are registered."""
    ours = (SelfAttention, CrossAttention, MPAttention, MPCrossAttention, SpatialTransformer, DiTBlock)
    return [
        name
        for name, layer in network.named_modules()
        # The last two are what every attention of diffusers has.
        if isinstance(layer, ours) or (hasattr(layer, "to_q") and hasattr(layer, "heads"))
    ]


@contextmanager
def listening(
    denoiser: Denoiser, kinds: Sequence[Kind] = ("itself", "text")
) -> Iterator[tuple[Preconditioned, list[Attention]]]:
    """A view of the denoiser, and the list into which its calls put their attention (of these kinds only).

    Raises:
        CapabilityError: no plain network, or one without attention.
    """
    if not isinstance(denoiser, Preconditioned):
        raise CapabilityError(f"attention is read from a network; {type(denoiser).__name__} is none: take .denoiser")
    names = attention_layers(denoiser.network)
    if not names:
        raise CapabilityError(f"{type(denoiser.network).__name__} has no attention that could be read")
    network, twins = view_of(denoiser.network, names)
    listener = _Listener(kinds)
    for name, twin in zip(names, twins, strict=True):
        _announce(twin, name, listener)
    view = copy.copy(denoiser)
    view._modules = dict(denoiser._modules) | {"network": network}
    with listener:
        yield view, listener.heard


def _announce(layer: nn.Module, name: str, listener: _Listener) -> None:
    """Hooks of the twin alone: which layer is at work."""
    layer._forward_pre_hooks = OrderedDict(layer._forward_pre_hooks)
    layer._forward_pre_hooks_with_kwargs = OrderedDict(layer._forward_pre_hooks_with_kwargs)
    layer._forward_hooks = OrderedDict(layer._forward_hooks)

    def enter(module: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        x = args[0] if args else options["hidden_states"]
        listener.stack.append((name, _calls(module, args), x.shape[0], _behind(module, options)))

    def leave(module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
        listener.stack.pop()

    layer.register_forward_pre_hook(enter, with_kwargs=True)
    layer.register_forward_hook(leave)


@torch.no_grad()
def attention(
    denoiser: Denoiser, x_t: Tensor, t: Tensor, cond: Cond, kinds: Sequence[Kind] = ("itself", "text")
) -> list[Attention]:
    """The attention of one call, ``(x_t [B, ...], t, cond)`` as a denoiser takes them."""
    with listening(denoiser, kinds) as (view, heard):
        view(x_t, t, cond)
    return heard


def grid_of(places: int, size: tuple[int, int]) -> tuple[int, int] | None:
    """Rows and columns of so many places of an image ``size``: a side is the image's over a whole number, rounded up.

    None where there is no such number.
    """
    for part in range(1, max(size) + 1):
        rows, columns = -(-size[0] // part), -(-size[1] // part)
        if rows * columns == places:
            return rows, columns
    return None


def text_length(heard: Sequence[Attention], cond: Cond, size: tuple[int, int]) -> int:
    """How many tokens of text the network attends to: those of its attention to a text, or, where text and image are one
    sequence, those of the texts in the condition. 0 where it attends to none.
    """
    apart = next((one.weights.shape[-1] for one in heard if one.kind == "text"), None)
    if apart is not None:
        return apart
    told = sum(v.shape[1] for v in cond.values() if v.is_floating_point() and v.ndim == 3)
    return told if any(_is_joint(one.weights.shape[-1], told, size) for one in heard) else 0


def token_maps(heard: Sequence[Attention], size: tuple[int, int], tokens: int) -> Tensor:
    r"""``[B, tokens, H, W]``: the share of its attention that each pixel pays to each token; over tokens it sums to 1.

    The mean over heads of every layer, made as large as the image bilinearly, and the mean over layers and calls (Tang et al.
    2022, *What the DAAM*, 2210.04885, section 3). Where text and image form one sequence (a DiT that reads "tokens"), the
    part that pixels pay to the text, of what they pay to all.

    Raises:
        CapabilityError: nobody attended to a text of so many tokens.
    """
    found = []
    for one in heard:
        queries, keys = one.weights.shape[-2:]
        if one.kind == "text" and keys == tokens:
            found.append(_spread(one.weights.mean(1), size))
        elif one.kind == "itself" and keys == queries > tokens and _is_joint(queries, tokens, size):
            found.append(_spread(one.weights.mean(1)[:, tokens:, :tokens], size))
    if not found:
        raise CapabilityError(f"no layer attends to a text of {tokens} tokens: this model reads none by attention")
    return torch.stack(found).mean(0)


def _is_joint(queries: int, tokens: int, size: tuple[int, int]) -> bool:
    """Whether a sequence is the text followed by the image."""
    return queries > tokens and grid_of(queries, size) is None and grid_of(queries - tokens, size) is not None


def attended_from(heard: Sequence[Attention], size: tuple[int, int], row: int, column: int, tokens: int = 0) -> Tensor:
    """``[B, H, W]``: where a pixel looks, summing to 1: the self-attention of its place, mean over heads, layers and calls.

    Where ``tokens`` of a text stand before the image in one sequence (:func:`text_length`), the part that is paid to the image.

    Raises:
        UsageError: a pixel outside the image.
        CapabilityError: the network has no self-attention.
    """
    if not (0 <= row < size[0] and 0 <= column < size[1]):
        raise UsageError(f"pixel ({row}, {column}) lies outside an image of {size[0]} x {size[1]}")
    found = []
    for one in heard:
        queries, keys = one.weights.shape[-2:]
        first = tokens if tokens and _is_joint(queries, tokens, size) else 0
        grid = grid_of(queries - first, size)
        if one.kind != "itself" or queries != keys or grid is None:
            continue
        h, w = grid
        place = first + (row * h // size[0]) * w + column * w // size[1]
        here = _spread(one.weights.mean(1)[:, place, first:, None], size)[:, 0]
        found.append(here / here.sum((1, 2), keepdim=True))
    if not found:
        raise CapabilityError("this network has no self-attention that could be drawn")
    return torch.stack(found).mean(0)


def _spread(weights: Tensor, size: tuple[int, int]) -> Tensor:
    """``[B, places, L] -> [B, L, H, W]``, bilinearly."""
    grid = grid_of(weights.shape[1], size)
    if grid is None:
        raise UsageError(f"{weights.shape[1]} places are no reduced form of an image of {size[0]} x {size[1]}")
    maps = weights.transpose(1, 2).unflatten(2, grid)
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
