"""One call of the denoiser that gives its posterior and the gradient of a value of its mean."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ornstein.core.cond import Cond
from ornstein.core.distributions import Dirac, Gaussian, Posterior, Ranged
from ornstein.core.errors import CapabilityError
from ornstein.denoisers.denoiser import Denoiser


def with_gradient(
    denoiser: Denoiser, x_t: Tensor, t: Tensor, cond: Cond, value: Callable[[Tensor], Tensor], what: str
) -> tuple[Posterior, Tensor]:
    r"""The posterior at x_t, and \nabla_{x_t} of the sum of ``value(E[x_0 | x_t])`` over samples, both detached.

    Raises:
        CapabilityError: the value does not depend on x_t by differentiable steps.
    """
    with torch.enable_grad():
        x = x_t.detach().requires_grad_()
        posterior = denoiser(x, t, cond)
        found = value(posterior.mean)
        if not found.requires_grad:
            raise CapabilityError(
                f"{what} differentiates through the denoiser and the operator, and one of them cuts that"
            )
        (gradient,) = torch.autograd.grad(found.sum(), x)
    return detached(posterior), gradient


def detached(posterior: Posterior) -> Posterior:
    """The same law without its history."""
    mean = posterior.mean.detach()
    if isinstance(posterior, Ranged):
        return Ranged(mean, posterior.var.detach(), posterior.fraction.detach())
    return Gaussian(mean, posterior.var.detach()) if isinstance(posterior, Gaussian) else Dirac(mean)
