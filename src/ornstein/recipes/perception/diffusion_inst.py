r"""DiffusionInst: instances found by denoising boxes, each with a tiny network of its own that draws its mask.

Only boxes are noised. Every head of a cascade corrects them by what the picture holds inside; the same weights take any number
of boxes and of steps. Differences from the paper: a backbone of three convolutions at strides 2 and 4, a few heads of small width
trained from nothing, matching without a prior on centres.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from ornstein.codecs.base import Codec, Scale
from ornstein.core.boxes import centred, corners, suppress
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import DataError, UsageError, unknown
from ornstein.core.instances import Found, Instances
from ornstein.core.rng import Random, Rng
from ornstein.denoisers.boxes import BoxDenoiser
from ornstein.networks.instances import InstanceNet
from ornstein.objectives.instances import FindingInstances
from ornstein.objectives.times import DiscreteTimes
from ornstein.processes.gaussian import VP
from ornstein.processes.schedules import Table
from ornstein.recipes.images.common import ImageConfig, one_stage
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.samplers.base import Step, simulate
from ornstein.samplers.table import get
from ornstein.training.optim import Decay

NAME = "image"
"""Of the condition: the picture in which things are found."""


@dataclass(frozen=True, kw_only=True)
class DiffusionInst(ImageConfig):
    """The boxes, the network and the chain. Data have the conditions ``boxes``, ``kinds`` and ``masks``."""

    kinds: tuple[str, ...] = ("rectangle", "ellipse")
    """of things, in the order of the data's numbers"""
    proposals: int = 20
    """boxes in training, and by default in use"""
    signal: float = 2.0
    """boxes in [0, 1] become signal (2 b - 1)"""
    width: int = 64
    heads: int = 2
    head: int = 32
    """width of an attention head"""
    inner: int = 16
    """width of the filters that a box applies to the picture inside"""
    chain: int = 1000
    sampling_steps: int = 1
    batch: int = 16
    steps: int = 4000
    lr: float = 1e-3
    warmup: int = 200
    decay: Decay = "cosine"
    decay_steps: int = 4000
    cond_dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("proposals", "heads", "sampling_steps", "inner"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.kinds:
            raise UsageError("kinds is empty: name the kinds of things")
        if not self.signal > 0:
            raise UsageError(f"signal must be positive, got {self.signal}")
        if self.chain < 2 or self.size % 4:
            raise UsageError(f"chain must be at least 2 and size a multiple of 4, got {self.chain} and {self.size}")
        if self.flip:
            raise UsageError("flip mirrors pictures and not their boxes and masks; leave it out")


@final
class BoxCodec(Codec):
    """Corners in [0, 1] <-> the state of :class:`BoxDenoiser`."""

    def __init__(self, signal: float):
        super().__init__()
        self.signal = signal

    def encode(self, x: Tensor, rng: Random, cond: Cond = NO_COND) -> Tensor:
        return self.signal * (2 * centred(x) - 1)

    def decode(self, state: Tensor, cond: Cond = NO_COND) -> Tensor:
        return corners((state / self.signal + 1) / 2).clamp(0, 1)


@dataclass
class Detector(System):
    """``system.find(pictures)``; ``system.sample(n, image=pictures)`` gives the boxes alone, ``[n, proposals, 4]`` corners."""

    @property
    def conditional(self) -> bool:
        return True

    def conditions(self, seeds: Sequence[int], given: Mapping[str, Any]) -> dict[str, Tensor]:
        for name in given:
            if name != NAME:
                raise unknown("condition", name, {NAME})
        shape = self.finder.shape
        value = given.get(NAME)
        if value is None:
            return {NAME: torch.full((len(seeds), *shape), torch.nan)}
        many = value[None] if value.ndim == 3 else value
        if tuple(many.shape[1:]) != shape or len(many) not in (1, len(seeds)):
            raise DataError(
                f"{NAME} takes {shape}, one or one for each of {len(seeds)} samples; got {tuple(value.shape)}: resize them"
            )
        return {NAME: Scale().encode(many, Rng([])).expand(len(seeds), *shape)}

    @property
    def finder(self) -> BoxDenoiser:
        """The denoiser of boxes."""
        assert isinstance(self.denoiser, BoxDenoiser)
        return self.denoiser

    @torch.no_grad()
    def find(
        self,
        pictures: Tensor,
        *,
        steps: int | None = None,
        proposals: int | None = None,
        score: float = 0.3,
        overlap: float = 0.5,
        seed: int = 0,
    ) -> list[Instances]:
        """What is in pictures ``[n, C, H, W]``, bytes or floats in [-1, 1]; picture i starts from boxes of seed + i.

        Args:
            steps: of the chain; what every step found goes into one ensemble.
            proposals: boxes to start from, any number.
            score: things below it are left out.
            overlap: of boxes, beyond which the one of the lower score is left out.

        Raises:
            UsageError: no proposals, or scores and overlaps beyond [0, 1].
            DataError: pictures of another shape.
        """
        n = self.shape[0] if proposals is None else proposals
        if n < 1:
            raise UsageError(f"proposals must be at least 1, got {n}")
        if not (0 <= score <= 1 and 0 <= overlap <= 1):
            raise UsageError(f"score and overlap lie in [0, 1], got {score} and {overlap}")
        many = pictures[None] if pictures.ndim == 3 else pictures
        seeds = list(range(seed, seed + len(many)))
        cond = {k: v.to(self.device) for k, v in self.conditions(seeds, {NAME: many}).items()}
        move, times, _ = self.prepare(steps, "box_renewal", None, None)
        self.modules.eval()
        rng, founds = Rng(seeds), []

        def keep(step: Step) -> None:
            founds.append(step.state[-1])

        x = self.process.prior((len(many), n, 4)).sample(rng)
        simulate(move, x.to(self.device), times, rng, cond, keep)
        return [_instances(founds, i, self.finder.shape[1:], score, overlap) for i in range(len(many))]


def _instances(founds: Sequence[Found], i: int, size: tuple[int, ...], least: float, overlap: float) -> Instances:
    """Picture i of an ensemble: scores above ``least``, without what overlaps, masks within their boxes."""
    boxes = torch.cat([corners(f.boxes[i]) for f in founds]).clamp(0, 1)
    scores, kinds = torch.cat([f.logits[i].sigmoid() for f in founds]).max(-1)
    height, width = size
    masks = torch.cat([f.masks((height, width))[i] for f in founds]) > 0
    some = (scores >= least).nonzero().flatten()
    kept = some[suppress(boxes[some], scores[some], overlap)]
    boxes = boxes[kept]
    x, y = (torch.arange(width) + 0.5) / width, (torch.arange(height) + 0.5) / height
    low, high = boxes[:, :2, None], boxes[:, 2:, None]
    across, down = ((low[:, k] <= v) & (v <= high[:, k]) for k, v in enumerate((x.to(boxes), y.to(boxes))))
    return Instances(boxes, scores[kept], kinds[kept], masks[kept] & across[:, None] & down[:, :, None])


@recipe(
    "diffusion-inst",
    area="perception",
    title="DiffusionInst: Diffusion Model for Instance Segmentation (Gu et al. 2022)",
    paper="arxiv:2212.02773",
    claim="instances with masks are found by denoising random boxes, in one step or several, with one set of weights for any "
    "number of boxes",
    equations="x_0 = 2 (2 b - 1), x_t = alpha_t x_0 + sigma_t eps; (kinds, b, filters) = f(image, x_t, t); mask = conv(filters, "
    "maps); loss 2 focal + 5 L1 + 2 GIoU + 5 dice",
    bibtex="@article{gu2022diffusioninst, title={DiffusionInst: Diffusion Model for Instance Segmentation}, author={Gu, "
    "Zhangxuan and Chen, Haoxing and Xu, Zhuoer and Lan, Jun and Meng, Changhua and Wang, Weiqiang}, journal={arXiv:2212.02773}, "
    "year={2022}}",
)
def diffusion_inst(c: DiffusionInst = DiffusionInst()) -> System:
    """The system: ``find(pictures)``."""
    network = InstanceNet(
        channels=c.channels, kinds=len(c.kinds), width=c.width, heads=c.heads, head=c.head, inner=c.inner
    )
    denoiser = BoxDenoiser(network, VP(Table.cosine(c.chain), t_min=1 / c.chain), NAME, c.shape, c.signal)

    def objective(system: System) -> FindingInstances:
        denoiser.autocast = c.autocast
        return FindingInstances(denoiser, Scale(), DiscreteTimes(c.chain), c.proposals, len(c.kinds))

    return Detector(
        recipe="diffusion-inst",
        config=c,
        codec=BoxCodec(c.signal),
        denoiser=denoiser,
        shape=(c.proposals, 4),
        training=one_stage(c, objective),
        sampler=get("box_renewal"),
        steps=c.sampling_steps,
        ema_half_life=c.ema_half_life,
    )
