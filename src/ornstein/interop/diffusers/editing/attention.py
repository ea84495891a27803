"""The attention maps of a UNet2DConditionModel, to be read or changed while it is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError

Change = Callable[[Tensor, bool], Tensor]
"""maps ``[B, heads, queries, keys]`` and whether they look at the text -> maps"""


@final
class Explicit:
    """Attention as softmax(q k / sqrt d) v, with the softmax handed to ``change`` before it is used."""

    def __init__(self, change: Change):
        self.change = change

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        cross, x = encoder_hidden_states is not None, hidden_states
        source = x if encoder_hidden_states is None else encoder_hidden_states
        if cross and attn.norm_cross:
            source = attn.norm_encoder_hidden_states(source)
        q, k, v = (attn.head_to_batch_dim(y) for y in (attn.to_q(x), attn.to_k(source), attn.to_v(source)))
        maps = attn.get_attention_scores(q, k, attention_mask).unflatten(0, (len(x), -1))
        out = torch.bmm(self.change(maps, cross).flatten(0, 1), v)
        out = attn.to_out[1](attn.to_out[0](attn.batch_to_head_dim(out)))
        if attn.residual_connection:
            out = out + hidden_states
        return out / attn.rescale_output_factor


@contextmanager
def changed(model: Any, change: Change) -> Iterator[None]:
    """While this lasts every attention map of the model's transformer blocks goes through ``change``.

    Raises:
        CapabilityError: the model's attention cannot be set.
    """
    if not hasattr(model, "attn_processors") or not hasattr(model, "set_attn_processor"):
        raise CapabilityError(
            f"the attention of a {type(model).__name__} cannot be changed: a UNet2DConditionModel's can"
        )
    kept = dict(model.attn_processors)
    explicit = Explicit(change)
    # attn1 and attn2 are the self- and cross-attention of transformer blocks; others work on pictures and stay.
    wanted = {name: explicit if ".attn1." in name or ".attn2." in name else kept[name] for name in kept}
    if explicit not in wanted.values():
        raise CapabilityError(f"this {type(model).__name__} has no transformer blocks whose attention could be changed")
    model.set_attn_processor(wanted)
    try:
        yield
    finally:
        model.set_attn_processor(kept)
