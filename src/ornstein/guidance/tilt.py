"""Adding a gradient to the score."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ornstein.core.errors import CapabilityError, OrnsteinError
from ornstein.core.shapes import cast
from ornstein.denoisers.denoiser import Denoiser
from ornstein.processes.base import GaussianProcess


def require_gaussian(what: str, denoiser: Denoiser) -> GaussianProcess:
    """The denoiser's process, refused unless a score gives a mean there (Tweedie)."""
    process = denoiser.process
    if not isinstance(process, GaussianProcess):
        raise CapabilityError(f"{what} needs a GaussianProcess; {type(process).__name__} is not")
    return process


def tilted(process: GaussianProcess, mean: Tensor, t: Tensor, gradient: Tensor) -> Tensor:
    r"""E[x_0] when ``gradient`` is added to the score: mean + sigma_t^2/alpha_t gradient (Tweedie)."""
    (a,) = cast(mean, process.sigma(t) ** 2 / process.alpha(t))
    return mean + a * gradient.to(mean)


def gradient_of(function: Callable[[Tensor], Tensor], x: Tensor, what: str) -> Tensor:
    """The gradient of each sample's value, also where gradients are off outside.

    Raises:
        CapabilityError: the value does not depend on x by differentiable steps.
        OrnsteinError: the gradient is not finite.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = function(x)
        if value.shape != x.shape[:1]:
            raise CapabilityError(f"{what} must give one number a sample, [{len(x)}]; it gave {tuple(value.shape)}")
        if not value.requires_grad:
            raise CapabilityError(
                f"{what} has no gradient with respect to x: does it detach, or run without gradients?"
            )
        (gradient,) = torch.autograd.grad(value.sum(), x)
    if not bool(gradient.isfinite().all()):
        raise OrnsteinError(f"the gradient of {what} is not finite")
    return gradient


def unit(gradient: Tensor) -> Tensor:
    """Each sample's gradient at length 1; a zero one stays zero."""
    norm = gradient.flatten(1).norm(dim=1).reshape(-1, *[1] * (gradient.ndim - 1))
    return gradient / norm.clamp_min(1e-12)
