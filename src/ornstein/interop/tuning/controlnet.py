"""A control network of a checkpoint: a copy of the encoder that learns to follow a picture. Zhang et al. 2023, 2302.05543."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ornstein.core.errors import CapabilityError, DataError
from ornstein.data import Images
from ornstein.interop.adapters.beside import reader_of
from ornstein.interop.adapters.control import Control, Follow, guided
from ornstein.interop.adapters.lora import base_of
from ornstein.interop.diffusers.pipelines.networks import Autoencoder, Network
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.interop.tuning.lora import Tuned
from ornstein.interop.tuning.pictures import Drawn, Stream, encoded, pictures_of, told
from ornstein.interop.tuning.settings import Settings, denoiser_of, times_of, trained
from ornstein.objectives.denoising import Denoising

FOLDER = "controlnet"
WIDTHS = (16, 32, 96, 256)
"""Of the layers through which the picture goes: one for each halving, and the first."""


def edges(pictures: Tensor, level: float = 0.25) -> Tensor:
    """Where the brightness of pictures in [-1, 1] changes quickly (Sobel's operator): ``[N, 3, H, W]`` of 0 and 1."""
    grey = pictures.mean(1, keepdim=True)
    across = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]], device=pictures.device) / 4
    kernels = torch.stack([across, across.t()])[:, None]
    slopes = nn.functional.conv2d(nn.functional.pad(grey, (1, 1, 1, 1), mode="replicate"), kernels)
    return (slopes.square().sum(1, keepdim=True).sqrt() > level).float().expand(-1, 3, -1, -1).contiguous()


def train_controlnet(
    base: Pipeline,
    data: str | Path | Images,
    out: str | Path,
    *,
    prompt: str = "",
    conditions: str | Path | Images | None = None,
    name: str = "control",
    settings: Settings | None = None,
) -> Tuned:
    """Train a ControlNet; ``OUT/controlnet`` is a folder that diffusers reads as well.

    Args:
        prompt: what the pictures show; the empty text leaves the picture to say all.
        conditions: a picture to follow for each of ``data``, in the same order of names; their edges by default.
        name: of the condition.

    Raises:
        DataError: another number of conditions than of pictures. CapabilityError: a base that is no Stable Diffusion U-Net.
    """
    settings, out = settings or Settings(lr=1e-5), Path(out)
    denoiser_of(base)
    network = base.denoiser.network
    if not isinstance(network, Network) or not isinstance(base.codec, Autoencoder):
        raise CapabilityError("a control network is trained on the U-Net of a Stable Diffusion pipeline")
    import diffusers

    pictures = pictures_of(data, base)
    followed = edges(pictures) if conditions is None else pictures_of(conditions, base) / 2 + 0.5
    if len(followed) != len(pictures):
        raise DataError(
            f"{len(followed)} pictures to follow were given for {len(pictures)} pictures; give one for each"
        )
    halvings = base.codec.reduction.bit_length() - 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        widths = (WIDTHS * 2)[: halvings + 1] if halvings < len(WIDTHS) else WIDTHS
        model = diffusers.ControlNetModel.from_unet(network.model, conditioning_embedding_out_channels=widths)
    model.requires_grad_(True)
    size = (base.data_shape[1], base.data_shape[2])
    system = guided(base, Control(model, name, 1.0), Follow(reader_of(base, "a control network"), name, size, 3))
    cast(Network, denoiser_of(system).network).model.requires_grad_(False)
    system.to(settings.device)
    system.modules.eval()
    cond = {**told(base, [prompt] * len(pictures)), name: followed}
    stream = Stream([(encoded(pictures, system.codec), cond)], [settings.batch], settings.seed)
    objective = Denoising(denoiser_of(system), Drawn(system.codec), times_of(system))
    about = {"base": base_of(base), "prompt": prompt, "conditions": "edges" if conditions is None else "given"}
    result = trained(nn.ModuleDict({"controlnet": model}), objective, stream, out, settings, "controlnet", about)
    path = out / FOLDER
    shutil.rmtree(path, ignore_errors=True)
    saved: Any = model
    saved.save_pretrained(path)
    model.requires_grad_(False)
    return Tuned(system, path, result.loss, result.step)
