r"""Flow matching: regress the velocity of straight lines between data and noise, and integrate it.

``coupling="optimal_transport"`` pairs data and noise within each batch, so that lines seldom cross (Tong et al. 2024);
``latent_noise`` makes the lines stochastic interpolants (Albergo et al. 2023), ``solver="flow_sde"`` samples with
noise.

Here t = 0 is data and t = 1 noise, as everywhere in this library; Lipman et al. run time the other way, so their
velocity is minus ours. Their sigma_min is 0 here: the line ends in the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ornstein.codecs.base import Scale
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import Velocity
from ornstein.objectives.couplings import optimal_transport
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.interpolating import Interpolating, from_noise
from ornstein.objectives.times import LogitNormal, Times, UniformTimes
from ornstein.processes.gaussian import FlowMatching as FlowMatchingProcess
from ornstein.processes.interpolant import Interpolant
from ornstein.recipes.images.common import NetworkConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class FlowMatching(NetworkConfig):
    """Where along the line the network is trained, and how the flow is integrated."""

    times: Literal["uniform", "logit_normal"] = "uniform"
    """uniform: Lipman et al. 2022; logit_normal: Esser et al. 2024, which trains the middle most"""
    logit_mean: float = 0.0
    logit_std: float = 1.0
    coupling: Literal["independent", "optimal_transport"] = "independent"
    latent_noise: float = 0.0
    """gamma of the stochastic interpolant; 0 is flow matching"""
    solver: Literal["euler", "heun", "flow_sde"] = "heun"
    sampling_steps: int = 25
    """Heun's method calls the network twice a step"""
    guidance: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sampling_steps < 1:
            raise UsageError(f"sampling_steps must be at least 1, got {self.sampling_steps}")
        if self.latent_noise and self.coupling != "independent":
            raise UsageError(
                "latent_noise is for independent coupling: optimal-transport lines are straight without it"
            )
        self.law()  # refuses a law that does not exist before anything is built

    def law(self) -> Times:
        """The law of t in training."""
        if self.times == "uniform":
            return UniformTimes()
        return LogitNormal(self.logit_mean, self.logit_std)


@recipe(
    "flow-matching",
    area="images",
    title="Flow Matching for Generative Modeling (Lipman et al. 2022)",
    paper="arxiv:2210.02747",
    claim="a velocity regressed on straight conditional paths transports noise to data by an ODE with exact likelihood",
    equations="x_t = (1 - t) x_0 + t eps; loss |v_theta(x_t, t) - (eps - x_0)|^2; dx/dt = v_theta(x, t) from t = 1 to 0",
    bibtex="@inproceedings{lipman2023flow, title={Flow Matching for Generative Modeling}, author={Lipman, Yaron and "
    "Chen, Ricky T. Q. and Ben-Hamu, Heli and Nickel, Maximilian and Le, Matt}, booktitle={ICLR}, year={2023}}",
)
def flow_matching(c: FlowMatching = FlowMatching()) -> System:
    """The flow-matching system."""
    process = Interpolant(c.latent_noise) if c.latent_noise else FlowMatchingProcess()
    denoiser = Preconditioned(c.network(), process, Velocity(), channels_last=True)
    codec = Scale()

    def objective(system: System) -> Denoising | Interpolating:
        denoiser.autocast = c.autocast
        if c.coupling == "optimal_transport":
            return Interpolating(denoiser, from_noise(codec, optimal_transport), c.law(), cond_dropout=c.cond_dropout)
        return Denoising(denoiser, codec, c.law(), cond_dropout=c.cond_dropout)

    return System(
        recipe="flow-matching",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=one_stage(c, objective),
        sampler=get(c.solver),
        steps=c.sampling_steps,
        grid="uniform",
        classes=c.classes,
        guidance=c.guidance,
        ema_half_life=c.ema_half_life,
    )
