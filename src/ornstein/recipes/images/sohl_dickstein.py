r"""The first diffusion models: a chain of Gaussian or of binomial noise, undone step by step by a network trained on a bound.

``kernel`` "gaussian": each step shrinks the data and adds noise, and the network gives mean and variance of the step back.
"binomial": each pixel, 0 or 1, is drawn anew with probability beta_n, and the network gives the probability of a one; it
does so as the law of x_0, from which the step back follows exactly, so that fewer steps can be taken as well. That chain is
the uniform one of D3PM with two states. The step next to the data is the forward one in reverse where ``first_step`` is
"fixed", as in the paper, and leaves an entropy in the bound; "learned" replaces that by -log p(x_0 | x_1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from ornstein.codecs.base import Codec, Scale
from ornstein.codecs.binary import Binary
from ornstein.core.errors import UsageError
from ornstein.denoisers.categorical import CategoricalDenoiser
from ornstein.denoisers.chain_step import ChainStep
from ornstein.denoisers.denoiser import Denoiser, Preconditioned
from ornstein.denoisers.fixed_first import FixedFirst
from ornstein.networks.layers.conditioning import ClassCondition
from ornstein.networks.multiscale import MultiScale
from ornstein.objectives.first_bound import FirstBound
from ornstein.processes.categorical import CategoricalProcess
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Table
from ornstein.recipes.images.common import NetworkConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class SohlDickstein(NetworkConfig):
    """The chain, its noise, and its first step."""

    kernel: Literal["gaussian", "binomial"] = "gaussian"
    chain: int = 200
    """T; the paper's is 1000 on images, 2000 on heartbeats, 40 on a swiss roll"""
    beta_1: float = 1e-3
    """added to the first beta of a Gaussian chain, 1/T"""
    first_step: Literal["fixed", "learned"] = "learned"
    threshold: int = 0
    """of a binomial chain: the byte from which a value counts as 1; 0 asks for data of two values"""
    multiscale: bool = False
    """the paper's network, multi-scale convolutions read out by bumps in time, in place of ``architecture``"""
    precision: Literal["bf16", "fp16", "fp32"] = "fp32"
    sampling_steps: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.chain < 2:
            raise UsageError(f"chain must be at least 2, got {self.chain}")
        if not 1 <= self.sampling_steps <= self.chain:
            raise UsageError(f"sampling_steps must lie in 1 .. {self.chain} (the chain), got {self.sampling_steps}")
        if not 0 <= self.beta_1 < 1 - 1 / self.chain:
            most = 1 - 1 / self.chain
            raise UsageError(f"beta_1 must lie in [0, {most:g}), so that every beta lies in (0, 1); got {self.beta_1}")
        Binary(self.threshold)
        if self.threshold and self.kernel == "gaussian":
            raise UsageError("threshold belongs to kernel='binomial'; Gaussian noise takes grey values as they are")
        if self.kernel == "binomial" and self.architecture != "mp_unet" and not self.multiscale:
            raise UsageError(f"kernel='binomial' has the network mp_unet or multiscale, not '{self.architecture}'")

    def body(self) -> nn.Module:
        """The network: two numbers for each value of the image."""
        if not self.multiscale:
            return self.network(outputs=2)
        conditions = (ClassCondition("label", len(self.classes)),) if self.classes else ()
        if self.caption_width or self.augment:
            raise UsageError("multiscale takes classes only: leave captions and augment out")
        return MultiScale(size=self.size, channels=self.channels, out_channels=2 * self.channels, conditions=conditions)

    def learned(self) -> tuple[Denoiser, Codec]:
        """The network with its meaning, and the codec of its states."""
        if self.kernel == "binomial":
            return CategoricalDenoiser(self.body(), CategoricalProcess.uniform(2), 2, tilt=False), Binary(
                self.threshold
            )
        process = VP(Table.harmonic(self.chain, self.beta_1), t_min=1 / self.chain)
        return Preconditioned(self.body(), process, ChainStep(self.chain)), Scale()


@recipe(
    "sohl-dickstein",
    area="images",
    title="Deep Unsupervised Learning using Nonequilibrium Thermodynamics (Sohl-Dickstein et al. 2015)",
    paper="arxiv:1503.03585",
    claim="the reverse of a slow diffusion has the forward kernel's form, Gaussian or binomial, and is learned by a bound in "
    "closed form",
    equations="q(x_n | x_{n-1}) = N(sqrt(1 - beta_n) x_{n-1}, beta_n) or B(x_{n-1} (1 - beta_n) + beta_n/2); p(x_{n-1} | x_n) = "
    "N(sqrt(1 - beta_n) x_n + sqrt(beta_n) f_mu, sigmoid(f_sigma/sqrt(T) + logit beta_n)) or B(f_b); -log p(x_0) <= sum_{n >= 2} "
    "KL(q(x_{n-1} | x_n, x_0) || p(x_{n-1} | x_n)) + H_q(X_1 | X_0) + H_p(X_T) - H_q(X_T | X_0)",
    bibtex="@inproceedings{sohldickstein2015deep, title={Deep Unsupervised Learning using Nonequilibrium Thermodynamics}, "
    "author={Sohl-Dickstein, Jascha and Weiss, Eric A. and Maheswaranathan, Niru and Ganguli, Surya}, booktitle={ICML}, "
    "year={2015}}",
)
def sohl_dickstein(c: SohlDickstein = SohlDickstein()) -> System:
    """The system of the first diffusion models."""
    learned, codec = c.learned()

    def objective(system: System) -> FirstBound:
        assert isinstance(learned, Preconditioned | CategoricalDenoiser)
        learned.autocast = c.autocast
        return FirstBound(learned, codec, c.chain, c.first_step, cond_dropout=c.cond_dropout)

    return System(
        recipe="sohl-dickstein",
        config=c,
        codec=codec,
        denoiser=FixedFirst(learned, c.chain) if c.first_step == "fixed" else learned,
        shape=c.shape,
        training=one_stage(c, objective),
        sampler=get("ancestral"),
        steps=c.sampling_steps,
        grid="uniform" if c.kernel == "gaussian" else "even",
        classes=c.classes,
        ema_half_life=c.ema_half_life,
    )
