r"""TimeGrad: a recurrent state summarises the past, and a small denoiser draws the next step; forecasts are rolled out.

Differences from the paper, all of them fields but the last: noise levels and few steps in place of a chain of 100
(``noise="chain"``), wider channels and fewer blocks for few columns, columns of mean 0 and variance 1 over the training data
in place of a division by each context's mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor

from ornstein.core.cond import Cond
from ornstein.core.errors import UsageError
from ornstein.core.rng import Rng
from ornstein.networks.series.emission import Emission, Memory
from ornstein.objectives.series.autoregressive import Autoregressive, further_of
from ornstein.recipes.registry import recipe
from ornstein.recipes.series.common import NoiseConfig, one_stage
from ornstein.recipes.series.system import SeriesSystem
from ornstein.recipes.system import System
from ornstein.samplers.base import Sampler, Step, simulate
from ornstein.training.fit import Data, Stage


@dataclass(frozen=True, kw_only=True)
class TimeGrad(NoiseConfig):
    """The recurrence, the denoiser, and how far ahead."""

    horizon: int = 24
    lags: tuple[int, ...] = ()
    """steps back at which further values enter: 24 and 168 for hourly data with days and weeks"""
    hidden: int = 40
    recurrent_layers: int = 2
    channels: int = 16
    blocks: int = 4
    dropout: float = 0.1
    chain: int = 100
    beta_T: float = 0.1
    betas: Literal["quadratic", "linear"] = "linear"
    sigma_data: float = 0.5
    sampling_steps: int = 8
    batch: int = 64
    precision: Literal["bf16", "fp32"] = "fp32"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.horizon < self.window:
            raise UsageError(
                f"the horizon must lie in 1 .. {self.window - 1}, below the window of {self.window} steps, got {self.horizon}"
            )
        longest = max(self.lags, default=1)
        if longest > self.window - self.horizon:
            raise UsageError(
                f"a lag of {longest} steps reaches back beyond the context of {self.window - self.horizon} (window - horizon); "
                "take a longer window or shorter lags"
            )


@dataclass
class TimeGradSystem(SeriesSystem):
    """Forecasts by rolling out; it cannot look back from what comes after a gap, and so fills none."""

    @property
    def network(self) -> Emission:
        """Recurrence and emission."""
        return cast(Emission, self.denoiser.network)

    def begin(self, rng: Rng, times: Tensor) -> Tensor:
        """The first state of one step's columns."""
        return self.process.prior((len(rng), self.shape[0])).sample(rng)

    def draw(
        self, move: Sampler, times: Tensor, rng: Rng, cond: Cond, on_step: Callable[[Step], None] | None = None
    ) -> tuple[Tensor, Cond]:
        """Windows ``[B, K, L]``: what is given is the context, and the ``horizon`` after it is drawn step by step. Without
        anything given the whole window is, from the state of no past."""
        k, length = self.shape
        shape = (len(rng), k, length)
        x = torch.zeros(shape, device=self.device)
        observed = torch.zeros(shape, dtype=torch.bool, device=self.device)
        context = 0
        if "given" in cond:
            context = length - self.config.horizon
            observed[..., :context] = cond["given"][..., :context].bool()
            x = torch.where(observed, cond["values"], x)
        further = further_of(cond, length)
        ahead = None if further is None else further.roll(-1, 1)
        if ahead is None and self.config.calendar + self.config.static:
            width = self.config.told["calendar"] + self.config.told["static"]
            ahead = torch.zeros((len(rng), length, width), device=self.device)
        network = self.network
        memory: Memory | None = None
        state = torch.zeros((len(rng), network.recurrence.hidden_size), device=self.device)
        if context:
            past = network.inputs(x, observed, ahead)[:, :context]
            states, memory = network.advance(past)
            state = states[:, -1]
        for step in range(context, length):
            begin = self.begin(rng, times).to(self.device)
            x[..., step] = simulate(move, begin, times, rng, {"state": state}, on_step)
            observed[..., step] = True
            if step + 1 < length:
                state, memory = self._advance(x, observed, ahead, step, memory)
        return x, cond

    def _advance(
        self, x: Tensor, observed: Tensor, ahead: Tensor | None, step: int, memory: Memory | None
    ) -> tuple[Tensor, Memory]:
        """The state after one more step."""
        longest = max(self.network.lags, default=0)
        start = max(step - longest, 0)
        part = slice(start, step + 1)
        inputs = self.network.inputs(x[..., part], observed[..., part], None if ahead is None else ahead[:, part])
        states, memory = self.network.advance(inputs[:, -1:], memory)
        return states[:, -1], memory


@recipe(
    "timegrad",
    area="series",
    title="Autoregressive Denoising Diffusion Models for Multivariate Probabilistic Time Series Forecasting (Rasul et al. 2021)",
    paper="arxiv:2101.12072",
    claim="a denoiser as the law of the next step draws what a Gaussian cannot: several modes, and columns jointly",
    equations="h_l = RNN([x_l, lags, covariates], h_{l-1}); loss |out(alpha_t x_l + sigma_t eps, t, h_{l-1}) - target|^2; "
    "x_l drawn given h_{l-1}, then fed back",
    bibtex="@inproceedings{rasul2021timegrad, title={Autoregressive Denoising Diffusion Models for Multivariate Probabilistic "
    "Time Series Forecasting}, author={Rasul, Kashif and Seward, Calvin and Schuster, Ingmar and Vollgraf, Roland}, "
    "booktitle={ICML}, year={2021}}",
)
def timegrad(c: TimeGrad = TimeGrad()) -> SeriesSystem:
    """The TimeGrad system."""
    further = c.told["calendar"] + c.told["static"]
    network = Emission(
        len(c.columns), further=further, lags=c.lags, hidden=c.hidden, layers=c.recurrent_layers, channels=c.channels,
        blocks=c.blocks, dropout=c.dropout,
    )  # fmt: skip
    denoiser, codec = c.denoiser(network), c.codec()
    choice, grid = c.sampler()

    def training(system: System, data: Data) -> Iterator[Stage]:
        denoiser.autocast = c.autocast
        return one_stage(c, lambda _: Autoregressive(denoiser, codec, c.times(denoiser)))(system, data)

    return TimeGradSystem(
        recipe="timegrad", config=c, codec=codec, denoiser=denoiser, shape=c.shape, training=training, sampler=choice,
        steps=c.sampling_steps, grid=grid, ema_half_life=c.ema_half_life,
        fills_no_gaps="it sees the past only, and forecasts (--task forecast)",
    )  # fmt: skip
