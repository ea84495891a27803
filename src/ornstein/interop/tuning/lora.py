"""LoRA of a checkpoint's network. Hu et al. 2021, 2106.09685."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ornstein.core.errors import UsageError
from ornstein.data import Images
from ornstein.interop.adapters.lora import base_of, shared
from ornstein.interop.adapters.places import parts_of
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.interop.tuning.pictures import Drawn, Stream, encoded, pictures_of, told
from ornstein.interop.tuning.settings import Settings, denoiser_of, times_of, trained
from ornstein.interop.tuning.writing import Dialect, write_lora
from ornstein.networks.layers.low_rank import LowRank, add_low_rank
from ornstein.objectives.denoising import Denoising

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
FILE = "adapter.safetensors"


@dataclass(frozen=True)
class Tuned:
    """What training made: the system as it is now, and the small file or folder that makes it of the base."""

    system: Pipeline
    path: Path
    loss: float
    steps: int


@dataclass
class Low:
    """A copy of a system with low-rank changes of its network's attentions, and these."""

    system: Pipeline
    part: str
    changes: dict[str, LowRank]

    @classmethod
    def of(cls, base: Pipeline, rank: int) -> Low:
        """New changes, of which the last layers are zero."""
        system: Pipeline = shared(base)
        part, network = next(iter(parts_of(system).items()))
        return cls(system, part, add_low_rank(network, rank, which=lambda name: name.endswith(ATTENTION)))

    def modules(self) -> nn.Module:
        """What is trained and saved."""
        return nn.ModuleDict({name.replace(".", "-"): change for name, change in self.changes.items()})

    def tensors(self) -> dict[str, tuple[Tensor, Tensor]]:
        """(down, up) of each module, the scale in the former."""
        return {name: (c.down.detach() * c.scale, c.up.detach()) for name, c in self.changes.items()}


def train_lora(
    base: Pipeline,
    data: str | Path | Images,
    out: str | Path,
    *,
    prompt: str | list[str],
    rank: int = 4,
    dialect: Dialect = "diffusers",
    settings: Settings | None = None,
) -> Tuned:
    """Train low-rank changes of the network's attentions on pictures; ``OUT/adapter.safetensors`` holds them.

    Args:
        base: stays as it is.
        prompt: what all the pictures show, or one text for each.
        rank: of the changes.
        dialect: in which the file is written.

    Raises:
        UsageError, DataError, CapabilityError: rank below 1, another number of prompts than of pictures, unusable data.
    """
    settings, out = settings or Settings(), Path(out)
    denoiser_of(base)
    low = Low.of(base, rank)
    system = low.system
    pictures = pictures_of(data, base)
    prompts = [prompt] * len(pictures) if isinstance(prompt, str) else list(prompt)
    if len(prompts) != len(pictures):
        raise UsageError(f"{len(prompts)} prompts were given for {len(pictures)} pictures; give one, or one for each")
    system.to(settings.device)
    system.modules.eval()
    stream = Stream([(encoded(pictures, system.codec), told(system, prompts))], [settings.batch], settings.seed)
    objective = Denoising(denoiser_of(system), Drawn(system.codec), times_of(system))
    about: dict[str, Any] = {"base": base_of(base), "rank": rank}
    result = trained(low.modules(), objective, stream, out, settings, "lora", about)
    path = write_lora(low.tensors(), out / FILE, dialect=dialect, part=low.part, base=base_of(base))
    return Tuned(system, path, result.loss, result.step)
