r"""Rotations (Leach et al. 2022; Yim et al. 2023): Brownian motion on SO(3), whose kernel is IGSO(3).

The state is a rotation matrix ``[B, 3, 3]`` and tangent vectors live in the same nine numbers, so samplers draw noise of
x's shape and ``move`` projects it: with the Frobenius metric on matrices, sqrt(2) times nine independent normals, projected
to the tangent space at x, are a unit normal rotation vector. The exact problem is a mixture of IGSO(3) laws, closed
under the process; E[R] = exp(-variance) R_0 is its first Fourier coefficient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac, Distribution, Posterior, Score
from ornstein.core.rng import Random, Rng
from ornstein.core.shapes import per_sample
from ornstein.denoisers import Denoiser
from ornstein.processes import SDE
from ornstein.samplers import EulerMaruyama, simulate

DEGREES = torch.arange(0, 120, dtype=torch.float64)
ANGLES = torch.linspace(0, math.pi, 2001, dtype=torch.float64)[1:]


def hat(v: Tensor) -> Tensor:
    """``[B, 3] -> [B, 3, 3]``, the skew matrix of a rotation vector."""
    return torch.linalg.cross(torch.eye(3, dtype=v.dtype).unsqueeze(0), v.unsqueeze(1))


def relative(centre: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The rotation from centre to x, and its angle ``[B]``."""
    turn = centre.mT @ x
    cos = (turn.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    return turn, cos.clamp(-1 + 1e-12, 1 - 1e-12).acos()


def series(angle: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    r"""f = sum_l (2l + 1) e^{-l(l+1) var/2} sin((l + 1/2) w)/sin(w/2), a density against Haar measure; and df/dw."""
    w, v, ell = angle.double().unsqueeze(-1), var.double().unsqueeze(-1), DEGREES
    decay = (2 * ell + 1) * (-ell * (ell + 1) * v / 2).exp()
    up, down = ((ell + 0.5) * w).sin(), (w / 2).sin()
    slope = (ell + 0.5) * ((ell + 0.5) * w).cos() / down - up * (w / 2).cos() / (2 * down**2)
    return (decay * up / down).sum(-1).clamp_min(1e-10), (decay * slope).sum(-1)  # below that is rounding


class IGSO3(Distribution):
    """The heat kernel on SO(3) around ``mean [B, 3, 3]``; ``var [B]`` is that of each rotation-vector coordinate."""

    def __init__(self, mean: Tensor, var: Tensor):
        self.centre, self.scale = mean, var.expand(len(mean))

    def sample(self, rng: Random) -> Tensor:
        """The angle by its inverse distribution function, the axis uniform."""
        var, which = self.scale.unique(return_inverse=True)
        cdf = (series(ANGLES, var.unsqueeze(1))[0] * (1 - ANGLES.cos())).cumsum(1)[which]
        u = rng.uniform((len(self.centre), 1), dtype=torch.float64) * cdf[:, -1:]
        angle = ANGLES[torch.searchsorted(cdf, u).clamp(max=len(ANGLES) - 1)]
        axis = torch.nn.functional.normalize(rng.normal((len(self.centre), 3), dtype=torch.float64), dim=1)
        return self.centre @ torch.linalg.matrix_exp(hat(angle * axis)).to(self.centre)

    def log_prob(self, x: Tensor) -> Tensor:
        return series(relative(self.centre, x)[1], self.scale)[0].log()

    def score(self, x: Tensor) -> Tensor:
        r"""Gradient in the Frobenius metric, x hat(d log f/dw axis)/2: along the geodesic from the centre."""
        turn, angle = relative(self.centre, x)
        f, slope = series(angle, self.scale)
        return x @ (turn - turn.mT) * (slope / f / (4 * angle.sin())).reshape(-1, 1, 1)


class Rotations(SDE):
    r"""dR = g dB on SO(3), g^2 = d sigma^2/dt, sigma_t = sigma_max t: q(R_t | R_0) = IGSO(3)(R_0, sigma_t^2)."""

    sigma_max = 2.5

    def prior(self, shape: Sequence[int]) -> IGSO3:
        """The uniform law, which is the heat kernel after infinite time."""
        return IGSO3(torch.eye(3, dtype=torch.float64).expand(*shape), torch.tensor(100.0))

    def marginal(self, x_0: Tensor, t: Tensor) -> IGSO3:
        return IGSO3(x_0, (self.sigma_max * per_sample(t, len(x_0))) ** 2)

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def diffuse(self, v: Tensor, t: Tensor) -> Tensor:
        g_squared = 2 * self.sigma_max**2 * t
        return (2 * g_squared).sqrt() * v  # 2: the unit of length of the Frobenius metric

    def score(self, x_t: Tensor, t: Tensor, posterior: Posterior) -> Tensor:
        return self.marginal(posterior.x, t).score(x_t) if isinstance(posterior, Dirac) else posterior.score

    def move(self, x: Tensor, dx: Tensor) -> Tensor:
        """The exponential map of dx, projected to the tangent space at x."""
        tangent = x.mT @ dx
        return x @ torch.linalg.matrix_exp((tangent - tangent.mT) / 2)


CENTRES = torch.linalg.matrix_exp(hat(torch.tensor([[0.4, -0.3, 0.2], [-1.5, 1.0, 0.8]], dtype=torch.float64)))
WEIGHTS, VAR = torch.tensor([0.7, 0.3], dtype=torch.float64), 0.05


class Exact(Denoiser):
    """The score of the mixture sum_k w_k IGSO(3)(C_k, VAR + sigma_t^2)."""

    process = Rotations()

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Posterior:
        var = VAR + (self.process.sigma_max * per_sample(t, len(x_t))) ** 2
        laws = [IGSO3(c.expand_as(x_t), var) for c in CENTRES]
        share = torch.stack([w.log() + law.log_prob(x_t) for w, law in zip(WEIGHTS, laws, strict=True)]).softmax(0)
        return Score(sum(p.reshape(-1, 1, 1) * law.score(x_t) for p, law in zip(share, laws, strict=True)))


@pytest.mark.parametrize("var", [0.05, 0.4, 3.0])
def test_score_is_the_gradient_of_the_density(var: float) -> None:
    law = IGSO3(CENTRES.repeat(20, 1, 1), torch.tensor(var))
    x = law.sample(Rng(range(40))).requires_grad_()
    (gradient,) = torch.autograd.grad(law.log_prob(x).sum(), x)
    flat = x.mT @ gradient
    wanted = x @ (flat - flat.mT) / 2
    assert torch.allclose(law.score(x), wanted, rtol=1e-6, atol=1e-6)


def test_kernels_compose_and_have_the_mean_of_the_heat_kernel() -> None:
    p, n, t = Rotations(), 4000, torch.tensor(0.2).double()
    once = p.marginal(CENTRES[:1].expand(n, -1, -1), t).sample(Rng(range(n)))
    twice = p.marginal(once, t).sample(Rng(range(n, 2 * n)))
    for x, var in ((once, 0.25), (twice, 0.5)):
        assert torch.allclose(x.mean(0), CENTRES[0] * math.exp(-var), atol=0.03)


def test_sampling_recovers_a_mixture_of_concentrated_rotations() -> None:
    n, prior = 1000, Rotations().prior((1000, 3, 3))
    grid = torch.linspace(1, 0, 81, dtype=torch.float64) ** 2
    x = simulate(EulerMaruyama(Exact()), prior.sample(Rng(range(n))), grid, Rng(range(n, 2 * n)))
    assert torch.allclose(x @ x.mT, torch.eye(3).double().expand_as(x), atol=1e-9)  # never left the group
    mine = relative(CENTRES[0], x)[1] < relative(CENTRES[1], x)[1]
    assert abs(float(mine.double().mean()) - 0.7) < 0.05
    for centre, rows in zip(CENTRES, (mine, ~mine), strict=True):
        assert torch.allclose(x[rows].mean(0), centre * math.exp(-VAR), atol=0.04)  # direction
        spread = relative(centre, x[rows])[1].cos().mean()
        assert abs(float(spread) - (3 * math.exp(-VAR) - 1) / 2) < 0.012  # dispersion: E[1 + 2 cos angle] = 3 e^-VAR
