"""The moving average against its closed form, and the optimiser's learning rates against theirs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ornstein.core.errors import CheckpointError, UsageError
from ornstein.training import EMA, OptimizerSpec


class One(nn.Module):
    """A single number."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1, dtype=torch.float64))


def set_to(model: One, value: float) -> None:
    """Set the number."""
    with torch.no_grad():
        model.w.fill_(value)


def test_half_of_a_step_remains_after_a_half_life() -> None:
    """After a jump from 0 to 1 the average is 1 - 2^(-n/half-life), n in samples, whatever the batch."""
    for batch in (1, 10, 100):
        model = One()
        ema = EMA(model, half_life=1000, ramp=1e9)
        set_to(model, 1.0)
        for step in range(1, 2000 // batch + 1):
            ema.update(batch, step * batch)
            wanted = 1 - 2 ** (-step * batch / 1000)
            assert float(ema.state()["w"]) == pytest.approx(wanted, abs=1e-12)


def test_the_ramp_gives_a_power_law() -> None:
    """With h = ramp n, one sample at a time: weights multiply by 2^(-1/(ramp k)), so the start decays as a product."""
    model = One()
    ema = EMA(model, half_life=1e12, ramp=2.0)
    set_to(model, 1.0)
    exponent = 0.0
    for k in range(1, 200):
        ema.update(1, k)
        exponent += 1 / (2.0 * k)
        assert float(ema.state()["w"]) == pytest.approx(1 - 2**-exponent, abs=1e-12)


def test_swapped_puts_the_average_in_and_takes_it_out_even_on_errors() -> None:
    model = One()
    ema = EMA(model, half_life=10)
    set_to(model, 5.0)
    with pytest.raises(RuntimeError, match="inside"), ema.swapped():
        assert float(model.w.detach()) == 0
        raise RuntimeError("inside")
    assert float(model.w.detach()) == 5
    assert float(ema.state()["w"]) == 0


def test_misuse_is_named() -> None:
    with pytest.raises(UsageError, match="half-life must be positive, got 0"):
        EMA(One(), half_life=0)
    with pytest.raises(CheckpointError, match="EMA does not fit this model: 2 names differ, first 'v'"):
        EMA(One(), half_life=1).restore({"v": torch.zeros(1)})


def test_learning_rates() -> None:
    flat = OptimizerSpec(lr=0.1, warmup=4)
    assert [flat.lr_at(n) for n in (1, 2, 4, 100)] == pytest.approx([0.025, 0.05, 0.1, 0.1])
    root = OptimizerSpec(lr=0.1, decay="inverse_sqrt", decay_steps=100)
    assert [root.lr_at(n) for n in (50, 100, 400)] == pytest.approx([0.1, 0.1, 0.05])
    cosine = OptimizerSpec(lr=0.1, decay="cosine", decay_steps=100)
    assert [cosine.lr_at(n) for n in (50, 100, 200)] == pytest.approx([0.05, 0, 0], abs=1e-12)
    assert cosine.lr_at(25) == pytest.approx(0.05 * (1 + math.sqrt(0.5)))
    linear = OptimizerSpec(lr=0.1, decay="linear", decay_steps=100, warmup=50)
    assert [linear.lr_at(n) for n in (25, 50, 75, 100, 101)] == pytest.approx([0.0375, 0.05, 0.025, 0, 0], abs=1e-12)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="lr must be positive, got -1"):
        OptimizerSpec(lr=-1)
    with pytest.raises(UsageError, match="needs decay_steps >= 1"):
        OptimizerSpec(decay="cosine")
    with pytest.raises(UsageError, match="'linear', got 'step'"):
        OptimizerSpec(decay="step")  # type: ignore[arg-type]
