"""Progressive distillation: the target, the two steps, and where the loss vanishes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ornstein.codecs import Identity
from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Dirac
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Rng, Stream
from ornstein.core.shapes import expand
from ornstein.denoisers import Denoiser
from ornstein.objectives.progressive import ProgressiveDistillation, reached_from, two_steps
from ornstein.processes import EDM, VP, FlowMatching, GaussianProcess, Torus
from ornstein.processes.schedules import Cosine
from ornstein.samplers import simulate
from ornstein.samplers.ddim import DDIM
from ornstein.samplers.levels import exponential_euler
from ornstein.testing import exact

COSINE = VP(Cosine(s=0.0, t_max=1.0))


class Reaching(Denoiser):
    """The student that is right: it answers with the target made from the teacher's two steps."""

    def __init__(self, teacher: Denoiser, steps: int, shift: float = 0.0):
        super().__init__()
        self.teacher, self.process, self.steps, self.shift = teacher, teacher.process, steps, shift

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Dirac:
        t = expand(t, x_t)
        s = t - 1 / self.steps
        s = torch.where(s < 1e-9, torch.zeros_like(s), s)
        z_s = two_steps(self.teacher, x_t, t, 1 / self.steps)
        return Dirac(reached_from(self.process, x_t, t, z_s, s) + self.shift)


@pytest.mark.parametrize("process", [COSINE, FlowMatching(), EDM()], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize(("t", "s"), [(1.0, 0.5), (0.5, 0.25), (0.25, 0.0)])
def test_one_step_on_the_target_ends_there(process: GaussianProcess, t: float, s: float) -> None:
    x = Rng(range(6)).normal((6, 3), dtype=torch.float64)
    z_s = Rng(range(10, 16)).normal((6, 3), dtype=torch.float64)
    t_, s_ = expand(t, x), expand(s, x)
    torch.testing.assert_close(exponential_euler(process, x, t_, s_, reached_from(process, x, t_, z_s, s_)), z_s)


def test_the_two_steps_are_those_of_ddim() -> None:
    problem = exact.mixture(COSINE, [0.5, 0.5], [[-1.0, 0.0], [1.0, 0.5]], 0.1)
    x = Rng(range(8)).normal((8, 2), dtype=torch.float64)
    grid = torch.tensor([0.75, 0.625, 0.5])
    want = simulate(DDIM(problem.denoiser), x, grid, Rng(range(8)))
    torch.testing.assert_close(two_steps(problem.denoiser, x, expand(0.75, x), 0.25), want)


@pytest.mark.parametrize("steps", [1, 2, 8])
def test_the_loss_vanishes_at_the_right_student_only(steps: int) -> None:
    problem = exact.mixture(COSINE, [0.5, 0.5], [[-1.0, 0.0], [1.0, 0.5]], 0.1)
    batch = Batch(problem.sample(Rng(range(64)), 64))
    right, wrong = (
        float(
            ProgressiveDistillation(Reaching(problem.denoiser, steps, shift), problem.denoiser, Identity(), steps)(
                batch, Stream(0)
            ).value
        )
        for shift in (0.0, 0.1)
    )
    assert right < 1e-18 and wrong >= 0.01 * (1 - 1e-6)


def test_the_second_weight_is_one_on_v() -> None:
    """(SNR + 1) |x_0 error|^2 is the squared error of v = (alpha x_t - x_0)/sigma on a VP process."""
    problem = exact.gaussian(COSINE, mean=0.0, var=1.0)
    student = Reaching(problem.denoiser, 4, 0.1)
    batch = Batch(problem.sample(Rng(range(64)), 64))
    objective = ProgressiveDistillation(student, problem.denoiser, Identity(), 4, "snr_plus_one")
    t = torch.arange(1, 5) / 4
    loss = objective(batch, Stream(0))
    levels, errors = loss.levels  # type: ignore[misc]
    sigma2 = COSINE.sigma(levels) ** 2
    assert float(loss.value) == pytest.approx(float((errors / sigma2).mean()), rel=1e-6)
    assert set(levels.tolist()) <= set(t.double().tolist())


def test_what_does_not_fit() -> None:
    problem = exact.gaussian(COSINE, mean=0.0, var=1.0)
    with pytest.raises(UsageError, match="at least 1 step, got 0"):
        ProgressiveDistillation(problem.denoiser, problem.denoiser, Identity(), 0)
    with pytest.raises(UsageError, match="unknown weight 'truncate': did you mean 'truncated'"):
        ProgressiveDistillation(problem.denoiser, problem.denoiser, Identity(), 1, "truncate")  # type: ignore[arg-type]

    class Curved(Denoiser):
        process = Torus()

        def forward(self, x_t: Tensor, t: Tensor, cond: Cond = NO_COND) -> Dirac:
            return Dirac(x_t)

    with pytest.raises(CapabilityError, match="needs an Affine process; Torus is not"):
        ProgressiveDistillation(Curved(), Curved(), Identity(), 1)
