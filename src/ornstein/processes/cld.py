r"""Critically-damped Langevin diffusion: data are positions, and noise enters through velocities alone."""

from __future__ import annotations

import math
from typing import final

import numpy as np
import torch
from torch import Tensor

from ornstein.core.blocks import BlockGaussian, apply
from ornstein.core.errors import UsageError
from ornstein.processes.linear import LinearProcess, flat, together

_NODES, _WEIGHTS = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(48))


def _matrix(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """[[a, b], [c, d]]."""
    return torch.stack([torch.stack([a, b], -1), torch.stack([c, d], -1)], -2)


@final
class CLD(LinearProcess):
    r"""dx = beta v/M dt, dv = -beta x dt - beta Gamma v/M dt + sqrt(2 Gamma beta) dw with Gamma^2 = 4 M.

    The state is position and velocity, ``[B, 2 C, ...]``: the first half of the channels is x, the other v, drawn from
    N(0, gamma M) at t = 0. In tau = 2 beta t/Gamma and w = v/sqrt(M) the flow is e^{-tau} [[1 + tau, tau], [-tau, 1 - tau]],
    and the covariance is an incomplete gamma function, exact down to t = 0. Prior: x ~ N(0, I), v ~ N(0, M I).
    Dockhorn, Vahdat & Kreis 2021, 2112.07068, section 3 and appendix B.
    """

    parts = 2

    def __init__(
        self,
        friction: float = 1.0,
        mass: float = 0.25,
        beta: float = 4.0,
        gamma: float = 0.04,
        t_min: float = 1e-3,
    ):
        super().__init__()
        for name, value in {"friction": friction, "mass": mass, "beta": beta, "gamma": gamma}.items():
            if not value > 0:
                remedy = "; without a law of first velocities there is no hybrid score matching" * (name == "gamma")
                raise UsageError(f"{name} must be positive, got {value:g}{remedy}")
        if not math.isclose(friction**2, 4 * mass, rel_tol=1e-9):
            raise UsageError(
                f"critical damping needs friction^2 = 4 mass, got {friction:g}^2 and 4 x {mass:g}; only that is built: set mass "
                f"to {friction**2 / 4:g}"
            )
        self.friction, self.mass, self.beta, self.gamma, self.t_min = friction, mass, beta, gamma, t_min

    def clock(self, t: Tensor) -> Tensor:
        return self.beta * t

    def rate(self, t: Tensor) -> Tensor:
        return torch.full_like(t, self.beta)

    def pull(self) -> Tensor:
        return torch.tensor([[0, -1 / self.mass], [1, self.friction / self.mass]], dtype=torch.float64)

    def noise(self) -> Tensor:
        return torch.tensor([[0, 0], [0, 2 * self.friction]], dtype=torch.float64)

    def stationary(self) -> Tensor:
        return torch.tensor([[1, 0], [0, self.mass]], dtype=torch.float64)

    def flow(self, b: Tensor) -> Tensor:
        tau = 2 * b / self.friction
        root, decay = self.mass**0.5, (-tau).exp()
        return _matrix((1 + tau) * decay, tau * decay / root, -tau * decay * root, (1 - tau) * decay)

    def _spread(self, tau: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Var[x], Cov[x, w], Var[w] given (x_0, v_0): 1 - e^{-2 tau}(1 + 2 tau + 2 tau^2) is P(3, 2 tau)."""
        decay = (-2 * tau).exp()
        three = torch.full_like(tau, 3.0)
        return (
            torch.special.gammainc(three, 2 * tau),
            2 * tau**2 * decay,
            -torch.expm1(-2 * tau) + 2 * tau * (1 - tau) * decay,
        )

    def _unseen(self, tau: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The same given x_0 alone, and their determinant."""
        xx, xw, ww = self._spread(tau)
        a, b = tau * (-tau).exp(), (1 - tau) * (-tau).exp()  # how the first velocity is seen in x and in w
        more = self.gamma * (ww * a**2 - 2 * xw * a * b + xx * b**2)
        det = xx * ww - xw**2 + more
        return xx + self.gamma * a**2, xw + self.gamma * a * b, ww + self.gamma * b**2, det

    def spread(self, b: Tensor) -> Tensor:
        xx, xw, ww = self._spread(2 * b / self.friction)
        root = self.mass**0.5
        return _matrix(xx, root * xw, root * xw, self.mass * ww)

    def unseen(self, b: Tensor) -> Tensor:
        xx, xw, ww, _ = self._unseen(2 * b / self.friction)
        root = self.mass**0.5
        return _matrix(xx, root * xw, root * xw, self.mass * ww)

    def seen(self, u_0: Tensor) -> Tensor:
        """(x_0, 0)."""
        x, v = u_0.chunk(2, 1)
        return torch.cat([x, torch.zeros_like(v)], 1)

    def hybrid(self, x_0: Tensor, t: Tensor) -> BlockGaussian:
        """q(u_t | x_0) for positions ``x_0 [B, C, ...]``, with v_0 integrated out: what hybrid score matching learns from."""
        b = self.clock(flat(t))
        return BlockGaussian(apply(self.flow(b), torch.cat([x_0, torch.zeros_like(x_0)], 1)), self.unseen(b))

    def factor(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        r"""Cholesky's factor of the ``unseen`` covariance: l_xx, l_vx, l_vv, of t's shape. 1/l_vv is the paper's l_t."""
        xx, xw, _, det = self._unseen(2 * self.clock(t) / self.friction)
        first = xx.sqrt()
        return first, self.mass**0.5 * xw / first, self.mass**0.5 * det.clamp_min(0).sqrt() / first

    def _angle(self, tau_t: Tensor, tau_s: Tensor) -> Tensor:
        r"""int_s^t sqrt(det)/Var[x] dtau: how far Cholesky's frame turns; tau = (gamma/4) sinh^2 q makes it smooth at 0."""
        c = self.gamma**0.5 / 2
        high, low = (torch.asinh(tau.sqrt() / c) for tau in (tau_t, tau_s))
        nodes, weights = _NODES.to(tau_t.device), _WEIGHTS.to(tau_t.device)
        half = ((high - low) / 2).unsqueeze(-1)
        q = low.unsqueeze(-1) + half * (nodes + 1)
        xx, _, _, det = self._unseen((c * q.sinh()) ** 2)
        angle: Tensor = (det.clamp_min(0).sqrt() / xx * c**2 * (2 * q).sinh() * half * weights).sum(-1)
        return angle

    def carry(self, t: Tensor, s: Tensor, eta: float = 0.0) -> Tensor:
        r"""At eta = 0 in closed form but for one integral: L_s (a rotation) L_t^{-1}, L Cholesky's factor; also to s = 0."""
        if eta != 0:
            return super().carry(t, s, eta)
        t, s = together(t, s)
        angle = -self._angle(2 * self.clock(t) / self.friction, 2 * self.clock(s) / self.friction)
        turn = _matrix(angle.cos(), angle.sin(), -angle.sin(), angle.cos())
        a, b, c = self.factor(t)
        inverse = _matrix(1 / a, torch.zeros_like(a), -b / (a * c), 1 / c)
        return self._factor_or_start(s) @ turn @ inverse

    def _factor_or_start(self, s: Tensor) -> Tensor:
        """Cholesky's factor as a matrix, diag(0, sqrt(gamma M)) at s = 0."""
        at = torch.where(s > 0, s, torch.ones_like(s))
        a, b, c = self.factor(at)
        zero = torch.zeros_like(a)
        start = torch.full_like(a, (self.gamma * self.mass) ** 0.5)
        return _matrix(torch.where(s > 0, a, zero), zero, torch.where(s > 0, b, zero), torch.where(s > 0, c, start))

    def _carry_to_data(self, b_t: Tensor) -> Tensor:
        t = b_t / self.beta
        return self.carry(t, torch.zeros_like(t))
