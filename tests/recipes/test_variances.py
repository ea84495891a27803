"""Analytic-DPM, its extension and PDS as systems: stages that measure, what they leave alone, resumed runs, refusals."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import ornstein
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.denoisers import AnalyticVariance
from ornstein.recipes.system import System
from ornstein.samplers import Spectrum
from ornstein.training.fit import Progress

TINY: dict[str, Any] = {"batch": 8, "widths": (32,), "blocks": 1, "patch": 2, "precision": "fp32", "chain": 20}
ANALYTIC = TINY | {"measuring": 0.5, "sampling_steps": 5}


def train(name: str, settings: dict[str, Any], out: Path, stop_at: int = 0, steps: int = 6) -> System:
    def stop(progress: Progress) -> None:
        if progress.seen == stop_at * 8:
            signal.raise_signal(signal.SIGTERM)

    return ornstein.train(name, data="digits", size=8, out=out, settings=settings, steps=steps, on_step=stop)[0]


def test_the_second_stage_measures_the_averaged_network_and_moves_nothing(tmp_path: Path) -> None:
    system = train("analytic-dpm", ANALYTIC, tmp_path / "run")
    denoiser = system.denoiser
    assert isinstance(denoiser, AnalyticVariance)
    assert int(denoiser.count.sum()) == 3 * 8  # three steps of eight images
    average = system.extra["average"].copy
    for name, value in denoiser.denoiser.state_dict().items():
        torch.testing.assert_close(value, average.state_dict()[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("at", [2, 3, 5])
def test_an_interrupted_measurement_goes_on_as_if_it_had_not_been(at: int, tmp_path: Path) -> None:
    """Stopped in the first stage, at its end, and while it measures."""
    whole = train("analytic-dpm", ANALYTIC, tmp_path / "a")
    train("analytic-dpm", ANALYTIC, tmp_path / "b", stop_at=at)
    parts = train("analytic-dpm", ANALYTIC, tmp_path / "b")
    for name, value in whole.modules.state_dict().items():
        assert torch.equal(value, parts.modules.state_dict()[name]), name


def test_the_head_is_trained_beside_a_network_that_stays(tmp_path: Path) -> None:
    settings = TINY | {"head_share": 0.5, "sampling_steps": 5}
    system = train("extended-analytic-dpm", settings, tmp_path / "run")
    state, average = system.denoiser.network.state_dict(), system.extra["average"].copy.state_dict()
    for name, value in average.items():
        # Training writes weights back at norm 1 an output, an average is a little shorter: what counts is their direction.
        a, b = (v.flatten(1) if v.ndim > 1 else v for v in (state[f"backbone.{name}"], value))
        if value.ndim > 1:
            a, b = (torch.nn.functional.normalize(v, dim=1) for v in (a, b))
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    fresh = ornstein.build("extended-analytic-dpm", settings=settings | {"size": 8, "channels": 1, "classes": ()})
    heads = [
        {k: v for k, v in s.items() if k.startswith("head.")} for s in (state, fresh.denoiser.network.state_dict())
    ]
    assert any(not torch.equal(heads[0][k], heads[1][k]) for k in heads[0])


def test_the_spectrum_is_that_of_the_encoded_images(tmp_path: Path) -> None:
    settings = {k: v for k, v in TINY.items() if k != "chain"}
    system = train("pds", settings, tmp_path / "run", steps=4)
    spectrum = system.extra["spectrum"]
    assert isinstance(spectrum, Spectrum) and int(spectrum.count) == 3 * 8
    assert float(spectrum.square.max()) <= 1
    assert float(spectrum.power.sum()) == pytest.approx(float(spectrum.square.sum()), rel=1e-4)
    files = system.sample(1, steps=3).save(tmp_path / "out")  # the sampler's parts are told by name in the file
    assert files[0].exists()


def test_what_was_not_measured_is_not_sampled() -> None:
    small = {k: v for k, v in ANALYTIC.items() if k != "chain"} | {"size": 8, "channels": 1}
    with pytest.raises(CapabilityError, match="no variance was measured yet: train the system"):
        ornstein.build("analytic-dpm", settings=small).sample(1, steps=2)
    small = {k: v for k, v in small.items() if k not in ("measuring", "sampling_steps")}
    with pytest.raises(CapabilityError, match="no spectrum was measured yet: train the system"):
        ornstein.build("pds", settings=small).sample(1, steps=2)


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("analytic-dpm", {"measuring": 0.0}, "measuring is a share of the steps"),
        ("analytic-dpm", {"eta": 2.0}, r"eta must lie in \[0, 1\]"),
        ("analytic-dpm", {"pixels": -1.0}, "pixels must be positive, or 0"),
        ("extended-analytic-dpm", {"head_share": 1.0}, "head_share is a share"),
        ("extended-analytic-dpm", {"head_width": 0}, "positive width and rate"),
        ("extended-analytic-dpm", {"moment": "third"}, "moment must be one of 'noise', 'residual'"),
        ("adversarial-score-matching", {"moves": 5}, "one move at each level; set levels"),
        ("adversarial-score-matching", {"weight": -1.0}, "weight must be at least 0"),
        ("adversarial-score-matching", {"scale": 0.5}, "scale must be at least 1"),
        ("adversarial-score-matching", {"discriminator": ()}, "positive widths and rate"),
        ("pds", {"alpha": 1.0}, "alpha must exceed 1"),
        ("pds", {"snr": 0.0}, "snr must be positive"),
        ("pds", {"process": "sub_vp"}, "VE and VP processes"),
    ],
)
def test_bad_settings_are_refused(name: str, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        ornstein.build(name, settings=settings)
