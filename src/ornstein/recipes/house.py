"""Build, train and load systems by name: what ``import ornstein`` offers."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from ornstein.core.errors import CheckpointError, DataError, OrnsteinError, UsageError, suggest
from ornstein.data import EDMAugment, Images, Loader, open_data
from ornstein.recipes import registry
from ornstein.recipes.bundled import WEIGHTS as WEIGHTS
from ornstein.recipes.captions import CONDITION, Book, embed
from ornstein.recipes.registry import Card, make_config
from ornstein.recipes.start import begun, reshape
from ornstein.recipes.system import System
from ornstein.training.checkpoint import (
    PICKLES,
    Checkpoint,
    CheckpointWarning,
    checkpoints,
    latest_checkpoint,
    load_checkpoint,
    refuse_pickle,
    save_checkpoint,
    write_text,
)
from ornstein.training.distributed import Ranks
from ornstein.training.doctor.gradient import Watch
from ornstein.training.fit import Engine, Progress, Result, fit
from ornstein.training.snapshots import Snapshots

SERIES = "series"
"""The area of recipes that take tables of series in place of images."""
_ENDLESS = 10**9  # steps of a run that another budget ends


def recipes() -> list[Card]:
    """Every recipe: name, area, paper, claim."""
    return sorted(registry.cards().values(), key=lambda c: (c.area, c.name))


def data_settings(images: Images) -> dict[str, Any]:
    """What a config takes from the data: size, channels, classes, and the standard deviation in [-1, 1]."""
    channels, height, width = images.shape
    if height != width:
        raise UsageError(f"images are {height} x {width}; recipes take square ones: pass size")
    part = torch.from_numpy(images.x[:: max(len(images) // 2000, 1)].copy()).float() / 127.5 - 1
    if part.std() < 1e-3:
        raise DataError(
            f"all pixels of '{images.name}' have nearly one value; there is nothing to learn: check the images"
        )
    return {
        "size": height,
        "channels": channels,
        "classes": tuple(images.classes),
        "data_std": max(round(float(part.std()), 3), 0.001),
        "caption_width": int(images.conds[CONDITION].shape[1]) if CONDITION in images.conds else 0,
    }


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
    known: dict[str, Any] = {}
    if data is not None and card.area == SERIES:
        from ornstein.recipes.series.data import open_table, settings_of

        asked = make_config(card.config, settings or {})
        known = {k: v for k, v in settings_of(open_table(data, asked, settings or {})).items() if k in fields}
    elif data is not None:
        known = {k: v for k, v in data_settings(open_data(data, size=size)).items() if k in fields}
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
    old = make_config(card.config, _meta(found)[1]) if found is not None else start.config
    book: Book | None = None
    dataset: Any
    if card.area == SERIES:
        dataset, from_data = _read_series(data, asked if old is None else old, given, old, captions or size)
    else:
        known = run if found is not None else None
        dataset, from_data, book = _read_images(name, data, known, given, asked, old, size, captions, fields, strict)
    from_data = {k: v for k, v in from_data.items() if k in fields}
    if "size" in given and asked.size != from_data["size"]:
        raise UsageError(f"the images were asked for at size {size}, the config has {asked.size}; give one of them")
    config = make_config(card.config, {**from_data, **given})
    if found is None and start.system is not None:
        config = start.config_for(name, dataset.name, from_data, given)
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
    if card.area == SERIES:
        from ornstein.recipes.series.data import training_windows

        dataset = training_windows(config, dataset)
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


def _read_images(
    name: str,
    data: Any,
    run: Path | None,
    given: Mapping[str, Any],
    asked: Any,
    old: Any,
    size: int | None,
    captions: str | None,
    fields: Collection[str],
    strict: bool,
) -> tuple[Images, dict[str, Any], Book | None]:
    """The images, what the config takes from them, and their captions where the recipe reads those."""
    size = size if size is not None else _wish("size", given, asked, old)
    images = open_data(data, size=size, channels=_wish("channels", given, asked, old), strict=strict)
    book = Book.read(run) if run is not None else None
    if book is not None or captions is not None:
        if "caption_width" not in fields:
            raise UsageError(f"recipe '{name}' takes no captions; leave captions out")
        images, book = embed(images, captions or (book.encoder if book is not None else ""), book)
    return images, data_settings(images), book


def _read_series(
    data: Any, asked: Any, given: Mapping[str, Any], old: Any, of_images: object
) -> tuple[Any, dict[str, Any]]:
    """The table of series, and what the config takes from it; a resumed run keeps its columns."""
    from ornstein.recipes.series.data import open_table, settings_of

    if of_images is not None:
        raise UsageError("size and captions are for images; leave them out")
    table = open_table(data, asked, given if old is None else ("columns",))
    return table, settings_of(table)


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
    recipe = _meta(found)[0]
    if recipe != name:
        raise CheckpointError(f"{run} is a run of recipe '{recipe}', not '{name}'; choose another out")
    return found


def _wish(name: str, given: Mapping[str, Any], asked: Any, old: Any) -> int | None:
    """What the data are to be brought to: what was asked for, else what the resumed run had, else as they are."""
    return getattr(asked, name) if name in given else getattr(old, name, None)


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


def _meta(found: Checkpoint) -> tuple[str, dict[str, Any]]:
    """The recipe and the config that a checkpoint names."""
    try:
        return str(found.meta["recipe"]), dict(found.meta["config"])
    except (KeyError, TypeError, ValueError) as e:
        raise CheckpointError(f"{found.path} names no recipe and config: it was not written by ornstein train") from e


def _quiet(system: System) -> None:
    system.modules.eval()


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
    recipe, config = _meta(found)
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
