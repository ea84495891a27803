"""Linear operators: adjoints, pseudoinverses, singular values and the solver, each against the dense matrix."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from measurements.operators import LINEAR, SHAPE
from ornstein.core.linear_solve import conjugate_gradient
from ornstein.core.measurement import SMALLEST, Linear

D = 192
BY_VALUES = [name for name, a in LINEAR.items() if a.svd is not None]


@pytest.fixture(params=LINEAR, ids=str)
def operator(request: pytest.FixtureRequest) -> Linear:
    return LINEAR[request.param]


def normal(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def dense(a: Linear) -> Tensor:
    """``[m, D]``: the operator's columns."""
    return a(torch.eye(D, dtype=torch.float64).reshape(D, *SHAPE)).reshape(D, -1).T


def test_adjoint(operator: Linear) -> None:
    x = normal((4, *SHAPE))
    y = operator(x)
    z = normal(tuple(y.shape), 1)
    left = (y * z).flatten(1).sum(1)
    torch.testing.assert_close(left, (x * operator.adjoint(z)).flatten(1).sum(1), rtol=1e-9, atol=1e-9)


def test_pseudoinverse(operator: Linear) -> None:
    matrix = dense(operator)
    inverse = torch.linalg.pinv(matrix, rtol=SMALLEST)
    y = operator(normal((3, *SHAPE)))
    found = operator.estimate(y).flatten(1)
    torch.testing.assert_close(found, y.flatten(1) @ inverse.T, rtol=1e-4, atol=1e-4)


def test_projection_keeps_what_is_measured(operator: Linear) -> None:
    x = normal((3, *SHAPE))
    torch.testing.assert_close(operator(operator.project(x)), operator(x), rtol=2e-3, atol=2e-3)


def test_normal_solve(operator: Linear) -> None:
    matrix = dense(operator)
    y = operator(normal((3, *SHAPE)))
    y = y + 0.1 * normal(tuple(y.shape), 2) * (operator(torch.ones(3, *SHAPE, dtype=torch.float64)) != 0)
    signal = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    for noise in (0.3, torch.tensor([0.1, 0.2, 0.4], dtype=torch.float64)):
        found = operator.normal_solve(y, signal, noise).flatten(1)
        every = torch.as_tensor(noise, dtype=torch.float64).expand(3)
        for i in range(3):
            whole = signal[i] * matrix @ matrix.T + every[i] * torch.eye(len(matrix), dtype=torch.float64)
            expected = torch.linalg.solve(whole, y[i].flatten())
            torch.testing.assert_close(found[i], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", BY_VALUES)
def test_singular_values(name: str) -> None:
    a = LINEAR[name]
    svd = a.svd
    assert svd is not None
    x = normal((3, *SHAPE))
    c = svd.turn(x)
    torch.testing.assert_close(svd.unturn(c), x, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close((c**2).flatten(1).sum(1), (x**2).flatten(1).sum(1))
    s, _ = svd.kept(c)
    torch.testing.assert_close(svd.undata(s * c), a(x), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(svd.data(a(x)), (s * c).expand_as(c), rtol=1e-9, atol=1e-9)
    every = torch.linalg.svdvals(dense(a))
    mine = s.expand(c.shape[1:]).flatten().sort(descending=True).values[: len(every)]
    torch.testing.assert_close(mine, every, rtol=1e-8, atol=1e-8)


def test_conjugate_gradients_leave_each_sample_to_itself() -> None:
    a = torch.stack([torch.diag(torch.tensor([1.0, 2.0, 5.0])), torch.eye(3)]).double()
    b = torch.tensor([[1.0, 1.0, 1.0], [3.0, 0.0, 0.0]]).double()
    found = conjugate_gradient(lambda v: (a @ v[..., None])[..., 0], b)
    torch.testing.assert_close(found, torch.linalg.solve(a, b), rtol=1e-6, atol=1e-8)
    alone = conjugate_gradient(lambda v: v @ a[0], b[:1])
    torch.testing.assert_close(found[:1], alone, rtol=0, atol=1e-12)
