r"""Non-uniform diffusion: Haar's bands at speeds of their own, fine ones drowned first and drawn last.

The network is told the mean level of all bands, a function of t. For conditional sampling with one network (CMDE) see
:class:`ornstein.samplers.conditioned_part.ConditionedPart`: a part that stays nearly clean serves as the condition.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ornstein.codecs.bases import Haar
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import Derived, V
from ornstein.networks.layers.conditioning import ClassCondition
from ornstein.networks.mp_unet import MPUNet
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import UniformTimes
from ornstein.processes.base import Affine
from ornstein.processes.non_uniform import NonUniformVE
from ornstein.recipes.images.common import NetworkConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class NonUniformDiffusion(NetworkConfig):
    """The speeds of the bands."""

    sigma_min: float = 0.005
    coarse: float = 50.0
    """sigma_max of the coarse band"""
    fine: float = 500.0
    """of the three fine ones: the larger, the earlier they are noise"""
    sampling_steps: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size % 2:
            raise UsageError(f"Haar's bands need an even size, got {self.size}: pass another size")
        if self.sampling_steps < 1:
            raise UsageError(f"sampling_steps must be at least 1, got {self.sampling_steps}")
        self.process()

    def process(self) -> NonUniformVE:
        """Levels by channel: the coarse band of every colour, then the fine ones."""
        levels = torch.tensor([self.coarse] + [self.fine] * 3, dtype=torch.float64, device="cpu")
        return NonUniformVE(levels.repeat_interleave(self.channels).reshape(-1, 1, 1), self.sigma_min)


class _ByPart(Derived):
    """v per coordinate, with the input divided by sqrt(1 + sigma^2): unit variances whatever the part's level."""

    def __init__(self) -> None:
        super().__init__(V())

    def inputs(self, process: Affine, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        scale = (1 + process.sigma(t) ** 2).rsqrt().to(device=x_t.device, dtype=x_t.dtype)
        return scale * x_t, 1000 * t


@recipe(
    "non-uniform-diffusion",
    area="images",
    title="Non-Uniform Diffusion Models (Batzolis et al. 2022)",
    paper="arxiv:2207.09786",
    claim="parts of a state may diffuse at different speeds: a part that stays nearly clean makes a conditional estimator out of "
    "a joint one, fine bands that are drowned first make sampling multi-scale",
    equations="x_t^i = x_0^i + sigma_i(t) eps^i, sigma_i(t)^2 = m_i^2 ((M_i/m_i)^{2t} - 1); "
    "grad_x log p(x_t | y) ~ grad_x log p(x_t, y_t), y_t ~ q(y_t | y)",
    bibtex="@article{batzolis2022nonuniform, title={Non-Uniform Diffusion Models}, author={Batzolis, Georgios and "
    'Stanczuk, Jan and Sch{\\"o}nlieb, Carola-Bibiane and Etmann, Christian}, journal={arXiv:2207.09786}, year={2022}}',
)
def non_uniform_diffusion(c: NonUniformDiffusion = NonUniformDiffusion()) -> System:
    """The non-uniform system on Haar's bands."""
    if c.architecture != "mp_unet":
        raise UsageError(f"non-uniform-diffusion has the network mp_unet, not '{c.architecture}'")
    network = MPUNet(
        channels=4 * c.channels,
        widths=c.widths,
        blocks=c.blocks,
        attention=c.attention,
        conditions=(ClassCondition("label", len(c.classes)),) if c.classes else (),
        patch=max(1, c.patch // 2),  # the bands halve the size already
        dropout=c.dropout,
        bandwidth=1 / 250,
    )
    denoiser = Preconditioned(network, c.process(), _ByPart(), channels_last=True)
    codec = Haar()

    def objective(system: System) -> Denoising:
        denoiser.autocast = c.autocast
        return Denoising(denoiser, codec, UniformTimes(), cond_dropout=c.cond_dropout)

    return System(
        recipe="non-uniform-diffusion",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=(4 * c.channels, c.size // 2, c.size // 2),
        training=one_stage(c, objective),
        sampler=get("ancestral"),
        steps=c.sampling_steps,
        grid="uniform",
        classes=c.classes,
        ema_half_life=c.ema_half_life,
    )
