r"""A diagonal structured state space: a linear recurrence that is trained as a long convolution.

Continuous: h' = A h + B u, y = Re(C h) + D u with A_n = -1/2 + i pi n (S4D-Lin). Held over a step Delta of each channel,
Abar = exp(Delta A), Bbar = (Abar - 1)/A B, so that y = k * u with k_l = 2 Re sum_n C_n Bbar_n Abar_n^l.
Gu et al. 2022, 2206.11893.
"""

from __future__ import annotations

import math
from typing import Any, final

import torch
from torch import Tensor, nn

from ornstein.core.errors import UsageError
from ornstein.networks.layers.kept import Origin, keepable


@final
class S4D(nn.Module):
    """``[B, C, L] -> [B, C, L]``: each channel has ``state`` complex states; with ``both_ways`` a second kernel runs backwards.

    The convolution goes by the Fourier transform of twice the length, in float32 whatever the input's precision.
    """

    def __init__(
        self, channels: int, state: int = 16, both_ways: bool = True, smallest: float = 1e-3, largest: float = 0.1
    ):
        super().__init__()
        if channels < 1 or state < 1 or not 0 < smallest < largest:
            raise UsageError(
                f"S4D needs channels and states of at least 1 and 0 < smallest < largest, got {channels}, {state}, "
                f"{smallest}, {largest}"
            )
        ways = 2 if both_ways else 1
        low, high = math.log(smallest), math.log(largest)
        self.log_step = nn.Parameter(low + (high - low) * torch.rand(channels))
        self.log_decay = nn.Parameter(torch.full((channels, state), math.log(0.5)))
        self.frequency = nn.Parameter(math.pi * torch.arange(state).float().expand(channels, state).clone())
        self.c = nn.Parameter(torch.randn(ways, channels, state, 2) * math.sqrt(0.5))
        self.d = nn.Parameter(torch.randn(channels))
        self.both_ways = both_ways
        self._kept: tuple[int, tuple[Origin, ...], Tensor] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_kept": None}  # a copy has weights of its own

    def _discrete(self) -> tuple[Tensor, Tensor]:
        """Delta A and C Bbar, complex ``[C, N]`` and ``[ways, C, N]``."""
        a = torch.complex(-self.log_decay.float().exp(), self.frequency.float())
        step_a = self.log_step.float().exp()[:, None] * a
        return step_a, torch.view_as_complex(self.c.float()) * (step_a.exp() - 1) / a

    def kernel(self, length: int) -> Tensor:
        """k, ``[ways, C, length]``."""
        step_a, cb = self._discrete()
        powers = (step_a[..., None] * torch.arange(length, device=cb.device)).exp()
        return 2 * torch.einsum("wcn,cnl->wcl", cb, powers).real

    def _transformed(self, length: int) -> Tensor:
        """The Fourier transform of the kernel, ``[C, length + 1]``."""
        k, n = self.kernel(length), 2 * length
        around = torch.fft.rfft(k[0], n)
        if self.both_ways:  # k_{-l}: what lies ahead, without the present
            ahead = torch.zeros((k.shape[1], n), device=k.device)
            ahead[:, length + 1 :] = k[1, :, 1:].flip(-1)
            around = around + torch.fft.rfft(ahead, n)
        return around

    def _around(self, length: int) -> Tensor:
        """The same, kept where nothing moves the weights: making it takes longer than using it."""
        weights = (self.log_step, self.log_decay, self.frequency, self.c)
        if self.training or not all(keepable(w) for w in weights):
            self._kept = None
            return self._transformed(length)
        kept = self._kept
        if kept is None or kept[0] != length or not all(o.unchanged(w) for o, w in zip(kept[1], weights, strict=True)):
            kept = self._kept = (length, tuple(Origin.of(w) for w in weights), self._transformed(length))
        return kept[2]

    def forward(self, u: Tensor) -> Tensor:
        length = u.shape[-1]
        x, n = u.float(), 2 * length
        y = torch.fft.irfft(torch.fft.rfft(x, n) * self._around(length), n)[..., :length]
        return (y + self.d.float()[:, None] * x).to(u.dtype)

    @torch.no_grad()
    def scan(self, u: Tensor) -> Tensor:
        """The same by the recurrence, step by step: what the convolution is checked against."""
        step_a, cb = self._discrete()

        def run(inputs: Tensor, c: Tensor) -> Tensor:
            h = torch.zeros((len(u), *step_a.shape), dtype=torch.complex64)
            out = []
            for value in inputs.float().unbind(-1):
                h = step_a.exp() * h + value[..., None]
                out.append(2 * (c * h).sum(-1).real)
            return torch.stack(out, -1)

        y = run(u, cb[0]) + self.d[:, None] * u
        if self.both_ways:
            back = run(u.flip(-1), cb[1]).flip(-1)
            y = y + back - 2 * cb[1].sum(-1).real[:, None] * u  # without the present
        return y
