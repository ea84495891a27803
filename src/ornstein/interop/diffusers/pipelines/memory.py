"""Less memory for a pipeline: options by name, each at a price in time or in the last digits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from ornstein.core.errors import CapabilityError, UsageError, unknown
from ornstein.interop.adapters.places import parts_of
from ornstein.interop.diffusers.pipelines.narrowing import (
    COMPUTE,
    KINDS,
    STORED,
    VAE_BF16,
    halves,
    mapped,
    narrow,
    narrow_halves,
    store,
)
from ornstein.interop.diffusers.pipelines.networks import Autoencoder
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.interop.diffusers.prompts.t5 import T5Prompts

OPTIONS: dict[str, str] = {
    "attention-slicing": "attention of a few heads at a time: the same numbers, slower where there are many heads",
    "vae-slicing": "decode one picture of a batch at a time: the same numbers",
    "vae-tiling": "decode large pictures in overlapping tiles: small differences where tiles meet",
    "bf16": "network and text encoders compute in bfloat16: half the weights, about three digits",
    "fp16": "the same in float16, for accelerators",
    "stored-fp8": "weights are kept in float8 and each layer widens its own when it runs: a quarter, about one digit",
    "stored-bf16": "the same kept in bfloat16: half",
    "stored-fp16": "the same kept in float16: half, and exact for a checkpoint whose numbers are float16",
    VAE_BF16: "the autoencoder computes in bfloat16",
    "offload": "parts wait in the CPU's memory and go to the device only while they run",
}
"""Name -> what it does and what it costs"""


def checked(options: Sequence[str]) -> list[str]:
    """Options of :data:`OPTIONS`, each once.

    Raises:
        UsageError: an unknown option, or two that exclude each other.
    """
    chosen = list(dict.fromkeys(options))
    for name in chosen:
        if name not in OPTIONS:
            raise unknown("memory option", name, OPTIONS)
    kinds = [name for name in chosen if name in COMPUTE or name in STORED]
    if len(kinds) > 1:
        raise UsageError(f"{' and '.join(kinds)} are both about the type of the weights: give one of them")
    return chosen


def save_memory(system: Pipeline, options: Sequence[str], device: str | torch.device = "cpu") -> Pipeline:
    """Set options of :data:`OPTIONS` on a pipeline, in place.

    Args:
        device: where parts run with "offload"; the pipeline itself then stays on the CPU.

    Raises:
        UsageError: an unknown option, or two that exclude each other.
        CapabilityError: a system that is no pipeline, or a model without that option.
    """
    chosen = checked(options)
    if not isinstance(system, Pipeline):
        raise CapabilityError("memory options are for pipelines of the diffusers ecosystem")
    parts = parts_of(system)
    models = [*parts.values(), *_long(system)]
    for name in chosen:
        if name in COMPUTE:
            for model in models:
                narrow(model, COMPUTE[name])
        elif name in STORED:
            for model in models:
                store(model, STORED[name])
        elif name.startswith("vae-"):
            _vae(system, name)
        elif name == "attention-slicing":
            network = next(iter(parts.values()))
            _method(network, "set_attention_slice", name)("auto")
    if "offload" in chosen:
        for model in (*models, *(halves(system.codec.model) if isinstance(system.codec, Autoencoder) else ())):
            offload(model, torch.device(device))
    return system


def _method(model: nn.Module, method: str, name: str) -> Callable[..., Any]:
    found = getattr(model, method, None)
    if found is None:
        raise CapabilityError(f"a {type(model).__name__} has no {name}; leave it out")
    return found


def _vae(system: Pipeline, name: str) -> None:
    if not isinstance(system.codec, Autoencoder):
        raise CapabilityError(
            f"this pipeline draws without an autoencoder, so that '{name}' means nothing; leave it out"
        )
    if name == VAE_BF16:
        narrow_halves(system.codec.model)
        return
    _method(system.codec.model, "enable_slicing" if name == "vae-slicing" else "enable_tiling", name)()


def _long(system: Pipeline) -> list[nn.Module]:
    """The T5 encoders, which adapters leave alone."""
    reader = system.prompts
    return [] if reader is None else [m.encoder for m in reader.modules() if isinstance(m, T5Prompts)]


def offload(model: nn.Module, device: torch.device) -> None:
    """Move a model to a device before each call and back afterwards, with what goes in and comes out."""
    home = next(model.parameters()).device

    def before(module: nn.Module, args: Any, words: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        module.to(device)
        return mapped(args, lambda x: x.to(device)), mapped(words, lambda x: x.to(device))

    def after(module: nn.Module, args: Any, out: Any) -> Any:
        module.to(home)
        return mapped(out, lambda x: x.to(home))

    model.register_forward_pre_hook(before, with_kwargs=True)
    model.register_forward_hook(after)


def finish(system: Pipeline, options: Sequence[str], device: str | torch.device = "cpu") -> Pipeline:
    """Set the options of a pipeline whose parts were read in the types that the options ask for."""
    if VAE_BF16 in options and not isinstance(system.codec, Autoencoder):
        _vae(system, VAE_BF16)
    return save_memory(system, [name for name in options if name not in KINDS], device)


def weights_in_bytes(system: Pipeline) -> int:
    """What the weights of all parts take."""
    return sum(p.numel() * p.element_size() for p in system.modules.parameters())
