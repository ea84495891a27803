"""Recipes whose point is how they restore: what "auto" means to each, and what they and ``restore`` refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import ornstein
from ornstein.core.errors import DataError, UsageError
from ornstein.core.rng import Stream
from ornstein.measurements import JPEG, Fourier, Grey, Mask, Measurement, average_pooling, lines
from ornstein.processes import VP
from ornstein.recipes import house
from ornstein.recipes.edit import sdedit
from ornstein.recipes.restoration.gdmp import purified, rounds_of
from ornstein.recipes.system import System
from ornstein.testing import exact

TINY: dict[str, Any] = {"size": 8, "channels": 1, "widths": (32,), "blocks": 1}


def built(name: str, **settings: Any) -> System:
    return house.build(name, settings={**TINY, **settings})


def known() -> Mask:
    mask = torch.ones(1, 8, 8)
    mask[:, 2:6, 2:6] = 0
    return Mask(mask)


OPTIONS = {
    "ccdf": ({"strength": 0.3}, {}),
    "ddrm": ({"eta": 0.5, "eta_b": 0.9}, {"eta": 0.5, "eta_b": 0.9}),
    "dps": ({"zeta": 0.2}, {"zeta": 0.2}),
    "pigdm": ({"eta": 0.5, "data_var": 0.3}, {"eta": 0.5, "data_var": 0.3}),
    "repaint": ({"jump": 2, "repeats": 1}, {"jump": 2, "repeats": 1}),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_auto_is_the_recipes_own_method(name: str) -> None:
    settings, options = OPTIONS[name]
    system = built(name, restoration_steps=2, **settings)
    mask = known()
    given = Measurement(mask(torch.zeros(1, 1, 8, 8)), mask)
    made = ornstein.restore(system, given)
    about = made.provenance
    assert (about["restoration"], about["steps"], about["options"]) == (name, 2, options)
    assert about["strength"] == (0.3 if name == "ccdf" else 1.0)
    # What the call says comes before what the recipe says; another method has its own defaults.
    other = ornstein.restore(system, given, method="ddnm", steps=3, strength=0.5).provenance
    assert (other["restoration"], other["steps"], other["options"], other["strength"]) == ("ddnm", 3, {}, 0.5)


def test_sdedit_starts_where_its_recipe_says() -> None:
    guide = torch.zeros(1, 1, 8, 8)
    about = sdedit(built("sdedit", strength=0.4, editing_steps=3), guide).provenance
    assert (about["strength"], about["steps"]) == (0.4, 3)
    # A recipe that restores from noise says nothing about editing.
    assert sdedit(built("ddrm"), guide, steps=2).provenance["strength"] == 0.5


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("ccdf", {"strength": 0.0}, "strength must lie in"),
    ("sdedit", {"strength": 1.0}, "from noise nothing of the guide is left"),
    ("ddrm", {"eta": 1.5}, "eta and eta_b must lie in"),
    ("dps", {"zeta": 0.0}, "zeta must be positive"),
    ("gdmp", {"level": 0.0}, "level, the time to which pictures are noised, lies in"),
    ("gdmp", {"rounds": 0}, "rounds and purifying_steps >= 1"),
    ("pigdm", {"data_var": 0.0}, "data_var > 0"),
    ("pigdm", {"eta": -1.0}, "eta must lie in"),
    ("repaint", {"repeats": 0}, "at least 1, got 25, 10 and 0"),
    ("repaint", {"jump": 50}, "do not fit a chain of 1000"),
]


@pytest.mark.parametrize(("name", "settings", "message"), BAD)
def test_bad_settings(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        built(name, **settings)


def test_bytes_are_no_measurement_of_pictures_in_their_range() -> None:
    system = built("ddpm")
    operators = [known(), average_pooling((1, 8, 8), 2), Fourier(lines((8, 8), 2, 2)), JPEG(50)]
    for operator in operators:
        with pytest.raises(DataError, match=f"more than {operator.name} makes of pictures in .*bytes: x / 127.5 - 1"):
            ornstein.restore(system, Measurement(operator(torch.ones(1, 1, 8, 8)) * 255, operator), steps=1)
        bright = operator(torch.ones(1, 1, 8, 8))
        assert torch.isfinite(ornstein.restore(system, Measurement(bright, operator), steps=1).tensor).all()


def test_noise_may_carry_a_measurement_beyond_the_range() -> None:
    system, operator = built("ddpm"), known()
    y = operator(1 + 0.5 * torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    ornstein.restore(system, Measurement(y, operator, 0.5), steps=1)


def test_what_restore_and_sdedit_refuse() -> None:
    system, mask = built("ddpm"), known()
    given = Measurement(mask(torch.zeros(1, 1, 8, 8)), mask)
    for strength in (0.0, 1.5, -0.1):
        with pytest.raises(UsageError, match="strength lies in"):
            ornstein.restore(system, given, strength=strength)
        with pytest.raises(UsageError, match="strength lies in"):
            sdedit(system, torch.zeros(1, 1, 8, 8), strength=strength)
    with pytest.raises(DataError, match=r"is of images \(1, 9, 9\)"):
        ornstein.restore(system, Measurement(torch.zeros(1, 1, 9, 9), Mask(torch.eye(9))))
    with pytest.raises(DataError, match="1 measurements come with 2 guesses"):
        ornstein.restore(system, given, guess=torch.zeros(2, 1, 8, 8))
    with pytest.raises(DataError, match=r"a guide lies in \[-1, 1\]; this one reaches 255"):
        sdedit(system, torch.full((1, 1, 8, 8), 255.0))
    with pytest.raises(UsageError, match="a mask holds 1"):
        sdedit(system, torch.zeros(1, 1, 8, 8), mask=torch.full((1, 1, 8, 8), 0.5))
    with pytest.raises(DataError, match=r"what grey value measured is of images \(3, 8, 8\)"):
        ornstein.restore(system, Measurement(torch.zeros(1, 1, 8, 8), Grey()))


def test_weights_are_as_trainable_after_a_restoration_as_before() -> None:
    system, mask = built("ddpm"), known()
    first = next(system.denoiser.parameters()).requires_grad_(False)
    before = [p.requires_grad for p in system.modules.parameters()]
    ornstein.restore(system, Measurement(mask(torch.zeros(1, 1, 8, 8)), mask), method="pigdm", steps=1)
    assert [p.requires_grad for p in system.modules.parameters()] == before
    assert not first.requires_grad and any(before)


def test_purification_is_pulled_to_the_attacked_picture() -> None:
    """On N(0, 1/4) with the exact denoiser: without a pull a draw forgets much of its start, under a strong one little."""
    process = VP()
    prior = exact.gaussian(process, mean=0.0, var=0.25)
    x = prior.sample(Stream(0), 4000)
    kept = []
    with torch.no_grad():
        for pull in (0.0, 30.0):
            made = rounds_of(prior.denoiser, x, 0.3, 2, 30, pull, Stream(1))
            assert abs(float(made.mean())) < 0.03
            kept.append(float(torch.corrcoef(torch.stack([x.flatten(), made.flatten()]))[0, 1]))
        free = rounds_of(prior.denoiser, x, 0.3, 2, 30, 0.0, Stream(1))
    assert abs(float(free.std()) - 0.5) < 0.03  # without a pull the law of the data stays
    # Each round keeps alpha^2 var/(alpha^2 var + sigma^2) of the start.
    alpha2 = float(process.alpha(torch.tensor(0.3, dtype=torch.float64))) ** 2
    once = 0.25 * alpha2 / (0.25 * alpha2 + 1 - alpha2)
    assert abs(kept[0] - once**2) < 0.05 and kept[1] > kept[0] + 0.2


def test_purified_pictures() -> None:
    x = torch.rand((2, 1, 8, 8), generator=torch.Generator().manual_seed(0)) * 2 - 1
    system = built("gdmp", level=0.05, rounds=2, purifying_steps=2)
    made = purified(system, x, seed=4)
    assert made.tensor.shape == x.shape and made.seeds == [4, 5] and made.provenance["level"] == 0.05
    torch.testing.assert_close(purified(system, x[1:], seed=5).tensor, made.tensor[1:], atol=1e-5, rtol=0)
    other = house.build("edm", settings={"size": 8, "channels": 1, "widths": (32,), "blocks": 1})
    level = torch.tensor(purified(other, x[:1]).provenance["level"], dtype=torch.float64)
    want = built("gdmp").process.log_snr(torch.tensor(0.036, dtype=torch.float64))
    torch.testing.assert_close(other.process.log_snr(level), want, atol=1e-3, rtol=0)
    with pytest.raises(DataError, match="these reach 255: undo a classifier's own scale first"):
        purified(system, x * 0 + 255)
    with pytest.raises(DataError, match=r"purifies floats \(1, 8, 8\), got \(1, 9, 9\)"):
        purified(system, torch.zeros(1, 1, 9, 9))
