"""The same engine and the same HTTP interface as a Ray Serve deployment: several replicas, on one machine or many.

Each replica has an engine of its own, in which the requests that Ray sends to it move together. So that they can, a replica
takes as many requests at a time as a server takes connections; Ray's own default is five. Jobs and files that are fetched later
belong to one process and are left out: a later request may come to another replica.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI

from ornstein.core.errors import UsageError
from ornstein.provenance.marks import get_mark
from ornstein.provenance.safeguards import Safeguards
from ornstein.serving.engine import Engine
from ornstein.serving.hooks import Hook
from ornstein.serving.http.app import create_app
from ornstein.serving.models import loader
from ornstein.serving.precision import Precision
from ornstein.serving.settings import Limits

Hooks = Callable[[Engine], Sequence[Hook]]


def safeguarded(engine: Engine) -> tuple[Hook, ...]:
    """What ``ornstein serve`` does by default: the invisible mark, and of models that read text nothing without a filter."""

    def reads_text(name: str) -> bool:
        about = engine.describe(name)
        return about is None or about.reads_text

    return (Safeguards(reads_text, mark=get_mark("spread")),)


@dataclass(frozen=True)
class Replica:
    """What every replica serves, and how: each makes its own engine of it, for engines have threads and cannot travel.

    ``Replica({"clothes": "fashion-mnist"}, max_batch=64)``.

    Raises:
        UsageError: no model.
    """

    models: Mapping[str, str]
    """by the names that requests use, what :func:`ornstein.load` reads; paths must be there on every machine"""
    precision: Precision = "auto"
    """of network calls, see :func:`ornstein.serving.precision.settle`"""
    limits: Limits = field(default_factory=Limits)
    """the most that one request may ask for"""
    hooks: Hooks = safeguarded
    """from the engine; marks pictures and holds back unfiltered ones of models that read text"""
    max_batch: int = 32
    """of the engine, as are the next three"""
    queue_limit: int = 1024
    memory_limit: int | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not self.models:
            raise UsageError("a deployment needs at least one model")

    def application(self) -> FastAPI:
        """The HTTP interface on an engine of its own."""
        loaders = {
            name: loader(what, precision=self.precision, device=self.device) for name, what in self.models.items()
        }
        engine = Engine(
            loaders, memory_limit=self.memory_limit, max_batch=self.max_batch, queue_limit=self.queue_limit,
            device=self.device,
        )  # fmt: skip
        return create_app(engine, limits=self.limits, hooks=self.hooks(engine), jobs=False)


def deployment(replica: Replica, *, replicas: int = 1, options: Mapping[str, Any] | None = None) -> Any:
    """An application for ``ray.serve.run``.

    ``serve.run(deployment(Replica({"fashion-mnist": "fashion-mnist"}), replicas=2))``.

    Args:
        replica: what each serves.
        replicas: how many; ``options={"autoscaling_config": ...}`` lets Ray choose (then leave this alone).
        options: more for Ray's ``deployment``, such as ``ray_actor_options={"num_gpus": 1}``.

    Raises:
        UsageError: Ray Serve is not installed, fewer than one replica.
    """
    try:
        from ray import serve
    except ImportError as e:
        raise UsageError("a Ray Serve deployment needs Ray: pip install 'ornstein[ray]'") from e
    if replicas < 1:
        raise UsageError(f"replicas must be at least 1, got {replicas}")

    def build() -> FastAPI:  # called in each replica
        return replica.application()

    told: dict[str, Any] = {"name": "ornstein", "max_ongoing_requests": replica.limits.connections, **(options or {})}
    if "autoscaling_config" not in told:
        told["num_replicas"] = replicas
    return serve.deployment(**told)(serve.ingress(build)()).bind()
