"""LoRA and its kin on a system: read, checked against the base, merged with weights, taken back to the bit."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ornstein.core.errors import CheckpointError, UsageError
from ornstein.interop.adapters import dialects
from ornstein.interop.adapters.changes import Change, Normed
from ornstein.interop.adapters.dialects import Place, Scales
from ornstein.interop.adapters.places import Places, parts_of, resolved
from ornstein.interop.files.weights import read_file, read_metadata
from ornstein.recipes.system import System
from ornstein.training.checkpoint import refuse_pickle

Target = tuple[str, str]
"""(part, module)"""
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
WIDTHS = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 2048: "SDXL"}
HEADERS = ("modelspec.architecture", "ss_base_model_version", "ss_sd_model_name", "ornstein_base")


@dataclass(frozen=True)
class Adapter:
    """The changes in a file, by the modules that the file names."""

    name: str
    changes: Mapping[Place, Change]
    base: str
    """what it says of the model that it was made for"""


def read_adapter(path: str | Path) -> Adapter:
    """A ``.safetensors`` file, or a folder of PEFT or of a pipeline's LoRA.

    Raises:
        CheckpointError: not there, a pickle, or no adapter.
    """
    path = Path(path)
    config: dict[str, Any] = {}
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        if (path / CONFIG).is_file():
            config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
        named = [f for f in files if f.name in (WEIGHTS, "pytorch_lora_weights.safetensors", "adapter.safetensors")]
        if len(named or files) != 1:
            raise CheckpointError(f"{path} holds {len(files)} .safetensors files; give the adapter's own")
        path = (named or files)[0]
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist")
    refuse_pickle(path)
    metadata = read_metadata(path)
    scales = Scales(config) if config else dialects.scales_of(metadata)
    try:
        changes = dialects.read(read_file(path), scales)
    except CheckpointError as e:
        raise CheckpointError(f"{path}: {e}") from e
    told = [metadata[k] for k in HEADERS if metadata.get(k)] + [config.get("base_model_name_or_path") or ""]
    return Adapter(
        path.name if not config else path.parent.name, changes, _described(changes, next(filter(None, told), ""))
    )


def _described(changes: Mapping[Place, Change], told: str) -> str:
    """The base that an adapter was made for: what it says, and the text's width that its attention reads."""
    widths = {c.inside for p, c in changes.items() if p.name.endswith(("attn2.to_k", "attn2_to_k"))} - {None}
    width = next(iter(widths)) if len(widths) == 1 else None
    family = f"{WIDTHS.get(int(width), 'a model')} (texts of width {width})" if width else ""
    return ", ".join(filter(None, (told, family))) or "a model that it does not name"


def base_of(system: System) -> str:
    """The same for a system."""
    parts = parts_of(system)
    config: Any = getattr(parts.get("unet"), "config", None)
    width = getattr(config, "cross_attention_dim", None)
    told = getattr(system.config, "pipeline", None) or f"a '{system.recipe}' system"
    return f"{told}, {WIDTHS.get(width, 'a model')} (texts of width {width})" if isinstance(width, int) else str(told)


def targets(adapter: Adapter, system: System) -> dict[Target, Change]:
    """An adapter's changes by the modules of a system.

    Raises:
        CheckpointError: modules that the system lacks, or of other shapes: both bases are named.
    """
    parts = parts_of(system)
    places = {part: Places(part, model) for part, model in parts.items()}
    out: dict[Target, Change] = {}
    missing, wrong = [], []
    for place, change in adapter.changes.items():
        target = resolved(place, places)
        if target is None:
            missing.append(".".join(filter(None, (place.part, place.name))))
            continue
        try:
            change.applied(torch.empty(parts[target[0]].get_parameter(f"{target[1]}.weight").shape))
        except (ValueError, RuntimeError) as e:
            wrong.append(f"{target[1]} ({e})")
        out[target] = change
    if missing or wrong:
        lists = ((missing, "are not in the base"), (wrong, "are of another shape"))
        text = "; ".join(
            f"{len(n)} of its {len(adapter.changes)} modules {w}: {', '.join(n[:4])}" for n, w in lists if n
        )
        raise CheckpointError(
            f"the adapter {adapter.name} was made for {adapter.base} and does not fit {base_of(system)}: {text}"
        )
    return out


def combined(weight: Tensor, changes: Iterable[tuple[Change, float]]) -> Tensor:
    r"""W + sum_k w_k (change_k(W) - W), in the weight's type; each change is of the base, so that their order is nothing."""
    total = weight.float()
    for change, strength in changes:
        if isinstance(change, Normed):
            total = total + strength * (change.applied(weight) - weight.float())
        else:
            total = total + strength * change.delta(weight.shape).to(total.device)
    return total.to(weight.dtype)


@torch.no_grad()
def merge(system: System, adapters: Sequence[tuple[Adapter, float]]) -> dict[Target, nn.Parameter]:
    """Change a system's weights in place; returns the parameters that were there, for :func:`restore`."""
    parts = parts_of(system)
    every: dict[Target, list[tuple[Change, float]]] = {}
    for adapter, strength in adapters:
        for target, change in targets(adapter, system).items():
            if strength != 0:
                every.setdefault(target, []).append((change, strength))
    base = {}
    for (part, module), changes in every.items():
        owner = parts[part].get_submodule(module)
        base[part, module] = weight = owner.weight
        assert isinstance(weight, nn.Parameter)
        owner.weight = nn.Parameter(combined(weight, changes), requires_grad=weight.requires_grad)
    return base  # type: ignore[return-value]


def restore(system: System, base: Mapping[Target, nn.Parameter]) -> None:
    """Put back the parameters that :func:`merge` returned: the very same, to the bit."""
    parts = parts_of(system)
    for (part, module), weight in base.items():
        parts[part].get_submodule(module).weight = weight


def with_lora(system: Any, *adapters: str | Path | Adapter | tuple[str | Path | Adapter, float]) -> Any:
    """A system with adapters merged into it; the one given stays as it is, and they share all other weights.

    Args:
        adapters: files, or (file, weight); several are added up.

    Raises:
        CheckpointError: a file that is no adapter, or one of another base (both are named).
    """
    pairs = [a if isinstance(a, tuple) else (a, 1.0) for a in adapters]
    read = [(a if isinstance(a, Adapter) else read_adapter(a), float(w)) for a, w in pairs]
    made = shared(system)
    merge(made, read)
    listed = [*system.weights.get("adapters", []), *({"name": a.name, "weight": w} for a, w in read)]
    made.weights = {**system.weights, "adapters": listed}
    return made


def shared(system: Any) -> Any:
    """A copy of a system whose modules are its own and whose tensors are shared."""
    if not isinstance(system, System):
        raise UsageError(f"adapters are for systems, got {type(system).__name__}")
    keep: list[object] = [system.denoiser.process]
    modules = nn.ModuleList([system.modules])
    for m in modules.modules():
        keep += [*m.parameters(recurse=False), *m.buffers(recurse=False)]
        keep += [v for k, v in vars(m).items() if k in ("tokenizer", "process", "parametrization")]
    memo: dict[int, Any] = {id(x): x for x in keep}
    denoiser = copy.deepcopy(system.denoiser, memo)
    extra = {name: copy.deepcopy(module, memo) for name, module in system.extra.items()}
    changes: dict[str, Any] = {"denoiser": denoiser, "extra": extra}
    reader = getattr(system, "prompts", None)
    if isinstance(reader, nn.Module):
        changes["prompts"] = copy.deepcopy(reader, memo)  # the memo gives the copy that is in extra
    return replace(system, **changes)


def parse(text: str) -> tuple[str, float]:
    """``FILE[:WEIGHT]`` of the command line.

    Raises:
        UsageError: the weight is no number.
    """
    path, colon, number = text.rpartition(":")
    if not colon or Path(text).exists():
        return text, 1.0
    try:
        return path, float(number)
    except ValueError as e:
        raise UsageError(f"--lora takes FILE or FILE:WEIGHT, got '{text}'") from e
