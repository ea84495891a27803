"""Stable Diffusion 1 and 2: text to image, image to image, inpainting, depth, upscaling; latent consistency.

Rombach et al. 2022, 2112.10752; Luo et al. 2023, 2310.04378.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError
from ornstein.interop.diffusers.pipelines.families.base import Options, same_channels, state_size, system_of
from ornstein.interop.diffusers.pipelines.folder import Index, load_part
from ornstein.interop.diffusers.pipelines.networks import Autoencoder, Network
from ornstein.interop.diffusers.pipelines.pictures import Given
from ornstein.interop.diffusers.pipelines.swap import Schedulers
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.interop.diffusers.prompts.reader import OneEncoder
from ornstein.interop.diffusers.schedulers.classes import scheduler


def build(index: Index, options: Options) -> Pipeline:
    """The pipeline in a folder."""
    model = load_part(index, "unet")
    codec = Autoencoder(load_part(index, "vae"))
    height, width = state_size(options, model.config.sample_size, codec.reduction)
    given, beside = given_by(index, model.config)
    network = Network(model)
    consistent = index.pipeline.startswith("LatentConsistency")
    return system_of(
        index,
        network,
        codec,
        (same_channels(model.config, beside), height, width),
        Schedulers(Schedulers.at(index.path / "scheduler"), options.eta),
        prompts=OneEncoder(load_part(index, "tokenizer"), load_part(index, "text_encoder")),
        guidance=8.5 if consistent else 9.0 if given.beside == "small" else 7.5,
        steps=4 if consistent else 75 if given.beside == "small" else 50,
        given=given,
        tells_scale=network.scale_width is not None,
    )


def given_by(index: Index, config: Any) -> tuple[Given, int]:
    """What the network reads beside the state, and in how many channels."""
    extra = int(config.in_channels) - int(config.out_channels)
    if index.pipeline == "StableDiffusionUpscalePipeline":
        small = scheduler(index.path / "low_res_scheduler").process
        return Given("small", small=small), extra
    if index.pipeline == "StableDiffusionDepth2ImgPipeline":
        return Given("depth", depth=depths(index)), 1
    if extra == 0:
        return Given(), 0
    if extra == int(config.out_channels) + 1:
        return Given("mask"), extra
    raise CapabilityError(
        f"the network takes {config.in_channels} channels and gives {config.out_channels}: served are as many as it gives, "
        f"and {2 * int(config.out_channels) + 1} of an inpainting network"
    )


def depths(index: Index) -> Callable[[Tensor], Tensor] | None:
    """The folder's own estimate of depth, of pictures in [-1, 1]; None where the folder has none."""
    if not {"depth_estimator", "feature_extractor"} <= index.parts.keys():
        return None
    model, reader = load_part(index, "depth_estimator"), load_part(index, "feature_extractor")

    @torch.no_grad()
    def estimate(pictures: Tensor) -> Tensor:
        pixels = reader(images=list((pictures / 2 + 0.5).cpu()), return_tensors="pt", do_rescale=False).pixel_values
        return model.to(pictures.device)(pixels.to(pictures)).predicted_depth[:, None]

    return estimate
