r"""Linear SDEs whose coordinates are coupled: Langevin dynamics of any kind towards a Gaussian.

With the clock b_t = int_0^t beta, du = -beta A u dt + sqrt(beta N) dw: two constant matrices over the parts of the state
(:mod:`ornstein.core.blocks`). q(u_t | u_0) = N(e^{-A b} u_0, Sigma_b), and N(0, S) with A S + S A' = N is left as it is.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from ornstein.core.blocks import BlockGaussian, apply
from ornstein.core.distributions import Dirac, Posterior, Score
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.processes.base import SDE, Reversible

_RK4_STEPS = 32


def flat(t: Tensor) -> Tensor:
    """One time per sample, ``[]`` or ``[B]``, from a time expanded to the rank of x."""
    if t.ndim and t.numel() != t.shape[0]:
        raise CapabilityError("coupled coordinates share one time: a time for each coordinate cannot be meant here")
    return t.reshape(t.shape[:1])


def together(t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """Both as one time per sample, of the same shape."""
    t, s = flat(t), flat(s)
    shape = max(t.shape, s.shape, key=len)
    return t.expand(shape), s.expand(shape)


class LinearProcess(SDE, Reversible):
    """Subclasses give the clock and, over a duration b of it, ``flow`` and ``spread`` in closed form."""

    parts: int
    """K: into how many parts the matrices cut a state"""

    @abstractmethod
    def clock(self, t: Tensor) -> Tensor:
        """b_t, 0 at t = 0 and increasing."""

    @abstractmethod
    def rate(self, t: Tensor) -> Tensor:
        """beta_t = d b / dt."""

    @abstractmethod
    def pull(self) -> Tensor:
        """A, ``[K, K]``."""

    @abstractmethod
    def noise(self) -> Tensor:
        """N = G G' per unit of the clock, ``[K, K]``."""

    @abstractmethod
    def stationary(self) -> Tensor:
        """S, the covariance of the law that is left as it is and is the prior, ``[K, K]``."""

    @abstractmethod
    def flow(self, b: Tensor) -> Tensor:
        """e^{-A b}, for b of either sign, ``[..., K, K]``."""

    @abstractmethod
    def spread(self, b: Tensor) -> Tensor:
        """Sigma_b = Cov[u_t | u_0] = S - e^{-A b} S e^{-A' b}, for b >= 0."""

    def unseen(self, b: Tensor) -> Tensor:
        """Cov[u_t | the parts of u_0 that are data]: more than ``spread`` where other parts start from noise (velocities)."""
        return self.spread(b)

    def seen(self, u_0: Tensor) -> Tensor:
        """E[u_0 | the parts of it that are data]."""
        return u_0

    def prior(self, shape: Sequence[int]) -> BlockGaussian:
        """N(0, S) on every column."""
        zeros = torch.zeros(tuple(shape))
        if zeros[0].numel() % self.parts:
            raise UsageError(
                f"{type(self).__name__} needs states of {self.parts} equal parts; {tuple(shape[1:])} cannot be cut so"
            )
        return BlockGaussian(zeros, self.stationary())

    def marginal(self, x_0: Tensor, t: Tensor) -> BlockGaussian:
        b = self.clock(flat(t))
        return BlockGaussian(apply(self.flow(b), x_0), self.spread(b))

    def reverse(self, x_t: Tensor, t: Tensor, s: Tensor, posterior: Posterior) -> BlockGaussian:
        r"""N(m_s + K (u_t - m_t), (I - K Psi) Sigma_s (I - K Psi)' + K Q K' + C Var[u_0] C').

        m_t = e^{-A b_t} E[u_0], Psi = e^{-A (b_t - b_s)}, Q the covariance that it gathers, K = Sigma_s Psi' Sigma_t^{-1} and
        C = e^{-A b_s} - K e^{-A b_t}. The sum of squares keeps the covariance from losing its sign to rounding.
        """
        b_t, b_s = self.clock(flat(t)), self.clock(flat(s))
        psi, there, here = self.flow(b_t - b_s), self.flow(b_t), self.flow(b_s)
        spread_s = self.spread(b_s)
        gain = torch.linalg.solve(self.spread(b_t), psi @ spread_s).mT
        mean = posterior.mean
        centre = apply(here, mean) + apply(gain, x_t - apply(there, mean))
        rest = torch.eye(self.parts, dtype=gain.dtype, device=gain.device) - gain @ psi
        cov = rest @ spread_s @ rest.mT + gain @ self.spread(b_t - b_s) @ gain.mT
        return BlockGaussian(centre, self._with(cov, here - gain @ there, posterior))

    def _with(self, cov: Tensor, c: Tensor, posterior: Posterior) -> Tensor:
        """cov + C Var[u_0] C'."""
        if isinstance(posterior, Dirac):
            return cov
        if isinstance(posterior, BlockGaussian):
            own = posterior.cov
        else:
            var = posterior.var.expand(posterior.mean.shape).double()
            own = torch.diag_embed(var.reshape(len(var), self.parts, -1).mT)
        if own.ndim == 4 and cov.ndim == 3:
            cov, c = cov.unsqueeze(1), c.unsqueeze(1)
        return cov + c @ own @ c.mT

    def drift(self, x: Tensor, t: Tensor) -> Tensor:
        """-beta A x."""
        rate = self.rate(flat(t))
        return apply(-rate[..., None, None] * self.pull().to(rate.device), x)

    def diffuse(self, v: Tensor, t: Tensor) -> Tensor:
        """sqrt(beta) N^{1/2} v, with the symmetric root."""
        rate = self.rate(flat(t))
        values, vectors = torch.linalg.eigh(self.noise().to(rate.device))
        symmetric = vectors @ (values.clamp_min(0).sqrt().unsqueeze(-1) * vectors.mT)
        return apply(rate.sqrt()[..., None, None] * symmetric, v)

    def score(self, x_t: Tensor, t: Tensor, posterior: Posterior) -> Tensor:
        r"""Sigma_t^{-1} (e^{-A b} E[u_0] - u_t) (Tweedie)."""
        if isinstance(posterior, Score):
            return posterior.score
        b = self.clock(flat(t))
        residual = x_t - apply(self.flow(b), posterior.mean)
        return -apply(torch.linalg.inv(self.spread(b)), residual)

    def carry(self, t: Tensor, s: Tensor, eta: float = 0.0) -> Tensor:
        r"""What becomes of u_t - E[u_t | data] on the way from t to s when E[u_0] stands still, ``[..., K, K]``.

        The flow of dr/db = (-A + (1 + eta^2)/2 N U_b^{-1}) r with U the ``unseen`` covariance: the probability flow at
        eta = 0, the mean of the reverse SDE at eta = 1. It keeps the covariance, carry U_t carry' + P = U_s with P = 0 at eta =
        0. sigma_s/sigma_t where nothing is coupled. Zhang, Tao & Chen 2022, 2206.05564, eq. 17: R_s R_t^{-1}.
        """
        t, s = together(t, s)
        b_t, b_s = self.clock(t), self.clock(s)
        if eta == 1:  # the kernel of the reverse SDE, in closed form
            gain: Tensor = torch.linalg.solve(self.unseen(b_t), self.flow(b_t - b_s) @ self.unseen(b_s)).mT
            return gain
        ends = b_s <= 0  # there everything is known
        log_t, log_s = b_t.log(), torch.where(ends, b_t, b_s).log()
        h = (log_s - log_t) / _RK4_STEPS
        points = torch.arange(2 * _RK4_STEPS + 1, dtype=torch.float64, device=b_t.device)
        clocks = torch.exp(log_t + points.reshape(-1, *[1] * b_t.ndim) / 2 * h)
        slopes = (h * clocks)[..., None, None] * self._turning(clocks, eta)
        turn = torch.eye(self.parts, dtype=torch.float64, device=b_t.device).expand(*b_t.shape, -1, -1)
        for first, middle, last in zip(slopes[:-1:2], slopes[1::2], slopes[2::2], strict=True):  # RK4, linear
            k_1 = first @ turn
            k_2 = middle @ (turn + k_1 / 2)
            k_3 = middle @ (turn + k_2 / 2)
            turn = turn + (k_1 + 2 * k_2 + 2 * k_3 + last @ (turn + k_3)) / 6
        there, here = (torch.linalg.cholesky(self.unseen(b)) for b in (b_t, torch.where(ends, b_t, b_s)))
        moved = here @ torch.linalg.solve_triangular(there, turn, upper=False, left=False)
        return torch.where(ends[..., None, None], self._carry_to_data(b_t), moved)

    def _turning(self, b: Tensor, eta: float) -> Tensor:
        r"""The generator of ``carry`` in the frame of Cholesky's factor L: antisymmetric at eta = 0; 0 where nothing is coupled.

        L^{-1}(-A + N U^{-1}/2) L less L^{-1} dL/db, whose second term is lower triangular: what lies above the diagonal gives
        the whole. Noise adds eta^2/2 L^{-1} N L^{-T}.
        """
        factor = torch.linalg.cholesky(self.unseen(b))
        eye = torch.eye(self.parts, dtype=factor.dtype, device=factor.device)
        inverse = torch.linalg.solve_triangular(factor, eye.expand_as(factor), upper=False)
        white = inverse @ self.noise().to(factor) @ inverse.mT
        above = torch.triu(white / 2 - inverse @ self.pull().to(factor) @ factor, 1)
        turning: Tensor = above - above.mT + eta**2 / 2 * white
        return turning

    def _carry_to_data(self, b_t: Tensor) -> Tensor:
        """The limit of ``carry`` at s = 0, where nothing is unseen."""
        return torch.zeros(*b_t.shape, self.parts, self.parts, dtype=torch.float64, device=b_t.device)
