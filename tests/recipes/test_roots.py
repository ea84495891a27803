"""What is special to the recipes of the roots and of weights and targets."""

from __future__ import annotations

import pytest
import torch

import ornstein
from ornstein.codecs.binary import Binary
from ornstein.core.errors import DataError, UsageError
from ornstein.core.rng import Stream
from ornstein.denoisers import ScoreOut
from ornstein.denoisers.fixed_first import FixedFirst
from ornstein.objectives import Denoising, Hybrid, LossSecondMoment, UniformLogSNR, likelihood
from ornstein.objectives.first_bound import FirstBound
from ornstein.processes import VP, SubVP
from ornstein.processes.schedules import Table
from ornstein.recipes.checks.zero_terminal_snr import BRIGHTNESS, GRAIN, PIXELS, Flat, predicted
from ornstein.recipes.system import System
from ornstein.samplers.grids import trailing

SMALL = {"widths": (16,), "blocks": 1, "patch": 2, "size": 8, "channels": 1}


def build(name: str, **settings: object) -> System:
    return ornstein.build(name, settings={**SMALL, **settings})


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("improved-ddpm", {"chain": 1}, "chain must be at least 2, got 1"),
        (
            "improved-ddpm",
            {"chain": 100, "sampling_steps": 101},
            r"sampling_steps must lie in 1 .. 100 \(the chain\), got 101",
        ),
        ("improved-ddpm", {"vlb_weight": 0}, "vlb_weight must be positive"),
        ("loss-weighting", {"gamma": 0}, "gamma must be positive, got 0"),
        ("loss-weighting", {"weighting": "p2", "p2_k": -1}, "P2 needs gamma >= 0 and k >= 0, got 1.0 and -1"),
        ("loss-weighting", {"weighting": "p3"}, "weighting must be one of"),
        ("loss-weighting", {"chain": 10}, r"sampling_steps must lie in 1 .. 10"),
        ("likelihood-weighting", {"t_min": 0}, r"t_min must lie in \(0, 1\): the weight is infinite at 0"),
        ("likelihood-weighting", {"weighting": "uniform"}, "it needs weighting='likelihood'"),
        ("edm2", {"architecture": "ddpm_cifar10"}, "architecture must be 'mp_unet', got 'ddpm_cifar10'"),
        ("progressive-distillation", {"teacher_steps": 12, "final_steps": 2}, "3 is odd"),
        (
            "progressive-distillation",
            {"teacher_steps": 4, "final_steps": 4},
            "final_steps times a power of two, got 4 and 4",
        ),
        ("progressive-distillation", {"distilling": 1}, r"distilling must lie in \(0, 1\), got 1"),
        ("ncsn", {"sigma_min": 3.0}, "0 < sigma_min < sigma_max, got 3.0 and 2.0"),
        ("ncsn", {"levels": 1}, "levels must be at least 2, got 1"),
        ("sohl-dickstein", {"chain": 1}, "chain must be at least 2, got 1"),
        ("sohl-dickstein", {"chain": 10}, r"sampling_steps must lie in 1 .. 10 \(the chain\), got 200"),
        (
            "sohl-dickstein",
            {"chain": 10, "sampling_steps": 10, "beta_1": 0.95},
            r"beta_1 must lie in \[0, 0.9\), so that every beta lies in \(0, 1\); got 0.95",
        ),
        ("sohl-dickstein", {"threshold": 128}, "threshold belongs to kernel='binomial'"),
        ("sohl-dickstein", {"kernel": "binomial", "threshold": 256}, "threshold must lie in 1 .. 255"),
        ("sohl-dickstein", {"kernel": "binomial", "architecture": "ddpm_cifar10"}, "mp_unet or multiscale, not 'ddpm_"),
        ("ncsnv2", {"levels": 1}, "levels must be at least 2, or 0 to have them counted, got 1"),
        ("score-sde", {"process": "ve", "sigma_min": 60.0}, "0 < sigma_min < sigma_max, got 60.0 and 50.0"),
        ("score-sde", {"t_min": 0}, r"t_min must lie in \(0, 1\), got 0"),
        ("vdm", {"gamma_0": 6.0}, "gamma_0 must be below gamma_1, got 6.0 and 5.0"),
        ("vdm", {"exponents": "-1"}, "exponents must be at least 0"),
        ("zero-terminal-snr", {"prediction": "eps"}, "says nothing about x_0 where no signal is left"),
        ("zero-terminal-snr", {"guidance_rescale": 1.5}, r"guidance_rescale must lie in \[0, 1\], got 1.5"),
    ],
)
def test_settings_that_are_refused(name: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(name, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 9}, "size 9 is not a multiple of patch 2"),
        ({"width": 100}, "width 100 is not a multiple of head 64"),
        ({"depth": 0}, "depth must be at least 1, got 0"),
    ],
)
def test_sizes_that_dit_refuses(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ornstein.build("dit", settings=settings)


def test_an_untrained_dit_puts_out_zero_and_listens_to_the_label_only_later() -> None:
    system = ornstein.build(
        "dit", settings={"size": 8, "channels": 1, "width": 64, "head": 32, "depth": 2, "classes": "a,b"}
    )
    network, x = system.denoiser.network, torch.randn(2, 1, 8, 8)
    cond = {"label": torch.tensor([0, 1])}
    assert not bool(network(x, torch.tensor([10.0, 500.0]), cond).any())
    assert network(x, torch.tensor([10.0, 500.0]), cond).shape == (2, 2, 8, 8)
    assert all(not bool(block.modulation.weight.any()) for block in network.blocks)


def test_binomial_noise_takes_data_of_two_values() -> None:
    """Grey ones are refused, with the remedy; a threshold makes two of them; samples are black and white."""
    grey = torch.tensor([0, 255, 90, 200], dtype=torch.uint8).reshape(1, 1, 2, 2)
    with pytest.raises(DataError, match=r"two values, 0 and 255; these hold 90, 50 % .*threshold=128"):
        Binary().encode(grey, Stream(0))
    for x in (grey, grey.float() / 127.5 - 1):
        assert Binary(128).encode(x, Stream(0)).flatten().tolist() == [0, 1, 0, 1]
    ends = grey[..., :1, :]
    for x in (ends, ends.float() / 127.5 - 1):
        state = Binary().encode(x, Stream(0))
        assert state.dtype == torch.int64 and Binary().decode(state).flatten().tolist() == [-1, 1]
    with pytest.raises(DataError, match="uint8 or floats"):
        Binary().encode(grey.long(), Stream(0))
    system = build("sohl-dickstein", kernel="binomial", chain=4, sampling_steps=4)
    assert set(system.sample(2).tensor.unique().tolist()) <= {-1.0, 1.0}
    found = system.log_likelihood(ends.repeat(1, 1, 8, 4), "discrete", steps=4, repeats=2)
    assert found.bound and bool(torch.isfinite(found.nats).all())


@pytest.mark.parametrize("kernel", ["gaussian", "binomial"])
def test_the_first_step_is_fixed_on_request(kernel: str) -> None:
    settings = {"kernel": kernel, "chain": 4, "sampling_steps": 4}
    system = build("sohl-dickstein", first_step="fixed", **settings)
    assert isinstance(system.denoiser, FixedFirst) and not isinstance(
        build("sohl-dickstein", **settings).denoiser, FixedFirst
    )
    (stage,) = system.stages(None)  # type: ignore[arg-type]
    objective = stage.updates[0].objective
    assert isinstance(objective, FirstBound) and objective.first == "fixed"
    assert len(list(stage.updates[0].params)) == len(list(objective.denoiser.parameters()))
    assert bool(torch.isfinite(system.sample(2).tensor).all())
    multiscale = build("sohl-dickstein", multiscale=True, classes="a,b", **settings)
    assert multiscale.sample(2).tensor.shape == (2, 1, 8, 8)


def test_improved_ddpm_saves_the_history_of_its_losses() -> None:
    system = build("improved-ddpm", chain=20, sampling_steps=5, resample=True, loss="vlb")
    (stage,) = system.stages(None)  # type: ignore[arg-type]
    objective = stage.updates[0].objective
    assert isinstance(objective, Hybrid) and isinstance(objective.times, LossSecondMoment)
    assert (objective.simple, objective.vlb) == (0, 1)
    assert any(key.endswith("loss_history.losses") for key in system.modules.state_dict())
    plain = build("improved-ddpm")
    assert not any("loss_history" in key for key in plain.modules.state_dict())


def test_improved_ddpm_strides_with_its_learned_fraction() -> None:
    system = build("improved-ddpm", chain=40, sampling_steps=4)
    assert dict(system.sampler.options) == {"variance": "range"}
    assert system.process.t_min == 1 / 40 and system.steps == 4


def test_zero_terminal_snr_starts_in_pure_noise_and_steps_from_the_end() -> None:
    system = build("zero-terminal-snr", sampling_steps=4)
    end = torch.tensor(1.0, dtype=torch.float64)
    assert float(system.process.alpha(end)) == 0
    _, times, about = system.prepare(None, None, None, None)
    assert about["grid"] == "trailing"
    torch.testing.assert_close(times, system.process.t_max * torch.tensor([1, 0.75, 0.5, 0.25, 0]).double())


@pytest.mark.parametrize("table", [Table.linear, Table.scaled_linear, Table.cosine])
def test_rescaling_keeps_the_first_step_and_is_idempotent(table) -> None:  # type: ignore[no-untyped-def]
    usual = table(100)
    once = usual.zero_terminal_snr()
    first = torch.tensor(0.01, dtype=torch.float64)
    torch.testing.assert_close(VP(once).alpha(first), VP(usual).alpha(first))
    torch.testing.assert_close(once.zero_terminal_snr().betas(), once.betas())
    assert float(once.betas()[-1]) == 1


def test_the_predictor_of_flat_images_is_the_regression_on_them() -> None:
    """E[x_0 | x_t] leaves an error that is uncorrelated with x_t, along the brightness and across it."""
    process, t = VP(), torch.tensor(0.6, dtype=torch.float64)
    rng = Stream(0)
    x_0 = BRIGHTNESS * rng.normal((4000, 1)).double() + GRAIN * rng.normal((4000, PIXELS)).double()
    x_t = process.marginal(x_0, t).sample(rng)
    error = Flat(process)(x_t, t).mean - x_0
    for part, of in ((error.mean(1), x_t.mean(1)), (error[:, 0] - error.mean(1), x_t[:, 0] - x_t.mean(1))):
        r = float(torch.corrcoef(torch.stack([part, of]))[0, 1])
        assert abs(r) < 4.5 / 4000**0.5


def test_the_formula_for_brightness_is_one_where_no_signal_is_left() -> None:
    assert predicted(Table.scaled_linear().zero_terminal_snr()) == pytest.approx(1)
    assert predicted(Table.scaled_linear()) == pytest.approx(0.676, abs=1e-3)


def test_trailing_steps_are_equal_and_refuse_to_be_too_many() -> None:
    process = VP(Table.linear(10), t_min=0.1)
    torch.testing.assert_close(trailing(process, 10), torch.arange(10, -1, -1).double() / 10)
    with pytest.raises(UsageError, match=r"11 trailing steps would ask the network below t_min = 0\.1; take fewer"):
        trailing(process, 11)


@pytest.mark.parametrize("process", [VP(), SubVP()], ids=lambda p: type(p).__name__)
def test_the_likelihood_weight_is_the_density_of_the_importance_law(process: VP | SubVP) -> None:
    """g^2/sigma^2 = -d log SNR/dt, by automatic differentiation."""
    t = torch.linspace(0.01, 0.99, 20, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(process.log_snr(t).sum(), t)
    t = t.detach()
    torch.testing.assert_close(likelihood(process, ScoreOut(), t), -slope)
    torch.testing.assert_close(-slope, process.diffusion_sq(t) / process.sigma(t) ** 2)


def test_likelihood_weighting_puts_the_weight_in_one_place() -> None:
    """Either in the law of t or in the loss, never twice."""
    for importance in (True, False):
        (stage,) = build("likelihood-weighting", importance=importance).stages(None)  # type: ignore[arg-type]
        objective = stage.updates[0].objective
        assert isinstance(objective, Denoising)
        assert isinstance(objective.times, UniformLogSNR) is importance
        assert (objective.weight is likelihood) is not importance


def test_progressive_distillation_halves_down_to_the_last_student() -> None:
    system = build("progressive-distillation", teacher_steps=16, final_steps=2, steps=100)
    stages = list(system.stages(None))  # type: ignore[arg-type]
    assert [s.name for s in stages] == ["teacher", "student-8", "student-4", "student-2"]
    assert sum(s.steps for s in stages) == 100
    assert sorted(system.extra) == ["teacher_16", "teacher_4", "teacher_8"] and system.steps == 2
    _, times, _ = system.prepare(None, None, None, None)
    torch.testing.assert_close(times, torch.tensor([1.0, 0.5, 0.0]).double())
