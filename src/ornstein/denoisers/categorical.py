"""Denoisers of states on a finite set: a network's logits, and what they mean."""

from __future__ import annotations

from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Categorical
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.shapes import expand, per_sample
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import Process
from ornstein.processes.categorical import CategoricalProcess
from ornstein.processes.matrix import MatrixProcess


@final
class CategoricalDenoiser(Denoiser):
    r"""p(x_0 | x_t) from a network on levels: states 0 .. values - 1 enter as 2 x/(values - 1) - 1, channels as they
    are.

    ``head`` "logits": the network puts out values x channels numbers, added to the one-hot of x_t. "logistic": a
    location and a log-scale per channel, whose logistic law is cut into levels, log[sig((c + w/2 - m)/s) - sig((c -
    w/2 - m)/s)] with w = 2/(values - 1). States beyond the values (a mask) are never predicted.

    ``tilt`` reads the logits as p~ of D3PM, whose reverse kernel is proportional to sum_l q(x_s, x_t | l) p~_l: the
    posterior is then p~_l q(x_t | l), normalised. Without it they are the posterior itself. Austin et al. 2021, eq. 4
    and appendix A.8.
    """

    def __init__(
        self,
        network: nn.Module,
        process: CategoricalProcess | MatrixProcess,
        values: int,
        head: Literal["logits", "logistic"] = "logits",
        tilt: bool = True,
    ):
        super().__init__()
        if not isinstance(process, CategoricalProcess | MatrixProcess):
            raise CapabilityError(f"logits are for a process on a finite set; {type(process).__name__} is not")
        if not 2 <= values <= process.states:
            raise UsageError(f"values must lie in 2 .. {process.states} (the process's states), got {values}")
        self.network, self.values, self.head, self.tilt = network, values, head, tilt
        self.process: Process = process
        self.autocast: torch.dtype | None = None

    def logits(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Tensor:
        """What the network says of x_0, ``[B, C, ..., K]``, normalised over the values and -inf beyond them."""
        if x_t.is_floating_point():
            raise DataError(f"states are integers, got {x_t.dtype}: encode the data first")
        if bool((x_t < 0).any()) or bool((x_t >= self.states).any()):
            raise DataError(f"states must lie in 0 .. {self.states - 1}, got {int(x_t.min())} .. {int(x_t.max())}")
        noise = per_sample(1000 * expand(t, x_t), len(x_t)).float()
        level = 2 * x_t.float() / (self.values - 1) - 1
        with torch.autocast(x_t.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            out = self.network(level, noise, cond)
        out = out.float().reshape(len(x_t), -1, *x_t.shape[1:])  # [B, outputs, C, ...]
        if self.head == "logistic":
            raw = self._logistic(out, level)
        else:
            raw = out.movedim(1, -1) + F.one_hot(x_t.clamp(max=self.values - 1), self.values)
        raw = raw.log_softmax(-1)
        return F.pad(raw, (0, self.states - self.values), value=-torch.inf)

    @property
    def states(self) -> int:
        """K, with a mask where there is one."""
        assert isinstance(self.process, CategoricalProcess | MatrixProcess)
        return self.process.states

    def _logistic(self, out: Tensor, level: Tensor) -> Tensor:
        # The location starts at x_t: the network corrects it. The outermost levels reach to infinity.
        location, scale = torch.tanh(out[:, 0] + level), (out[:, 1] - 2).clamp(-7, 7)
        w = 2 / (self.values - 1)
        c = torch.linspace(-1, 1, self.values, device=out.device)
        centred = (c - location.unsqueeze(-1)) * torch.exp(-scale).unsqueeze(-1)
        half = (w / 2) * torch.exp(-scale).unsqueeze(-1)
        high, low = centred + half, centred - half
        # log(sig(a) - sig(b)) = log sig(a) + log sig(-b) + log(1 - exp(b - a)), stable at both ends
        inner = F.logsigmoid(high) + F.logsigmoid(-low) + torch.log(-torch.expm1(low - high))
        return inner

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Categorical:
        return self.posterior(self.logits(x_t, t, cond), x_t, t)

    def posterior(self, logits: Tensor, x_t: Tensor, t: Tensor) -> Categorical:
        """The posterior that the logits stand for."""
        if not self.tilt:
            return Categorical(logits)
        return Categorical((logits.double() + log_likelihood(self.process, x_t, expand(t, x_t))).log_softmax(-1))


def log_likelihood(process: Process, x_t: Tensor, t: Tensor) -> Tensor:
    """log q(x_t | x_0 = l) for every value l, ``[B, ..., K]``."""
    if isinstance(process, MatrixProcess):
        n = process.index(t.to(x_t.device)).expand(x_t.shape)
        return process.total.to(x_t.device).mT[n, x_t].log()
    assert isinstance(process, CategoricalProcess)
    keep = process.keep(t).to(x_t.device)
    keep = keep if keep.ndim == 0 else keep.unsqueeze(-1)
    here = F.one_hot(x_t, process.states).double()
    return (keep * here + (1 - keep) * process.limit.to(x_t.device)[x_t].unsqueeze(-1)).log()
