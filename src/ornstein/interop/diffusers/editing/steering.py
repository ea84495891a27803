r"""What a picture shows, steered while it is drawn: by its attention to words, and by a reward of the picture itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, final

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Posterior
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.denoisers.denoiser import Denoiser
from ornstein.guidance.energy import Reward
from ornstein.guidance.negative import PREFIX
from ornstein.interop.diffusers.editing.attention import Change, changed
from ornstein.interop.diffusers.editing.prompt_to_prompt import token_places
from ornstein.interop.diffusers.pipelines.networks import Network
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.interop.diffusers.prompts.reader import OneEncoder, Reader, Wrapped

_STEERED = "steered"


def with_attention(system: Pipeline, change: Change, *, until: float = 0.0) -> Pipeline:
    """A system whose attention maps go through ``change`` where it looks at the prompt, the negative one left alone.

    Args:
        change: maps ``[B, heads, queries, keys]`` and whether they look at the text -> maps.
        until: the time down to which they do.

    Raises:
        CapabilityError: the system reads no prompts, or its network is no UNet that reads them.
    """
    if not isinstance(system, Pipeline) or system.prompts is None:
        raise CapabilityError("attention is controlled in a pipeline of diffusers that reads prompts")
    with changed(network_of(system.denoiser).model, lambda maps, cross: maps):
        pass  # refuses other networks before anything is drawn
    reader = Marked(system.prompts)

    def attending(denoiser: Denoiser) -> Denoiser:
        return Attending(denoiser, change, until)

    inner = (attending, *system.inner)  # next to the network, whose rows it must know
    return replace(system, prompts=reader, extra={**system.extra, "prompts": reader}, inner=inner)


def placed(system: Pipeline, prompt: str, places: Mapping[str, Tensor], strength: float = 2.0) -> Change:
    r"""A change by which words of ``prompt`` are looked at from where a mask says: p <- p e^{s m}, normalised.

    That adds s m to the logits of the words' tokens, m the mask at the size of each attention ("paint with words", Balaji et al.
    2022, 2211.01324).

    Args:
        places: word of the prompt -> mask ``[H, W]`` in [0, 1], of the picture's proportions.

    Raises:
        CapabilityError: no reader of one CLIP encoder. UsageError: a word that is not in the prompt.
        DataError: a mask of another form or with values outside [0, 1].
    """
    reader = system.prompts
    while isinstance(reader, Wrapped):
        reader = reader.inner
    if not isinstance(reader, OneEncoder):
        raise CapabilityError("words are placed with one CLIP encoder: Stable Diffusion 1 or 2")
    words, length = token_places(reader.prompts, prompt), reader.prompts.length
    columns: list[tuple[list[int], Tensor]] = []
    for word, mask in places.items():
        tokens = [i for text, span in words for i in span if text == word.lower()]
        if not tokens:
            raise UsageError(f"'{word}' is no word of the prompt: {' '.join(text for text, _ in words)}")
        if mask.ndim != 2 or not bool(((mask >= 0) & (mask <= 1)).all()):
            raise DataError(f"the mask of '{word}' is [H, W] in [0, 1], got {list(mask.shape)}")
        columns.append((tokens, mask.float()))
    _, height, width = system.shape

    def change(maps: Tensor, over_text: bool) -> Tensor:
        if not over_text:
            return maps
        shrunk = math.sqrt(height * width / maps.shape[2])
        size = math.ceil(height / shrunk), math.ceil(width / shrunk)
        logits = maps.new_zeros(maps.shape[2], maps.shape[3])
        for tokens, mask in columns:
            small = interpolate(mask[None, None], size=size, mode="bilinear", antialias=True, align_corners=False)
            kept = [i for i in tokens if i < min(length, maps.shape[3])]
            logits[:, kept] += strength * small.clamp(0, 1).flatten()[:, None].to(maps)
        stressed = maps * logits.exp()
        return stressed / stressed.sum(-1, keepdim=True)

    return change


def with_reward(system: Pipeline, reward: Callable[[Tensor], Tensor], scale: float = 1.0) -> Pipeline:
    r"""A system guided by a reward of the picture that it is about to draw, in the space of pictures: X-space guidance.

    The score gains scale \nabla_{x_t} r(decode(E[x_0 | x_t])): through the autoencoder and the network, both differentiated.
    Bansal et al. 2023, 2302.07121.

    Args:
        reward: pictures ``[B, C, H, W]`` in [-1, 1] -> ``[B]``, differentiable.

    Raises:
        CapabilityError: no pipeline of diffusers; when drawn, a reward without a gradient.
    """
    if not isinstance(system, Pipeline):
        raise CapabilityError(f"a reward of pictures guides pipelines of diffusers; '{system.recipe}' is none")
    if not math.isfinite(scale):
        raise UsageError(f"the scale of a reward is a number, got {scale}")

    def rewarded(denoiser: Denoiser) -> Denoiser:
        return Reward(denoiser, lambda x_0: reward(system.codec.decode(x_0)), scale)

    return replace(system, outer=(*system.outer, rewarded))


def network_of(denoiser: Any) -> Network:
    """The network within a denoiser and what stands around it."""
    while not hasattr(denoiser, "network"):
        denoiser = denoiser.denoiser
    if not isinstance(denoiser.network, Network):
        raise CapabilityError("attention is controlled in UNets; this system's network is none")
    return denoiser.network


@final
class Marked(Wrapped):
    """Which rows are those of the prompt: 1, and 0 for the negative one's."""

    def __init__(self, inner: Reader):
        super().__init__(inner)

    def forward(self, n: int, given: Mapping[str, Any], guided: bool = True) -> dict[str, Tensor]:
        more = {_STEERED: torch.ones(n)} | ({PREFIX + _STEERED: torch.zeros(n)} if guided else {})
        return {**self.inner(n, given, guided), **more}


@final
class Attending(Denoiser):
    """A denoiser whose network's attention is changed at times above ``until``, in the marked rows."""

    def __init__(self, denoiser: Denoiser, change: Change, until: float):
        super().__init__()
        self.denoiser, self.process = denoiser, denoiser.process
        self.change, self.until = change, until

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        rows = cond[_STEERED].nonzero().flatten()
        rest = {name: value for name, value in cond.items() if name != _STEERED}
        if not len(rows) or float(t.flatten()[0]) <= self.until:
            return self.denoiser(x_t, t, rest)

        def change(maps: Tensor, over_text: bool) -> Tensor:
            return maps.index_copy(0, rows, self.change(maps[rows], over_text))

        with changed(network_of(self.denoiser).model, change):
            return self.denoiser(x_t, t, rest)
