r"""Layers that keep the expected magnitude of what passes through them (Karras et al. 2024, 2312.02696, config G).

Equation numbers are those of the paper.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, final
from weakref import ReferenceType, ref

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

from ornstein.core.perturb import Perturbable, Perturbation
from ornstein.core.shards import RowWise
from ornstein.networks.layers.attention import attend, check_head
from ornstein.networks.layers.conditioning import Text
from ornstein.networks.layers.packed import convolve, pack, packable

SILU_GAIN = 1 / 0.596
"""1 / rms(silu(n)) for n ~ N(0, 1); eq. 81. Applied to the weights that follow, which are fewer than the activations."""


KEPT = 2**20
"""Elements up to which a weight is kept as it is used between calls without gradients: beyond, making it costs little beside
what is done with it, and keeping it would double a large network."""


def normalize_rows(w: Tensor) -> Tensor:
    """Scale each output's weights to unit mean square."""
    flat = w.flatten(1)
    norm = torch.linalg.vector_norm(flat, dim=1, keepdim=True) / math.sqrt(flat.shape[1])
    return (flat / (norm + 1e-12)).view_as(w)


def sum_weights(t: float) -> tuple[float, float]:
    """The factors of a and b in the weighted sum of two uncorrelated unit-magnitude tensors; eq. 88."""
    norm = math.sqrt((1 - t) ** 2 + t**2)
    return (1 - t) / norm, t / norm


def mp_cat(a: Tensor, b: Tensor, t: float = 0.5) -> Tensor:
    """Concatenation in which both parts contribute in proportion to t; eq. 103."""
    na, nb = a.shape[1], b.shape[1]
    c = math.sqrt((na + nb) / ((1 - t) ** 2 + t**2))
    wa, wb = c / math.sqrt(na) * (1 - t), c / math.sqrt(nb) * t
    # At equal widths both factors are one.
    return torch.cat([a if math.isclose(wa, 1) else a * wa, b if math.isclose(wb, 1) else b * wb], dim=1)


def pixel_norm(x: Tensor) -> Tensor:
    """Unit mean square over channels at every pixel; eq. 30."""
    return F.rms_norm(x.permute(0, 2, 3, 1), (x.shape[1],), eps=1e-4).permute(0, 3, 1, 2)


class MPWeight(nn.Module, RowWise):
    """A learned weight of unit-magnitude rows: forced back to the sphere when training has moved it; eqs. 47 and 66."""

    def __init__(self, *shape: int):
        super().__init__()
        self.weight = nn.Parameter(normalize_rows(torch.randn(shape)))
        self._normalized = -1
        self._effective: Kept | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_effective": None}  # a copy has weights of its own

    def project(self, rows: Tensor) -> Tensor:
        return normalize_rows(rows)

    def scaled(self, gain: Tensor | float = 1.0) -> Tensor:
        """The effective weight: unit rows times gain / sqrt(fan in), so that each row has the norm ``gain``."""
        w = self.weight
        # Only once per update: the network may be called several times before one backward pass, which must find the
        # weights that the forward pass saw.
        if (
            self.training
            and not self.kept
            and torch.is_grad_enabled()
            and (torch.compiler.is_compiling() or w._version != self._normalized)
        ):
            with torch.no_grad():
                w.copy_(self.project(w))
            self._normalized = w._version
        norms = (
            torch.as_tensor(gain, dtype=w.dtype, device=w.device).expand(w.shape[0]).reshape(-1, *[1] * (w.ndim - 1))
        )
        # The gradient of w / |w| is orthogonal to w; one kernel for each of the two passes.
        return torch._weight_norm(w, norms.contiguous(), 0)

    def effective(self, gain: Tensor | float, like: Tensor) -> Tensor:
        """:meth:`scaled` as the numbers of ``like``, convolutions in ``channels_last``.

        Without gradients, where nothing moves a weight from one call to the next, it is kept, on a CPU as
        :mod:`ornstein.networks.layers.packed` puts it: at batch 1 making it takes a third of the time of a call.
        """
        if not self._keepable():
            self._effective = None
            return self._make(gain, like.dtype)
        kept = self._effective
        if kept is None or not kept.still(self.weight, gain, like):
            origin = Origin.of(gain) if isinstance(gain, Tensor) else gain
            value = self._make(gain, like.dtype)
            if value.ndim == 4 and packable(value, like):
                value = pack(value, like)
            kept = Kept(value, Origin.of(self.weight), origin, like.shape[-2:])
            self._effective = kept
        return kept.value

    def _make(self, gain: Tensor | float, dtype: torch.dtype) -> Tensor:
        w = self.scaled(gain).to(dtype)
        return w.contiguous(memory_format=torch.channels_last) if w.ndim == 4 else w

    def _keepable(self) -> bool:
        w = self.weight
        return (
            not torch.is_grad_enabled()
            and not self.training
            and w.numel() <= KEPT
            and type(w) in (nn.Parameter, Tensor)  # neither sharded nor a stand-in
            and not w.is_inference()
            and not torch.compiler.is_compiling()
            and forward_ad._current_level < 0
            and not torch._C._functorch.is_functorch_wrapped_tensor(w)
        )


class Origin(NamedTuple):
    """A tensor, by identity, and the place and number of changes of its values."""

    tensor: ReferenceType[Tensor]
    place: int
    changes: int

    @classmethod
    def of(cls, x: Tensor) -> Origin:
        """Where ``x`` stands now."""
        return cls(ref(x), x.data_ptr(), x._version)

    def unchanged(self, x: Tensor | float) -> bool:
        """Whether ``x`` is the same tensor with the same values."""
        return (
            isinstance(x, Tensor) and self.tensor() is x and self.place == x.data_ptr() and self.changes == x._version
        )


class Kept(NamedTuple):
    """A weight made ready for use, and what it was made from."""

    value: Tensor
    weight: Origin
    gain: Origin | float
    size: torch.Size
    """height and width of what it is used on"""

    def still(self, weight: Tensor, gain: Tensor | float, like: Tensor) -> bool:
        """Whether the same would be made again for use on ``like``."""
        same = self.gain.unchanged(gain) if isinstance(self.gain, Origin) else self.gain == gain
        fits = not self.value.is_mkldnn or (self.size == like.shape[-2:] and packable(self.value, like))
        return same and fits and self.value.dtype == like.dtype and self.weight.unchanged(weight)


@final
class MPConv(MPWeight):
    """Convolution (odd kernel, same size) without bias, channels in -> out."""

    def __init__(self, inside: int, outside: int, kernel: int):
        super().__init__(outside, inside, kernel, kernel)

    def forward(self, x: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        w = self.effective(gain, x)
        return convolve(x, w) if w.is_mkldnn else F.conv2d(x, w, padding=w.shape[-1] // 2)


@final
class MPLinear(MPWeight):
    """Linear map without bias."""

    def __init__(self, inside: int, outside: int):
        super().__init__(outside, inside)

    def forward(self, x: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        return F.linear(x, self.effective(gain, x))


@final
class MPFourier(nn.Module):
    r"""sqrt(2) cos(2 pi (f t + phi)), f ~ N(0, bandwidth^2): unit-magnitude features of the noise level; eq. 75."""

    frequencies: Tensor
    phases: Tensor

    def __init__(self, width: int, bandwidth: float = 1.0):
        super().__init__()
        self.register_buffer("frequencies", 2 * math.pi * bandwidth * torch.randn(width))
        self.register_buffer("phases", 2 * math.pi * torch.rand(width))

    def forward(self, t: Tensor) -> Tensor:
        return torch.cos(torch.outer(t.float(), self.frequencies.float()) + self.phases.float()) * math.sqrt(2)


@final
class MPAttention(nn.Module, Perturbable):
    """Cosine attention: queries, keys and values of unit magnitude per head; appendix B.4."""

    def __init__(self, channels: int, head: int, balance: float):
        super().__init__()
        self.heads = check_head("MPAttention", channels, head)
        self.keep, self.gain = sum_weights(balance)
        self.qkv = MPConv(channels, 3 * channels, 1)
        self.project = MPConv(channels, channels, 1)

    @property
    def perturbations(self) -> tuple[Perturbation, ...]:
        return ("identity",)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        qkv = self.qkv(x).permute(0, 2, 3, 1).reshape(b, h * w, 3, self.heads, c // self.heads)
        q, k, v = F.rms_norm(qkv, (c // self.heads,), eps=1e-4).permute(2, 0, 3, 1, 4)
        y = v if self.perturbation == "identity" else attend(q, k, v)
        y = y.transpose(1, 2).reshape(b, h, w, c).permute(0, 3, 1, 2)
        return torch.add(self.project(y, self.gain), x, alpha=self.keep)


@final
class MPCrossAttention(nn.Module):
    """The same with keys and values from a sequence of tokens of unit magnitude."""

    def __init__(self, channels: int, head: int, balance: float, width: int):
        super().__init__()
        self.heads = check_head("MPCrossAttention", channels, head)
        self.keep, self.gain = sum_weights(balance)
        self.q = MPConv(channels, channels, 1)
        self.kv = MPLinear(width, 2 * channels)
        self.project = MPConv(channels, channels, 1)

    def forward(self, x: Tensor, text: Text) -> Tensor:
        b, c, h, w = x.shape
        shape = (self.heads, c // self.heads)
        q = F.rms_norm(self.q(x).permute(0, 2, 3, 1).reshape(b, h * w, *shape), shape[1:], eps=1e-4).transpose(1, 2)
        kv = self.kv(text.tokens.to(x.dtype)).reshape(b, -1, 2, *shape)
        k, v = F.rms_norm(kv, shape[1:], eps=1e-4).permute(2, 0, 3, 1, 4)
        y = attend(q, k, v, text.mask).transpose(1, 2).reshape(b, h, w, c).permute(0, 3, 1, 2)
        return torch.add(self.project(y, self.gain), x, alpha=self.keep)
