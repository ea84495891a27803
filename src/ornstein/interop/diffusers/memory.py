"""Less memory for a pipeline: options by name, each at a price in time or in the last digits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ornstein.core.errors import CapabilityError, UsageError, unknown
from ornstein.interop.adapters.places import parts_of
from ornstein.interop.diffusers.networks import Autoencoder
from ornstein.interop.diffusers.system import Pipeline

COMPUTE = {"bf16": torch.bfloat16, "fp16": torch.float16}
STORED = {"stored-fp8": torch.float8_e4m3fn, "stored-bf16": torch.bfloat16, "stored-fp16": torch.float16}

OPTIONS: dict[str, str] = {
    "attention-slicing": "attention of a few heads at a time: the same numbers, slower where there are many heads",
    "vae-slicing": "decode one picture of a batch at a time: the same numbers",
    "vae-tiling": "decode large pictures in overlapping tiles: small differences where tiles meet",
    "bf16": "network and text encoders compute in bfloat16: half the weights, about three digits",
    "fp16": "the same in float16, for accelerators",
    "stored-fp8": "weights are kept in float8 and each layer widens its own when it runs: a quarter, about one digit",
    "stored-bf16": "the same kept in bfloat16: half",
    "stored-fp16": "the same kept in float16: half, and exact for a checkpoint whose numbers are float16",
    "offload": "parts wait in the CPU's memory and go to the device only while they run",
}
"""Name -> what it does and what it costs"""


def save_memory(system: Pipeline, options: Sequence[str], device: str | torch.device = "cpu") -> Pipeline:
    """Set options of :data:`OPTIONS` on a pipeline, in place.

    Args:
        device: where parts run with "offload"; the pipeline itself then stays on the CPU.

    Raises:
        UsageError: an unknown option, or two that exclude each other.
        CapabilityError: a system that is no pipeline, or a model without that option.
    """
    chosen = list(dict.fromkeys(options))
    for name in chosen:
        if name not in OPTIONS:
            raise unknown("memory option", name, OPTIONS)
    kinds = [name for name in chosen if name in COMPUTE or name in STORED]
    if len(kinds) > 1:
        raise UsageError(f"{' and '.join(kinds)} are both about the type of the weights: give one of them")
    if not isinstance(system, Pipeline):
        raise CapabilityError("memory options are for pipelines of the diffusers ecosystem")
    parts = parts_of(system)
    for name in chosen:
        if name in COMPUTE:
            for model in parts.values():
                narrow(model, COMPUTE[name])
        elif name in STORED:
            _stored(parts, STORED[name])
        elif name.startswith("vae-"):
            _vae(system, name)
        elif name == "attention-slicing":
            network = next(iter(parts.values()))
            _method(network, "set_attention_slice", name)("auto")
    if "offload" in chosen:
        for model in (*parts.values(), *_halves(system)):
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
    _method(system.codec.model, "enable_slicing" if name == "vae-slicing" else "enable_tiling", name)()


def _halves(system: Pipeline) -> tuple[nn.Module, ...]:
    """The parts of an autoencoder that are called by themselves."""
    if not isinstance(system.codec, Autoencoder):
        return ()
    model = system.codec.model
    return tuple(m for m in (model.encoder, model.decoder, model.quant_conv, model.post_quant_conv) if m is not None)


def narrow(model: nn.Module, dtype: torch.dtype) -> None:
    """Let a model compute in another type; what it is given is cast, and what it gives is float32 again."""
    nn.Module.to(model, dtype)  # diffusers' own warns of parts that are to stay in float32, of which it has none

    def before(module: nn.Module, args: Any, words: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return cast_floats(args, dtype), cast_floats(words, dtype)

    model.register_forward_pre_hook(before, with_kwargs=True)
    model.register_forward_hook(lambda module, args, out: cast_floats(out, torch.float32))


def cast_floats(value: Any, dtype: torch.dtype) -> Any:
    """The floating tensors in tuples, lists and mappings in another type."""
    return _mapped(value, lambda x: x.to(dtype) if x.is_floating_point() else x)


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        done = {k: _mapped(v, change) for k, v in value.items()}
        # Outputs of transformers and diffusers are mappings with a class of their own.
        return done if type(value) is dict else type(value)(**done)
    if isinstance(value, tuple | list):
        return type(value)(_mapped(v, change) for v in value)
    return value


def _stored(parts: Mapping[str, nn.Module], dtype: torch.dtype) -> None:
    from diffusers.hooks.layerwise_casting import apply_layerwise_casting

    for model in parts.values():
        # Norms are small and sensitive: they stay as they are.
        apply_layerwise_casting(model, dtype, torch.float32, skip_modules_pattern=("norm", "embed", "ln_"))


def offload(model: nn.Module, device: torch.device) -> None:
    """Move a model to a device before each call and back afterwards, with what goes in and comes out."""
    home = next(model.parameters()).device

    def before(module: nn.Module, args: Any, words: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        module.to(device)
        return _mapped(args, lambda x: x.to(device)), _mapped(words, lambda x: x.to(device))

    def after(module: nn.Module, args: Any, out: Any) -> Any:
        module.to(home)
        return _mapped(out, lambda x: x.to(home))

    model.register_forward_pre_hook(before, with_kwargs=True)
    model.register_forward_hook(after)


def weights_in_bytes(system: Pipeline) -> int:
    """What the weights of all parts take."""
    return sum(p.numel() * p.element_size() for p in system.modules.parameters())
