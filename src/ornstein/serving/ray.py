"""The same engine and the same HTTP interface as a Ray Serve deployment: several replicas, on one machine or many.

Each replica has an engine of its own, in which the requests that Ray sends to it move together. So that they can, a replica
takes as many requests at a time as a server takes connections; Ray's own default is five. Jobs and files that are fetched later
belong to one process and are left out: a later request may come to another replica.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI

from ornstein.core.errors import UsageError
from ornstein.provenance.marks import get_mark
from ornstein.provenance.safeguards import Safeguards
from ornstein.serving.engine import Engine
from ornstein.serving.hooks import Hook
from ornstein.serving.http.app import create_app
from ornstein.serving.models import loader
from ornstein.serving.settings import Limits

Hooks = Callable[[Engine], Sequence[Hook]]


def safeguarded(engine: Engine) -> tuple[Hook, ...]:
    """What ``ornstein serve`` does by default: the invisible mark, and of models that read text nothing without a filter."""

    def reads_text(name: str) -> bool:
        about = engine.describe(name)
        return about is None or about.reads_text

    return (Safeguards(reads_text, mark=get_mark("spread")),)


def application(
    models: Mapping[str, str],
    *,
    fast: bool = False,
    limits: Limits | None = None,
    hooks: Hooks = safeguarded,
    max_batch: int = 32,
    queue_limit: int = 1024,
    memory_limit: int | None = None,
    device: str = "cpu",
) -> FastAPI:
    """What one replica serves; arguments as of :func:`deployment`."""
    loaders = {name: loader(what, fast=fast) for name, what in models.items()}
    engine = Engine(loaders, memory_limit=memory_limit, max_batch=max_batch, queue_limit=queue_limit, device=device)
    return create_app(engine, limits=limits, hooks=hooks(engine), jobs=False)


def deployment(
    models: Mapping[str, str],
    *,
    replicas: int = 1,
    fast: bool = False,
    limits: Limits | None = None,
    hooks: Hooks = safeguarded,
    max_batch: int = 32,
    queue_limit: int = 1024,
    memory_limit: int | None = None,
    device: str = "cpu",
    options: Mapping[str, Any] | None = None,
) -> Any:
    """An application for ``ray.serve.run``.

    ``serve.run(deployment({"fashion-mnist": "fashion-mnist"}, replicas=2))``.

    Args:
        models: by the names that requests use, what :func:`ornstein.load` reads; paths must be there on every machine.
        replicas: how many; ``options={"autoscaling_config": ...}`` lets Ray choose (then leave this alone).
        fast: bf16 network calls.
        limits: the most that one request may ask for.
        hooks: made in each replica from its engine; marks pictures and holds back unfiltered ones of models that read text.
        max_batch, queue_limit, memory_limit, device: as of :class:`Engine`.
        options: more for Ray's ``deployment``, such as ``ray_actor_options={"num_gpus": 1}``.

    Raises:
        UsageError: Ray Serve is not installed, no model, fewer than one replica.
    """
    try:
        from ray import serve
    except ImportError as e:
        raise UsageError("a Ray Serve deployment needs Ray: pip install 'ornstein[ray]'") from e
    if not models:
        raise UsageError("a deployment needs at least one model")
    if replicas < 1:
        raise UsageError(f"replicas must be at least 1, got {replicas}")
    limits = limits or Limits()
    chosen = dict(models)

    def build() -> FastAPI:  # called in each replica: engines have threads and cannot travel
        return application(
            chosen, fast=fast, limits=limits, hooks=hooks,
            max_batch=max_batch, queue_limit=queue_limit, memory_limit=memory_limit, device=device,
        )  # fmt: skip

    told: dict[str, Any] = {"name": "ornstein", "max_ongoing_requests": limits.connections, **(options or {})}
    if "autoscaling_config" not in told:
        told["num_replicas"] = replicas
    return serve.deployment(**told)(serve.ingress(build)()).bind()
