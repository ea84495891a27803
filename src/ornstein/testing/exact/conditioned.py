"""The exact posterior of a Gaussian mixture given a linear measurement: a mixture again."""

from __future__ import annotations

import torch

from ornstein.core.measurement import Measurement
from ornstein.testing.exact.mixture import MixtureProblem, mixture


def conditioned(problem: MixtureProblem, measurement: Measurement, least: float = 1e-6) -> MixtureProblem:
    r"""p(x_0 | y) for y = A x_0 + noise e: weights w_k N(y; A mu_k, S_k), means mu_k + G_k (y - A mu_k), covariances
    C_k - G_k A C_k.

    With S_k = A C_k A' + noise^2 I and G_k = C_k A' S_k^-1. ``measurement.y`` holds one sample, ``[1, ...]``. Rows of A that
    are zero (hidden pixels) are left out; noise 0 is taken as ``least``.
    """
    a = measurement.linear("the exact posterior")
    d = problem.eigenvalues.shape[1]
    matrix = a(torch.eye(d, dtype=torch.float64).reshape(d, *problem.shape)).reshape(d, -1).T
    seen = matrix.abs().sum(1) > 0
    matrix, y = matrix[seen], measurement.y.double().flatten()[seen]
    noise = max(measurement.noise, least) ** 2 * torch.eye(len(matrix), dtype=torch.float64)
    logs, means, covs = [], [], []
    for k, (w, mu) in enumerate(zip(problem.weights, problem.means.flatten(1), strict=True)):
        v = torch.eye(d, dtype=torch.float64) if problem.eigenvectors is None else problem.eigenvectors[k]
        c = (v * problem.eigenvalues[k]) @ v.T
        whole = matrix @ c @ matrix.T + noise
        gap = y - matrix @ mu
        gain = torch.linalg.solve(whole, matrix @ c).T
        logs.append(w.log() + torch.distributions.MultivariateNormal(torch.zeros_like(gap), whole).log_prob(gap))
        means.append((mu + gain @ gap).reshape(problem.shape))
        cov = c - gain @ matrix @ c
        covs.append((cov + cov.T) / 2 + 1e-12 * torch.eye(d, dtype=torch.float64))
    # A component that explains nothing keeps a weight that is not 0, as `mixture` asks.
    weights = torch.stack(logs).softmax(0).clamp_min(1e-300)
    return mixture(problem.process, weights, torch.stack(means), torch.stack(covs))
