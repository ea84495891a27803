"""Counters for Prometheus, of one server: nothing is global, so that servers of one process do not mix."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ornstein.serving.engine import Engine

_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)


class _OfEngine(Collector):
    """What the engine says when it is asked."""

    def __init__(self, engine: Engine):
        self.engine = engine

    def collect(self) -> Iterator[Metric]:
        """The engine's state."""
        s = self.engine.stats()
        yield GaugeMetricFamily("ornstein_waiting_samples", "Samples in the queue.", s.waiting)
        yield GaugeMetricFamily("ornstein_running_samples", "Samples on their way.", s.running)
        yield GaugeMetricFamily("ornstein_models_loaded", "Models in memory.", len(s.loaded))
        yield GaugeMetricFamily("ornstein_weights_bytes", "Bytes of their weights.", s.bytes)
        yield CounterMetricFamily("ornstein_model_loads", "How often a model was loaded.", s.loads)
        yield CounterMetricFamily("ornstein_samples", "Samples made.", s.samples)
        yield CounterMetricFamily("ornstein_network_calls", "Calls of networks.", s.calls)
        yield CounterMetricFamily("ornstein_network_rows", "Rows of all these calls.", s.rows)
        jobs = CounterMetricFamily("ornstein_jobs", "Ended jobs.", labels=["status"])
        for status, count in s.jobs.items():
            jobs.add_metric([status], count)
        yield jobs


class Metrics:
    """What ``/metrics`` shows."""

    def __init__(self, engine: Engine):
        self.registry = CollectorRegistry()
        self.registry.register(_OfEngine(engine))
        self._requests = Counter(
            "ornstein_http_requests", "Answered requests.", ["route", "method", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "ornstein_http_seconds", "From request to the end of its answer.", ["route"],
            buckets=_BUCKETS, registry=self.registry,
        )  # fmt: skip
        self._served = Counter("ornstein_served_files", "Files that were sent or kept.", registry=self.registry)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered. Routes are patterns, never paths as they came: their number is bounded."""
        known = method if method in ("GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH") else "other"
        self._requests.labels(route, known, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def made(self, files: int) -> None:
        """Files left."""
        self._served.inc(files)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self.registry)
