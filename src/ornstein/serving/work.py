"""What the engine's thread does: admit, step, land, serve tasks, drop what is no longer wanted."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ornstein.core import cond as conditions
from ornstein.recipes.samples import Samples
from ornstein.samplers.base import Step
from ornstein.serving.batching import Flight, advance, lanes
from ornstein.serving.errors import DeadlinePassed, EngineClosed, JobCancelled
from ornstein.serving.job import Event, Job
from ornstein.serving.models import Models
from ornstein.serving.plans import Model, Plan
from ornstein.serving.queue import FairQueue
from ornstein.serving.words import given, reads_text

log = logging.getLogger("ornstein.serving")

_GATHER = 0.002
"""seconds that tasks which run by themselves wait for one another"""


@dataclass(eq=False)
class Part:
    """Samples ``first .. first + rows`` of a job, which will move together."""

    job: Job
    first: int
    rows: int


@dataclass
class Course:
    """A job that runs: its conditions, and what has come out."""

    plan: Plan
    cond: dict[str, Tensor]
    seeds: list[int]
    flights: list[Flight] = field(default_factory=list)
    landed: dict[int, Tensor] = field(default_factory=dict)

    @property
    def progress(self) -> float:
        """Steps that were made of all."""
        return sum(f.rows * f.index for f in self.flights) / (len(self.seeds) * (len(self.plan.times) - 1))


class Worker:
    """The engine's thread. All but ``queue`` and ``guests``, which ``changed`` guards, is its own."""

    def __init__(self, models: Models, queue: FairQueue[Part], changed: threading.Condition, max_batch: int):
        self.models, self.queue, self.changed, self.max_batch = models, queue, changed, max_batch
        self.flights: list[Flight] = []
        self.guests: dict[Job, Model] = {}
        self.parked: list[Part] = []
        """parts whose model finds no room as yet"""
        self._courses: dict[Job, Course] = {}
        self._closing = False
        self._lanes = ThreadPoolExecutor(max_batch, "ornstein-lane")

    @property
    def rows(self) -> int:
        """Samples on their way."""
        return sum(f.rows for f in list(self.flights)) + sum(job.request.n for job in list(self.guests))

    def close(self) -> None:
        """Return from :meth:`run` once nothing is left to do."""
        with self.changed:
            self._closing = True
            self.changed.notify_all()

    def run(self) -> None:
        """Until closed."""
        try:
            while True:
                with self.changed:
                    while not self._anything_to_do():
                        if self._closing and not (self.guests or self.parked or len(self.queue)):
                            return
                        self.changed.wait(self._until_deadline())
                try:
                    self._sweep()
                    self._admit()
                    self._tick()
                except Exception as error:  # a defect of ours: who is on the way is told, and the others are served
                    log.exception("the engine failed in a step")
                    for flight in self.flights:
                        flight.job.failed(error)
        finally:
            self._lanes.shutdown()
            for model in self.models.loaded.values():
                model.meeting.abandon(EngineClosed("the engine has stopped"))

    def _anything_to_do(self) -> bool:
        asked = any(m.meeting.asked for m in self.models.loaded.values())
        due = self._until_deadline()
        return bool(self.flights or asked or self._may_admit() or (due is not None and due <= 0))

    def _until_deadline(self) -> float | None:
        ends = [p.job.expires for p in [*self.queue, *self.parked] if p.job.expires is not None]
        return min(ends) - time.monotonic() if ends else None

    def _may_admit(self) -> bool:
        """Whether the queue's first may begin: there is room, or what runs is of less priority."""
        if self.parked:
            return not self._busy() or any(p.job.cancelled or p.job.status.final for p in self.parked)
        first = self.queue.priority
        if first is None:
            return False
        running = [f.job.request.priority for f in self.flights]
        return self.rows < self.max_batch or (bool(running) and first > min(running))

    def _busy(self) -> frozenset[str]:
        return frozenset([f.model.name for f in self.flights] + [m.name for m in self.guests.values()])

    def _sweep(self) -> None:
        """Drop what was cancelled, has failed in another part, or is too late."""
        now = time.monotonic()
        with self.changed:
            waiting = list(self.queue)
        for job in {p.job for p in [*waiting, *self.parked]} | {f.job for f in self.flights}:
            if job.cancelled:
                job.failed(JobCancelled("the job was cancelled"))
            elif job.expires is not None and now > job.expires:
                job.failed(DeadlinePassed(f"the job was not done within {job.request.deadline:g} s"))
        with self.changed:
            for part in waiting:
                if part.job.status.final:
                    self.queue.remove(part)
        self.parked = [p for p in self.parked if not p.job.status.final]
        self.flights = [f for f in self.flights if not f.job.status.final]
        self._courses = {job: c for job, c in self._courses.items() if not job.status.final}

    def _admit(self) -> None:
        """Begin what may begin."""
        while True:
            with self.changed:
                if not self._may_admit():
                    return
                part = self.parked.pop(0) if self.parked else self.queue.pop()
            if part is None or part.job.status.final:
                continue
            try:
                model = self.models.get(part.job.request.model, self._busy())
                if model is None:
                    self.parked.insert(0, part)
                    return
                self._begin(part, model)
            except Exception as error:
                part.job.failed(error)

    def _begin(self, part: Part, model: Model) -> None:
        job = part.job
        job.started()
        if job.request.task is not None:
            with self.changed:
                self.guests[job] = model
                model.guests += 1
            threading.Thread(target=self._task, args=(job, model), name="ornstein-task", daemon=True).start()
            return
        course = self._courses.get(job)
        if course is None:
            seeds = [job.request.seed + i for i in range(job.request.n)]
            cond = model.system.conditions(seeds, given(model.system, job.request))
            course = self._courses[job] = Course(model.plan(job.request), cond, seeds)
        rows = slice(part.first, part.first + part.rows)
        cond = conditions.to(conditions.rows(course.cond, rows), model.system.device)
        flight = Flight(job, model, course.plan, part.first, course.seeds[rows], cond)
        course.flights.append(flight)
        self.flights.append(flight)

    def _tick(self) -> None:
        """One step of those who go first, model by model; or the questions of tasks, if they are all there is."""
        chosen: dict[str, list[Flight]] = {}
        room = self.max_batch
        for flight in sorted(self.flights, key=lambda f: -f.job.request.priority):  # stable: then by admission
            if flight.rows <= room:
                chosen.setdefault(flight.model.name, []).append(flight)
                room -= flight.rows
        for flights in chosen.values():
            self._fly(flights)
        with self.changed:
            models = {m.name: m for m in self.guests.values() if m.name not in chosen}
        for model in models.values():
            if not chosen:
                model.meeting.gather(model.guests, _GATHER)
            model.meeting.serve()

    def _fly(self, flights: Sequence[Flight]) -> None:
        """A step of each flight: the first lane in this thread, which calls the network, the others beside it."""
        model = flights[0].model
        first, *others = lanes(flights)
        for lane in others:
            model.meeting.enter()
            self._lanes.submit(self._beside, model, lane)
        self._attempt(first)
        while model.meeting.serve():
            pass
        for flight in flights:
            if not flight.job.status.final:
                self._after(flight)

    def _beside(self, model: Model, lane: list[Flight]) -> None:
        with model.inside():
            self._attempt(lane)

    def _attempt(self, lane: list[Flight]) -> None:
        """A step. Where a lane fails its flights begin again, each alone, so that only what is wrong fails."""
        try:
            advance(lane)
        except Exception as error:
            if len(lane) == 1:
                lane[0].job.failed(error)
                return
            for flight in lane:
                flight.alone = True
                flight.begin()

    def _after(self, flight: Flight) -> None:
        """Tell of a step, and land."""
        job, course = flight.job, self._courses[flight.job]
        try:
            preview = flight.preview() if flight.index and flight.shows(flight.index) else None
            job.stepped(Event("step", flight.index, flight.steps, preview, flight.first, course.progress))
            if not flight.landed:
                return
            course.landed[flight.first] = flight.decoded()
        except Exception as error:
            job.failed(error)
            return
        self.flights.remove(flight)
        if sum(map(len, course.landed.values())) == job.request.n:
            del self._courses[job]
            about = dict(course.plan.about)
            if job.request.prompt is not None and reads_text(flight.model.system):
                about["prompt"] = job.request.prompt
            whole = torch.cat([course.landed[first] for first in sorted(course.landed)])
            system = flight.model.system
            job.finished(Samples(whole, course.seeds, course.cond, system.classes, system.provenance(about)))

    def _task(self, job: Job, model: Model) -> None:
        """A task in its own thread; the engine's thread answers what it asks of the network."""

        def on_step(step: Step) -> None:
            if job.cancelled:
                raise JobCancelled("the job was cancelled")
            if job.expires is not None and time.monotonic() > job.expires:
                raise DeadlinePassed(f"the job was not done within {job.request.deadline:g} s")
            done, every = step.index + 1, job.request.preview_every
            shown = every > 0 and (done % every == 0 or done == step.total)
            preview = model.system.codec.preview(step.x).cpu() if shown else None
            job.stepped(Event("step", done, step.total, preview, 0, done / step.total))

        try:
            assert job.request.task is not None
            job.finished(job.request.task(model.shared(), on_step))
        except Exception as error:
            job.failed(error)
        finally:
            with self.changed:
                del self.guests[job]
                model.guests -= 1
                self.changed.notify_all()
