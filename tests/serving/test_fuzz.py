"""Anything that fits the schema, and much that does not, is answered: never with a 500."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode

from ornstein.serving.http.app import create_app
from ornstein.serving.settings import Limits
from serving.server import Running, running
from serving.tiny import engine


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    served = engine()
    with running(create_app(served, limits=Limits(samples=2, steps=3, seconds=60, body=50_000), drain=1), served) as it:
        yield it


@pytest.mark.parametrize("examples", [1, pytest.param(30, marks=pytest.mark.slow)])
def test_no_server_errors(server: Running, examples: int) -> None:
    """Every operation of the OpenAPI description, with bodies that fit it and bodies that do not."""
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    asked = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.method == "get" and not operation.path_parameters and not operation.query:
            assert server.http.get(operation.path).status_code == 200  # there is nothing to vary
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            asked += probe(operation, mode, examples)
    assert asked > 15 * examples
    assert server.http.get("/health").status_code == 200
    assert len(server.http.post("/v1/images/generations", json={"prompt": "dog", "steps": 2}).json()["data"]) == 1


def probe(operation: schemathesis.schemas.APIOperation, mode: GenerationMode, examples: int) -> int:
    """Ask an operation; how often."""
    count = 0

    @seed(0)
    @settings(
        max_examples=examples, database=None, deadline=None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        nonlocal count
        count += 1
        case.call_and_validate(checks=[not_a_server_error], timeout=20)

    try:
        ask()
    except Unsatisfiable:  # nothing can be wrong where nothing is asked for
        assert mode is GenerationMode.NEGATIVE
    return count
