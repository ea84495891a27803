r"""Brownian motion on (0, 1) that is known to leave at 1: a three-dimensional Bessel process, stopped at 1.

From a, density of a' after a duration d without having left: (a'/a) (p_d(a, a')), p the kernel killed at both ends, as a sum of
images (short durations) or of sines (long ones). The same law is that of |W| for a Brownian motion W in the unit ball.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

BRIEF, LONG = 0.05, 0.3
"""durations below the first need three images on either side, and above the second six sines, for 15 digits"""
_ROUNDS = 60
_LEAST = 1e-6
"""positions nearer to 0 are taken for this one; the law's limit there is reached to 1e-12"""


def _bell(v: Tensor) -> Tensor:
    return torch.exp(-0.5 * v**2) / math.sqrt(2 * math.pi)


def _images(a: Tensor, x: Tensor, d: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Distribution function and density by images at 2 k + a and 2 k - a, |k| <= most."""
    root = d.sqrt()
    total, density = torch.zeros_like(x), torch.zeros_like(x)
    for k in range(-most, most + 1):
        for sign in (1, -1):
            centre = 2 * k + sign * a
            high, low = (x - centre) / root, -centre / root
            grown = 0.5 * (torch.erf(high / math.sqrt(2)) - torch.erf(low / math.sqrt(2)))
            at = _bell(high)
            total = total + sign * (centre * grown - root * (at - _bell(low)))
            density = density + sign * at / root
    return total / a, density * x / a


def _sines(a: Tensor, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """The same by sines."""
    total, density = torch.zeros_like(x), torch.zeros_like(x)
    for n in range(1, 7):
        w = n * math.pi
        size = 2 * torch.sin(w * a) * torch.exp(-0.5 * w**2 * d)
        total = total + size * (torch.sin(w * x) / w**2 - x * torch.cos(w * x) / w)
        density = density + size * torch.sin(w * x)
    return total / a, density * x / a


def law(a: Tensor, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """P(not stopped, a' <= x) and its density in x; ``d`` may be infinite. At x = 1 the former is the share not stopped."""
    a, x, d = a.clamp_min(_LEAST), x.expand(a.shape), d.expand(a.shape).clamp_min(1e-12)
    total, density = torch.empty_like(a), torch.empty_like(a)
    for chosen, most in ((d < BRIEF, 1), ((d >= BRIEF) & (d < LONG), 3), (d >= LONG, 0)):
        part = a[chosen], x[chosen], d[chosen]
        total[chosen], density[chosen] = _images(*part, most) if most else _sines(*part)
    return total.clamp(0, 1), density.clamp_min(0)


def step(a: Tensor, d: Tensor, u: Tensor) -> Tensor:
    """One draw after the duration d, by the uniform number u: in (0, 1), or exactly 1 where the process has stopped."""
    shape, d = a.shape, d.expand(a.shape)
    alive = u < law(a, torch.ones_like(a), d)[0]
    out = torch.ones_like(a).flatten()
    index = alive.flatten().nonzero().flatten()
    a, d, u = (v.flatten()[index] for v in (a, d, u))
    low, high, x = torch.zeros_like(a), torch.ones_like(a), torch.where(d < LONG, a, torch.full_like(a, 0.5))
    for _ in range(_ROUNDS):  # Newton's method, and bisection where it would leave the bracket; until each has settled
        if not len(index):
            break
        total, density = law(a, x, d)
        below = total < u
        low, high = torch.where(below, x, low), torch.where(below, high, x)
        newton = x - (total - u) / density.clamp_min(1e-300)
        new = torch.where((newton > low) & (newton < high), newton, (low + high) / 2)
        going = (new - x).abs() > 1e-11
        x = new
        out[index] = x
        index, a, d, u, low, high, x = (v[going] for v in (index, a, d, u, low, high, x))
    return out.reshape(shape)
