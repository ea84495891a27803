"""Checks of the SDE rung."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.core.distributions import Dirac
from ornstein.core.rng import Rng
from ornstein.core.shapes import sum_rest
from ornstein.processes.base import SDE
from ornstein.testing.conformance.compare import close
from ornstein.testing.conformance.times import inner_times, name


def check_score(process: SDE, x_0: Tensor) -> None:
    r"""For a known x_0 the score is the gradient of log q(x_t | x_0)."""
    for t in inner_times(process, 4):
        law = process.marginal(x_0, t)
        x = law.sample(Rng(range(len(x_0)))).requires_grad_()
        (wanted,) = torch.autograd.grad(law.log_prob(x).sum(), x)
        got = process.score(x.detach(), t, Dirac(x_0))
        close(got, wanted, f"{name(process)}: score at t = {float(t):.3g}", rtol=1e-7, atol=1e-7)


def check_fokker_planck(process: SDE, x_0: Tensor) -> None:
    r"""The marginals solve the SDE's Fokker-Planck equation: in logarithms, with s the score and D = G G'/2,

    d log p/dt = -div f - f.s + div(D s) + s.D s, for D constant in x.
    """
    for t in inner_times(process, 4):
        x = process.marginal(x_0, t).sample(Rng(range(len(x_0)))).requires_grad_()
        when = t.clone().requires_grad_()
        log = process.marginal(x_0, when).log_prob(x)
        rate = torch.stack([torch.autograd.grad(row, when, retain_graph=True)[0] for row in log])
        (s,) = torch.autograd.grad(log.sum(), x, create_graph=True)
        f = process.drift(x, t)
        spread = process.diffuse(process.diffuse(s, t), t) / 2
        wanted = sum_rest(-_diagonal(f, x) - f * s + _diagonal(spread, x) + s * spread)
        what = f"{name(process)}: Fokker-Planck at t = {float(t):.3g} (d log p/dt and its right side)"
        close(rate, wanted.detach(), what, rtol=1e-6, atol=1e-6)


def _diagonal(v: Tensor, x: Tensor) -> Tensor:
    """d v_i / d x_i for each coordinate."""
    if not v.requires_grad:
        return torch.zeros_like(x)
    out = torch.zeros_like(x).flatten(1)
    flat = v.flatten(1)
    for i in range(flat.shape[1]):
        (g,) = torch.autograd.grad(flat[:, i].sum(), x, retain_graph=True, allow_unused=True)
        if g is not None:
            out[:, i] = g.flatten(1)[:, i]
    return out.reshape(x.shape)


def check_move(process: SDE, x_0: Tensor) -> None:
    """Moving by 0 changes nothing, and a small move from where noise leads is that tangent vector, to first order."""
    x = process.prior(x_0.shape).sample(Rng(range(len(x_0)))).double()
    close(process.move(x, torch.zeros_like(x)), x, f"{name(process)}: move by 0", atol=1e-12)
    v, h = torch.ones_like(x), 1e-6
    back = process.move(process.move(x, h * v), -h * v)
    close(back, x, f"{name(process)}: a small move there and back", rtol=0, atol=1e-9)
