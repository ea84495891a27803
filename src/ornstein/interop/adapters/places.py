"""From the names in an adapter to the modules of a model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from ornstein.interop.adapters.dialects import Place
from ornstein.interop.diffusers.prompts.clip import Prompts
from ornstein.interop.files.clip_names import PREFIX
from ornstein.interop.files.unet_names import Layout, unet_names
from ornstein.recipes.system import System

OLD_ENCODER = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}


def parts_of(system: System) -> dict[str, nn.Module]:
    """The models that adapters may change: the network and the text encoders."""
    network: Any = getattr(system.denoiser, "network", None)
    if network is None:
        return {}
    model = getattr(network, "model", None)
    if model is None:
        return {"network": network}
    out: dict[str, nn.Module] = {"transformer" if "Transformer" in type(model).__name__ else "unet": model}
    reader = getattr(system, "prompts", None)
    encoders = [m.encoder for m in reader.modules() if isinstance(m, Prompts)] if isinstance(reader, nn.Module) else []
    out |= {f"text_encoder{'' if i == 0 else f'_{i + 1}'}": encoder for i, encoder in enumerate(encoders)}
    return out


class Places:
    """The weights of one model by every name that a dialect has for them."""

    def __init__(self, part: str, model: nn.Module):
        self.part = part
        self.weights = {n.removesuffix(".weight") for n, _ in model.named_parameters() if n.endswith(".weight")}
        self._flat = {n.replace(".", "_"): n for n in self.weights}
        if part == "unet" and any(n.startswith("mid_block.resnets") for n in self.weights):
            names = unet_names(Layout.of_diffusers(f"{n}.weight" for n in self.weights))
            self._flat |= {a.replace(".", "_"): n for n in self.weights if (a := names.back(n))}

    def find(self, name: str) -> str | None:
        """The module that a file calls so; None if it is not this model's."""
        if self.part.startswith("text_encoder"):
            name = re.sub(
                r"self_attn[._](to_q|to_k|to_v|to_out)$", lambda m: m[0].replace(m[1], OLD_ENCODER[m[1]]), name
            )
        for guess in (name, name.replace(".processor.", "."), f"{name.replace('.processor.', '.')}.0"):
            for form in (guess, guess.removeprefix(PREFIX), PREFIX + guess):
                if form in self.weights:
                    return form
        flat = name.replace(".", "_")
        for form in (flat, flat.removeprefix("text_model_"), "text_model_" + flat):
            if form in self._flat:
                return self._flat[form]
        return None


def resolved(place: Place, places: Mapping[str, Places]) -> tuple[str, str] | None:
    """(part, module) of the model; None where there is no such module."""
    for part in [place.part] if place.part else list(places):
        if part in places and (found := places[part].find(place.name)) is not None:
            return part, found
    if place.part == "unet" and "transformer" in places:
        found = places["transformer"].find(place.name)
        return None if found is None else ("transformer", found)
    return None
