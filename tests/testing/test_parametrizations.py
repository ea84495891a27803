"""Every parametrisation on every affine process."""

from __future__ import annotations

import pytest
import torch

from ornstein.core.errors import CapabilityError
from ornstein.denoisers import EDMScaling, Eps, LearnedRange
from ornstein.processes import Torus
from ornstein.testing.conformance import check_parametrization, check_unit_variances
from ornstein.testing.conformance.times import inner_times
from testing.tables import AFFINE, PARAMETRIZATIONS, TABLES


@pytest.mark.parametrize("process", {**AFFINE, **TABLES})
@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_parametrization(name: str, process: str) -> None:
    check_parametrization(PARAMETRIZATIONS[name], {**AFFINE, **TABLES}[process])


@pytest.mark.parametrize("data_std", [0.5, 1.3])
@pytest.mark.parametrize("process", AFFINE)
def test_edm_keeps_unit_variances(process: str, data_std: float) -> None:
    check_unit_variances(EDMScaling(data_std), AFFINE[process], data_std)


@pytest.mark.parametrize("process", ["vp", "flow_matching", "edm"])
def test_learned_range_is_the_reverse_variance_of_one_step(process: str) -> None:
    """Its posterior's variance makes ``reverse`` over a step of the training chain draw with exp(log_var)."""
    steps = 100
    p, range_ = AFFINE[process], LearnedRange(Eps(), steps)
    for t in inner_times(p, 5):
        s = t - 1 / steps
        raw = torch.linspace(-1, 1, 8, dtype=torch.float64).reshape(4, 2)
        out = torch.cat([torch.zeros_like(raw), raw], 1)
        x_t = torch.zeros_like(raw)
        kernel = p.reverse(x_t, t, s, range_.posterior(p, out, x_t, t))  # type: ignore[attr-defined]
        torch.testing.assert_close(kernel.var, range_.log_var(p, raw, t, s).exp(), rtol=1e-9, atol=1e-12)  # type: ignore[arg-type]
        large = p.sigma(t) ** 2 * -torch.expm1(p.log_snr(t) - p.log_snr(s))
        torch.testing.assert_close(kernel.var[-1, -1], large, rtol=1e-9, atol=1e-12)


def test_a_process_without_the_rung_is_refused() -> None:
    with pytest.raises(CapabilityError, match=r"Eps needs a process that is Affine; Torus is not"):
        Eps().check(Torus())
