"""Blur diffusion's claims on Gaussian fields, where the posterior of every frequency is exact."""

from __future__ import annotations

from itertools import pairwise
from typing import final

import torch
from torch import Tensor

from ornstein.codecs.bases import cosines
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac
from ornstein.core.rng import Stream
from ornstein.core.shapes import cast, expand
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess
from ornstein.processes.blur import Blur
from ornstein.recipes.check import Check, Condition
from ornstein.samplers.ancestral import Ancestral
from ornstein.samplers.base import simulate
from ornstein.samplers.grids import uniform

SIZE, FIELDS = 16, 3000


@final
class FieldMean(Denoiser):
    """E[u_0 | u_t] of independent coefficients N(0, spectrum): what a perfect network would give, without its variance."""

    process: GaussianProcess

    def __init__(self, process: GaussianProcess, spectrum: Tensor):
        super().__init__()
        self.process, self.spectrum = process, spectrum

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Dirac:
        t = expand(t, x_t)
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        (gain,) = cast(x_t, alpha * self.spectrum / (alpha**2 * self.spectrum + sigma**2))
        return Dirac(gain * x_t)


def spectrum() -> Tensor:
    """The variances of a 1/f field: 1/(1 + |k|)^2, ``[SIZE, SIZE]``."""
    k = torch.arange(SIZE, dtype=torch.float64)
    return 1 / (1 + (k[:, None] ** 2 + k**2).sqrt()) ** 2


def blurred_by_kernel(width: float) -> tuple[Tensor, Tensor]:
    """An image blurred by the heat equation in small steps of its Laplacian, and by the process's fading of its frequencies."""
    x = torch.randn(SIZE, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    table = cosines(SIZE)
    k = torch.arange(SIZE, dtype=torch.float64)
    # the Laplacian with reflecting ends, exact in the cosine basis: as a matrix on pixels
    laplacian = -table.T @ torch.diag(torch.pi**2 * k**2 / SIZE**2) @ table
    flow = torch.linalg.matrix_exp(laplacian * width**2 / 2)
    process = Blur(SIZE, width, 1e-12)
    faded = table.T @ (process.fade(torch.tensor(1.0, dtype=torch.float64)) * (table @ x @ table.T)) @ table
    return flow @ x @ flow.T, faded


def measure(seed: int) -> dict[str, float]:
    """Errors of the spectrum by the number of steps; of the chain's variances; of the blur against the heat equation."""
    process, law = Blur(SIZE), spectrum()
    rng = Stream(seed)
    found = {}
    table = cosines(SIZE)
    found["basis_error"] = float((table @ table.T - torch.eye(SIZE, dtype=torch.float64)).abs().max())
    flow, faded = blurred_by_kernel(2.0)
    found["blur_error"] = float((flow - faded).abs().max())
    # the chain of 100 forward steps, whose variances must be those of the marginal
    times = torch.linspace(0, 0.9, 101, dtype=torch.float64)
    var = law
    for s, t in pairwise(times):
        ratio = process.alpha(t) / process.alpha(s)
        fresh = process.sigma(t) ** 2 - ratio**2 * process.sigma(s) ** 2
        var = ratio**2 * var + fresh
    end = process.alpha(times[-1]) ** 2 * law + process.sigma(times[-1]) ** 2
    found["chain_error"] = float((var / end - 1).abs().max())
    for steps in (50, 100, 200, 500):
        x = process.prior((FIELDS, 1, SIZE, SIZE)).sample(rng)
        x = simulate(Ancestral(FieldMean(process, law)), x, uniform(process, steps), rng)
        found[f"spectrum_error_{steps}"] = float((x.double().square().mean((0, 1)) / law - 1).abs().mean())
    snr = torch.stack([(process.alpha(t) / process.sigma(t)) ** 2 for t in torch.linspace(0.01, 0.99, 99).double()])
    found["order_violations"] = float((snr[:, 0, 0] < snr[:, -1, -1]).sum())
    first_low = int((snr[:, 0, 0] > 1).nonzero().max())
    first_high = int((snr[:, -1, -1] > 1).nonzero().max())
    found["time_low_passes_1"], found["time_high_passes_1"] = 0.01 * (first_low + 1), 0.01 * (first_high + 1)
    plain = Blur(SIZE, 0.0)
    t = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    found["plain_error"] = float(max((plain.alpha(s) ** 2 + plain.sigma(s) ** 2 - 1).abs().max() for s in t))
    return found


_HALVES = "half the step, a smaller error: at least 1.5 times, near the 2 of a method of order 1"

CHECK = Check(
    recipe="blur-diffusion",
    paper="LSUN bedroom and church at 64: better FID than DDPM, generation from coarse to fine",
    claim="on 16 x 16 fields with a 1/f spectrum and the exact posterior mean, the spectrum's error falls with the number of "
    "steps to below 0.1 at 500; low frequencies have the higher signal-to-noise ratio at every time and come back first; "
    "without blur the process preserves variance",
    conditions=(
        Condition("basis_error", "<", 1e-12, "the cosine basis is orthonormal up to rounding"),
        Condition("blur_error", "<", 1e-10, "fading frequencies is the heat equation, here as a matrix exponential"),
        Condition("chain_error", "<", 1e-9, "forward steps compose to the marginal in closed form"),
        Condition("spectrum_error_100", "<", "spectrum_error_50", _HALVES, 1 / 1.5),
        Condition("spectrum_error_200", "<", "spectrum_error_100", _HALVES, 1 / 1.5),
        Condition(
            "spectrum_error_500",
            "<",
            0.10,
            "an independent trial gave 0.06; the sampling noise of 3000 fields adds 0.02",
        ),
        Condition("order_violations", "==", 0.0, "at no time is a high frequency clearer than the lowest"),
        Condition(
            "time_high_passes_1",
            "<",
            "time_low_passes_1",
            "going back in time, the lowest comes out of the noise first",
        ),
        Condition("plain_error", "<", 1e-12, "alpha^2 + sigma^2 = 1 without blur: plain diffusion"),
    ),
    measure=measure,
)
