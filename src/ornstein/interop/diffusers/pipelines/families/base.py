"""What the families share: what a caller may ask of a folder, and the System that comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from ornstein.codecs.base import Codec
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.interop.diffusers.pipelines.folder import Index
from ornstein.interop.diffusers.pipelines.networks import Autoencoder
from ornstein.interop.diffusers.pipelines.pictures import Given
from ornstein.interop.diffusers.pipelines.swap import Schedulers
from ornstein.interop.diffusers.pipelines.system import FolderConfig, Pipeline, untrained
from ornstein.interop.diffusers.prompts.reader import Reader
from ornstein.interop.diffusers.schedulers.classes import Scheduler
from ornstein.samplers.table import get


@dataclass(frozen=True)
class Options:
    """What a caller may ask of a folder."""

    eta: float = 0.0
    """of DDIM, which keeps it out of its file"""
    size: tuple[int, int] | None = None
    """height and width of the pictures; that of training by default"""


def state_size(
    options: Options, trained: int | tuple[int, int] | list[int], reduction: int, step: int = 1
) -> tuple[int, int]:
    """Height and width of the state: those of training, or those of pictures of the size asked for.

    Raises:
        UsageError: a size that the autoencoder does not divide into latents, in whole patches of ``step``.
    """
    if options.size is None:
        return (trained, trained) if isinstance(trained, int) else (int(trained[0]), int(trained[1]))
    unit = reduction * step
    if min(options.size) < unit or any(side % unit for side in options.size):
        raise UsageError(
            f"size must be multiples of {unit} pixels for this model, got {options.size[0]} x {options.size[1]}"
        )
    return options.size[0] // reduction, options.size[1] // reduction


def system_of(
    index: Index,
    network: nn.Module,
    codec: Codec,
    shape: tuple[int, int, int],
    schedulers: Schedulers | None,
    *,
    prompts: Reader | None = None,
    classes: tuple[str, ...] = (),
    guidance: float = 1.0,
    steps: int = 50,
    given: Given | None = None,
    tells_scale: bool = False,
    own: Scheduler | None = None,
    names: Mapping[str, int] | None = None,
) -> Pipeline:
    """The parts, assembled; ``own`` is the folder's scheduler where ``schedulers`` does not read it."""
    if own is None:
        assert schedulers is not None
        own = schedulers.own()
    _, height, width = shape
    data = (3, height * codec.reduction, width * codec.reduction) if isinstance(codec, Autoencoder) else shape
    extra: dict[str, nn.Module] = {} if prompts is None else {"prompts": prompts}
    system = Pipeline(
        recipe="diffusers",
        config=FolderConfig(index.pipeline, own.name, dict(own.options)),
        codec=codec,
        denoiser=Preconditioned(network, own.process, own.parametrization),
        shape=shape,
        training=untrained,
        sampler=get("ddim"),
        steps=steps,
        classes=classes,
        guidance=guidance,
        extra=extra,
        data_shape=data,
        weights={"path": index.path.name},
        scheduler=own,
        prompts=prompts,
        schedulers=schedulers,
        given=given or Given(),
        tells_scale=tells_scale,
        names=names or {},
    )
    system.modules.eval()
    return system


def same_channels(config: Any, beside: int = 0) -> int:
    """The channels of the state.

    Raises:
        CapabilityError: the network does not give as many channels as it takes, those beside the state left out, nor twice as
            many, which is a variance as well.
    """
    taken, gives = int(config.in_channels) - beside, int(config.out_channels)
    if gives not in (taken, 2 * taken):
        raise CapabilityError(f"the network takes {config.in_channels} channels and gives {gives}: not served")
    return taken
