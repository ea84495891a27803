"""The page of one evaluation: pictures, neighbours, numbers with intervals, error by noise level, trajectories."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError
from ornstein.evaluation import Reference, features_of
from ornstein.evaluation.groups import SEPARATOR
from ornstein.evaluation.pairwise import nearest
from ornstein.evaluation.record import Record
from ornstein.evaluation.registry import METRICS, PREFERS
from ornstein.evaluation.report import Curve, Picture, Section, Table, Text, html_report, provenance_table
from ornstein.evaluation.sources import Chosen, spread
from ornstein.recipes.samples import image_grid

SHOWN = 64
"""Samples and reference images in the grids; the samples are also those whose neighbours are sought."""

SEARCHED = 4000
"""Images among which neighbours are sought, evenly spread over the set."""

NEIGHBOURS = 5
PAIRS = 8
"""Samples whose neighbours are shown: the nearest ones first."""

FRAMES = 8
JUDGED = 128
"""Images for the error by noise level."""


def write_page(path: Path, record: Record, evaluated: Mapping[str, Any]) -> Path:
    """``evaluated``: the samples, what they were measured ``against``, the system or None, its first seed."""
    samples, against, system = evaluated["samples"], evaluated["against"], evaluated["system"]
    reference = against.reference
    zoom = max(1, 56 // samples.shape[-1])
    shown = samples[0 : min(SHOWN, len(samples))].x
    pictures: list[Picture | Text] = [Picture(f"{len(shown)} samples", image_grid(shown, columns=16), zoom)]
    has_images = not isinstance(reference, Reference)
    if has_images:
        theirs = Chosen(reference, spread(len(reference), SHOWN))
        pictures.append(
            Picture(f"{len(theirs)} images of the reference", image_grid(theirs[0:SHOWN].x, columns=16), zoom)
        )
    else:
        pictures.append(Text("The reference is saved features: its images are not at hand."))
    sections = [Section("Numbers", [numbers(record), *(Text(f"Warning. {w}.") for w in record.warnings)])]
    if divided := groups(record):
        sections.append(Section("Groups", divided))
    sections.append(Section("Pictures", pictures))
    near, what = against.among
    if near is not None:
        sections.append(Section("Nearest neighbours", neighbours(shown, near, against.extractor, what, zoom)))
    if system is not None:
        sections += curves(system, evaluated, record, zoom)
    sections.append(
        Section("Protocol", [provenance_table(record.protocol, "How it was measured"), subject_table(record)])
    )
    lead = f"{record.protocol['samples']:,} samples of {record.subject['what']} against {against.name}"
    return html_report(path, title=f"Evaluation of {record.subject['what']}", lead=lead, sections=sections)


def numbers(record: Record) -> Table:
    """Value, interval, direction, what it says."""
    about = {value: m.about for m in METRICS.values() for value in m.gives}
    rows = []
    for name, value in record.values.items():
        if SEPARATOR in name:
            continue
        interval = record.interval(name)
        shown = "" if interval is None else f"{interval[0]:.3g} .. {interval[1]:.3g}"
        seeds = ", ".join(f"{v:.4g}" for v in record.per_seed.get(name, ()))
        rows.append((name, f"{value:.4g}", shown, seeds, PREFERS.get(name, ""), about.get(name, "")))
    header = ("metric", "value", "95 % interval", "per seed", "better", "what it says")
    return Table(f"Intervals: {record.protocol['interval']}.", header, rows)


def groups(record: Record) -> list[Table | Text]:
    """Each class's share beside the reference's and how well it is covered; nothing where that was not measured."""
    shares = [name.partition(SEPARATOR)[2] for name in record.values if name.startswith(f"share{SEPARATOR}")]
    if not shares:
        return []
    said = (
        f"Classes as {record.protocol['extractor']} sees them, in samples and reference. Total variation between the two "
        f"histograms: {record.shown('label_tv')}; probability of a larger difference were both of one law (chi-square): "
        f"{record.values['label_p']:.2g}. The samples hold {record.shown('label_effective')} classes in effect (exp of the "
        "entropy)."
    )
    columns = ("real_share", "share", "coverage", "recall", "precision", "density")
    rows = [
        (name, *(record.shown(key) if (key := f"{what}{SEPARATOR}{name}") in record.values else "" for what in columns))
        for name in shares
    ]
    header = ("class", "share of the reference", "of the samples", "coverage", "recall", "precision", "density")
    caption = (
        "Precision, recall, density and coverage within each class; empty where the reference has too few images of it."
    )
    return [Text(said), Table(caption, header, rows)]


def neighbours(shown: Tensor, among: Any, extractor: Any, what: str, zoom: int) -> list[Picture | Text]:
    """Each row: a sample, then its nearest images; the samples with the nearest neighbours first."""
    searched = Chosen(among, spread(len(among), SEARCHED))
    mine, theirs = extractor(shown).features, features_of(searched, extractor).features
    k = min(NEIGHBOURS, len(searched))
    distance, index = nearest(mine, theirs, k)
    order = distance[:, 0].argsort()[:PAIRS]
    gap = torch.full_like(shown[0], 255)
    cells = []
    for i in order.tolist():
        cells += [shown[i], gap, *(searched[j : j + 1].x[0] for j in index[i].tolist())]
    found = ", ".join(f"{distance[i, 0]:.3g}" for i in order.tolist())
    caption = (
        f"Left: the {len(order)} of {len(shown)} samples that lie nearest to an image; right of each, its {k} nearest of "
        f"{len(searched):,} {what}, by {extractor.name}. Distances to the first: {found}."
    )
    return [
        Text("A sample that equals its neighbour was copied; one that merely resembles it was not."),
        Picture(caption, image_grid(torch.stack(cells), columns=k + 2), zoom),
    ]


def curves(system: Any, evaluated: Mapping[str, Any], record: Record, zoom: int) -> list[Section]:
    """What only a system has: its error by noise level, its trajectories, the loss of its run."""
    from ornstein.explain import error_by_noise, trajectory

    out = []
    run = Path(str(record.subject["what"])) / "metrics.jsonl"
    reference = evaluated["against"].reference
    parts: list[Curve | Text] = []
    if not isinstance(reference, Reference):
        try:
            images = Chosen(reference, spread(len(reference), JUDGED))[0:JUDGED]
            if tuple(system.classes) != tuple(getattr(reference.source, "classes", ())):
                images = type(images)(images.x)
            found = error_by_noise(system, images)
            caption = (
                f"Mean squared error of E[x_0 | x_t] on {len(images)} images of the reference, in the units of the diffusion's "
                "state: clean images to the right, noise to the left, where the best guess is the mean image"
            )
            points = [(e.log_snr, e.error) for e in reversed(found)]
            parts.append(Curve(caption, sorted(points), "log signal-to-noise ratio", "squared error"))
        except CapabilityError as e:
            parts.append(Text(f"No error by noise level: {e}."))
    if run.is_file():
        records = [json.loads(line) for line in run.read_text(encoding="utf-8").splitlines()]
        parts.append(Curve("Training loss", [(r["step"], r["loss"]) for r in records if "loss" in r]))
    if parts:
        out.append(Section("Loss by noise level", parts))
    try:
        subject = record.subject
        way = trajectory(
            system, 6, FRAMES, seed=evaluated["seed"], steps=subject["steps"], sampler=subject["sampler"],
            grid=None if subject["grid"] == "given" else subject["grid"], guidance=subject["guidance"],
        )  # fmt: skip
    except CapabilityError as e:
        return [*out, Section("Trajectories", [Text(f"None: {e}.")])]
    times = ", ".join(f"{t:.3g}" for t in way.times)
    grids = [image_grid(frames.flatten(0, 1), columns=frames.shape[1]) for frames in (way.states, way.guesses)]
    captions = (
        f"The state x_t, scaled to be visible, at t = {times}",
        "What the denoiser takes it for: E[x_0 | x_t] at the same times",
    )
    pictures = [Picture(caption, grid, zoom) for caption, grid in zip(captions, grids, strict=True)]
    return [*out, Section("Trajectories", pictures)]


def subject_table(record: Record) -> Table:
    """What was measured, without the whole config, and the versions."""
    subject = {k: v for k, v in record.subject.items() if k != "config"}
    return provenance_table({**subject, "versions": record.versions}, "What was measured")
