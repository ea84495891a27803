r"""DiT: a transformer on patches in place of the U-Net, conditioned by adaLN-Zero; chain and loss are improved DDPM's.

The paper diffuses latents of an autoencoder; here the state is what the data give, pixels or latents alike. Every block starts
as the identity, because the gates that the conditioning predicts start at zero.
"""

from __future__ import annotations

from dataclasses import dataclass

from ornstein.codecs.base import Scale
from ornstein.core.errors import UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import Eps, LearnedRange
from ornstein.networks.dit import DiT as Transformer
from ornstein.networks.layers.conditioning import ClassCondition, Condition, VectorCondition
from ornstein.objectives.hybrid import Hybrid
from ornstein.objectives.times import DiscreteTimes
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Table
from ornstein.recipes.images.common import ImageConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get


@dataclass(frozen=True, kw_only=True)
class DiT(ImageConfig):
    """The transformer's sizes, and the chain."""

    patch: int = 2
    """side of a token in pixels; halving it quadruples the computation and leaves the parameters as they are"""
    width: int = 192
    depth: int = 6
    head: int = 64
    """width of a head of attention"""
    chain: int = 1000
    vlb_weight: float = 0.001
    sampling_steps: int = 250
    guidance: float = 1.0
    steps: int = 20_000
    lr: float = 5e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("patch", "width", "depth", "head"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.size % self.patch:
            raise UsageError(f"size {self.size} is not a multiple of patch {self.patch}; choose another patch")
        if self.width % self.head:
            raise UsageError(f"width {self.width} is not a multiple of head {self.head}; choose another head")
        if self.chain < 2:
            raise UsageError(f"chain must be at least 2, got {self.chain}")
        if not 1 <= self.sampling_steps <= self.chain:
            raise UsageError(f"sampling_steps must lie in 1 .. {self.chain} (the chain), got {self.sampling_steps}")
        if not self.vlb_weight > 0:
            raise UsageError(f"vlb_weight must be positive, or the variance is never trained; got {self.vlb_weight}")


@recipe(
    "dit",
    area="images",
    title="Scalable Diffusion Models with Transformers (Peebles & Xie 2023)",
    paper="arxiv:2212.09748",
    claim="a plain transformer on patches replaces the U-Net, and its quality follows the computation spent in it",
    equations="tokens h <- h + g_1 attention(LN(h)(1 + a_1) + b_1) + .., (a, b, g) = W silu(emb(t, label)), W = 0 at first; "
    "loss |eps - eps_theta|^2 + 0.001 L_vlb",
    bibtex="@inproceedings{peebles2023dit, title={Scalable Diffusion Models with Transformers}, "
    "author={Peebles, William and Xie, Saining}, booktitle={ICCV}, year={2023}}",
)
def dit(c: DiT = DiT()) -> System:
    """The DiT system."""
    process = VP(Table.linear(c.chain), t_min=1 / c.chain)
    conditions: tuple[Condition, ...] = ()
    if c.classes:
        conditions += (ClassCondition("label", len(c.classes)),)
    if c.caption_width:
        conditions += (VectorCondition("caption", c.caption_width),)
    network = Transformer(
        channels=c.channels,
        out_channels=2 * c.channels,
        patch=c.patch,
        width=c.width,
        depth=c.depth,
        head=c.head,
        conditions=conditions,
    )
    denoiser = Preconditioned(network, process, LearnedRange(Eps(), c.chain))
    codec = Scale()

    def objective(system: System) -> Hybrid:
        denoiser.autocast = c.autocast
        return Hybrid(denoiser, codec, DiscreteTimes(c.chain), vlb=c.vlb_weight, cond_dropout=c.cond_dropout)

    return System(
        recipe="dit",
        config=c,
        codec=codec,
        denoiser=denoiser,
        shape=c.shape,
        training=one_stage(c, objective),
        sampler=get("ancestral", options={"variance": "range"}),
        steps=c.sampling_steps,
        grid="uniform",
        classes=c.classes,
        guidance=c.guidance,
        clip=1.0,
        ema_half_life=c.ema_half_life,
    )
