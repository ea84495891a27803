r"""A flexible diffusion model: the forward SDE's noise and turning are learned beside the score, on Haar's bands.

R and omega couple the bands of every colour at one place: 4 C numbers, which dense matrices can hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ornstein.codecs.bases import Haar
from ornstein.core.errors import UsageError
from ornstein.denoisers.whitened import WhitenedEps
from ornstein.networks.layers.conditioning import ClassCondition
from ornstein.networks.mp_unet import MPUNet
from ornstein.objectives.flexible_bound import FlexibleBound
from ornstein.processes.flexible import Flexible
from ornstein.recipes.images.common import NetworkConfig
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get
from ornstein.training.fit import Data, Stage, Update


@dataclass(frozen=True, kw_only=True)
class FlexibleDiffusion(NetworkConfig):
    """What is learned of the forward SDE, and when."""

    learn: Literal["none", "drift", "noise", "both"] = "both"
    """"drift" is omega, "noise" is R; "none" is VP"""
    regime: Literal["joint", "mix"] = "joint"
    """"mix" stops learning the forward SDE after ``forward_share`` of the steps"""
    forward_share: float = 0.3
    floor: float = 0.02
    """the least eigenvalue of R"""
    sampling_steps: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size % 2:
            raise UsageError(f"Haar's bands need an even size, got {self.size}: pass another size")
        if self.sampling_steps < 1:
            raise UsageError(f"sampling_steps must be at least 1, got {self.sampling_steps}")
        if not 0 < self.forward_share < 1:
            raise UsageError(f"forward_share must lie in (0, 1), got {self.forward_share:g}")
        if self.regime == "mix" and self.learn == "none":
            raise UsageError('regime="mix" learns the forward SDE first, and learn="none" leaves nothing to learn')
        if self.regime == "mix" and self.steps < 2:
            raise UsageError(f'regime="mix" needs at least 2 steps, got {self.steps}')


def _training(system: System, data: Data) -> Iterator[Stage]:
    c: FlexibleDiffusion = system.config
    denoiser = system.denoiser
    assert isinstance(denoiser, WhitenedEps)
    denoiser.autocast = c.autocast
    objective = FlexibleBound(denoiser, system.codec, cond_dropout=c.cond_dropout)
    network = [p for p in denoiser.network.parameters() if p.requires_grad]
    process = denoiser.process
    assert isinstance(process, Flexible)
    both = [*network, *process.forward_parameters()]
    first = c.steps if c.regime == "joint" else max(1, min(c.steps - 1, round(c.forward_share * c.steps)))
    name = "forward and score" if len(both) > len(network) else "score"
    yield Stage(name, data, [Update(objective, both, c.optimizer())], first)
    if first < c.steps:
        yield Stage("score", data, [Update(objective, network, c.optimizer())], c.steps - first)


@recipe(
    "flexible-diffusion",
    area="images",
    title="A flexible diffusion model (Du et al. 2022)",
    paper="arxiv:2206.10365",
    claim="every forward SDE with a Riemannian and a symplectic part has N(0, I) for its limit; turning speeds up the slowest "
    "direction, and learning both parts makes the bound no worse than VP's",
    equations="dx = -beta (R/2 + omega) x dt + sqrt(beta R) dw; x_t = e^{-A b} x_0 + L eps; loss: the variational bound with its "
    "terms in R and omega",
    bibtex="@article{du2022flexible, title={A Flexible Diffusion Model}, author={Du, Weitao and Zhang, He and Yang, Tao and Du, "
    "Yuanqi}, journal={arXiv:2206.10365}, year={2022}}",
)
def flexible_diffusion(c: FlexibleDiffusion = FlexibleDiffusion()) -> System:
    """The flexible system on Haar's bands."""
    if c.architecture != "mp_unet":
        raise UsageError(f"flexible-diffusion has the network mp_unet, not '{c.architecture}'")
    parts = 4 * c.channels
    network = MPUNet(
        channels=parts,
        widths=c.widths,
        blocks=c.blocks,
        attention=c.attention,
        conditions=(ClassCondition("label", len(c.classes)),) if c.classes else (),
        patch=max(1, c.patch // 2),  # the bands halve the size already
        dropout=c.dropout,
        bandwidth=1 / 250,
    )
    return System(
        recipe="flexible-diffusion",
        config=c,
        codec=Haar(),
        denoiser=WhitenedEps(network, Flexible(parts, floor=c.floor, learn=c.learn)),
        shape=(parts, c.size // 2, c.size // 2),
        training=_training,
        sampler=get("ancestral"),
        steps=c.sampling_steps,
        grid="uniform",
        classes=c.classes,
        ema_half_life=c.ema_half_life,
    )
