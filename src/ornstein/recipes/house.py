"""Build and train systems by name: what ``import ornstein`` offers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from ornstein.core.errors import CheckpointError, OrnsteinError, UsageError
from ornstein.data import EDMAugment, Loader
from ornstein.recipes import registry
from ornstein.recipes.reading import Request, reader
from ornstein.recipes.registry import Card, make_config
from ornstein.recipes.saved import load, recipe_of
from ornstein.recipes.start import begun
from ornstein.recipes.system import System
from ornstein.training.checkpoint import (
    Checkpoint,
    checkpoints,
    latest_checkpoint,
    write_text,
)
from ornstein.training.distributed import Ranks
from ornstein.training.doctor.gradient import Watch
from ornstein.training.fit import Engine, Progress, Result, fit
from ornstein.training.snapshots import Snapshots

_ENDLESS = 10**9  # steps of a run that another budget ends


def recipes() -> list[Card]:
    """Every recipe: name, area, paper, claim."""
    return sorted(registry.cards().values(), key=lambda c: (c.area, c.name))


def build(
    name: str,
    *,
    data: Any = None,
    size: int | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> System:
    """A recipe's system, untrained: ``build("ddpm", data="digits", size=32)``.

    Fields of the config follow the data where ``data`` is given, and ``settings`` before all. ``seed`` fixes the initial
    weights.
    """
    card = registry.card(name)
    fields = {f.name for f in dataclasses.fields(card.config)}
    known: Mapping[str, Any] = {}
    if data is not None:
        asked = make_config(card.config, settings or {})
        request = Request(card=card, data=data, config=asked, given=settings or {}, size=size)
        known = {k: v for k, v in reader(card).settings(request).items() if k in fields}
    elif size is not None:
        known = {"size": size}
    config = make_config(card.config, {**known, **(settings or {})})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return card.build(config)


def train(
    name: str,
    *,
    data: Any,
    out: str | Path,
    size: int | None = None,
    settings: Mapping[str, Any] | None = None,
    minutes: float | None = None,
    kimg: float | None = None,
    steps: int | None = None,
    accumulate: int = 1,
    recompute: bool = False,
    compile: bool = False,
    sharded: bool = False,
    snapshots: int | None = None,
    workers: int = 0,
    seed: int = 0,
    resume: bool | None = None,
    strict: bool = False,
    device: str = "cpu",
    save_seconds: float = 300,
    captions: str | None = None,
    base: str | Path | None = None,
    lora: int | None = None,
    on_step: Callable[[Progress], None] | None = None,
    on_save: Callable[[System, int], None] | None = None,
) -> tuple[System, Result]:
    """Train a recipe on data into a run folder, and return the trained system with how it went.

    Args:
        data: a named set, a folder of images, an array file, or :class:`ornstein.data.Images`; for recipes of series a pandas
            frame, a ``.csv`` file, the name of a set of series, or a table of :mod:`ornstein.data.series`.
        out: the run folder; an existing run is resumed (``resume`` False refuses, True demands one).
        size: images are resized and cropped to this; default the data's own size, 32 for a folder.
        settings: fields of the recipe's config.
        minutes: stop after so much training time in all; ``kimg`` after so many thousands of images, ``steps`` after so
            many steps.
        accumulate: parts in which a batch goes through the network, where it does not fit in memory at once.
        recompute: trade time for memory: activations of the network's blocks are computed again in the backward pass.
        compile: ``torch.compile`` each of the network's blocks.
        sharded: under torchrun, divide weights, averages and optimiser states among the processes.
        snapshots: every so many steps store averages of which ``ornstein ema`` makes one of any width afterwards.
        workers: threads that prepare batches ahead; they change no batch.
        seed: of the weights, the data order and the noise.
        save_seconds: a checkpoint is written so often, and at the end.
        base: begin with the weights of this model (bundled, or a run), of the same recipe; its config holds where ``settings``
            say nothing else. Consistency models also take a model of ``edm``, as their teacher.
        lora: of the network train low-rank changes of this rank only; the run's ``adapter.safetensors`` holds them.
        captions: the encoder (``minilm``) by which the data's captions become a condition; a resumed run keeps its own.
        on_step: called after each step; ``on_save`` after each checkpoint, with the averaged weights in place.

    Raises:
        UsageError, DataError, CheckpointError: each names what is wrong and the remedy, before work is lost.
    """
    run = Path(out)
    card = registry.card(name)
    found = _existing(run, name, resume)
    given = dict(settings or {})
    if steps is not None:
        given["steps"] = steps
    start = begun(name, base, lora, found, given)
    asked = make_config(card.config, given)  # an unknown field is found before the data are read
    fields = {f.name for f in dataclasses.fields(card.config)}
    old = make_config(card.config, recipe_of(found)[1]) if found is not None else start.config
    request = Request(
        card=card,
        data=data,
        config=asked,
        given=given,
        former=old,
        run=run if found is not None else None,
        size=size,
        captions=captions,
        strict=strict,
    )
    reads = reader(card)
    read = reads.read(request)
    dataset, book = read.dataset, read.captions
    from_data = {k: v for k, v in read.settings.items() if k in fields}
    if "size" in given and asked.size != from_data["size"]:
        raise UsageError(f"the images were asked for at size {size}, the config has {asked.size}; give one of them")
    config = make_config(card.config, {**from_data, **given})
    if found is None and start.system is not None:
        config = start.config_for(dataset.name, from_data, given)
    endless = (minutes is not None or kimg is not None) and "steps" not in given
    if found is not None:
        config = _resumed_config(run, old, config, given)
        if minutes is None and kimg is None and "steps" not in given:
            minutes, kimg = found.meta.get("minutes"), found.meta.get("kimg")
        if snapshots is None:
            snapshots = found.meta.get("snapshots")
    if endless:
        config = dataclasses.replace(config, steps=_ENDLESS)
    half = getattr(config, "precision", None) == "fp16"
    if half and torch.device(device).type == "cpu":
        raise UsageError("precision=fp16 is for CUDA devices; on a CPU take bf16 or fp32")
    dataset = reads.training(config, dataset)
    ranks = Ranks.here()
    try:
        if ranks.main:
            run.mkdir(parents=True, exist_ok=True)
            about = {"recipe": name, "config": dataclasses.asdict(config), "data": dataset.name, "seed": seed}
            write_text(run / "config.json", json.dumps(about, indent=1))
            if book is not None and found is None:
                book.save(run)
    except OSError as e:
        raise OrnsteinError(f"cannot write to {run}: {e}. Choose another --out") from e
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        system = card.build(config)
        system.captions = book
        start.prepare(system)
        chance = getattr(config, "augment", 0.0)
        augment = EDMAugment(chance) if chance else None
        flip = getattr(config, "flip", False)
        loader = Loader(dataset, config.batch, seed, flip, ranks.rank, ranks.world, augment, workers)
        meta = {"recipe": name, "config": dataclasses.asdict(config), "data": _about(dataset), "seed": seed}
        meta |= {"minutes": minutes, "kimg": kimg, "snapshots": snapshots, **start.meta}
        engine = Engine(
            run=run,
            meta=meta,
            device=device,
            seed=seed,
            minutes=minutes,
            kimg=kimg,
            accumulate=accumulate,
            scale_loss=half,
            recompute=recompute,
            compile=compile,
            sharded=sharded,
            ema_half_life=config.ema_half_life,
            snapshots=Snapshots(snapshots) if snapshots is not None else None,
            save_every_seconds=save_seconds,
            resume=found is not None,
            callbacks=(Watch(),),
            on_step=on_step,
            on_save=(lambda step: on_save(system, step)) if on_save is not None else None,
        )
        result = fit(system.modules, start.checked(system.stages(loader)), engine)
    _quiet(system)
    if ranks.main:
        start.export(system, run)
    return load(run), result


def _about(data: Any) -> dict[str, Any]:
    return {"name": data.name, "images": len(data), "source": data.source, "hash": data.content_hash}


def _existing(run: Path, name: str, resume: bool | None) -> Checkpoint | None:
    """The latest whole checkpoint of the run in this folder, without its tensors; None where there is no run."""
    if not checkpoints(run):
        if resume:
            raise CheckpointError(f"{run} holds no run to resume; leave out --resume to start one")
        return None
    if resume is False:
        raise CheckpointError(f"{run} holds a run already: resume it (--resume), or choose another out")
    found, torn = latest_checkpoint(run, parts=())
    if found is None:
        raise CheckpointError(f"no checkpoint of {run} can be read: " + "; ".join(torn))
    recipe = recipe_of(found)[0]
    if recipe != name:
        raise CheckpointError(f"{run} is a run of recipe '{recipe}', not '{name}'; choose another out")
    return found


def _resumed_config(run: Path, old: Any, config: Any, given: Mapping[str, Any]) -> Any:
    """The config of the run that is resumed; only the length of training may change."""
    for key in given:
        if key != "steps" and getattr(old, key) != getattr(config, key):
            raise CheckpointError(
                f"{run} was started with {key}={getattr(old, key)!r} and cannot go on with {getattr(config, key)!r}; "
                "choose another out"
            )
    for key in ("size", "channels", "classes"):
        # classes () may be the user's wish on labelled data
        if getattr(old, key, None) != getattr(config, key, None) and key not in given and getattr(old, key):
            raise CheckpointError(
                f"{run} was trained on data of {key} {getattr(old, key)!r}, this data has {getattr(config, key)!r}; "
                "give the same data, or choose another out"
            )
    return dataclasses.replace(old, steps=config.steps) if "steps" in given else old


def _quiet(system: System) -> None:
    system.modules.eval()
