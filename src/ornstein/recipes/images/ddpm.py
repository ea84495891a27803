r"""DDPM: a fixed chain of T Gaussian steps, a network that predicts the noise, and the variational bound without its weights.

Differences from the paper, all of them fields: a small network of another family in place of the 35.7 M parameter U-Net,
its learning rate, a strided chain of 250 steps when sampling (``sampling_steps=1000`` is the paper's), and ``sigma_data``:

    eps_theta = (sigma_t x_t + alpha_t d sqrt(v) F(x_t / sqrt(v), t)) / v,    v = alpha_t^2 d^2 + sigma_t^2,    d = sigma_data.

The first term is the best linear estimate of eps where data have the deviation d, so that the network F learns only what is
left. The loss on eps is the paper's; without that term (``sigma_data=0``: F is eps itself) the first minutes of training go
into learning to copy the input at high noise, and samples of short runs have no large forms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ornstein.codecs.base import Scale
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import EDMScaling, Eps
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import DiscreteTimes
from ornstein.objectives.weights import snr
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Table
from ornstein.recipes.images.common import NetworkConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class DDPM(NetworkConfig):
    """The chain, its noise and its reverse variance."""

    chain: int = 1000
    """T; shorter chains get proportionally larger betas, so that the signal still vanishes at T"""
    beta_1: float = 1e-4
    beta_T: float = 0.02
    variance: Literal["posterior", "large"] = "posterior"
    """of the reverse step: beta~ ("fixed small") or beta ("fixed large", better only on the full chain)"""
    sampling_steps: int = 250
    sigma_data: float = 0.5
    """deviation of the data for which the network's task is scaled; 0: it predicts eps itself, as in the paper"""
    guidance: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chain < 2:
            raise UsageError(f"chain must be at least 2, got {self.chain}")
        if not 1 <= self.sampling_steps <= self.chain:
            raise UsageError(f"sampling_steps must lie in 1 .. {self.chain} (the chain), got {self.sampling_steps}")
        if self.sigma_data < 0:
            raise UsageError(f"sigma_data, a standard deviation, must be positive or 0, got {self.sigma_data}")


@recipe(
    "ddpm",
    area="images",
    title="Denoising Diffusion Probabilistic Models (Ho et al. 2020)",
    paper="arxiv:2006.11239",
    claim="a chain trained by plain regression on the noise draws samples close to the data",
    equations="x_t = alpha_t x_0 + sigma_t eps, alpha_t^2 = prod(1 - beta_i); loss |eps - eps_theta(x_t, t)|^2, t ~ U{1..T}; "
    "x_s ~ q(x_s | x_t, x_0 = (x_t - sigma_t eps_theta)/alpha_t)",
    bibtex="@inproceedings{ho2020ddpm, title={Denoising Diffusion Probabilistic Models}, "
    "author={Ho, Jonathan and Jain, Ajay and Abbeel, Pieter}, booktitle={NeurIPS}, year={2020}}",
)
def ddpm(c: DDPM = DDPM()) -> System:
    """The DDPM system."""
    process = VP(Table.linear(c.chain, c.beta_1, c.beta_T), t_min=1 / c.chain)
    if c.sigma_data:
        scaling = EDMScaling(c.sigma_data)  # F with the other sign
        denoiser = Preconditioned(c.network(bandwidth=1.0), process, scaling, channels_last=True)
    else:
        denoiser = Preconditioned(c.network(), process, Eps(), channels_last=True)
    codec = Scale()

    def objective(system: System) -> Denoising:
        denoiser.autocast = c.autocast
        return Denoising(denoiser, codec, DiscreteTimes(c.chain), snr, cond_dropout=c.cond_dropout)

    return System(
        recipe="ddpm",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=one_stage(c, objective),
        sampler=get("ancestral", options={"variance": c.variance}),
        steps=c.sampling_steps,
        grid="uniform",
        classes=c.classes,
        guidance=c.guidance,
        clip=1.0,
        ema_half_life=c.ema_half_life,
    )
