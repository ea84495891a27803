"""What is kept of a process while something samples from it, and what is not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from ornstein.processes import EDM, VP, Affine, FlowMatching, GaussianProcess
from ornstein.processes.remember import foresee, recall, remembering
from ornstein.processes.schedules import Table

T = torch.tensor(0.4, dtype=torch.float64)


class Scaled(GaussianProcess):
    """Flow matching whose noise has a scale that may be trained."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        return self.scale.detach() * t

    def d_alpha(self, t: Tensor) -> Tensor:
        return -torch.ones_like(t)

    def d_sigma(self, t: Tensor) -> Tensor:
        return self.scale.detach() * torch.ones_like(t)

    def diffusion_sq(self, t: Tensor) -> Tensor:
        return 2 * self.sigma(t) * self.scale.detach() / (1 - t)

    def time(self, log_snr: Tensor) -> Tensor:
        return torch.sigmoid(-0.5 * log_snr - self.scale.detach().log())


@pytest.mark.parametrize("process", [VP(Table.linear()), EDM(), FlowMatching()], ids=lambda p: type(p).__name__)
def test_single_times_are_kept_and_are_the_same(process: Affine) -> None:
    plain = [f(T) for f in (process.alpha, process.sigma, process.log_snr)]
    assert process.alpha(T) is not process.alpha(T)
    with remembering():
        kept = [f(T) for f in (process.alpha, process.sigma, process.log_snr)]
        again = [f(T.clone()) for f in (process.alpha, process.sigma, process.log_snr)]
        other = process.sigma(T / 2)
    assert all(torch.equal(a, b) for a, b in zip(plain, kept, strict=True))
    assert all(a is b for a, b in zip(kept, again, strict=True))
    assert not torch.equal(other, kept[1])


def test_what_is_not_kept() -> None:
    process = VP()
    batch, wanting = torch.full((2, 1), 0.4, dtype=torch.float64), T.clone().requires_grad_()
    with remembering():
        process.alpha(T)
        assert process.alpha(batch) is not process.alpha(batch)
        (slope,) = torch.autograd.grad(process.alpha(wanting), [wanting])
        with torch.inference_mode():
            inside = process.alpha(T + 0)
        assert not process.alpha(T).is_inference()
        assert inside.is_inference()
    torch.testing.assert_close(slope, process.d_alpha(T))


def test_a_process_that_learns_is_asked_each_time() -> None:
    process = Scaled()
    with remembering():
        before = process.sigma(T)
        with torch.no_grad():
            process.scale.mul_(2)
        assert process.sigma(T) == 2 * before


def test_each_thread_decides_for_itself() -> None:
    process = VP()
    with remembering(), ThreadPoolExecutor(1) as pool:
        kept = process.alpha(T)
        assert kept is process.alpha(T)
        assert pool.submit(lambda: process.alpha(T) is process.alpha(T)).result() is False
    assert process.alpha(T) is not kept


def test_recall_asks_once_for_each_name_and_times() -> None:
    process = VP()
    asked: list[int] = []

    def make() -> int:
        asked.append(1)
        return len(asked)

    with remembering():
        found = [recall(process, name, (T, s), make) for name in ("a", "b") for s in (T / 2, T / 4, T / 2)]
    assert found == [1, 2, 1, 3, 4, 3]
    assert [recall(process, "a", (T, T / 2), make) for _ in range(2)] == [5, 6]


@pytest.mark.parametrize("process", [VP(Table.linear()), EDM(), FlowMatching()], ids=lambda p: type(p).__name__)
def test_what_is_asked_for_a_whole_grid_is_what_each_time_would_say(process: Affine) -> None:
    grid = torch.linspace(0.99, 0.01, 37, dtype=torch.float64)
    alone = [(process.alpha(t), process.sigma(t), process.log_snr(t)) for t in grid]
    foresee(process, grid)
    with remembering():
        kept = [(process.alpha(t), process.sigma(t), process.log_snr(t)) for t in grid]
        again = [(process.alpha(t), process.sigma(t), process.log_snr(t)) for t in grid]
    for a, b, c in zip(alone, kept, again, strict=True):
        assert all(torch.equal(x, y) and y is z for x, y, z in zip(a, b, c, strict=True))


def test_nothing_is_foreseen_of_a_process_that_learns() -> None:
    process = Scaled()
    foresee(process, torch.tensor([0.9, 0.4], dtype=torch.float64))
    with remembering(), torch.no_grad():
        process.scale.fill_(5.0)
        assert float(process.sigma(T)) == 2.0
