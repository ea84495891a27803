"""Every sampler of the table through the conformance suite, on every process that it can use.

Samplers that take long run on a few processes in the fast suite, and on all with ``pytest -m slow``.
"""

from __future__ import annotations

import pytest

from ornstein.samplers import SAMPLERS
from ornstein.samplers.table import LEARNED
from ornstein.testing.conformance.sampler import Check, check_stateless, check_times_per_sample, sampler_checks
from testing.tables import AFFINE, COUPLED, CURVED, DISCRETE, OWN, STOPPED

PROCESSES = {**AFFINE, **OWN, **DISCRETE, **CURVED, **COUPLED, **STOPPED}
FIRST = ("vp", "per_coordinate")
LONG: dict[str, tuple[str, ...]] = {
    "adaptive_sde": (),
    "adaptive_rk": FIRST,
    "analytic_dpm": FIRST,
    "annealed_langevin": FIRST,
    "consistent_annealed": FIRST,
    "dpm_2_ancestral": FIRST,
    "dpm_adaptive": FIRST,
    "dpmpp_2m_sde": FIRST,
    "dpmpp_2s_ancestral": FIRST,
    "dpmpp_3m_sde": FIRST,
    "dpmpp_sde": FIRST,
    "paradigms": FIRST,
    "predictor_corrector": FIRST,
    "pds": FIRST,
    "restart": FIRST,
    "reverse_diffusion": FIRST,
    "rk4": FIRST,
    "sa_solver": FIRST,
}
"""Samplers of many evaluations or with many checks of their law, and where the fast suite runs them."""

RARE = ("flexible",)
"""Processes on which every sampler takes long: left to the slow suite."""

CASES = [
    pytest.param(
        sampler,
        check,
        process,
        id=f"{sampler}-{process}-{check.__name__}",
        marks=[pytest.mark.slow] if process not in LONG.get(sampler, PROCESSES) or process in RARE else [],
    )
    for sampler, kind in SAMPLERS.items()
    for process, p in PROCESSES.items()
    if isinstance(p, kind.needs)
    for check in sampler_checks()
]


@pytest.mark.parametrize(("sampler", "check", "process"), CASES)
def test_sampler(sampler: str, check: Check, process: str) -> None:
    check(SAMPLERS[sampler], PROCESSES[process])


@pytest.mark.parametrize("check", [check_stateless, check_times_per_sample])
@pytest.mark.parametrize("process", FIRST)
@pytest.mark.parametrize("sampler", ["renoise", "tcd"])
def test_learned_jumps_share_objects_and_batches(sampler: str, process: str, check: Check) -> None:
    """Where a plain denoiser will do; their laws are those of what they were trained with, and tested there."""
    check(LEARNED[sampler], PROCESSES[process])
