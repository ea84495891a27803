"""The engine: the same pictures whatever else runs, fair turns, limits, several models."""

from __future__ import annotations

import copy
import gc
import threading
import time
import weakref
from collections.abc import Callable

import pytest
import torch

from ornstein.core.errors import CapabilityError, OrnsteinError, UsageError
from ornstein.measurements import Mask, Measurement
from ornstein.recipes.restore import restore
from ornstein.recipes.samples import Samples
from ornstein.recipes.system import System
from ornstein.samplers import names
from ornstein.samplers.base import Step
from ornstein.serving import (
    DeadlinePassed,
    Defect,
    Engine,
    EngineClosed,
    JobCancelled,
    QueueFull,
    Request,
    Status,
)
from ornstein.serving.plans import Model
from serving.tiny import Gate, engine, tiny


def alone(r: Request, system: System | None = None) -> Samples:
    """What System.sample gives."""
    return (system or tiny()).sample(
        r.n, steps=r.steps, seed=r.seed, sampler=r.sampler, grid=r.grid, guidance=r.guidance, label=r.label,
        guidance_method=r.guidance_method,
    )  # fmt: skip


def fitting() -> list[str]:
    """The samplers that the tiny system can use, without those that take hundreds of evaluations."""
    found = []
    for name in names():
        try:
            tiny().prepare(4, name, None, None)
        except CapabilityError:
            continue
        if name not in ("adaptive_rk", "adaptive_sde", "dpm_adaptive", "restart", "consistent_annealed", "paradigms"):
            found.append(name)
    return found


def test_same_pictures_whatever_else_runs() -> None:
    """Every sampler at several step counts, guided and not, all at once: each as if it were alone."""
    kinds = fitting()
    assert len(kinds) > 20
    requests = [
        Request(
            "tiny",
            n=1 + i % 2,
            seed=9 * i,
            steps=2 + i % 3,
            sampler=name,
            guidance=(1, 2.5)[i % 2],
            label=("dog", None)[i % 2],
        )
        for i, name in enumerate(kinds)
    ]
    served = engine(max_batch=64)
    jobs = [served.submit(r) for r in requests]
    with served:
        made = [job.result(60) for job in jobs]
    for request, got in zip(requests, made, strict=True):
        wanted = alone(request)
        assert float((got.tensor - wanted.tensor).abs().max()) < 1e-3, request
        assert (got.seeds, got.labels, got.provenance) == (wanted.seeds, wanted.labels, wanted.provenance)
    stats = served.stats()
    assert stats.calls < 40  # one by one they would be above 150


def test_fast_pictures_are_the_same_whatever_else_runs() -> None:
    """In bf16 a picture is another one than in float32, but company does not change it."""
    system = copy.deepcopy(tiny()).fast()
    requests = [Request("tiny", seed=9 * i, steps=2 + i % 3, sampler="ddim", label="dog") for i in range(6)]
    with Engine({"tiny": lambda: system}) as served:
        made = [job.result(60) for job in [served.submit(r) for r in requests]]
    for request, got in zip(requests, made, strict=True):
        assert got.provenance["precision"] == "bfloat16"
        assert float((got.tensor - alone(request, system).tensor).abs().max()) < 1e-3
    assert float((made[0].tensor - alone(requests[0]).tensor).abs().max()) > 1e-3


def test_late_arrivals_join() -> None:
    """Requests of one kind that begin at different times move in one lane, times told per sample."""
    served = engine()
    first = served.submit(Request("tiny", seed=1, steps=6, sampler="dpmpp_2m"))
    gate = Gate(first)
    with served:
        assert gate.reached.wait(20)
        second = served.submit(Request("tiny", seed=2, steps=4, sampler="dpmpp_2m"))
        gate.opened.set()
        for job in (first, second):
            assert float((job.result(20).tensor - alone(job.request).tensor).abs().max()) < 1e-3
        assert served.stats().calls == 6


def test_other_systems_and_methods() -> None:
    """Guidance that looks at the grid, at the network itself, and another process."""
    edm = tiny("edm")
    requests = [
        Request("edm", seed=1, steps=3, guidance=0.6, guidance_method="cfgpp", sampler="ddim"),
        Request("edm", seed=2, steps=4, guidance=0.6, guidance_method="cfgpp", sampler="ddim"),
        Request("edm", seed=3, steps=3, guidance=2.0, guidance_method="apg"),
        Request("edm", seed=4, steps=3, guidance=2.0, guidance_method="skip_layer"),
        Request("edm", seed=5, steps=3),
    ]
    served = Engine({"edm": lambda: edm})
    jobs = [served.submit(r) for r in requests]
    with served:
        for job in jobs:
            assert float((job.result(20).tensor - alone(job.request, edm).tensor).abs().max()) < 1e-3, job.request


def test_large_requests_are_divided() -> None:
    with engine(max_batch=8) as served:
        job = served.submit(Request("tiny", n=21, seed=3, steps=3, preview_every=1))
        events = list(job.events())
        assert float((job.result().tensor - alone(job.request).tensor).abs().max()) < 1e-3
    shown = {(e.first, e.step) for e in events if e.preview is not None}
    assert shown >= {(first, step) for first in (4, 8, 12, 16, 20) for step in (1, 2, 3)}
    assert events[-1].kind == "done" and job.progress == 1


def test_previews_are_guesses_of_the_picture() -> None:
    """E[x_0], not the noisy state: the last is the picture."""
    with engine() as served:
        job = served.submit(Request("tiny", n=2, steps=4, sampler="ddim", guidance=2.0, preview_every=2))
        shown = [e for e in job.events() if e.preview is not None]
    assert [e.step for e in shown][-2:] == [2, 4]
    assert shown[-1].preview is not None
    assert torch.allclose(shown[-1].preview, job.result().tensor, atol=1e-4)


def test_tasks_share_calls() -> None:
    """Restorations ask the same network in the middle of others' steps."""

    def fill(system: System, on_step: Callable[[Step], None]) -> Samples:
        known = torch.ones(1, 8, 8)
        known[:, :4] = 0
        return restore(
            system, Measurement(torch.zeros(1, 1, 8, 8), Mask(known)), method="ddrm", steps=5, on_step=on_step
        )

    wanted = fill(tiny(), lambda step: None)
    served = engine()
    tasks = [served.submit(Request("tiny", task=fill, preview_every=1)) for _ in range(3)]
    other = served.submit(Request("tiny", seed=9, steps=5))
    with served:
        for task in tasks:
            assert torch.allclose(task.result(20).tensor, wanted.tensor, atol=1e-3)
        assert float((other.result(20).tensor - alone(other.request).tensor).abs().max()) < 1e-3


def test_higher_priorities_overtake_between_steps() -> None:
    served = engine(max_batch=2)
    order: list[str] = []
    low = served.submit(Request("tiny", n=2, steps=4))
    low.listen(lambda e: order.append("low") if e.kind == "done" else None)
    gate = Gate(low)
    with served:
        assert gate.reached.wait(20)
        high = served.submit(Request("tiny", n=1, steps=4, priority=1))
        high.listen(lambda e: order.append("high") if e.kind == "done" else None)
        gate.opened.set()
        low.result(20)
    assert order == ["high", "low"]


def test_what_is_waiting_can_be_cancelled_and_expire() -> None:
    served = engine(max_batch=1)
    first = served.submit(Request("tiny", steps=3))
    gate = Gate(first)
    with served:
        assert gate.reached.wait(20)
        late = served.submit(Request("tiny", steps=3, deadline=0.01))
        unwanted = served.submit(Request("tiny", steps=3))
        unwanted.cancel()
        assert unwanted.status is Status.CANCELLED
        time.sleep(0.02)
        gate.opened.set()
        with pytest.raises(DeadlinePassed, match=r"not done within 0\.01 s"):
            late.result(20)
        with pytest.raises(JobCancelled):
            unwanted.result(20)
        first.result(20)
    assert served.stats().jobs == {"done": 1, "expired": 1, "cancelled": 1}


def test_what_runs_can_be_cancelled() -> None:
    with engine() as served:
        job = served.submit(Request("tiny", steps=500))
        gate = Gate(job)
        assert gate.reached.wait(20)
        job.cancel()
        gate.opened.set()
        with pytest.raises(JobCancelled):
            job.result(20)
    assert served.stats().calls < 5


def test_tasks_can_be_cancelled_and_expire() -> None:
    def endless(system: System, on_step: Callable[[Step], None]) -> Samples:
        while True:
            system.sample(1, steps=3, on_step=on_step)

    with engine() as served:
        job = served.submit(Request("tiny", task=endless))
        late = served.submit(Request("tiny", task=endless, deadline=0.05))
        with pytest.raises(DeadlinePassed):
            late.result(20)
        job.cancel()
        with pytest.raises(JobCancelled):
            job.result(20)


def test_full_queue() -> None:
    served = engine(queue_limit=4)
    kept = [served.submit(Request("tiny", n=2, steps=2)) for _ in range(2)]
    with pytest.raises(QueueFull, match="4 samples are waiting") as full:
        served.submit(Request("tiny"))
    assert 1 <= full.value.retry_after <= 60
    with pytest.raises(UsageError, match="at most 4"):
        served.submit(Request("tiny", n=5))
    with served:
        for job in kept:
            job.result(20)
        served.submit(Request("tiny", steps=2)).result(20)


def test_closing() -> None:
    served = engine()
    jobs = [served.submit(Request("tiny", steps=3, seed=i)) for i in range(5)]
    served.start()
    served.close(drain=True)
    assert {job.status for job in jobs} == {Status.DONE}
    with pytest.raises(EngineClosed):
        served.submit(Request("tiny"))
    stopped = engine()
    job = stopped.submit(Request("tiny", steps=100_000))
    stopped.start()
    stopped.close(drain=False)
    assert job.status is Status.CANCELLED
    assert not [t for t in threading.enumerate() if t.name.startswith("ornstein")]


@pytest.mark.parametrize(
    ("request_", "match"),
    [
        (Request("tiny", label="cta"), "unknown label 'cta'"),
        (Request("tiny", conditions={"colour": "red"}), "unknown condition 'colour'"),
        (Request("tiny", sampler="flow_map", steps=2), "knows mean velocities"),
        (Request("tiny", steps=2, guidance_method="autoguidance", guidance=2.0), "needs a weaker model"),
    ],
)
def test_what_only_the_model_can_tell(request_: Request, match: str) -> None:
    with engine() as served:
        bad = served.submit(request_)
        good = served.submit(Request("tiny", steps=2))
        with pytest.raises((UsageError, CapabilityError), match=match):
            bad.result(20)
        assert len(good.result(20)) == 1


def test_refused_at_once() -> None:
    served = engine()
    for words, match in (
        ({"model": "tyni"}, "did you mean 'tiny'"),
        ({"model": "../tiny"}, "unknown model"),
        ({"model": "tiny", "sampler": "ddmi"}, "did you mean 'ddim'"),
        ({"model": "tiny", "grid": "kraras"}, "did you mean 'karras'"),
    ):
        with pytest.raises(UsageError, match=match):
            served.submit(Request(**words))
    for bad in (
        {"n": 0},
        {"n": -1},
        {"steps": 0},
        {"seed": -1},
        {"seed": 2**63},
        {"deadline": 0.0},
        {"preview_every": -1},
    ):
        with pytest.raises(UsageError):
            Request("tiny", **bad)
    with pytest.raises(UsageError, match="finite"):
        Request("tiny", guidance=float("nan"))


def test_one_that_breaks_does_not_break_its_neighbours() -> None:
    """Samples that become NaN, in the same lane and the same call."""
    edm = tiny("edm")
    with Engine({"edm": lambda: edm, "torn": torn}) as served:
        bad = served.submit(Request("edm", steps=3, guidance=1e38, seed=1))
        good = [served.submit(Request("edm", steps=3, seed=i)) for i in range(3)]
        lost = served.submit(Request("torn"))
        with pytest.raises(OrnsteinError, match="non-finite values in the samples of seeds"):
            bad.result(20)
        for job in good:
            assert float((job.result(20).tensor - alone(job.request, edm).tensor).abs().max()) < 1e-3
        with pytest.raises(Defect, match="RuntimeError: cannot be loaded"):
            lost.result(20)


def torn(flights: object = None) -> System:
    raise RuntimeError("cannot be loaded")


def test_a_defect_fails_who_is_on_the_way_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    served = engine()
    first = served.submit(Request("tiny", steps=3))
    with monkeypatch.context() as patch, served:
        patch.setattr("ornstein.serving.work.lanes", torn)
        with pytest.raises(Defect, match="cannot be loaded"):
            first.result(20)
        patch.undo()
        assert len(served.submit(Request("tiny", steps=3)).result(20)) == 1


def test_models_come_and_go() -> None:
    """Three models in room for two: the one unused for longest goes, and comes back when asked for."""
    loads: list[str] = []

    def of(name: str) -> Callable[[], System]:
        def load() -> System:
            loads.append(name)
            return tiny()

        return load

    size = Model("tiny", tiny(), 8).bytes
    with Engine({name: of(name) for name in "abc"}, memory_limit=2 * size) as served:
        for name in "abacab":
            served.submit(Request(name, steps=2)).result(20)
            assert served.stats().bytes <= 2 * size
        assert loads == ["a", "b", "c", "b"]
        jobs = [served.submit(Request("abc"[i % 3], steps=3, seed=i)) for i in range(12)]
        for job in jobs:  # none starves while the others keep their models busy
            job.result(20)
    with (
        Engine({"a": of("a")}, memory_limit=size - 1) as served,
        pytest.raises(UsageError, match="raise the memory limit"),
    ):
        served.submit(Request("a")).result(20)


def test_nothing_is_kept_of_what_is_done() -> None:
    """Jobs that ended in every way are let go by an engine that goes on."""

    def task(system: System, on_step: Callable[[Step], None]) -> Samples:
        return system.sample(1, steps=2, on_step=on_step)

    with engine(max_batch=4) as served:
        kinds = [{}, {"task": task}, {"label": "fish"}, {"deadline": 0.001, "steps": 99}, {"n": 9, "preview_every": 1}]
        jobs = [served.submit(Request("tiny", **{"steps": 3} | words)) for words in kinds]
        jobs.append(served.submit(Request("tiny", steps=999)))
        jobs[-1].cancel()
        statuses = [list(job.events())[-1].kind for job in jobs]
        assert statuses == ["done", "done", "failed", "expired", "done", "cancelled"]
        served.submit(Request("tiny", steps=2)).result(20)  # the engine has looked at everything since
        kept = [weakref.ref(job) for job in jobs]
        del jobs
        gc.collect()
        assert [job() for job in kept] == [None] * len(kept)


def test_unloaded_weights_are_freed_at_once() -> None:
    kept = []

    def load() -> System:
        made = tiny.__wrapped__()
        kept.append(weakref.ref(next(made.modules.parameters())))
        return made

    size = Model("tiny", tiny(), 8).bytes
    gc.disable()
    try:
        with Engine({"a": load, "b": load}, memory_limit=size) as served:
            for name in "ab":
                served.submit(Request(name, steps=2)).result(20)
            assert [weights() is None for weights in kept] == [True, False]
    finally:
        gc.enable()
