"""A set of pictures as a vector or as tokens, and a network that is told them."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import UsageError
from ornstein.networks.layers.sequence import SequenceLayer


@final
class SetEncoder(nn.Module):
    r"""c = transformer([cls; mean_k f(patches of x_k) + position]): ``[B, K, C, H, W]`` to ``[B, 1 + patches, width]``.

    A member that is NaN is not there. The mean makes the order of the members irrelevant and leaves their number free; f, two
    layers on each patch, lets it keep more than the mean picture. The encoder sees no time: it is asked once per set. Rows
    without members are NaN. Giannone et al. 2022 (2205.15463), section 3, with the patches averaged over the set.
    """

    def __init__(
        self, *, channels: int, size: int, width: int = 64, patch: int = 4, depth: int = 2, head: int | None = None
    ):
        super().__init__()
        if size % patch:
            raise UsageError(f"a set's pictures of {size} x {size} are not a multiple of the encoder's patch ({patch})")
        self.shape, self.patch = (channels, size, size), patch
        self.f = nn.Sequential(nn.Linear(channels * patch**2, width), nn.GELU(), nn.Linear(width, width))
        self.place = nn.Parameter(0.02 * torch.randn((size // patch) ** 2, width))
        self.cls = nn.Parameter(0.02 * torch.randn(width))
        self.layers = nn.ModuleList(SequenceLayer(width, head or width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 5 or tuple(x.shape[2:]) != self.shape:
            raise UsageError(f"a set is [B, K, {', '.join(map(str, self.shape))}], got {tuple(x.shape)}")
        b, k = x.shape[:2]
        here = ~x.flatten(2)[..., 0].isnan()  # [B, K]
        flat = x.nan_to_num(0.0).flatten(0, 1)
        patches = self.f(F.pixel_unshuffle(flat, self.patch).flatten(2).mT.contiguous())  # [BK, P, width]
        weight = here.to(patches.dtype) / here.sum(1, keepdim=True).clamp_min(1)
        mean = torch.einsum("bk,bkpw->bpw", weight, patches.unflatten(0, (b, k)))
        tokens = torch.cat([self.cls.expand(b, 1, -1).to(mean.dtype), mean + self.place], 1)
        for layer in self.layers:
            tokens = layer(tokens)
        tokens = self.norm(tokens).float()
        return tokens.masked_fill(~here.any(1)[:, None, None], torch.nan)


@final
class Exemplified(nn.Module):
    """A network that is told a set ``cond[name]`` as the encoder's vector ``cond[into]``, or with ``tokens`` as all its tokens."""

    def __init__(self, network: nn.Module, encoder: SetEncoder, name: str, into: str, tokens: bool = False):
        super().__init__()
        self.network, self.encoder, self.name, self.into, self.tokens = network, encoder, name, into, tokens

    def encoded(self, cond: Cond) -> dict[str, Tensor]:
        """The condition with the code in the set's place: made once, where the network is called many times."""
        rest = {k: v for k, v in cond.items() if k != self.name}
        members = cond.get(self.name)
        if members is not None:
            code = self.encoder(members)
            rest[self.into] = code if self.tokens else code[:, 0]
        return rest

    def forward(self, x: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        out: Tensor = self.network(x, t, self.encoded(cond))
        return out
