"""How much too large a Frechet distance is for want of samples."""

from __future__ import annotations

import torch
from torch import Tensor

from ornstein.core.errors import DataError

LEAST_SHARE = 16
"""Fewer samples than a sixteenth of the dimensions are refused: of the covariance, little but its rank would be measured."""


def frechet_bias(cov: Tensor, n: int, m: int) -> float:
    r"""The mean Frechet distance between N and M draws of one Gaussian, to first order in 1/N and 1/M.

    (1/N + 1/M) (tr C + 1/2 sum_ij c_i c_j (1 + [i = j]) / (c_i + c_j)) with the eigenvalues c of C: the mean's error, and
    half the mean square of the covariance's under the distance's Hessian, E delta_ij^2 = c_i c_j (1 + [i = j]) / N.
    """
    c = torch.linalg.eigvalsh(cov.double()).clamp_min(0)
    total = c[:, None] + c[None, :]
    pairs = torch.where(total > 0, c[:, None] * c[None, :] / total.clamp_min(1e-300), torch.zeros(()).double()).sum()
    return float((1 / n + 1 / m) * (c.sum() + 0.5 * (pairs + 0.5 * c.sum())))


def judge_size(name: str, n: int, m: int, dims: int, cov: Tensor) -> str | None:
    """A warning where samples are fewer than dimensions; None where they suffice.

    Raises:
        DataError: they are fewer than a sixteenth of the dimensions.
    """
    few = min(n, m)
    if few * LEAST_SHARE < dims:
        raise DataError(
            f"{name} of {few} samples in {dims} feature dimensions means nothing; give at least {-(-dims // LEAST_SHARE)}, "
            f"better {5 * dims}, or take kid, which has no bias"
        )
    if few > dims:
        return None
    return (
        f"{name}: {few} samples for {dims} feature dimensions bias the distance upwards, by about "
        f"{frechet_bias(cov, n, m):.3g} if the laws were equal; use more samples"
    )
