"""Weights in smaller types: computed in as they are, or widened layer by layer as they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

COMPUTE = {"bf16": torch.bfloat16, "fp16": torch.float16}
STORED = {"stored-fp8": torch.float8_e4m3fn, "stored-bf16": torch.bfloat16, "stored-fp16": torch.float16}
VAE_BF16 = "vae-bf16"
KINDS = (*COMPUTE, *STORED, VAE_BF16)
"""Options that are about the type of the weights"""


def preparing(options: Sequence[str]) -> Callable[[str, nn.Module], None]:
    """What makes a part of a folder small while it is empty, so that its weights are read in the type that stays."""

    def prepare(part: str, model: nn.Module) -> None:
        for name in options:
            if part == "vae":
                if name == VAE_BF16:
                    narrow_halves(model)
            elif part in ("unet", "transformer") or part.startswith("text_encoder"):
                if name in COMPUTE:
                    narrow(model, COMPUTE[name])
                elif name in STORED:
                    store(model, STORED[name])

    return prepare


def narrow(model: nn.Module, dtype: torch.dtype) -> None:
    """Let a model compute in another type; what it is given is cast, and what it gives is float32 again."""
    # T5's values leave float16's range at these layers, and the class knows how to run with them in float32.
    kept = set(getattr(model, "_keep_in_fp32_modules", None) or ()) if dtype == torch.float16 else set()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_floating_point() and not kept & set(name.split(".")):
            tensor.data = tensor.data.to(dtype)

    def before(module: nn.Module, args: Any, words: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return cast_floats(args, dtype), cast_floats(words, dtype)

    model.register_forward_pre_hook(before, with_kwargs=True)
    model.register_forward_hook(lambda module, args, out: cast_floats(out, torch.float32))


def narrow_halves(model: Any) -> None:
    """An autoencoder whose halves compute in bfloat16."""
    for half in halves(model):
        narrow(half, torch.bfloat16)


def halves(model: Any) -> tuple[nn.Module, ...]:
    """The parts of an autoencoder that are called by themselves."""
    return tuple(m for m in (model.encoder, model.decoder, model.quant_conv, model.post_quant_conv) if m is not None)


def store(model: nn.Module, dtype: torch.dtype) -> None:
    """Keep the weights of matrices and convolutions in another type; each layer widens its own when it runs."""
    from diffusers.hooks.layerwise_casting import apply_layerwise_casting

    # Norms are small and sensitive, and embeddings are looked up in whole: they stay as they are (`shared` is T5's). T5 casts
    # what goes into `wo` to the type of its weight.
    skipped = ("norm", "embed", "ln_", r"\bshared$", r"\bwo$")
    apply_layerwise_casting(model, dtype, torch.float32, skip_modules_pattern=skipped)


def cast_floats(value: Any, dtype: torch.dtype) -> Any:
    """The floating tensors in tuples, lists and mappings in another type."""
    return mapped(value, lambda x: x.to(dtype) if x.is_floating_point() else x)


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        done = {k: mapped(v, change) for k, v in value.items()}
        # Outputs of transformers and diffusers are mappings with a class of their own.
        return done if type(value) is dict else type(value)(**done)
    if isinstance(value, tuple | list):
        return type(value)(mapped(v, change) for v in value)
    return value
