"""Every process through the conformance suite."""

from __future__ import annotations

import pytest

from ornstein.testing.conformance.process import Check, process_checks
from testing.tables import PROCESSES, data_for

CASES = [pytest.param(n, c, id=f"{n}-{c.__name__}") for n, p in PROCESSES.items() for c in process_checks(p)]


@pytest.mark.parametrize(("name", "check"), CASES)
def test_process(name: str, check: Check) -> None:
    check(PROCESSES[name], data_for(PROCESSES[name]))
