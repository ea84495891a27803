r"""Semantic diffusion: pictures from layouts, which the decoder alone is told, by its norms; guidance makes them follow closely.

The network learns eps and the reverse variance, as in improved DDPM. Differences from the paper: small networks, and one
training in which a part of the layouts goes missing in place of a second, finer one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ornstein.codecs.base import Scale
from ornstein.core.batch import Batch
from ornstein.core.conditions import ClassCondition, ImageCondition
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.loss import Loss, Objective
from ornstein.core.measurement import Measurement
from ornstein.core.rng import Random
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import Eps, LearnedRange
from ornstein.networks.spade import SpadeUNet
from ornstein.objectives.hybrid import Hybrid
from ornstein.objectives.times import DiscreteTimes
from ornstein.objectives.told import Told
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Table
from ornstein.recipes.images.common import ImageConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.table import get

NAME = "layout"
"""Of the condition: one channel a region, and one of edges where instances are known."""


@dataclass(frozen=True, kw_only=True)
class SemanticDiffusion(ImageConfig):
    """The layouts, the chain and the network."""

    regions: int = 117
    """labels that a layout may hold, 0 included"""
    maps: str = "regions"
    """the condition of the data that holds the layouts ``[N, 1, H, W]``, in whole numbers"""
    edges: bool = False
    """the maps have a second channel, the numbers of instances, whose outlines are told as well"""
    chain: int = 1000
    beta_1: float = 1e-4
    beta_T: float = 0.02
    vlb_weight: float = 0.001
    widths: tuple[int, ...] = (32, 64)
    blocks: int = 1
    attention: tuple[int, ...] = ()
    """indices of ``widths`` that get attention, beside the middle"""
    head: int = 0
    """width of a head; 0: the largest that divides both 64 and the channels"""
    hidden: int = 32
    """channels between a layout and what it does to a norm; 128 in the paper"""
    dropout: float = 0.0
    steps: int = 4000
    lr: float = 1e-3
    warmup: int = 100
    cond_dropout: float = 0.2
    sampling_steps: int = 100
    guidance: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.regions < 1 or self.chain < 2:
            raise UsageError(f"regions must be at least 1 and chain at least 2, got {self.regions} and {self.chain}")
        if not 1 <= self.sampling_steps <= self.chain:
            raise UsageError(f"sampling_steps must lie in 1 .. {self.chain} (the chain), got {self.sampling_steps}")
        if not self.guidance >= 0:
            raise UsageError(f"guidance away from a layout is not meant: it must be at least 0, got {self.guidance}")
        if not self.vlb_weight > 0:
            raise UsageError(f"vlb_weight must be positive, or the variance is never trained; got {self.vlb_weight}")

    @property
    def layout(self) -> tuple[int, int, int]:
        """Of one layout as the network sees it."""
        return self.regions + self.edges, self.size, self.size


def one_hot(maps: Tensor, regions: int, edges: bool = False) -> Tensor:
    """Whole numbers ``[B, 1, H, W]`` to ``[B, regions, H, W]`` of 0 and 1; the numbers of instances are a second channel.

    With ``edges`` a last channel is 1 at pixels whose right, left, upper or lower neighbour is of another instance.

    Raises:
        DataError: no whole numbers, another shape, or a number that is no region.
    """
    if maps.is_floating_point() or maps.dtype == torch.bool:
        raise DataError(f"a layout holds whole numbers, one a region; got {maps.dtype}")
    if maps.ndim != 4 or maps.shape[1] != 1 + edges:
        raise DataError(f"layouts are [B, {1 + edges}, H, W], got {tuple(maps.shape)}")
    which = maps[:, 0].long()
    low, high = int(which.min()), int(which.max())
    if low < 0 or high >= regions:
        raise DataError(
            f"a layout holds region {high if high >= regions else low}, and the model knows 0 .. {regions - 1}; set regions to "
            "the number of labels, of which pixels to be ignored have one of their own"
        )
    out = F.one_hot(which, regions).movedim(-1, 1).float()
    return torch.cat([out, _outlines(maps[:, 1:])], 1) if edges else out


def _outlines(instances: Tensor) -> Tensor:
    found = torch.zeros_like(instances, dtype=torch.bool)
    across = instances[..., 1:] != instances[..., :-1]
    down = instances[..., 1:, :] != instances[..., :-1, :]
    found[..., 1:] |= across
    found[..., :-1] |= across
    found[..., 1:, :] |= down
    found[..., :-1, :] |= down
    return found.float()


class LaidOut:
    """An objective whose batches get the layout that is made of their maps."""

    def __init__(self, objective: Objective, c: SemanticDiffusion):
        self.objective, self.c = objective, c

    def __call__(self, batch: Batch, rng: Random) -> Loss:
        maps = batch.cond.get(self.c.maps)
        if maps is None:
            raise DataError(
                f"these data have no '{self.c.maps}': give images with a condition of that name, [N, 1, H, W] whole numbers "
                "(ornstein data show NAME lists a set's conditions), or set maps"
            )
        if maps.shape[-2:] != batch.x.shape[-2:]:
            raise DataError(
                f"maps of {tuple(maps.shape[-2:])} do not fit pictures of {tuple(batch.x.shape[-2:])}; bring both to one size"
            )
        rest = {k: v for k, v in batch.cond.items() if k == "label"}
        return self.objective(Batch(batch.x, {**rest, NAME: one_hot(maps, self.c.regions, self.c.edges)}), rng)


@recipe(
    "semantic-diffusion-model",
    area="restoration",
    title="Semantic Image Synthesis via Diffusion Models (Wang et al. 2022)",
    paper="arxiv:2207.00050",
    claim="a layout told to the decoder by its norms, strengthened by guidance, gives pictures that are true to it and varied",
    equations="h -> norm(h)(1 + gamma(c)) + beta(c) in the decoder; |eps - eps_theta|^2 + 0.001 L_vlb; eps = eps(x | 0) + s "
    "(eps(x | c) - eps(x | 0))",
    bibtex="@article{wang2022semantic, title={Semantic Image Synthesis via Diffusion Models}, author={Wang, Weilun and Bao, "
    "Jianmin and Zhou, Wengang and Chen, Dongdong and Chen, Dong and Yuan, Lu and Li, Houqiang}, journal={arXiv:2207.00050}, "
    "year={2022}}",
)
def semantic_diffusion_model(c: SemanticDiffusion = SemanticDiffusion()) -> System:
    """The system: ``system.sample(n, layout=one_hot(maps, c.regions))``."""

    def of_data(x: Tensor, rng: Random) -> Tensor:
        raise CapabilityError(f"a layout cannot be made of a picture; give {NAME}")

    def of_measurement(given: Measurement) -> Tensor:
        raise CapabilityError(
            f"this model draws from layouts, and {given.operator.name} measures none: give {NAME} to sample, or name a method, "
            "such as ddrm"
        )

    process = VP(Table.linear(c.chain, c.beta_1, c.beta_T), t_min=1 / c.chain)
    network = SpadeUNet(
        channels=c.channels,
        out_channels=2 * c.channels,
        layout=ImageCondition(NAME, c.layout[0]),
        widths=c.widths,
        blocks=c.blocks,
        attention=c.attention,
        head=c.head,
        hidden=c.hidden,
        dropout=c.dropout,
        conditions=(ClassCondition("label", len(c.classes)),) if c.classes else (),
    )
    denoiser = Preconditioned(network, process, LearnedRange(Eps(), c.chain), channels_last=True)

    def objective(system: System) -> LaidOut:
        denoiser.autocast = c.autocast
        times = DiscreteTimes(c.chain)
        return LaidOut(Hybrid(denoiser, system.codec, times, vlb=c.vlb_weight, cond_dropout=c.cond_dropout), c)

    return System(
        recipe="semantic-diffusion-model",
        config=c,
        codec=Scale(),
        denoiser=denoiser,
        shape=c.shape,
        training=one_stage(c, objective),
        sampler=get("ancestral", options={"variance": "range"}),
        steps=c.sampling_steps,
        classes=c.classes,
        guidance=c.guidance,
        clip=1.0,
        told=Told(NAME, c.layout, of_data, of_measurement),
        ema_half_life=c.ema_half_life,
    )
