"""Every sampler of the table through the conformance suite, on every process that it can use."""

from __future__ import annotations

import pytest

from ornstein.samplers import SAMPLERS
from ornstein.testing.conformance.sampler import Check, sampler_checks
from testing.tables import AFFINE, CURVED, DISCRETE, OWN

PROCESSES = {**AFFINE, **OWN, **DISCRETE, **CURVED}
CASES = [
    pytest.param(sampler, check, process, id=f"{sampler}-{process}-{check.__name__}")
    for sampler, kind in SAMPLERS.items()
    for process, p in PROCESSES.items()
    if isinstance(p, kind.needs) and not (kind.single_level and process in OWN)
    for check in sampler_checks()
]


@pytest.mark.parametrize(("sampler", "check", "process"), CASES)
def test_sampler(sampler: str, check: Check, process: str) -> None:
    check(SAMPLERS[sampler], PROCESSES[process])
