"""Drawing samples: what was asked for, how far it is, what came out."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ornstein.core.errors import UsageError
from ornstein.recipes.samples import Samples
from ornstein.serving import Job, Request
from ornstein.studio.core import Studio
from ornstein.studio.words import IN_TURN, MOST, NO_LABEL, OWN

SEEDS = 2**31


@dataclass(frozen=True)
class Asked:
    """The fields of the page, as they stand there."""

    model: str
    label: str | None = None
    prompt: str = ""
    negative: str = ""
    sampler: str = OWN
    grid: str = OWN
    steps: int | None = None
    guidance: float | None = None
    n: int = 4
    seed: int = 0

    def request(self, preview_every: int = 1) -> Request:
        """What the engine is asked for.

        Raises:
            UsageError: a field is out of range.
        """
        if not 1 <= int(self.n) <= MOST:
            raise UsageError(f"between 1 and {MOST} samples can be drawn at once, got {self.n}")
        return Request(
            self.model,
            n=int(self.n),
            seed=int(self.seed),
            steps=None if not self.steps else int(self.steps),
            sampler=None if self.sampler in (OWN, "", None) else self.sampler,
            grid=None if self.grid in (OWN, "", None) else self.grid,
            guidance=None if self.guidance is None else float(self.guidance),
            label=label_of(self.label),
            conditions=words(self.prompt, self.negative),
            preview_every=preview_every,
            client="studio",
        )

    @property
    def given(self) -> dict[str, Any]:
        """The conditions by name, those that were given, as ``System.sample`` takes them."""
        label = label_of(self.label)
        return {**({} if label is None else {"label": label}), **words(self.prompt, self.negative)}


def label_of(chosen: str | None) -> str | int | None:
    """The label that a choice of the page means."""
    if chosen in (None, "", IN_TURN):
        return None
    return -1 if chosen == NO_LABEL else chosen


def words(prompt: str, negative: str = "") -> dict[str, Any]:
    """The texts that were given, by the name of their condition."""
    given = {"prompt": prompt, "negative": negative}
    return {name: text.strip() for name, text in given.items() if text and text.strip()}


def dice() -> int:
    """A seed that nobody chose."""
    return random.SystemRandom().randrange(SEEDS)


@dataclass(frozen=True)
class Moment:
    """How far a job is: ``preview [k, ...]`` of the samples that were seen so far; ``samples`` at the end."""

    step: int
    steps: int
    seconds: float
    preview: Tensor | None = None
    samples: Samples | None = None

    @property
    def line(self) -> str:
        """In words."""
        if self.samples is not None:
            each = self.seconds / len(self.samples)
            return f"{len(self.samples)} samples in {self.seconds:.1f} s, {each:.2f} s each"
        return f"step {self.step} of {self.steps}" if self.steps else "waiting"


def follow(job: Job) -> Iterator[Moment]:
    """Every step of a job with a look at its samples, then the end.

    Raises:
        OrnsteinError: what the job ended with.
    """
    begin = time.monotonic()
    rows: dict[int, Tensor] = {}
    for event in job.events():
        if event.preview is not None:
            rows |= {event.first + i: row for i, row in enumerate(event.preview)}
        if event.kind == "step":
            shown = torch.stack([rows[i] for i in sorted(rows)]) if rows else None
            yield Moment(event.step, event.steps, time.monotonic() - begin, shown)
    samples = job.result()
    yield Moment(1, 1, time.monotonic() - begin, None, samples)


def generate(studio: Studio, asked: Asked) -> tuple[Job, Iterator[Moment]]:
    """Begin; the job may be cancelled while its moments are read."""
    job = studio.submit(asked.request())
    return job, follow(job)
