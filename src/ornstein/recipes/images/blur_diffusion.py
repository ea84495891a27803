r"""Blur diffusion: images blur and become noise at once, so that sampling draws coarse structure first.

The state is the image's cosine coefficients, each with an alpha of its own; the network sees and returns pixels. The
form is Hoogeboom & Salimans's, which Lee et al.'s progressive deblurring has as its neighbour: their matrices B_i are
here alpha_t/alpha_s.

The papers predict eps, from which E[u_0] follows by a division by alpha: at frequencies that are blurred away 0.001. A network's
eps is bounded, and where a coefficient of the noise is larger than that, now and then, the sampler takes the rest for signal
and lets it grow a thousandfold: checkerboards. ``prediction`` "v" needs no such division, and is the default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ornstein.codecs.bases import Cosines, InPixels
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import Eps, V
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.times import UniformTimes
from ornstein.processes.blur import Blur
from ornstein.recipes.images.common import NetworkConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class BlurDiffusion(NetworkConfig):
    """How far images are blurred, and what is predicted."""

    blur: float = 20.0
    """width of the blur at the end, in pixels; 0 is plain diffusion"""
    floor: float = 0.001
    """below which no frequency's amplitude falls"""
    prediction: Literal["v", "eps"] = "v"
    """"eps" is the papers'; its errors grow by 1/floor at frequencies that are blurred away"""
    sampling_steps: int = 250

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sampling_steps < 1:
            raise UsageError(f"sampling_steps must be at least 1, got {self.sampling_steps}")


@recipe(
    "blur-diffusion",
    area="images",
    title="Progressive Deblurring of Diffusion Models (Lee et al. 2022), Blurring Diffusion Models (Hoogeboom & Salimans 2022)",
    paper="arxiv:2207.11192",
    claim="when high frequencies fade faster than low ones, sampling goes from coarse to fine, and as well as plain diffusion",
    equations="u_t = a_t d_t u_0 + s_t eps on cosine coefficients; d_t = exp(-lambda_k tau_t), lambda_k = pi^2 |k|^2/n^2; "
    "loss |eps - eps_theta|^2; u_s ~ q(u_s | u_t, u_0 = (u_t - s_t eps_theta)/(a_t d_t))",
    bibtex="@article{lee2022progressive, title={Progressive Deblurring of Diffusion Models for Coarse-to-Fine Image "
    "Synthesis}, author={Lee, Sangyun and Chung, Hyungjin and Kim, Jaehyeon and Ye, Jong Chul}, "
    "journal={arXiv:2207.11192}, year={2022}}",
)
def blur_diffusion(c: BlurDiffusion = BlurDiffusion()) -> System:
    """The blur-diffusion system."""
    process = Blur(c.size, c.blur, c.floor)
    prediction = V() if c.prediction == "v" else Eps()
    denoiser = Preconditioned(InPixels(c.network()), process, prediction)
    codec = Cosines()

    def objective(system: System) -> Denoising:
        denoiser.autocast = c.autocast
        return Denoising(denoiser, codec, UniformTimes(1e-3, process.t_max), cond_dropout=c.cond_dropout)

    return System(
        recipe="blur-diffusion",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=one_stage(c, objective),
        sampler=get("ancestral"),
        steps=c.sampling_steps,
        grid="uniform",
        classes=c.classes,
        ema_half_life=c.ema_half_life,
    )
