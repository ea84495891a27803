"""Models as files: bundled ones, runs and exports, loaded by name or path."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ornstein.core.errors import CheckpointError, UsageError, suggest
from ornstein.recipes import registry
from ornstein.recipes.bundled import WEIGHTS as WEIGHTS
from ornstein.recipes.captions import Book
from ornstein.recipes.low_rank import reshape
from ornstein.recipes.registry import make_config
from ornstein.recipes.system import System
from ornstein.training.checkpoint import (
    PICKLES,
    Checkpoint,
    CheckpointWarning,
    latest_checkpoint,
    load_checkpoint,
    refuse_pickle,
    save_checkpoint,
)


def export(system: System, path: str | Path, about: Mapping[str, Any] | None = None, half: bool = True) -> Path:
    """Write a system's weights as a small checkpoint (float16 by default) to ship or to share."""
    tensors = {k: v.half() if half and v.is_floating_point() else v for k, v in system.modules.state_dict().items()}
    meta = {"recipe": system.recipe, "config": dataclasses.asdict(system.config), "about": dict(about or {})}
    saved = save_checkpoint(Path(path), {"model": tensors}, meta)
    if system.captions is not None:
        system.captions.save(saved)
    return saved


def load(what: str | Path) -> System:
    """A bundled model by name, a run folder, or a checkpoint folder.

    Raises:
        CheckpointError: torn, wrong hash, newer format, of another recipe's shape, or a pickle.
        UsageError: nothing of that name (the nearest is named).
    """
    bundled = bundled_models()
    if str(what) in bundled:
        return _restore(load_checkpoint(WEIGHTS / str(what)))
    path = Path(what)
    if not path.exists():
        if path.suffix in PICKLES:
            raise CheckpointError(f"{path} does not exist")
        raise UsageError(f"'{what}' is neither a bundled model nor an existing path: {suggest(str(what), bundled)}")
    if path.is_file():
        refuse_pickle(path)
        if path.name == "manifest.json" or path.suffix == ".safetensors":
            return _restore(load_checkpoint(path.parent))
        raise CheckpointError(f"{path} is no checkpoint; give a run folder or a checkpoint folder")
    if (path / "manifest.json").is_file():
        return _restore(load_checkpoint(path))
    found, torn = latest_checkpoint(path)
    if found is None:
        detail = "; ".join(torn) if torn else "it has no checkpoints"
        raise CheckpointError(f"{path} cannot be loaded: {detail}")
    for note in torn:
        warnings.warn(f"passed over a damaged checkpoint: {note}", CheckpointWarning, stacklevel=2)
    return _restore(found)


def bundled_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(p.name for p in WEIGHTS.iterdir() if (p / "manifest.json").is_file()) if WEIGHTS.is_dir() else []


def _restore(found: Checkpoint) -> System:
    recipe, config = recipe_of(found)
    try:
        card = registry.card(recipe)
    except UsageError as e:
        raise CheckpointError(f"{found.path} was made by a recipe that is not here: {e}") from e
    with torch.random.fork_rng(devices=[]):
        system = card.build(make_config(card.config, config))
    reshape(system, found.meta)
    tensors = {**found.parts.get("model", {}), **found.parts.get("ema", {})}
    modules = system.modules
    own = modules.state_dict()
    odd = sorted(set(own) ^ set(tensors)) or sorted(k for k in own if own[k].shape != tensors[k].shape)
    if odd:
        raise CheckpointError(
            f"the weights in {found.path} do not fit recipe '{system.recipe}': {len(odd)} differ, first '{odd[0]}'"
        )
    modules.load_state_dict({k: v.to(own[k].dtype) for k, v in tensors.items()})
    modules.eval()
    # A run keeps its captions beside its checkpoints' folder, an exported model beside its weights.
    system.captions = Book.read(found.path) or Book.read(found.path.parent.parent)
    part = "ema" if "ema" in found.parts else "model"
    progress = found.meta.get("progress", {})
    system.weights = {
        "hash": found.digest(part),
        "path": found.path.name,
        "ema": part == "ema",
        **{k: progress[k] for k in ("step", "seen") if k in progress},
        **found.meta.get("about", {}),
    }
    system.unfinished = _unfinished(system, progress)
    return system


def _unfinished(system: System, progress: Mapping[str, Any]) -> str:
    """What to say of a run that stopped before the stage that trains its denoiser; empty for all others."""
    trained = progress.get("trained")
    if trained is None or "denoiser" in trained or not any(p.requires_grad for p in system.denoiser.parameters()):
        return ""
    done = ", ".join(trained) or "nothing"
    return (
        f"this run of '{system.recipe}' stopped after {progress['step']} steps, before the stage that trains its denoiser "
        f"(trained so far: {done}); its samples would be noise. Go on with --resume and more --minutes or --steps, or make "
        "the stages before it shorter"
    )


def recipe_of(found: Checkpoint) -> tuple[str, dict[str, Any]]:
    """The recipe and the config that a checkpoint names."""
    try:
        return str(found.meta["recipe"]), dict(found.meta["config"])
    except (KeyError, TypeError, ValueError) as e:
        raise CheckpointError(f"{found.path} names no recipe and config: it was not written by ornstein train") from e
