"""Preconditioned sampling: the operator, its masks, and on a Gaussian the law that its moves leave as it is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.core.rng import Stream
from ornstein.core.shapes import expand
from ornstein.denoisers import Denoiser
from ornstein.processes import VE, CategoricalProcess
from ornstein.samplers import PDS, Langevin, PreconditionedLangevin, Spectrum, get, simulate
from ornstein.samplers.correctors import Corrector
from ornstein.testing import exact

SHAPE = (1, 3, 4)
DIMS = 12
T = torch.tensor(0.4, dtype=torch.float64)
PROCESS = VE(0.05, 2.0)


def spectrum(alpha: float = 1.5) -> Spectrum:
    """Strong masks, of images whose power and brightness vary."""
    s = Spectrum(SHAPE, alpha)
    x = Stream(0).normal((200, *SHAPE), dtype=torch.float64)
    s.add(x.cumsum(2) * torch.linspace(0.2, 2, 4).double())
    return s


class Correlated(Denoiser):
    """The posterior mean of N(m, C) on images of SHAPE, C full."""

    process: VE

    def __init__(self) -> None:
        super().__init__()
        self.process = PROCESS
        root = torch.eye(DIMS).double() + 0.3 * Stream(3).normal((DIMS, DIMS), dtype=torch.float64)
        self.cov = 0.5 * root @ root.T
        self.mean = Stream(4).normal((DIMS,), dtype=torch.float64)

    def marginal(self, t: Tensor) -> Tensor:
        """The covariance of x_t."""
        return self.cov + self.process.sigma(t) ** 2 * torch.eye(DIMS).double()

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Dirac:
        at = expand(t, x_t).flatten()[0]
        gain = self.cov @ torch.linalg.inv(self.marginal(at))
        x = x_t.flatten(1)
        return Dirac((self.mean + (x - self.mean) @ gain.T).reshape(x_t.shape))


class Impulse(Stream):
    """The draw z = e_i in row 1 + D + i; zeros in the others."""

    def normal(self, shape, *, dtype=torch.float32, device="cpu"):  # type: ignore[no-untyped-def]
        z = torch.zeros(1 + 2 * DIMS, DIMS, dtype=dtype)
        z[1 + DIMS :] = torch.eye(DIMS, dtype=dtype)
        return z.reshape(shape)


def affine(corrector: Corrector, denoiser: Denoiser) -> tuple[Tensor, Tensor, Tensor]:
    """x -> A x + b + B z of one move, read off from unit vectors."""
    x = torch.zeros(1 + 2 * DIMS, DIMS, dtype=torch.float64)
    x[1 : 1 + DIMS] = torch.eye(DIMS)
    y = corrector.run(denoiser, x.reshape(-1, *SHAPE), T, Impulse(0))[0].flatten(1)
    b = y[0]
    return (y[1 : 1 + DIMS] - b).T, b, (y[1 + DIMS :] - b).T


def stationary(corrector: Corrector, denoiser: Denoiser) -> tuple[Tensor, Tensor]:
    """Mean and covariance that many moves end in: mu = A mu + b, C = A C A' + B B'."""
    a, b, noise = affine(corrector, denoiser)
    mean = torch.linalg.solve(torch.eye(DIMS).double() - a, b)
    lift = torch.eye(DIMS**2).double() - torch.kron(a, a)
    return mean, torch.linalg.solve(lift, (noise @ noise.T).flatten()).reshape(DIMS, DIMS)


def test_the_drift_is_the_operator_times_its_transpose() -> None:
    s = spectrum()
    unit = torch.eye(DIMS, dtype=torch.float64).reshape(DIMS, *SHAPE)
    m, mm = s.noise(unit).flatten(1).T, s.drift(unit).flatten(1).T
    torch.testing.assert_close(mm, m @ m.T, rtol=1e-6, atol=1e-9)
    assert float((m - m.T).abs().max()) > 1e-3  # it is not symmetric, and so the order of the two masks is tested


@pytest.mark.parametrize("alpha", [1.5, 5.0])
def test_small_moves_leave_the_law_of_a_gaussian_as_it_is(alpha: float) -> None:
    """The stationary law tends to N(m, C_t) with the step, whatever the masks; its bias falls with h = 2 (snr sigma)^2."""
    denoiser = Correlated()
    target = denoiser.marginal(T)
    errors = []
    for snr in (0.04, 0.02, 0.01):
        mean, cov = stationary(PreconditionedLangevin(spectrum(alpha), snr=snr), denoiser)
        torch.testing.assert_close(mean, denoiser.mean, rtol=1e-6, atol=1e-6)
        errors.append(float((cov - target).abs().max()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1) and errors[1] / errors[2] == pytest.approx(4, rel=0.1)
    assert errors[2] < 1e-3


def test_one_long_move_is_not_that_of_plain_langevin() -> None:
    denoiser = Correlated()
    plain, masked = (affine(c, denoiser)[0] for c in (Langevin(0.1), PreconditionedLangevin(spectrum(), snr=0.1)))
    same = affine(PreconditionedLangevin(snr=0.1), denoiser)[0]
    torch.testing.assert_close(same, plain, rtol=1e-12, atol=1e-12)
    assert float((masked - plain).abs().max()) > 1e-3


def test_masks_follow_their_formulas_and_do_not_depend_on_how_images_arrive() -> None:
    x = Stream(1).normal((10, *SHAPE), dtype=torch.float64) * torch.linspace(0.1, 1, 4).double()
    whole, parts = Spectrum(SHAPE, 5.0), Spectrum(SHAPE, 5.0)
    whole.add(x)
    for part in x.split([3, 7]):
        parts.add(part)
    power = (1 + (torch.fft.fft2(x).abs() ** 2).mean(0)).log()  # unnormalised, as in the paper's code
    pixels = (x**2).mean(0)
    for found, k in zip(whole.masks(), (power, pixels), strict=True):
        torch.testing.assert_close(found, 1 / ((k / k.max() + 4) / 5), rtol=1e-5, atol=0)
        assert float(found.min()) == pytest.approx(1) and float(found.max()) <= 1.25
    for one, other in zip(whole.masks(), parts.masks(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=0)
    assert bool((without_pixels(x).masks()[1] == 1).all())


def without_pixels(x: Tensor) -> Spectrum:
    s = Spectrum(SHAPE, pixels=False)
    s.add(x)
    return s


def test_the_start_is_preconditioned_once_and_only_if_asked() -> None:
    denoiser, s = Correlated(), spectrum()
    x = Stream(1).normal((3, *SHAPE), dtype=torch.float64)
    grid = torch.tensor([0.9, 0.5, 0.2], dtype=torch.float64)
    one = simulate(PDS(denoiser, s), x, grid, Stream(2))
    other = simulate(PDS(denoiser, s, first=False), s.noise(x), grid, Stream(2))
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    plain = simulate(PDS(denoiser), x, grid, Stream(2))
    pc = simulate(get("predictor_corrector")(denoiser), x, grid, Stream(2))
    torch.testing.assert_close(plain, pc, rtol=1e-12, atol=1e-12)


def test_bad_masks_and_processes_are_refused() -> None:
    with pytest.raises(UsageError, match="alpha must exceed 1"):
        Spectrum(SHAPE, alpha=-5.0)
    with pytest.raises(CapabilityError, match="no spectrum was measured yet"):
        Spectrum(SHAPE).masks()
    with pytest.raises(UsageError, match=r"masks are those of images of \(1, 3, 4\), got \(1, 4, 4\)"):
        spectrum().noise(torch.zeros(2, 1, 4, 4))
    with pytest.raises(DataError, match="NaN"):
        Spectrum(SHAPE).add(torch.full((2, *SHAPE), torch.nan))
    dark = Spectrum(SHAPE)
    dark.add(torch.zeros(2, *SHAPE))
    with pytest.raises(UsageError, match="not all 0"):
        dark.masks()
    broken = spectrum()
    broken.square[0, 0, 0] = -1.0
    with pytest.raises(UsageError, match="at least 0"):
        broken.masks()
    discrete = exact.categorical(CategoricalProcess.uniform(3), torch.full((1, 3), 1 / 3)).denoiser
    with pytest.raises(CapabilityError, match="PDS needs a process that is GaussianProcess"):
        PDS(discrete)
    with pytest.raises(UsageError, match="rule must be 'level' or 'norm'"):
        PDS(Correlated(), rule="step")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="signal-to-noise"):
        PDS(Correlated(), snr=0.0)
