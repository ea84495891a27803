"""The conformance suite of parametrisations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ornstein.core.distributions import Gaussian
from ornstein.core.rng import Rng
from ornstein.denoisers.parametrizations import Parametrization
from ornstein.processes.base import Affine
from ornstein.testing.conformance.compare import close, require
from ornstein.testing.conformance.times import inner_times, name

Check = Callable[[Parametrization, Affine], None]

SHAPE = (4, 2, 3)


def parametrization_checks() -> list[Check]:
    """The checks, each ``(parametrization, process) -> None``."""
    return [check_round_trip, check_gain, check_inputs, check_variance, check_float32]


def check_parametrization(parametrization: Parametrization, process: Affine) -> None:
    """Run every check of a parametrisation on a process."""
    for check in parametrization_checks():
        check(parametrization, process)


def _case(process: Affine, t: Tensor) -> tuple[Tensor, Tensor]:
    """x_0 and x_t."""
    x_0 = Rng(range(SHAPE[0])).normal(SHAPE, dtype=torch.float64)
    return x_0, process.marginal(x_0, t).sample(Rng(range(50, 50 + SHAPE[0])))


def _complete(p: Parametrization, out: Tensor) -> Tensor:
    """The whole output of the network: the regressed part, and a variance's half where there is one."""
    return torch.cat([out, *[torch.zeros_like(out)] * (p.outputs - 1)], 1)


def _title(p: Parametrization, process: Affine, t: Tensor) -> str:
    return f"{type(p).__name__} on {name(process)} at t = {float(t):.3g}"


def check_round_trip(p: Parametrization, process: Affine) -> None:
    """posterior(target(x_0)) has the mean x_0."""
    p.check(process)
    for t in inner_times(process, 5):
        x_0, x_t = _case(process, t)
        mean = p.posterior(process, _complete(p, p.target(process, x_0, x_t, t)), x_t, t).mean
        close(mean, x_0, f"{_title(p, process, t)}: the posterior of the target is not x_0", rtol=1e-8, atol=1e-8)


def check_gain(p: Parametrization, process: Affine) -> None:
    """``gain`` is |d x_0/d out|, by automatic differentiation."""
    for t in inner_times(process, 5):
        x_0, x_t = _case(process, t)
        out = p.target(process, x_0, x_t, t).clone().requires_grad_()
        (slope,) = torch.autograd.grad(p.posterior(process, _complete(p, out), x_t, t).mean.sum(), out)
        gain = p.gain(process, t).expand(slope.shape)
        close(gain, slope.abs(), f"{_title(p, process, t)}: gain", rtol=1e-8, atol=1e-12)


def check_inputs(p: Parametrization, process: Affine) -> None:
    """The network's inputs are finite, keep x's shape and dtype, and tell noise levels apart."""
    times = inner_times(process, 5)
    noises = []
    for t in times:
        _, x_t = _case(process, t)
        x_in, noise = p.inputs(process, x_t.float(), t)
        title = _title(p, process, t)
        require(x_in.shape == x_t.shape and x_in.dtype == torch.float32, f"{title}: the input changes shape or dtype")
        require(bool(torch.isfinite(x_in).all()) and bool(torch.isfinite(noise).all()), f"{title}: input not finite")
        noises.append(float(noise))
    require(len(set(noises)) == len(times), f"{type(p).__name__}: c_noise does not tell levels apart: {noises}")


def check_variance(p: Parametrization, process: Affine) -> None:
    """A posterior with a variance has it >= 0 and of x's shape."""
    for t in inner_times(process, 5):
        x_0, x_t = _case(process, t)
        posterior = p.posterior(process, _complete(p, p.target(process, x_0, x_t, t)), x_t, t)
        if isinstance(posterior, Gaussian):
            var = posterior.var.expand(x_t.shape)
            require(bool(torch.isfinite(var).all() and (var >= 0).all()), f"{_title(p, process, t)}: variance below 0")


def check_float32(p: Parametrization, process: Affine) -> None:
    """In float32 the posterior's mean agrees with float64 to 1e-3 of what an output of size 1 moves it by."""
    for t in inner_times(process, 5):
        x_0, x_t = _case(process, t)
        out = _complete(p, torch.randn(x_0.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
        high = p.posterior(process, out, x_t, t).mean
        low = p.posterior(process, out.float(), x_t.float(), t).mean
        scale = 1e-3 * max(1.0, float(p.gain(process, t).max()))
        close(low, high, f"{_title(p, process, t)}: float32", rtol=1e-3, atol=scale)


def check_unit_variances(p: Parametrization, process: Affine, data_std: float) -> None:
    """Where data have independent coordinates of this deviation, input and target have variance 1 at every level (EDM)."""
    for t in inner_times(process, 7):
        alpha, sigma = process.alpha(t), process.sigma(t)
        one, zero = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
        seen = p.inputs(process, one, t)[0] ** 2 * (alpha**2 * data_std**2 + sigma**2)
        by_x_0 = p.target(process, one, alpha * one, t)  # the target is linear in x_0 and in eps
        by_eps = p.target(process, zero, sigma * one, t)
        close(seen, one, f"{_title(p, process, t)}: variance of the input")
        close(by_x_0**2 * data_std**2 + by_eps**2, one, f"{_title(p, process, t)}: variance of the target")
