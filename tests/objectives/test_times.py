"""At which times objectives ask: the laws, by their quantiles."""

from __future__ import annotations

import math

import pytest
import torch

from ornstein.core.errors import UsageError
from ornstein.core.rng import Stream
from ornstein.objectives import DiscreteTimes, LogitNormal, LogNormalSigma, UniformLogSNR, UniformTimes
from ornstein.processes import EDM, VE, VP, FlowMatching, GaussianProcess, SubVP

N = 4000


def test_uniform_times_are_stratified() -> None:
    t = UniformTimes(0.2, 0.7)(Stream(0), N)
    assert t.dtype == torch.float64
    strata = ((t - 0.2) / 0.5 * N).floor().long()
    assert torch.equal(strata.sort().values, torch.arange(N))


def test_discrete_times_are_uniform_on_the_chain() -> None:
    t = DiscreteTimes(10)(Stream(0), N)
    steps = (t * 10).round()
    torch.testing.assert_close(t, steps / 10)
    share = torch.bincount(steps.long(), minlength=11) / N
    assert share[0] == 0
    assert (share[1:] - 0.1).abs().max() < 5 * (0.09 / N) ** 0.5


@pytest.mark.parametrize("process", [EDM(), VP(), FlowMatching()], ids=lambda p: type(p).__name__)
def test_log_normal_sigma_on_every_process(process: EDM | VP | FlowMatching) -> None:
    t = LogNormalSigma(process, -1.2, 0.8)(Stream(0), N)
    log_sigma = -process.log_snr(t) / 2
    assert float(log_sigma.mean()) == pytest.approx(-1.2, abs=0.01)
    assert float(log_sigma.std()) == pytest.approx(0.8, abs=0.01)
    assert 0 < float(t.min()) <= float(t.max()) <= 1


def test_logit_normal() -> None:
    z = torch.logit(LogitNormal(0.5, 1.3)(Stream(0), N))
    assert float(z.mean()) == pytest.approx(0.5, abs=0.01)
    inside = ((z - 0.5).abs() < 1.3).double().mean()
    assert float(inside) == pytest.approx(math.erf(1 / math.sqrt(2)), abs=0.005)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(UsageError, match=r"0 <= t_min < t_max <= 1, got 0\.5 and 0\.2"):
        UniformTimes(0.5, 0.2)
    with pytest.raises(UsageError, match="at least one step, got 0"):
        DiscreteTimes(0)
    for bad in (lambda: LogitNormal(std=0), lambda: LogNormalSigma(EDM(), std=-1)):
        with pytest.raises(UsageError, match="std must be positive"):
            bad()


@pytest.mark.parametrize("process", [VP(), SubVP(), VE(), FlowMatching(t_max=0.99)], ids=lambda p: type(p).__name__)
def test_uniform_log_snr_is_the_likelihoods_density(process: GaussianProcess) -> None:
    r"""The share of times below t is int g^2/sigma^2 up to t over the whole, by quadrature of g and sigma themselves."""
    law = UniformLogSNR(process, 1e-3)
    t = law(Stream(0), N)
    for level in (0.01, 0.2, 0.6):
        grids = (
            torch.logspace(math.log10(a), math.log10(b), 20_001, dtype=torch.float64)
            for a, b in ((1e-3, level), (1e-3, process.t_max))
        )
        part, whole = (torch.trapezoid(process.diffusion_sq(g) / process.sigma(g) ** 2, g) for g in grids)
        assert abs(float((t < level).double().mean()) - float(part / whole)) < 2e-3
        assert float(whole) == pytest.approx(law.range, rel=1e-4)


def test_uniform_log_snr_needs_finite_ends() -> None:
    with pytest.raises(UsageError, match=r"t_min must lie in \(0, 1\): the range of log-SNR is infinite at 0; got 0"):
        UniformLogSNR(VP(), 0)
    with pytest.raises(UsageError, match="log-SNR of FlowMatching runs from -inf"):
        UniformLogSNR(FlowMatching(), 1e-3)
