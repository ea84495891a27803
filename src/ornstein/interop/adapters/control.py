"""ControlNet and T2I-Adapter: pictures (edges, depths, poses) that the U-Net's features follow.

Zhang et al. 2023, 2302.05543; Mou et al. 2023, 2302.08453. The models are diffusers' own classes.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast, final

import torch
from torch import Tensor, nn

from ornstein.core.cond import Cond
from ornstein.core.errors import CapabilityError, CheckpointError, UsageError
from ornstein.interop.adapters.beside import Beside, pictures, reader_of
from ornstein.interop.adapters.lora import base_of, shared
from ornstein.interop.diffusers.pipelines.fitting import fitted
from ornstein.interop.diffusers.pipelines.networks import Network
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.interop.diffusers.prompts.reader import Reader, Wrapped

Kind = Literal["ControlNetModel", "T2IAdapter"]


def with_control(system: Pipeline, folder: str | Path, *, scale: float = 1.0, name: str = "control") -> Pipeline:
    """A system that follows a picture, given as the condition ``name``: ``sample(..., control=edges)``.

    Args:
        folder: of a ControlNetModel or a T2IAdapter. Several may be added, under different names.
        scale: of what it adds.

    Raises:
        CheckpointError: no such folder, or its weights do not fit. CapabilityError: another class.
        UsageError: the system reads no prompts, or the control network is another base's (both are named).
    """
    reader = reader_of(system, "a control network")
    folder = Path(folder)
    kind = class_of(folder)
    import diffusers

    model = fitted(getattr(diffusers, kind), folder)
    unet: Any = cast(Network, system.denoiser.network).model
    size = (system.data_shape[1], system.data_shape[2])
    channels = int(getattr(model.config, "conditioning_channels", getattr(model.config, "in_channels", 3)))
    if kind == "ControlNetModel":
        check(folder, model, unet, system)
        return guided(system, Control(model, name, scale), Follow(reader, name, size, channels))
    return guided(system, Adapted(name, scale), Features(reader, name, size, channels, model))


def class_of(folder: Path) -> Kind:
    """The class that a folder's config names."""
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder} is no control network's folder: it has no config.json")
    try:
        name = str(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("_class_name"))
    except (ValueError, AttributeError) as e:
        raise CheckpointError(f"{folder / 'config.json'} is no JSON object: {e}") from e
    if name not in ("ControlNetModel", "T2IAdapter"):
        raise CapabilityError(f"{folder} holds a {name}; read here are ControlNetModel and T2IAdapter")
    return name  # type: ignore[return-value]


def check(folder: Path, model: Any, unet: Any, system: Pipeline) -> None:
    """Refuse a control network of another U-Net."""
    for what in ("cross_attention_dim", "block_out_channels", "layers_per_block"):
        mine, its = getattr(unet.config, what), getattr(model.config, what)
        if (list(mine) if isinstance(mine, tuple | list) else mine) != (
            list(its) if isinstance(its, tuple | list) else its
        ):
            raise UsageError(
                f"the control network {folder.name} was made for a U-Net of {what} {its}; that of {base_of(system)} has {mine}"
            )


def guided(system: Pipeline, guide: nn.Module, reader: Reader) -> Pipeline:
    """The system with one more guide of its network and another reader."""
    made: Pipeline = shared(system)
    network = cast(Network, made.denoiser.network)
    network.guides.append(guide.to(system.device))
    if isinstance(reader, Wrapped):
        assert made.prompts is not None
        reader.inner = made.prompts
    return replace(made, prompts=reader, extra={**made.extra, "prompts": reader})


@final
class Control(nn.Module):
    """A ControlNet at every call: what it adds to the skips and to the middle of the U-Net."""

    def __init__(self, model: nn.Module, name: str, scale: float):
        super().__init__()
        self.model, self.name, self.scale = model, name, scale

    def forward(self, x: Tensor, t: Tensor, words: dict[str, Any], cond: Cond) -> dict[str, Any]:
        if self.name not in cond:
            return words
        told = {k: v for k, v in words.items() if k in ("encoder_hidden_states", "added_cond_kwargs", "timestep_cond")}
        down, middle = self.model(
            x, t, controlnet_cond=cond[self.name].to(x), conditioning_scale=self.scale, return_dict=False, **told
        )
        if "mid_block_additional_residual" in words:
            down = [a + b for a, b in zip(words["down_block_additional_residuals"], down, strict=True)]
            middle = words["mid_block_additional_residual"] + middle
        return {**words, "down_block_additional_residuals": tuple(down), "mid_block_additional_residual": middle}


@final
class Follow(Beside):
    """The picture that a ControlNet follows, as it is."""

    def __init__(self, inner: Reader, name: str, size: tuple[int, int], channels: int):
        super().__init__(inner, name)
        self.size, self.channels = size, channels

    def add(self, n: int, value: Any, cond: dict[str, Tensor]) -> dict[str, Tensor]:
        return cond if value is None else {**cond, self.name: pictures(self.name, value, n, self.size, self.channels)}


@final
class Features(Beside):
    """The features that a T2I-Adapter makes of the picture, once for all steps."""

    def __init__(self, inner: Reader, name: str, size: tuple[int, int], channels: int, model: nn.Module):
        super().__init__(inner, name)
        self.size, self.channels, self.model = size, channels, model

    @torch.no_grad()
    def add(self, n: int, value: Any, cond: dict[str, Tensor]) -> dict[str, Tensor]:
        if value is None:
            return cond
        weight = next(self.model.parameters())
        maps = self.model(pictures(self.name, value, n, self.size, self.channels).to(weight))
        return {**cond, **{f"{self.name}_{i}": m.cpu() for i, m in enumerate(maps)}}


@final
class Adapted(nn.Module):
    """A T2I-Adapter's features, added inside the encoder of the U-Net."""

    def __init__(self, name: str, scale: float):
        super().__init__()
        self.name, self.scale = name, scale

    def forward(self, x: Tensor, t: Tensor, words: dict[str, Any], cond: Cond) -> dict[str, Any]:
        maps: list[Tensor] = []
        while f"{self.name}_{len(maps)}" in cond:
            maps.append(cond[f"{self.name}_{len(maps)}"].to(x) * self.scale)
        if not maps:
            return words
        before = words.get("down_intrablock_additional_residuals")
        both = maps if before is None else [a + b for a, b in zip(before, maps, strict=True)]
        return {**words, "down_intrablock_additional_residuals": both}
