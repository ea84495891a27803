"""The likelihood of the steps of a chain of tokens."""

from __future__ import annotations

from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor

from ornstein.codecs.base import Codec
from ornstein.core import cond as conditions
from ornstein.core.batch import Batch
from ornstein.core.distributions import Dirac
from ornstein.core.errors import UsageError
from ornstein.core.loss import Loss
from ornstein.core.rng import Random
from ornstein.denoisers.token_by_token import TokenByToken
from ornstein.processes.categorical import Corrupted


@final
class TokenChain:
    r"""E_n -sum_i log p_n(x_{n-1}^i | x_{n-1}^{<i}, x_n) / L, where x_{n-1} and x_n are of one path of the forward chain.

    Every n of 1 .. T gets an equal part of the batch. With ``target`` "soft" the token drawn gives way to its law
    q(x_{n-1}^i | x_n, x_0), which has the same expectation and less noise. Esser et al. 2021 (2108.08827), eq. 9 and 10.
    """

    def __init__(
        self,
        denoiser: TokenByToken,
        codec: Codec,
        target: Literal["hard", "soft"] = "hard",
        cond_dropout: float = 0.0,
    ):
        if not 0 <= cond_dropout < 1:
            raise UsageError(f"cond_dropout must lie in [0, 1), got {cond_dropout}")
        if target not in ("hard", "soft"):
            raise UsageError(f"target must be 'hard' or 'soft', got '{target}'")
        self.denoiser, self.codec, self.target, self.cond_dropout = denoiser, codec, target, cond_dropout
        self.autocast: torch.dtype | None = None

    def path(self, x_0: Tensor, n: Tensor, rng: Random) -> tuple[Tensor, Tensor]:
        """x_{n-1} and x_n of one forward path, ``[B, L]`` each."""
        process, steps = self.denoiser.process, self.denoiser.steps
        s, t = ((k.double() / steps)[:, None] for k in (n - 1, n))
        x_s = process.marginal(x_0, s).sample(rng)
        kept = process.keep(t) / process.keep(s)
        return x_s, Corrupted(x_s, kept, process.limit.to(x_s.device)).sample(rng)

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        cond, steps = batch.cond, self.denoiser.steps
        with torch.no_grad():
            x_0 = self.codec.encode(batch.x, rng, cond)
            if self.cond_dropout and cond:
                cond = conditions.drop(cond, rng.uniform((len(batch),)) >= self.cond_dropout)
            n = 1 + (rng.stratified(len(x_0)) * steps).long().clamp(max=steps - 1).to(x_0.device)
            x_s, x_t = self.path(x_0, n, rng)
            target = x_s
            if self.target == "soft":
                s, t = ((k.double() / steps)[:, None] for k in (n - 1, n))
                target = self.denoiser.process.reverse(x_t, t, s, Dirac(x_0)).probs.float()
        loss = torch.zeros(len(x_0), device=x_0.device)
        for k in n.unique().tolist():
            at = (n == k).nonzero().flatten()
            with torch.autocast(x_0.device.type, dtype=self.autocast, enabled=self.autocast is not None):
                net = self.denoiser.net(k)
                logits = net.decode(x_s[at, :-1], net.encode(x_t[at], conditions.rows(cond, at)))
            loss = loss.index_copy(0, at, cross_entropy(logits.float(), target[at]))
        return Loss(loss.mean(), levels=(n.double() / steps, loss.detach()))


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """``[B]``: mean over tokens of -log p of tokens ``[B, L]``, or of -sum q log p for laws ``[B, L, K]``."""
    if target.is_floating_point():
        return -(target * logits.log_softmax(-1)).sum(-1).mean(1)
    return F.cross_entropy(logits.transpose(1, 2), target, reduction="none").mean(1)
