r"""Reverse steps that draw the tokens of a state one after the other, each by those before it and by the whole noisier state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast, final

import torch
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond, rows
from ornstein.core.distributions import Distribution, Posterior
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.rng import Random
from ornstein.core.shapes import per_sample
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.categorical import CategoricalProcess


class Decoding(Protocol):
    """A network that makes one sequence of another; :class:`ornstein.networks.encoder_decoder.EncoderDecoder` is one."""

    tokens: int
    length: int

    def encode(self, given: Tensor, cond: Cond = NO_COND) -> Tensor:
        """What the decoder attends to, of ``given [B, L]``."""

    def decode(self, before: Tensor, context: Tensor) -> Tensor:
        """Logits ``[B, n + 1, K]`` of tokens 0 .. n by the n tokens ``before [B, n]``."""


@final
class TokenByToken(Denoiser):
    r"""p(x_{n-1} | x_n) = prod_i p_n(x_{n-1}^i | x_{n-1}^{<i}, x_n), n = 1 .. T: one encoder-decoder for each step of the chain.

    No posterior over x_0 with independent coordinates, as other denoisers of tokens have: the step itself is learned, with all
    that its tokens have to do with each other, which is why T may be 3. Esser et al. 2021 (2108.08827), section 3.2.
    """

    process: CategoricalProcess

    def __init__(self, scales: Sequence[Decoding], process: CategoricalProcess):
        super().__init__()
        if not scales:
            raise UsageError("a chain needs at least one step, and a network for it")
        for net in scales:
            if net.tokens != process.states or net.length != scales[0].length:
                raise UsageError(
                    f"every step takes {scales[0].length} tokens of {process.states} values, one {net.length} of {net.tokens}"
                )
        self.scales = nn.ModuleList(cast(Sequence[nn.Module], scales))
        self.process = process

    @property
    def steps(self) -> int:
        """T."""
        return len(self.scales)

    def net(self, n: int) -> Decoding:
        """The network of the step from n to n - 1."""
        return cast(Decoding, self.scales[n - 1])

    def number(self, t: Tensor, like: Tensor) -> Tensor:
        """``[B]``: n of times t = n/T.

        Raises:
            UsageError: a time between the chain's.
        """
        n = per_sample(t, len(like)).double() * self.steps
        whole = n.round()
        if bool((n - whole).abs().max() > 1e-6) or bool((whole < 1).any()):
            raise UsageError(
                f"t = {float(t.max()):.4g} is no time of this chain, which has {self.steps} learned steps: sample with "
                f"steps={self.steps} on the grid 'even'"
            )
        return whole.long()

    def law(self, x_t: Tensor, n: Tensor, cond: Cond = NO_COND) -> TokenLaw:
        """The law of x_{n-1} given x_n ``[B, L]``; n ``[B]``."""
        low, high = int(x_t.min()), int(x_t.max())
        if low < 0 or high >= self.process.states:
            raise DataError(
                f"token {low if low < 0 else high} is out of range: there are 0 .. {self.process.states - 1}"
            )
        groups = []
        for k in n.unique().tolist():
            at = (n == k).nonzero().flatten()
            net = self.net(k)
            groups.append((at, net, net.encode(x_t[at], rows(cond, at))))
        return TokenLaw(groups, len(x_t), self.process.states)

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        raise CapabilityError(
            "a chain learned token by token knows its next step, and no posterior over x_0 to guide or to stride with; sample it "
            "with 'autoregressive'"
        )


@final
class TokenLaw(Distribution[Tensor]):
    """A law over ``[B, L]`` tokens by the chain rule; groups of rows belong to different networks."""

    def __init__(self, groups: list[tuple[Tensor, Decoding, Tensor]], batch: int, values: int):
        self.groups, self.batch, self.values = groups, batch, values

    @property
    def length(self) -> int:
        """L."""
        return self.groups[0][1].length

    def sample(self, rng: Random) -> Tensor:
        return self.complete(rng, None, None)

    def complete(self, rng: Random, tokens: Tensor | None, known: Tensor | None) -> Tensor:
        """A draw in which ``tokens`` ``[B, L]`` stand where ``known`` ``[L]`` or ``[B, L]`` is true; later ones see them."""
        context = self.groups[0][2]
        made = torch.zeros(self.batch, self.length, dtype=torch.int64, device=context.device)
        for i in range(self.length):
            logits = context.new_empty(self.batch, self.values)
            for at, net, seen in self.groups:
                logits[at] = net.decode(made[at, :i], seen)[:, -1]
            drawn = rng.categorical(logits)
            made[:, i] = drawn if tokens is None or known is None else torch.where(known[..., i], tokens[:, i], drawn)
        return made

    def log_prob(self, x: Tensor) -> Tensor:
        total = torch.empty(self.batch, dtype=torch.float64, device=x.device)
        for at, net, seen in self.groups:
            log_p = net.decode(x[at, :-1], seen).double().log_softmax(-1)
            total[at] = log_p.gather(-1, x[at].unsqueeze(-1)).squeeze(-1).sum(1)
        return total
