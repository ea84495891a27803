"""Checks of the Reversible rung."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.core.distributions import Categorical, Dirac, Gaussian
from ornstein.core.rng import Rng
from ornstein.processes.base import Reversible
from ornstein.testing.conformance.compare import close, near_zero
from ornstein.testing.conformance.times import inner_times, name


def check_composes(process: Reversible, x_0: Tensor) -> None:
    """Drawing x_t from q(x_t | x_0), then x_s from q(x_s | x_t, x_0), gives q(x_s | x_0): exactly where laws allow."""
    t3, t2, t1 = inner_times(process, 3).flip(0)
    for t, s in ((t3, t2), (t3, t1), (t2, t1)):
        kernel = process.reverse(process.marginal(x_0, t).sample(Rng(range(len(x_0)))), t, s, Dirac(x_0))
        if isinstance(kernel, Gaussian):
            _gaussian(process, x_0, t, s)
        elif isinstance(kernel, Categorical):
            _categorical(process, x_0, t, s)
        else:
            _sampled(process, x_0, t, s)


def _at(t: Tensor, s: Tensor) -> str:
    return f"from t = {float(t):.3g} to s = {float(s):.3g}"


def _gaussian(process: Reversible, x_0: Tensor, t: Tensor, s: Tensor) -> None:
    there, here = process.marginal(x_0, t), process.marginal(x_0, s)
    posterior = Dirac(x_0)
    at_0, at_1 = (process.reverse(x, t, s, posterior) for x in (torch.zeros_like(x_0), torch.ones_like(x_0)))
    gain = at_1.mean - at_0.mean
    what = f"{name(process)}: reverse {_at(t, s)} does not compose"
    close(at_0.mean + gain * there.mean, here.mean, f"{what}: mean", rtol=1e-8, atol=1e-8)
    close(at_0.var + gain**2 * there.var, here.var, f"{what}: variance", rtol=1e-8, atol=1e-12)


def _categorical(process: Reversible, x_0: Tensor, t: Tensor, s: Tensor) -> None:
    there, here = process.marginal(x_0, t), process.marginal(x_0, s)
    assert isinstance(there, Categorical) and isinstance(here, Categorical)
    total = torch.zeros_like(here.probs)
    for state in range(here.probs.shape[-1]):
        kernel = process.reverse(torch.full_like(x_0, state), t, s, Dirac(x_0))
        assert isinstance(kernel, Categorical)
        weight = there.probs[..., state, None]
        total = total + torch.where(weight > 0, weight * kernel.probs, 0.0)  # no claim from states never reached
    close(total, here.probs, f"{name(process)}: reverse {_at(t, s)} does not compose", rtol=0, atol=1e-6)


def _sampled(process: Reversible, x_0: Tensor, t: Tensor, s: Tensor, n: int = 4000) -> None:
    many = x_0[:1].expand(n, *x_0.shape[1:])
    rng = Rng(range(n))
    x_t = process.marginal(many, t).sample(rng)
    x_s = process.reverse(x_t, t, s, Dirac(many)).sample(rng)
    direct = process.marginal(many, s).sample(Rng(range(n, 2 * n)))
    for wave in (0.3, 1.0, 3.0):
        for trig in (torch.sin, torch.cos):
            what = f"{name(process)}: reverse {_at(t, s)} does not compose (E[{trig.__name__}({wave} x)])"
            near_zero(trig(wave * x_s) - trig(wave * direct), what)


def check_reverse_ends_in_data(process: Reversible, x_0: Tensor) -> None:
    """The kernel down to s = 0 with x_0 known draws x_0."""
    zero = torch.tensor(0.0, dtype=torch.float64)
    for t in inner_times(process, 2):
        x_t = process.marginal(x_0, t).sample(Rng(range(len(x_0))))
        x = process.reverse(x_t, t, zero, Dirac(x_0)).sample(Rng(range(len(x_0))))
        close(x, x_0, f"{name(process)}: reverse from t = {float(t):.3g} to 0 does not end in x_0", atol=1e-6)
