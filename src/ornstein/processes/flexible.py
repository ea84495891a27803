"""A forward SDE whose spatial part is free: any Langevin dynamics towards N(0, I), and learned where asked."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor, nn

from ornstein.core.errors import UsageError, unknown
from ornstein.processes.linear import LinearProcess
from ornstein.processes.schedules import Linear, Schedule

LARGEST = 256
LEARNED = ("none", "drift", "noise", "both")
Learned = Literal["none", "drift", "noise", "both"]


@final
class Flexible(LinearProcess):
    r"""dx = -beta (R/2 + omega) x dt + sqrt(beta R) dw, R positive, omega antisymmetric, constant over ``parts`` numbers.

    N(0, I) is the only law that stays for every such R and omega: a Riemannian part, which shapes the noise, and a
    symplectic one, which turns without noise and mixes slow directions with fast ones. R = Q Q' + ``floor`` I and omega = M -
    M'. R = I without omega is VP. ``learn`` says which of them are parameters: "drift" is omega, "noise" is R. The clock is
    b_t = -2 log alpha_t of the schedule. Du, Zhang, Yang & Du 2022, 2206.10365 (their scaling may differ by constants).
    """

    def __init__(
        self,
        parts: int,
        riemann: Tensor | None = None,
        symplectic: Tensor | None = None,
        schedule: Schedule | None = None,
        floor: float = 0.02,
        learn: Learned = "none",
        t_min: float = 1e-3,
    ):
        super().__init__()
        if not 1 <= parts <= LARGEST:
            raise UsageError(
                f"dense matrices over {parts} numbers: parts must lie in 1 .. {LARGEST}; let them act on channels or blocks"
            )
        if not 0 <= floor < 1:
            raise UsageError(f"floor, the least eigenvalue of R, must lie in [0, 1), got {floor:g}")
        if learn not in LEARNED:
            raise unknown("value of learn", learn, LEARNED)
        self.parts, self.floor, self.t_min = parts, floor, t_min
        self.schedule = schedule if schedule is not None else Linear()
        self.t_max = self.schedule.t_max
        root = (1 - floor) ** 0.5 * torch.eye(parts, dtype=torch.float64) if riemann is None else self._root(riemann)
        turn = torch.zeros(parts, parts, dtype=torch.float64) if symplectic is None else self._turn(symplectic)
        self.root = nn.Parameter(root, requires_grad=learn in ("noise", "both"))
        self.turn = nn.Parameter(turn, requires_grad=learn in ("drift", "both"))

    def _root(self, riemann: Tensor) -> Tensor:
        """Q of a given R."""
        r = riemann.double()
        if r.shape != (self.parts, self.parts):
            raise UsageError(f"R must be [{self.parts}, {self.parts}], got {list(r.shape)}")
        if float((r - r.T).abs().max()) > 1e-6:
            raise UsageError(f"R must be symmetric; it differs from R' by {float((r - r.T).abs().max()):.3g}")
        values, vectors = torch.linalg.eigh(r)
        if float(values[0]) < self.floor - 1e-6:
            raise UsageError(
                f"R must be positive with eigenvalues of at least floor = {self.floor:g}; the least is {float(values[0]):.3g}"
            )
        root: Tensor = vectors @ ((values - self.floor).clamp_min(0).sqrt().unsqueeze(-1) * vectors.mT)
        return root

    def _turn(self, symplectic: Tensor) -> Tensor:
        """M of a given omega."""
        w = symplectic.double()
        if w.shape != (self.parts, self.parts):
            raise UsageError(f"omega must be [{self.parts}, {self.parts}], got {list(w.shape)}")
        if float((w + w.T).abs().max()) > 1e-6:
            raise UsageError(f"omega must be antisymmetric; omega + omega' reaches {float((w + w.T).abs().max()):.3g}")
        return w / 2

    def forward_parameters(self) -> list[nn.Parameter]:
        """Those of R and omega that are learned."""
        return [p for p in (self.root, self.turn) if p.requires_grad]

    def clock(self, t: Tensor) -> Tensor:
        return -2 * self.schedule.log_alpha(t)

    def rate(self, t: Tensor) -> Tensor:
        return -2 * self.schedule.d_log_alpha(t)

    def time(self, b: Tensor) -> Tensor:
        """The t at which the clock shows b > 0."""
        return self.schedule.time(-b - torch.log(-torch.expm1(-b)))

    def noise(self) -> Tensor:
        """R."""
        root = self.root.double()
        return root @ root.mT + self.stationary() * self.floor

    def pull(self) -> Tensor:
        """R/2 + omega."""
        turn = self.turn.double()
        return self.noise() / 2 + turn - turn.mT

    def stationary(self) -> Tensor:
        return torch.eye(self.parts, dtype=torch.float64, device=self.root.device)

    def flow(self, b: Tensor) -> Tensor:
        out: Tensor = torch.linalg.matrix_exp(-b[..., None, None] * self.pull())
        return out

    def spread(self, b: Tensor) -> Tensor:
        flow = self.flow(b)
        return self.stationary() - flow @ flow.mT
