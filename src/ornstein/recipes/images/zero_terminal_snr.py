r"""Zero terminal SNR: a chain that ends in pure noise, trained on v, sampled from its very end.

Usual tables of betas leave some signal at t = 1 (amplitude 0.068 in Stable Diffusion), from which the network learns to
read the brightness; sampling starts without it, so all pictures come out of medium brightness. The table is rescaled so that
alpha_1 = 0; eps says nothing about x_0 there, so the network predicts v; and the steps include t = 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ornstein.codecs.base import Scale
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import X0, V
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import DiscreteTimes
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Table
from ornstein.recipes.images.common import NetworkConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class ZeroTerminalSNR(NetworkConfig):
    """The table before it is rescaled, what is predicted, and the contrast under guidance."""

    chain: int = 1000
    schedule: Literal["scaled_linear", "linear", "cosine"] = "scaled_linear"
    prediction: Literal["v", "x_0", "eps"] = "v"
    sampling_steps: int = 50
    guidance: float = 1.0
    guidance_rescale: float = 0.7
    """phi: how much of the contrast that guidance adds is taken back"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chain < 2:
            raise UsageError(f"chain must be at least 2, got {self.chain}")
        if not 1 <= self.sampling_steps <= self.chain:
            raise UsageError(f"sampling_steps must lie in 1 .. {self.chain} (the chain), got {self.sampling_steps}")
        if self.prediction == "eps":
            raise UsageError(
                "prediction='eps' says nothing about x_0 where no signal is left, as at t = 1 of this chain; use 'v' or 'x_0'"
            )
        if not 0 <= self.guidance_rescale <= 1:
            raise UsageError(f"guidance_rescale must lie in [0, 1], got {self.guidance_rescale}")

    def table(self) -> Table:
        """The betas, rescaled."""
        makers = {"scaled_linear": Table.scaled_linear, "linear": Table.linear, "cosine": Table.cosine}
        return makers[self.schedule](self.chain).zero_terminal_snr()


@recipe(
    "zero-terminal-snr",
    area="images",
    title="Common Diffusion Noise Schedules and Sample Steps Are Flawed (Lin et al. 2023)",
    paper="arxiv:2305.08891",
    claim="a chain that ends without signal, sampled from its very end, draws images of any brightness",
    equations="alpha'_t = (alpha_t - alpha_T) alpha_1/(alpha_1 - alpha_T); v = alpha eps - sigma x_0; t_i = 1 - i/K; "
    "x = phi x_cfg std(x_c)/std(x_cfg) + (1 - phi) x_cfg",
    bibtex="@inproceedings{lin2024common, title={Common Diffusion Noise Schedules and Sample Steps Are Flawed}, "
    "author={Lin, Shanchuan and Liu, Bingchen and Li, Jiashi and Yang, Xiao}, booktitle={WACV}, year={2024}}",
)
def zero_terminal_snr(c: ZeroTerminalSNR = ZeroTerminalSNR()) -> System:
    """The zero-terminal-SNR system."""
    process = VP(c.table(), t_min=1 / c.chain)
    denoiser = Preconditioned(c.network(), process, V() if c.prediction == "v" else X0(), channels_last=True)
    codec = Scale()

    def objective(system: System) -> Denoising:
        denoiser.autocast = c.autocast
        return Denoising(denoiser, codec, DiscreteTimes(c.chain), cond_dropout=c.cond_dropout)

    return System(
        recipe="zero-terminal-snr",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=one_stage(c, objective),
        sampler=get("ddim"),
        steps=c.sampling_steps,
        grid="trailing",
        classes=c.classes,
        guidance=c.guidance,
        guidance_rescale=c.guidance_rescale,
        clip=1.0,
        ema_half_life=c.ema_half_life,
    )
