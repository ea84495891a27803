"""The parts of the engine by themselves: the queue's shares, states joined and split, the meeting's rules."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from ornstein.serving import trees
from ornstein.serving.meeting import Meeting
from ornstein.serving.queue import FairQueue
from ornstein.serving.sizes import in_sizes


def drawn(queue: FairQueue[str]) -> list[str]:
    out = []
    while (item := queue.pop()) is not None:
        out.append(item)
    return out


def test_shares_are_equal() -> None:
    queue: FairQueue[str] = FairQueue()
    for i in range(6):
        queue.push(f"a{i}", client="a")
    queue.push("b0", client="b")
    queue.push("b1", client="b")
    assert drawn(queue) == ["a0", "b0", "a1", "b1", "a2", "a3", "a4", "a5"]
    assert len(queue) == 0


def test_shares_are_of_cost() -> None:
    """One that costs four of another's is served once for four of them."""
    queue: FairQueue[str] = FairQueue()
    for i in range(3):
        queue.push(f"large{i}", client="a", cost=4)
    for i in range(6):
        queue.push(f"s{i}", client="b", cost=1)
    assert drawn(queue)[:6] == ["large0", "s0", "s1", "s2", "s3", "large1"]


def test_nobody_saves_up() -> None:
    queue: FairQueue[str] = FairQueue()
    for i in range(9):
        queue.push(f"a{i}", client="a")
    for _ in range(5):
        queue.pop()
    for i in range(5):
        queue.push(f"b{i}", client="b")
    assert drawn(queue)[:4] in (["b0", "a5", "b1", "a6"], ["a5", "b0", "a6", "b1"])


def test_priorities_and_deadlines() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.push("late", deadline=9.0)
    queue.push("soon", deadline=3.0)
    queue.push("whenever")
    queue.push("first", priority=2)
    assert queue.priority == 2
    assert queue.remove("late") and not queue.remove("late")
    assert drawn(queue) == ["first", "soon", "whenever"]
    assert queue.priority is None


class Pair(NamedTuple):
    left: Tensor
    right: tuple[Tensor, ...]


@dataclass(frozen=True)
class Run:
    length: Tensor
    state: Pair | None


def test_states_come_back_as_they_went() -> None:
    sizes = [2, 1, 3]
    states = [
        Run(torch.rand(n), Pair(torch.rand(n, 4, 4), (torch.rand(n, 1, 1).double(), torch.full((), 0.5))))
        for n in sizes
    ]
    assert len({trees.structure(s, n) for s, n in zip(states, sizes, strict=True)}) == 1
    joined = trees.join(states, sizes, 3)
    assert joined.length.shape == (6,) and joined.state.right[1].ndim == 0  # a number that all share stays one
    for state, part in zip(states, trees.split(joined, sizes), strict=True):
        assert torch.equal(part.length, state.length) and torch.equal(part.state.left, state.state.left)
        assert torch.equal(part.state.right[0], state.state.right[0])


def test_times_that_differ_become_per_sample() -> None:
    a, b = torch.tensor(0.5), torch.tensor([0.25, 0.125]).reshape(2, 1, 1)
    assert trees.structure(a, 1) == trees.structure(b, 2)
    joined = trees.join([(a,), (b,)], [1, 2], 3)[0]
    assert joined.flatten().tolist() == [0.5, 0.25, 0.125] and joined.shape == (3, 1, 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [(None, (torch.zeros(1),)), ((torch.zeros(1),), [torch.zeros(1)]), (3, 4), (torch.zeros(1, 2), torch.zeros(1, 3))],
)
def test_states_that_differ_are_kept_apart(one: Hashable, other: Hashable) -> None:
    assert trees.structure(one, 1) != trees.structure(other, 1)


class Double(nn.Module):
    """Counts its calls; refuses negative numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        if bool((x < 0).any()):
            raise ValueError("negative")
        self.sizes.append(len(x))
        return 2 * x


def asked(meeting: Meeting, network: nn.Module, inputs: list[Tensor]) -> list[Tensor | Exception]:
    """The answers to those who ask beside the host."""
    answers: list[Tensor | Exception] = [ValueError()] * len(inputs)

    def ask(i: int) -> None:
        try:
            answers[i] = meeting.ask(network, (inputs[i],), counted=True)
        except ValueError as error:
            answers[i] = error
        finally:
            meeting.leave()

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(inputs))]
    for thread in threads:
        meeting.enter()
        thread.start()
    while meeting.serve():
        pass
    for thread in threads:
        thread.join(10)
    return answers


def test_one_call_answers_all() -> None:
    meeting, network = Meeting(8), Double()
    meeting.host()
    answers = asked(meeting, network, [torch.full((2, 3), float(i)) for i in range(3)])
    assert [float(a.mean()) for a in answers if isinstance(a, Tensor)] == [0, 2, 4]
    assert network.sizes == [6] and (meeting.calls, meeting.rows) == (1, 6)


def test_calls_are_no_larger_than_allowed_and_apart_where_shapes_differ() -> None:
    meeting, network = Meeting(4), Double()
    meeting.host()
    asked(meeting, network, [torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(1, 5)])
    assert sorted(network.sizes) == [1, 2, 4]


def test_an_error_is_of_who_asked() -> None:
    meeting, network = Meeting(8), Double()
    meeting.host()
    fine, bad, other = asked(meeting, network, [torch.ones(1, 1), -torch.ones(1, 1), torch.ones(1, 1)])
    assert isinstance(bad, ValueError) and isinstance(fine, Tensor) and isinstance(other, Tensor)


class Counting(nn.Module):
    """2 x + label, and the number of rows of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, x: Tensor, cond: dict[str, Tensor]) -> Tensor:
        self.sizes.append(len(x))
        return 2 * x + cond["label"][:, None]


@pytest.mark.parametrize("rows", [1, 8, 9, 12, 31, 32, 62, 64, 65, 126, 200])
def test_calls_of_few_sizes(rows: int) -> None:
    """Whatever the number of rows, each gets its own answer, and few numbers reach the network."""
    network, x, label = Counting(), torch.randn(rows, 3), torch.arange(rows)
    assert torch.equal(in_sizes(network, [x, {"label": label}]), 2 * x + label[:, None])
    assert max(network.sizes) <= 64
    assert sum(network.sizes) - rows < 4  # what is called in vain
    assert all(size <= 8 or size % 4 == 0 for size in network.sizes)


def test_what_all_rows_share_is_not_divided() -> None:
    network = Counting()
    assert in_sizes(network, [torch.ones(70, 3), {"label": torch.ones(1)}]).shape == (70, 3)
    assert network.sizes == [70]
