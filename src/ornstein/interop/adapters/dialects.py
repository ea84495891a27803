"""How the tools name the tensors of an adapter: PEFT, kohya (with LyCORIS) and diffusers, old and new.

A tensor's name is a module and a role. Modules are written with dots, or with underscores for dots (kohya), after a word for the
part of the pipeline.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ornstein.core.errors import CheckpointError
from ornstein.interop.adapters.changes import Change, Hadamard, Kronecker, LowRank, Normed, Whole
from ornstein.interop.adapters.changes import factor as product

ROLES: dict[str, str] = {
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".lora_A.default.weight": "down",
    ".lora_B.default.weight": "up",
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    ".lora_mid.weight": "mid",
    ".lora.down.weight": "down",
    ".lora.up.weight": "up",
    ".lora_linear_layer.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    "_lora.down.weight": "down",
    "_lora.up.weight": "up",
    ".alpha": "alpha",
    ".dora_scale": "magnitude",
    ".lora_magnitude_vector": "magnitude",
    ".lora_magnitude_vector.weight": "magnitude",
    ".lora_magnitude_vector.default.weight": "magnitude",
    ".diff": "diff",
    **{f".hada_{n}": n for n in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
    **{f".lokr_{n}": f"k_{n}" for n in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")},
}
"""Ending of a name -> role"""

PARTS: dict[str, str] = {
    "base_model.model.": "",
    "unet.": "unet",
    "transformer.": "transformer",
    "network.": "network",
    "text_encoder.": "text_encoder",
    "text_encoder_2.": "text_encoder_2",
    "lora_unet_": "unet",
    "lora_transformer_": "transformer",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
    "lora_te_": "text_encoder",
    "lycoris_": "",
}
"""Beginning of a name -> part of the pipeline; empty where only the modules tell"""


@dataclass(frozen=True)
class Place:
    """A module as a file names it: the part (empty where it is not said) and the name in it."""

    part: str
    name: str


@dataclass
class Scales:
    """What says how strong a change is where no tensor ``alpha`` does."""

    config: Mapping[str, Any] = field(default_factory=dict)
    """PEFT's adapter_config.json"""
    by_part: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """the same for each part, as diffusers keeps it in a file's header"""

    def of(self, place: Place, rank: int) -> float:
        """The factor of a change of this rank."""
        config = self.by_part.get(place.part, self.config)
        if not config:
            return 1.0
        alpha = _pattern(config.get("alpha_pattern"), place.name, config.get("lora_alpha", config.get("alpha", rank)))
        number = _pattern(config.get("rank_pattern"), place.name, config.get("r", rank))
        return float(alpha) / (math.sqrt(number) if config.get("use_rslora") else float(number))


def _pattern(patterns: Any, name: str, otherwise: Any) -> Any:
    for pattern, value in (patterns or {}).items():
        if re.search(rf"(^|.*\.){re.escape(pattern)}$", name):
            return value
    return otherwise


def scales_of(metadata: Mapping[str, str]) -> Scales:
    """From a file's header, as diffusers writes it."""
    text = metadata.get("lora_adapter_metadata")
    if not text:
        return Scales()
    by_part: dict[str, dict[str, Any]] = {}
    for name, value in json.loads(text).items():
        part, _, key = name.partition(".")
        by_part.setdefault(part, {})[key] = value
    return Scales(by_part=by_part)


def place_of(name: str) -> tuple[Place, str] | None:
    """Module and role of a tensor's name; None where it has no role."""
    ending = max((e for e in ROLES if name.endswith(e)), key=len, default=None)
    if ending is None:
        return None
    module, part = name[: -len(ending)], ""
    for head, meant in PARTS.items():
        if module.startswith(head):
            module, part = module[len(head) :], part or meant
    return Place(part, module), ROLES[ending]


def read(tensors: Mapping[str, Tensor], scales: Scales) -> dict[Place, Change]:
    """The changes in a file, by the modules that it names.

    Raises:
        CheckpointError: tensors without a role, or a module that lacks some (they are listed).
    """
    roles: dict[Place, dict[str, Tensor]] = {}
    odd = []
    for name, value in tensors.items():
        found = place_of(name)
        if found is None:
            odd.append(name)
        else:
            roles.setdefault(found[0], {})[found[1]] = value
    if odd or not roles:
        what = (
            f"{len(odd)} tensors have names that no adapter has: {', '.join(odd[:5])}" if odd else "it has no tensors"
        )
        raise CheckpointError(f"this is no LoRA, LoHa, LoKr or DoRA: {what}")
    return {place: _change(place, has, scales) for place, has in roles.items()}


def _change(place: Place, has: Mapping[str, Tensor], scales: Scales) -> Change:
    def scale(rank: int) -> float:
        return float(has["alpha"]) / rank if "alpha" in has else scales.of(place, rank)

    if {"up", "down"} <= has.keys():
        change: Change = LowRank(has["up"], has["down"], scale(has["down"].shape[0]), has.get("mid"))
    elif {"w1_a", "w1_b", "w2_a", "w2_b"} <= has.keys():
        t1, t2 = has.get("t1"), has.get("t2")
        change = Hadamard(has["w1_a"], has["w1_b"], has["w2_a"], has["w2_b"], scale(has["w1_b"].shape[0]), t1, t2)
    elif any(k.startswith("k_") for k in has):
        change = _kronecker(place, has, scales)
    elif "diff" in has:
        change = Whole(has["diff"])
    else:
        raise CheckpointError(
            f"the adapter's module {place.name} has {', '.join(sorted(has))} alone; others are missing"
        )
    if "magnitude" not in has:
        return change
    # One number per output: [out], [out, 1], and PEFT's [1, out, 1, 1] of convolutions; [1, in] is per input.
    m = has["magnitude"]
    return Normed(change, m, by_input=m.ndim in (2, 4) and m.shape[0] == 1 and not _per_output(has))


def _per_output(has: Mapping[str, Tensor]) -> bool:
    return has["magnitude"].ndim == 4 and "up" in has and has["up"].shape[0] == has["magnitude"].shape[1]


def _kronecker(place: Place, has: Mapping[str, Tensor], scales: Scales) -> Kronecker:
    rank = None

    def piece(name: str) -> Tensor:
        nonlocal rank
        if f"k_{name}" in has:
            return has[f"k_{name}"]
        if not {f"k_{name}_a", f"k_{name}_b"} <= has.keys():
            raise CheckpointError(f"the adapter's module {place.name} lacks lokr_{name}")
        a, b = has[f"k_{name}_a"], has[f"k_{name}_b"]
        rank = b.shape[0]
        if name == "w2" and "k_t2" in has:
            return product(a, b, has["k_t2"])
        return (a.float() @ b.float().flatten(1)).reshape(len(a), *b.shape[1:])

    one, two = piece("w1"), piece("w2")
    if "alpha" in has:
        # LyCORIS does not scale where neither factor is divided.
        return Kronecker(one, two, 1.0 if rank is None else float(has["alpha"]) / rank)
    return Kronecker(one, two, scales.of(place, rank or int(scales.config.get("r", 1))))
