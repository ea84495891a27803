"""ParaDiGMS: many steps of DDIM at once, by Picard iteration over a sliding window."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import OrnsteinError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Affine
from ornstein.samplers.base import DenoisingSampler, State
from ornstein.samplers.levels import exponential_euler
from ornstein.samplers.tolerance import per_row


@final
class ParaDiGMS(DenoisingSampler):
    r"""One step from t to s is ``substeps`` steps of DDIM, equal in t, solved together.

    In a window of guesses x_i, x_{i+1}, ... the network is asked for all at once (a batch ``window`` times as large), and each
    becomes what DDIM makes of the answers before it; in z = x/sigma that is a running sum, z_j = z_i + sum_k x_0^k (alpha/sigma)
    |_k^{k+1}. The window moves past the guesses that changed by less than ``tolerance`` sigma. With tolerance 0 the result is
    DDIM's, in as many rounds at most; with more, in fewer rounds than steps. Shih et al. 2023, 2305.16317, algorithm 1.
    Each sample has a window of its own. A step whose end is 0 ends with E[x_0].
    """

    needs = Affine
    order: ClassVar[int] = 0
    evaluations: ClassVar[int] = 0
    linear: ClassVar[bool] = False

    def __init__(self, denoiser: Denoiser, substeps: int = 8, window: int = 8, tolerance: float = 1e-3):
        super().__init__(denoiser)
        for name, count in (("substeps", substeps), ("window", window)):
            if count < 1:
                raise UsageError(f"{name} must be at least 1, got {count}")
        if not tolerance >= 0:
            raise UsageError(f"tolerance must be >= 0: 0 is plain DDIM; got {tolerance}")
        self.substeps, self.window, self.tolerance = substeps, min(window, substeps), tolerance

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        n, w, b = self.substeps, self.window, len(x_t)
        rows = torch.arange(b, device=x_t.device).unsqueeze(1)
        ahead = torch.arange(w, device=x_t.device)
        parts = torch.linspace(0, 1, n + 1, dtype=torch.float64, device=x_t.device).reshape(
            1, -1, *[1] * (x_t.ndim - 1)
        )
        start, end = per_row(t, x_t).unsqueeze(1), per_row(s, x_t).unsqueeze(1)
        times = start + (end - start) * parts  # [B, n + 1, 1, ...]
        guess = x_t.unsqueeze(1).repeat(1, n + 1, *[1] * (x_t.ndim - 1))
        at = torch.zeros(b, dtype=torch.long, device=x_t.device)
        many = {name: value.repeat_interleave(w, 0) for name, value in cond.items()}
        for _ in range(n):
            if bool((at == n).all()):
                break
            # Windows that reach beyond the end, or have arrived, repeat the last step; what they find is discarded.
            index = (at.unsqueeze(1) + ahead).clamp(max=n - 1)
            here, there = times[rows, index].flatten(0, 1), times[rows, index + 1].flatten(0, 1)
            x_0 = self.denoiser(guess[rows, index].flatten(0, 1), here, many).mean
            new = self._walk(guess[rows, at.unsqueeze(1).clamp(max=n - 1)][:, 0], here, there, x_0, w)
            inside = at.unsqueeze(1) + ahead < n
            change = (new - guess[rows, index + 1]).double().flatten(2).square().mean(2).sqrt()
            (scale,) = cast(change, self._scale(there, x_t).reshape(b, w))
            if not bool((torch.isfinite(change) | ~inside).all()):
                row = int((~torch.isfinite(change) & inside).any(1).nonzero()[0])
                raise OrnsteinError(
                    f"sample {row} stopped being finite between t = {float(start[row].flatten()[0]):.4g} and "
                    f"{float(end[row].flatten()[0]):.4g}: the network's answer there is not finite"
                )
            for j in range(w):
                guess[rows[:, 0], index[:, j] + 1] = torch.where(
                    inside[:, j].reshape(-1, *[1] * (x_t.ndim - 1)), new[:, j], guess[rows[:, 0], index[:, j] + 1]
                )
            # Beyond the window the last value is the best guess there is.
            beyond = torch.arange(n + 1, device=x_t.device) > (at + w).unsqueeze(1)
            last = guess[rows[:, 0], (at + w).clamp(max=n)].unsqueeze(1)
            guess = torch.where(beyond.reshape(b, n + 1, *[1] * (x_t.ndim - 1)), last, guess)
            settled = (change <= self.tolerance * scale) & inside
            settled[:, 0] = inside[:, 0]  # from the true state at the window's start the first step is DDIM's own
            at = at + settled.long().cumprod(1).sum(1)
        return guess[:, n], None

    def _walk(self, x: Tensor, here: Tensor, there: Tensor, x_0: Tensor, w: int) -> Tensor:
        """DDIM through the window, ``[B, w, ...]``, with the answers given."""
        found = []
        for j in range(w):
            x = exponential_euler(self.process, x, here[j::w], there[j::w], x_0[j::w])
            found.append(x)
        return torch.stack(found, 1)

    def _scale(self, t: Tensor, x: Tensor) -> Tensor:
        """sigma, of the coordinate that has least; 1 at the data."""
        sigma: Tensor = self.process.sigma(t).flatten(1).amin(1)
        return torch.where(sigma > 0, sigma, torch.ones_like(sigma))
