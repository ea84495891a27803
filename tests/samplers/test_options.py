"""Options that change the order: every variant of the multistep families, measured; and those that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from ornstein.core.errors import UsageError
from ornstein.processes import VP
from ornstein.processes.schedules import Cosine
from ornstein.samplers import SAMPLERS, get
from ornstein.testing import exact
from ornstein.testing.order import measured_order

ORDERS: list[tuple[str, dict[str, Any], int]] = [
    *(("deis", {"variant": v, "points": n}, n) for v in ("tab", "rhoab", "log_rho") for n in (1, 2, 3)),
    *(("lms", {"points": n}, n) for n in (1, 2, 3)),
    *(("unipc", {"variant": v, "p": n}, n + 1) for v in ("bh1", "bh2") for n in (1, 2)),
    ("unipc", {"variant": "bh1", "p": 3}, 4),
    ("dpmpp_3m", {"curvature": 0.5}, 2),
    ("pndm", {"start": "heun"}, 2),
]


@pytest.mark.parametrize(("name", "options", "order"), ORDERS, ids=lambda a: str(a))
def test_order(name: str, options: dict[str, Any], order: int) -> None:
    problem = exact.gaussian(VP(Cosine()), 0.7, 0.25)
    found = measured_order(get(name, options=options), problem, steps=128, ends=(0.9, 0.2), ramp=order > 2)
    assert abs(found - order) < 0.15, found


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("lms", {"points": 5}, "LMS reads 1 to 4 values of eps .* got points = 5"),
        ("deis", {"points": 0}, "DEIS reads 1 to 4 values"),
        ("deis", {"variant": "xab"}, "variant must be one of 'tab', 'rhoab', 'log_rho', got 'xab'"),
        ("unipc", {"p": 4}, "must be 1, 2 or 3: the history is 3 steps; got 4"),
        ("unipc", {"variant": "bh3"}, "'bh1' or 'bh2', got 'bh3'"),
        ("dpmpp_3m", {"curvature": 2.0}, r"curvature must lie in \[0, 1\]"),
        ("pndm", {"start": "euler"}, "'runge_kutta' or 'heun', got 'euler'"),
        ("dpm_adaptive", {"pair": "34"}, "'12' or '23', got '34'"),
    ],
)
def test_refused(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        SAMPLERS[name](exact.gaussian(VP()).denoiser, **options)
