"""DDPM and DDIM: a UNet2DModel on pictures, with or without classes. Ho et al. 2020; Song et al. 2021."""

from __future__ import annotations

from ornstein.codecs.base import Identity
from ornstein.interop.diffusers.pipelines.families.base import Options, same_channels, state_size, system_of
from ornstein.interop.diffusers.pipelines.folder import Index, load_part
from ornstein.interop.diffusers.pipelines.networks import Network
from ornstein.interop.diffusers.pipelines.swap import Schedulers
from ornstein.interop.diffusers.pipelines.system import Pipeline


def build(index: Index, options: Options) -> Pipeline:
    """The pipeline in a folder."""
    model = load_part(index, "unet")
    config = model.config
    height, width = state_size(options, config.sample_size, 1)
    network = Network(model)
    count = int(config.num_class_embeds) if network.takes_label else 0
    schedulers = Schedulers(Schedulers.at(index.path / "scheduler"), options.eta)
    shape = (same_channels(config), height, width)
    return system_of(
        index, network, Identity(), shape, schedulers, classes=tuple(str(i) for i in range(count)), guidance=1.0
    )
