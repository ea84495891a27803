"""Boxes as the state of a diffusion: a network that finds things where noisy boxes point."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac, Posterior
from ornstein.core.errors import UsageError
from ornstein.core.instances import Found
from ornstein.core.shapes import expand, per_sample
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine

SMALLEST = 1e-3
"""Side of a box, where noise would make it smaller."""


@final
class BoxDenoiser(Denoiser):
    r"""x_0 = scale (2 b - 1), b the boxes ``[B, N, 4]`` (centre, size) that ``network(image, boxes, 1000 t)`` finds last.

    The noisy boxes are cut to ±scale and mapped back before the network sees them; ``cond[name]`` is the picture, grey where it
    is missing. Chen et al. 2022 (2211.09788), Gu et al. 2022 (2212.02773).
    """

    process: Affine

    def __init__(self, network: nn.Module, process: Affine, name: str, shape: tuple[int, ...], scale: float = 2.0):
        super().__init__()
        if not scale > 0:
            raise UsageError(f"the scale of boxes must be positive, got {scale}")
        self.network, self.process, self.name, self.shape, self.scale = network, process, name, shape, scale
        self.autocast: torch.dtype | None = None

    def found(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> list[Found]:
        """What every head finds; the last is the answer."""
        image = cond.get(self.name)
        image = x_t.new_zeros(len(x_t), *self.shape) if image is None else image.to(x_t).nan_to_num(0.0)
        noise = 1000 * per_sample(expand(t, x_t), len(x_t)).to(x_t.dtype)
        with torch.autocast(x_t.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            heads: list[Found] = self.network(image, self.boxes(x_t), noise)
        return heads

    def boxes(self, x: Tensor) -> Tensor:
        """The state as boxes in the picture."""
        b = (x.clamp(-self.scale, self.scale) / self.scale + 1) / 2
        return torch.cat([b[..., :2], b[..., 2:].clamp_min(SMALLEST)], -1)

    def state(self, boxes: Tensor) -> Tensor:
        """Boxes as a state."""
        return self.scale * (2 * boxes.clamp(0, 1) - 1)

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        return Dirac(self.state(self.found(x_t, t, cond)[-1].boxes))
