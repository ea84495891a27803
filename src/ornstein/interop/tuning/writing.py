"""Trained low-rank changes as files, in the dialects of diffusers, kohya and PEFT."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import torch
from safetensors.torch import save_file
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.interop.adapters.lora import CONFIG, WEIGHTS

Dialect = Literal["diffusers", "kohya", "peft"]
Changes = Mapping[str, tuple[Tensor, Tensor]]
"""module -> (down ``[r, in, ...]``, up ``[out, r, ...]``), whose product is the change"""


def write_lora(
    changes: Changes, path: Path, *, dialect: Dialect = "diffusers", part: str = "unet", base: str = ""
) -> Path:
    """Write an adapter; for "peft" a folder of that name without its suffix.

    Raises:
        UsageError: an unknown dialect.
    """
    if dialect not in get_args(Dialect):
        raise UsageError(f"a dialect is one of {', '.join(get_args(Dialect))}, got '{dialect}'")
    tensors: dict[str, Tensor] = {}
    for name, (down, up) in changes.items():
        rank = down.shape[0]
        if dialect == "kohya":
            head = f"lora_{part}_{name.replace('.', '_')}"
            tensors |= {f"{head}.lora_down.weight": down, f"{head}.lora_up.weight": up}
            tensors[f"{head}.alpha"] = torch.tensor(float(rank))
        else:
            head = f"{part}.{name}" if dialect == "diffusers" else f"base_model.model.{name}"
            tensors |= {f"{head}.lora_A.weight": down, f"{head}.lora_B.weight": up}
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    header = {"format": "pt", "ornstein_base": base}
    if dialect != "peft":
        save_file(tensors, path, header)
        return path
    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS, header)
    ranks = {name: down.shape[0] for name, (down, _) in changes.items()}
    rank = max(ranks.values())
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": rank,
        "target_modules": sorted(changes),
        "rank_pattern": {k: v for k, v in ranks.items() if v != rank},
        "alpha_pattern": {k: v for k, v in ranks.items() if v != rank},
        "bias": "none",
        "inference_mode": True,
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2), encoding="utf-8")
    return folder
