"""The conformance suite of processes; the rungs that a process claims decide which checks apply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ornstein.core.distributions import Categorical, Dirac, Gaussian
from ornstein.core.errors import CapabilityError
from ornstein.core.rng import Rng
from ornstein.core.shapes import expand
from ornstein.processes.base import SDE, Affine, Process, Rate, Reversible
from ornstein.testing.conformance.compare import close, near_zero, require
from ornstein.testing.conformance.process_affine import check_derivatives, check_inverse, check_levels
from ornstein.testing.conformance.process_rate import check_generator, check_ratio, check_reverse_generator
from ornstein.testing.conformance.process_reverse import check_composes, check_reverse_ends_in_data
from ornstein.testing.conformance.process_sde import check_fokker_planck, check_move, check_score
from ornstein.testing.conformance.times import inner_times, name

Check = Callable[[Any, Tensor], None]


def process_checks(process: Process) -> list[Check]:
    """The checks that apply to a process, each ``(process, x_0) -> None``."""
    rungs: list[tuple[type, tuple[Check, ...]]] = [
        (Process, (check_data_end, check_prior_end, check_batched_times, check_samples, check_float32)),
        (Affine, (check_derivatives, check_inverse, check_levels)),
        (SDE, (check_score, check_fokker_planck, check_move)),
        (Reversible, (check_composes, check_reverse_ends_in_data)),
        (Rate, (check_generator, check_reverse_generator, check_ratio)),
    ]
    return [check for rung, checks in rungs if isinstance(process, rung) for check in checks]


def check_process(process: Process, x_0: Tensor) -> None:
    """Run every check that applies.

    Args:
        process: any process.
        x_0: a batch of valid data ``[B, ...]`` of at least two samples; float64 for continuous states.
    """
    for check in process_checks(process):
        check(process, x_0)


def check_data_end(process: Process, x_0: Tensor) -> None:
    """The marginal at t = 0 is the data, and it is approached."""
    rng = Rng(range(len(x_0)))
    start = process.marginal(x_0, torch.tensor(0.0, dtype=torch.float64)).sample(rng)
    close(start, x_0, f"{name(process)}: x_t drawn at t = 0 is not x_0")
    if x_0.is_floating_point():
        near = process.marginal(x_0, torch.tensor(1e-10, dtype=torch.float64)).sample(rng)
        close(near, x_0, f"{name(process)}: x_t drawn at t = 1e-10 is far from x_0", atol=1e-2, rtol=0)


def check_prior_end(process: Process, x_0: Tensor) -> None:
    """The marginal at t_max is close to the prior, and has its shape and kind."""
    t = torch.tensor(process.t_max, dtype=torch.float64)
    prior = process.prior(x_0.shape)
    x = prior.sample(Rng(range(len(x_0))))
    require(x.shape == x_0.shape, f"{name(process)}: prior{tuple(x_0.shape)} draws {tuple(x.shape)}")
    require(
        x.is_floating_point() == x_0.is_floating_point(),
        f"{name(process)}: the prior draws {x.dtype}, the data are {x_0.dtype}",
    )
    if isinstance(prior, Dirac):  # a starting point
        start = process.marginal(x_0, t).sample(Rng(range(len(x_0))))
        close(start, x, f"{name(process)}: x_t at t_max and the prior", rtol=0, atol=1e-5)
        return
    if isinstance(process, Affine):
        ratio = process.alpha(t) / process.sigma(t)
        require(
            float(ratio.max()) < 0.1, f"{name(process)}: alpha/sigma is {float(ratio.max()):.3g} at t_max, not near 0"
        )
        try:
            var = prior.var
        except CapabilityError:
            return
        close(var, process.marginal(x_0, t).var, f"{name(process)}: the prior's variance", rtol=1e-2)
        return
    ours, theirs = prior.log_prob(x), process.marginal(x_0, t).log_prob(x)
    close(theirs, ours, f"{name(process)}: log q(x | x_0) at t_max and the prior's", rtol=0, atol=0.03 * x[0].numel())


def check_batched_times(process: Process, x_0: Tensor) -> None:
    """One number for t, a number for each sample, and one for each coordinate give the same."""
    for t in inner_times(process, 3):
        seeds = range(len(x_0))
        single = process.marginal(x_0, t).sample(Rng(seeds))
        rows = process.marginal(x_0, expand(t.expand(len(x_0)), x_0)).sample(Rng(seeds))
        close(rows, single, f"{name(process)}: t = {float(t):.3g} for the batch and for each sample differ", atol=1e-12)
    times = inner_times(process, len(x_0))
    mixed = process.marginal(x_0, expand(times, x_0)).sample(Rng(range(len(x_0))))
    for i, t in enumerate(times):
        alone = process.marginal(x_0[i : i + 1], t).sample(Rng([i]))
        close(mixed[i], alone[0], f"{name(process)}: sample {i} depends on the others' times", atol=1e-12)


def check_samples(process: Process, x_0: Tensor, n: int = 4000) -> None:
    r"""Draws agree with ``log_prob`` (E_p[p'/p] = 1 for the law p' at an earlier time), and with mean and variance."""
    many = x_0[:1].expand(n, *x_0.shape[1:])
    for t in inner_times(process, 3):
        law, earlier = process.marginal(many, t), process.marginal(many, 0.9 * t)
        x = law.sample(Rng(range(n)))
        try:
            ratio = (earlier.log_prob(x).double() - law.log_prob(x).double()).exp()
        except CapabilityError:
            ratio = None
        if ratio is not None:
            near_zero(ratio - 1, f"{name(process)}: draws at t = {float(t):.3g} do not follow log_prob")
        if isinstance(law, Gaussian):
            z = (x - law.mean) / law.var.sqrt()
            near_zero(z, f"{name(process)}: mean of the draws at t = {float(t):.3g}")
            near_zero(z**2 - 1, f"{name(process)}: variance of the draws at t = {float(t):.3g}")
        elif isinstance(law, Categorical):
            hot = torch.nn.functional.one_hot(x, law.logits.shape[-1]) - law.probs
            near_zero(hot.flatten(1), f"{name(process)}: frequencies of the draws at t = {float(t):.3g}")


def check_float32(process: Process, x_0: Tensor) -> None:
    """In float32 the marginal's mean and variance, drift and diffusion agree with float64 to 1e-3."""
    if not x_0.is_floating_point():
        return
    x = x_0.double()
    for t in inner_times(process, 3):
        pairs = []
        try:
            a, b = process.marginal(x.float(), t), process.marginal(x, t)
            pairs += [("mean", a.mean, b.mean), ("variance", a.var, b.var)]
        except CapabilityError:
            pass  # a law without moments is compared by what follows
        if isinstance(process, SDE):
            pairs.append(("drift", process.drift(x.float(), t), process.drift(x, t)))
            pairs.append(("diffusion", process.diffuse(x.float(), t), process.diffuse(x, t)))
        for what, low, high in pairs:
            close(low, high, f"{name(process)}: {what} at t = {float(t):.3g} in float32", rtol=1e-3, atol=1e-6)
