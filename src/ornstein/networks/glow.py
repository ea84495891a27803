r"""Normalising flows of affine couplings: Glow on images, RealNVP on vectors."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.bijection import Bijection
from ornstein.core.errors import UsageError
from ornstein.core.shapes import sum_rest

LIMIT = 2.0
"""Of |s|: a coupling scales by at most e^2, so that the inverse keeps its digits in float32."""


def bounded(s: Tensor, limit: float = LIMIT) -> Tensor:
    """s in (-limit, limit), about itself near 0."""
    return limit * torch.tanh(s / limit)


@final
class ActNorm(Bijection):
    r"""y = (x + b) e^s per channel; :meth:`initialise` makes y of a first batch have mean 0 and variance 1."""

    def __init__(self, channels: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))
        self.log_scale = nn.Parameter(torch.zeros(channels, 1, 1))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """From data ``[B, C, H, W]``."""
        self.bias.copy_(-x.mean((0, 2, 3))[:, None, None])
        self.log_scale.copy_(-x.std((0, 2, 3)).clamp_min(1e-3).log()[:, None, None])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        log_det = self.log_scale.double().sum() * x[0, 0].numel()
        return (x + self.bias) * self.log_scale.exp(), log_det.expand(len(x))

    def inverse(self, u: Tensor) -> Tensor:
        return u * (-self.log_scale).exp() - self.bias


@final
class Mixing(Bijection):
    r"""y = W x at every pixel, W = P L (U + diag(sign e^s)): it cannot become singular. log |det| = H W sum s.

    Kingma & Dhariwal 2018 (1807.03039), section 3.2; W starts as a random rotation.
    """

    permutation: Tensor
    sign: Tensor

    def __init__(self, channels: int):
        super().__init__()
        q, _ = torch.linalg.qr(torch.randn(channels, channels))
        p, lower, upper = torch.linalg.lu(q)
        diagonal = upper.diagonal()
        self.register_buffer("permutation", p)
        self.register_buffer("sign", diagonal.sign())
        self.lower, self.upper = nn.Parameter(lower.tril(-1)), nn.Parameter(upper.triu(1))
        self.log_scale = nn.Parameter(diagonal.abs().log())

    def weight(self) -> Tensor:
        """W, ``[C, C]``."""
        lower = self.lower.tril(-1) + torch.eye(len(self.sign), device=self.sign.device)
        return self.permutation @ lower @ (self.upper.triu(1) + torch.diag(self.sign * self.log_scale.exp()))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        log_det = self.log_scale.double().sum() * x[0, 0].numel()
        return F.conv2d(x, self.weight()[:, :, None, None]), log_det.expand(len(x))

    def inverse(self, u: Tensor) -> Tensor:
        back = torch.linalg.inv(self.weight().double()).to(u.dtype)
        return F.conv2d(u, back[:, :, None, None])


@final
class Coupling(Bijection):
    """The first half of the channels stays; the second is scaled and shifted by what a network makes of the first."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        if channels % 2:
            raise UsageError(
                f"a coupling splits the channels in halves, and {channels} is odd; squeeze the image first"
            )
        half = channels // 2
        self.network = nn.Sequential(
            nn.Conv2d(half, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 1),
            nn.SiLU(),
            nn.Conv2d(width, channels, 3, padding=1),
        )
        last = self.network[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def _law(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        s, shift = self.network(kept).chunk(2, 1)
        return bounded(s), shift

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = x.chunk(2, 1)
        s, shift = self._law(kept)
        return torch.cat([kept, changed * s.exp() + shift], 1), sum_rest(s.double())

    def inverse(self, u: Tensor) -> Tensor:
        kept, changed = u.chunk(2, 1)
        s, shift = self._law(kept)
        return torch.cat([kept, (changed - shift) * (-s).exp()], 1)


@final
class Glow(Bijection):
    """Images ``[B, C, S, S]`` <-> vectors ``[B, C S S]``: at each scale squeeze 2 x 2, ``depth`` steps, factor out half.

    A step is :class:`ActNorm`, :class:`Mixing`, :class:`Coupling`. Kingma & Dhariwal 2018 (1807.03039).
    """

    ready: Tensor

    def __init__(self, *, channels: int, size: int, scales: int = 2, depth: int = 8, width: int = 64):
        super().__init__()
        for name, value in {"channels": channels, "scales": scales, "depth": depth, "width": width}.items():
            if value < 1:
                raise UsageError(f"{name} must be at least 1, got {value}")
        if size % 2**scales:
            raise UsageError(
                f"size {size} cannot be halved {scales} times: choose a multiple of {2**scales}, or fewer scales"
            )
        self.shape, self.scales = (channels, size, size), scales
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))
        self.steps = nn.ModuleList()
        for scale in range(scales):
            channels *= 4
            for _ in range(depth):
                self.steps.append(nn.ModuleList([ActNorm(channels), Mixing(channels), Coupling(channels, width)]))
            if scale < scales - 1:
                channels //= 2

    def _of_scale(self, scale: int) -> list[Bijection]:
        each = len(self.steps) // self.scales
        parts = []
        for step in self.steps[scale * each : (scale + 1) * each]:
            assert isinstance(step, nn.ModuleList)
            parts += list(step)
        return parts  # type: ignore[return-value]

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set every :class:`ActNorm` by a first batch of data, in order; once, and never when sampling."""
        self._run(x, initialise=True)
        self.ready.fill_(True)

    def _run(self, x: Tensor, initialise: bool) -> tuple[Tensor, Tensor]:
        if tuple(x.shape[1:]) != self.shape:
            raise UsageError(f"this flow takes images of shape {self.shape}, got {tuple(x.shape[1:])}")
        log_det = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        done = []
        for scale in range(self.scales):
            x = F.pixel_unshuffle(x, 2)
            for part in self._of_scale(scale):
                if initialise and isinstance(part, ActNorm):
                    part.initialise(x)
                x, volume = part(x)
                log_det = log_det + volume
            if scale < self.scales - 1:
                x, out = x.chunk(2, 1)
                done.append(out.flatten(1))
        return torch.cat([*done, x.flatten(1)], 1), log_det

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._run(x, initialise=False)

    def inverse(self, u: Tensor) -> Tensor:
        c, size, _ = self.shape
        if u.ndim != 2 or u.shape[1] != c * size * size:
            raise UsageError(f"this flow's state is [B, {c * size * size}], got {tuple(u.shape)}")
        shapes, channels = [], c
        for scale in range(self.scales):
            channels, size = channels * 4, size // 2
            if scale < self.scales - 1:
                channels //= 2
            shapes.append((channels, size, size))
        sizes = [a * b * b for a, b, _ in shapes]  # what scale i factors out is as large as what it passes on
        *outs, x = u.split([*sizes[:-1], sizes[-1]], 1)
        x = x.reshape(-1, *shapes[-1])
        for scale in range(self.scales - 1, -1, -1):
            if scale < self.scales - 1:
                x = torch.cat([x, outs[scale].reshape(-1, *shapes[scale])], 1)
            for part in reversed(self._of_scale(scale)):
                x = part.inverse(x)
            x = F.pixel_shuffle(x, 2)
        return x


@final
class VectorFlow(Bijection):
    r"""The same on vectors ``[B, D]``: ``depth`` steps of :class:`Mixing` and a coupling whose first half stays.

    A coupling's network reads x and sin(k pi x / 2)/k, cos(k pi x / 2)/k, k = 1 .. ``waves``, of what stays: from x alone it
    learns scales and shifts that change within a tenth of x's range only slowly. Waves of equal height, or scales beyond
    e^+-1, let the layers drive one another apart early in training. Dinh et al. 2016 (1605.08803), whose couplings act along
    the axes, without mixing; Tancik et al. 2020 (2006.10739).
    """

    harmonics: Tensor

    def __init__(self, size: int, depth: int = 8, width: int = 64, waves: int = 12):
        super().__init__()
        if size < 2:
            raise UsageError(f"a coupling needs at least 2 coordinates, got {size}")
        for name, value in {"depth": depth, "width": width}.items():
            if value < 1:
                raise UsageError(f"{name} must be at least 1, got {value}")
        if waves < 0:
            raise UsageError(f"waves must be at least 0, got {waves}")
        self.kept = size // 2
        self.register_buffer("harmonics", torch.arange(1.0, waves + 1))
        self.mixings = nn.ModuleList(Mixing(size) for _ in range(depth))
        self.networks = nn.ModuleList(
            nn.Sequential(
                nn.Linear(self.kept * (1 + 2 * waves), width),
                nn.SiLU(),
                nn.Linear(width, width),
                nn.SiLU(),
                nn.Linear(width, 2 * (size - self.kept)),
            )
            for _ in range(depth)
        )
        for network in self.networks:
            assert isinstance(network, nn.Sequential)
            nn.init.zeros_(network[-1].weight)  # type: ignore[arg-type]
            nn.init.zeros_(network[-1].bias)  # type: ignore[arg-type]

    def _law(self, i: int, kept: Tensor) -> tuple[Tensor, Tensor]:
        angles = 0.5 * torch.pi * kept[:, :, None] * self.harmonics
        waves = torch.cat([angles.sin(), angles.cos()], 1) / self.harmonics
        s, shift = self.networks[i](torch.cat([kept, waves.flatten(1)], 1)).chunk(2, 1)
        return bounded(s, 1.0), shift

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        log_det = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for i in range(len(self.networks)):
            mixing = self._mixing(i)
            x = x @ mixing.weight().T
            kept, changed = x[:, : self.kept], x[:, self.kept :]
            s, shift = self._law(i, kept)
            x = torch.cat([kept, changed * s.exp() + shift], 1)
            log_det = log_det + mixing.log_scale.double().sum() + sum_rest(s.double())
        return x, log_det

    def inverse(self, u: Tensor) -> Tensor:
        for i in range(len(self.networks) - 1, -1, -1):
            kept, changed = u[:, : self.kept], u[:, self.kept :]
            s, shift = self._law(i, kept)
            u = torch.cat([kept, (changed - shift) * (-s).exp()], 1)
            u = u @ torch.linalg.inv(self._mixing(i).weight().double()).to(u.dtype).T
        return u

    def _mixing(self, i: int) -> Mixing:
        mixing = self.mixings[i]
        assert isinstance(mixing, Mixing)
        return mixing
