"""States that are not one tensor go through every contract that carries a state."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from ornstein.core.batch import Batch
from ornstein.core.cond import NO_COND, Cond
from ornstein.core.distributions import Categorical, Gaussian, Product
from ornstein.core.errors import DataError, OrnsteinError, UsageError
from ornstein.core.rng import Random, Rng
from ornstein.core.shapes import expand
from ornstein.core.state import AnyState, Ragged, batch_size, finite, leaves, to_device
from ornstein.denoisers import Denoiser
from ornstein.processes import VP, CategoricalProcess, LinearKeep
from ornstein.samplers import Ancestral, Sampler, simulate
from ornstein.samplers.base import State
from ornstein.testing import exact

MIXED = dict[str, Tensor]
RAGGED = Ragged.pack([[3, 1, 4], [1]], capacity=3)
STATES: dict[str, AnyState] = {
    "tensor": torch.zeros(2, 3),
    "ragged": RAGGED,
    "dict": {"position": torch.zeros(2, 4, 3), "kind": torch.zeros(2, dtype=torch.int64)},
}


@pytest.mark.parametrize("name", STATES)
def test_a_batch_holds_any_state(name: str) -> None:
    batch = Batch(STATES[name], {"label": torch.tensor([0, 1])})
    assert len(batch) == 2
    moved = batch.to("meta")
    assert type(moved.x) is type(batch.x)
    assert all(leaf.device.type == "meta" for leaf in leaves(moved.x))


@pytest.mark.parametrize(("name", "shape"), [("tensor", (2, 1)), ("ragged", (2, 1)), ("dict", (2,))])
def test_times_are_expanded_to_the_state(name: str, shape: tuple[int, ...]) -> None:
    assert expand(torch.tensor([0.1, 0.2]), STATES[name]).shape == shape
    assert expand(0.5, STATES[name]).shape == ()


def test_ragged() -> None:
    assert RAGGED.tolist() == [[3, 1, 4], [1]]
    assert RAGGED.mask.tolist() == [[True, True, True], [True, False, False]]
    assert to_device(RAGGED, "cpu").tolist() == RAGGED.tolist()
    with pytest.raises(DataError, match="sequence 1 has 2 tokens"):
        Ragged.pack([[0], [3, 1]], capacity=1)
    with pytest.raises(UsageError, match=r"lengths \[B\]"):
        Ragged(RAGGED.tokens, torch.tensor([3]))


def test_parts_must_agree_in_batch() -> None:
    with pytest.raises(UsageError, match="differ in batch size"):
        batch_size({"a": torch.zeros(2), "b": torch.zeros(3)})


def test_finite_names_the_rows_of_every_part() -> None:
    assert finite({"a": torch.tensor([[0.0], [torch.nan]]), "b": torch.zeros(2, dtype=torch.int64)}).tolist() == [
        True,
        False,
    ]
    assert finite(RAGGED).tolist() == [True, True]


@dataclass(frozen=True)
class Parts(Sampler[MIXED]):
    """One sampler for each named part; here the parts are independent."""

    samplers: dict[str, Sampler]

    def step(
        self, x_t: MIXED, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[MIXED, State]:
        out = {
            k: sampler.step(x_t[k], expand(t, x_t[k]), expand(s, x_t[k]), None, rng, cond)[0]
            for k, sampler in self.samplers.items()
        }
        return out, None


def mixed() -> tuple[Parts, Product]:
    """A Gaussian vector and a categorical, each with its exact posterior, and their joint prior."""
    flat, kind = VP(), CategoricalProcess(torch.tensor([0.2, 0.3, 0.5]).double(), LinearKeep())
    number = exact.gaussian(flat, mean=0.7, var=0.25)
    letter = exact.categorical(kind, torch.tensor([0.6, 0.3, 0.1]).double())
    denoisers: dict[str, Denoiser] = {"number": number.denoiser, "kind": letter.denoiser}
    priors = {"number": flat.prior((4000, 2)), "kind": kind.prior((4000,))}
    return Parts({k: Ancestral(d) for k, d in denoisers.items()}), Product(priors)


@pytest.mark.parametrize("each", [False, True])
def test_a_mixed_state_is_simulated(each: bool) -> None:
    sampler, prior = mixed()
    rng = Rng(range(4000))
    grid = torch.linspace(1, 0, 13, dtype=torch.float64)
    x = simulate(sampler, prior.sample(rng), grid.unsqueeze(1).expand(-1, 4000) if each else grid, rng)
    assert abs(float(x["number"].mean()) - 0.7) < 0.03
    share = torch.bincount(x["kind"], minlength=3) / 4000
    assert torch.allclose(share, torch.tensor([0.6, 0.3, 0.1]), atol=0.03)


def test_a_part_that_is_not_finite_is_named() -> None:
    sampler, _ = mixed()
    x = Product({"number": Gaussian(torch.zeros(3, 2), torch.ones(())), "kind": Categorical(torch.zeros(3, 3))}).sample(
        Rng(range(3))
    )
    x["number"][1] = torch.nan
    with pytest.raises(OrnsteinError, match=r"samples \[1\]"):
        simulate(sampler, x, torch.tensor([1.0, 0.5]), Rng(range(3)))
