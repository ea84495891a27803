"""DAG: depth read from the model's own layers guides its samples: two readings shall agree, and look like a depth map.

Stage 1 trains the chain, stage 2 a chain of depth maps, stage 3 the two heads on the frozen network. Differences from the paper:
small networks, heads and prior trained on the same data as the chain.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from ornstein.codecs.base import Identity
from ornstein.core.errors import UsageError
from ornstein.core.tapping import layer_widths
from ornstein.denoisers.denoiser import Denoiser, Preconditioned
from ornstein.denoisers.depth import DepthHeads
from ornstein.denoisers.parametrizations import EDMScaling
from ornstein.denoisers.wrappers import Clip
from ornstein.guidance.depth import DepthAware
from ornstein.networks.pixel_head import PixelHead
from ornstein.objectives.denoising import Denoising
from ornstein.objectives.depth import OfDepth, ReadingDepth, WithoutDepth
from ornstein.objectives.times import DiscreteTimes
from ornstein.objectives.weights import snr
from ornstein.recipes.images.ddpm import DDPM, ddpm
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.training.fit import Data, Stage, Update
from ornstein.training.optim import OptimizerSpec


@dataclass(frozen=True, kw_only=True)
class DAG(DDPM):
    """DDPM's fields, the layers that are read, and the two weights."""

    guidance: float = 1.0
    """times both weights; 0 is the plain chain"""
    consistency: float = 0.1
    """of the disagreement of the two readings, summed over pixels"""
    prior: float = 0.03
    """of the loss of the depth maps' chain on the strong reading"""
    strong: tuple[str, ...] = ()
    """layers that the strong head reads; by default all blocks of the decoder"""
    weak: tuple[str, ...] = ()
    """those that the weak head reads; by default the block in the middle of the decoder"""
    level: float = 0.3
    """the time at which the prior looks at depth"""
    until: float = 0.8
    """depth is not read at times above: there is little to see"""
    head_lr: float = 3e-3
    head_share: float = 0.15
    """of the steps, for the heads, and as much for the prior"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.guidance < float("inf"):
            raise UsageError(f"guidance must be finite and at least 0, got {self.guidance}")
        for name in ("consistency", "prior"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise UsageError(f"{name}, a weight, must be finite and at least 0, got {value}")
        if not 0 < self.level <= 1 or not 0 <= self.until <= 1 or not 0 < self.head_share < 0.5:
            raise UsageError(
                f"level lies in (0, 1], until in [0, 1], head_share in (0, 0.5); got {self.level}, {self.until} and "
                f"{self.head_share}"
            )


@dataclass
class DepthSystem(System):
    """A system with ``extra["heads"]`` and ``extra["depth"]``."""

    def guided(
        self, scale: float, method: str | None = None, grid: Tensor | None = None, weak: Denoiser | None = None
    ) -> Denoiser:
        """Towards depths that agree and look like depth; none at scale 0."""
        if method not in (None, "dag"):
            return super().guided(scale, method, grid, weak)
        if self.unfinished:
            raise UsageError(self.unfinished)
        denoiser, heads, depth, c = self.denoiser, self.extra["heads"], self.extra["depth"], self.config
        assert (
            isinstance(denoiser, Preconditioned) and isinstance(heads, DepthHeads) and isinstance(depth, Preconditioned)
        )
        if scale and (c.consistency or c.prior):
            weights = (scale * c.consistency, scale * c.prior)
            return Clip(DepthAware(denoiser, heads, depth, *weights, level=c.level, until=c.until), self.clip or 1.0)
        return Clip(denoiser, self.clip or 1.0)


def heads_on(
    denoiser: Preconditioned, shape: tuple[int, int, int], strong: Sequence[str], weak: Sequence[str]
) -> DepthHeads:
    """Two heads, untrained, on the named layers of a denoiser of pictures of this shape."""
    made = [PixelHead(layer_widths(denoiser.network, shape, names), shape[1:]) for names in (strong, weak)]
    return DepthHeads((strong, weak), made[0], made[1])


@recipe(
    "dag",
    area="guidance",
    title="DAG: Depth-Aware Guidance with Denoising Diffusion Probabilistic Models (Kim et al. 2022)",
    paper="arxiv:2212.08861",
    claim="depth read from the model's own layers, guided to agree with itself and to look like depth, gives sounder geometry",
    equations="x_s ~ N(mu - w_dc Sigma grad |sg(d_S) - d_W|^2 - w_dp Sigma grad |eps - eps_phi(alpha_l d_S + sigma_l eps, l)|^2, "
    "Sigma)",
    bibtex="@article{kim2022dag, title={DAG: Depth-Aware Guidance with Denoising Diffusion Probabilistic Models}, author={Kim, "
    "Gyeongnyeon and Jang, Wooseok and Lee, Gyuseong and Hong, Susung and Seo, Junyoung and Kim, Seungryong}, "
    "journal={arXiv:2212.08861}, year={2022}}",
)
def dag(c: DAG = DAG()) -> System:
    """The depth-aware system."""
    base = ddpm(c)
    denoiser = base.denoiser
    assert isinstance(denoiser, Preconditioned)
    blocks = [
        name for name, _ in denoiser.network.named_modules() if name.startswith("decoder.") and name.count(".") == 1
    ]
    heads = heads_on(denoiser, c.shape, c.strong or blocks, c.weak or blocks[len(blocks) // 2 :][:1])
    plain = dataclasses.replace(c, channels=1, classes=(), caption_width=0, augment=0.0)
    depth = Preconditioned(
        plain.network(bandwidth=1.0), denoiser.process, EDMScaling(c.sigma_data or 0.5), channels_last=True
    )

    def stages(system: System, data: Data) -> Iterator[Stage]:
        share = min(max(1, round(c.head_share * c.steps)), (c.steps - 1) // 2)
        (stage,) = base.stages(data)
        (update,) = stage.updates
        first = dataclasses.replace(update, objective=WithoutDepth(update.objective))
        yield Stage(stage.name, data, [first], c.steps - 2 * share)
        if not share:
            return
        depth.autocast = c.autocast
        maps = OfDepth(Denoising(depth, Identity(), DiscreteTimes(c.chain), snr))
        yield Stage("depth maps", data, [Update(maps, list(depth.network.parameters()), c.optimizer())], share)
        reading = ReadingDepth(heads, denoiser, system.codec, DiscreteTimes(c.chain))
        spec = OptimizerSpec(lr=c.head_lr, warmup=min(c.warmup, share // 4), decay="cosine", decay_steps=share)
        yield Stage("heads", data, [Update(reading, list(heads.parameters()), spec)], share)

    fields = {f.name: getattr(base, f.name) for f in dataclasses.fields(System)}
    return DepthSystem(
        **fields
        | {"recipe": "dag", "config": c, "guidance": c.guidance, "training": stages}
        | {"extra": {"heads": heads, "depth": depth}}
    )
