"""Our reading of scheduler files against the installed diffusers: equal states after every step."""

from __future__ import annotations

import inspect
import itertools
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from interop.parity import difference, ours, theirs
from ornstein.core.errors import CapabilityError, CheckpointError, UsageError
from ornstein.interop.diffusers import scheduler
from ornstein.interop.diffusers.schedulers.config import DEFAULTS

TOLERANCE = 1e-4
STEPS = (10, 20, 50)
SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}
SPACINGS = ("leading", "trailing", "linspace")


def grid(**axes: tuple[Any, ...]) -> list[dict[str, Any]]:
    """All combinations."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


PREDICTIONS = ("epsilon", "v_prediction", "sample")
SIGMAS: list[dict[str, Any]] = [
    {},
    {"use_karras_sigmas": True},
    {"use_exponential_sigmas": True},
    {"use_beta_sigmas": True},
]
FLOW: list[dict[str, Any]] = [
    {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0},
    {"use_flow_sigmas": True, "prediction_type": "flow_prediction"},
    {"use_flow_sigmas": True, "prediction_type": "sample", "flow_shift": 2.0},
]
VP_STATE: dict[str, list[dict[str, Any]]] = {
    "DDPMScheduler": [
        *grid(prediction_type=PREDICTIONS, timestep_spacing=SPACINGS, clip_sample=(False, True)),
        *grid(beta_schedule=("linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid"), clip_sample=(False,)),
        *grid(variance_type=("fixed_small_log", "fixed_large"), timestep_spacing=SPACINGS, clip_sample=(True,)),
        {"thresholding": True},
        {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"},
        *grid(variance_type=("learned_range",), timestep_spacing=SPACINGS, clip_sample=(False, True)),
    ],
    "DDIMScheduler": [
        *grid(prediction_type=PREDICTIONS, timestep_spacing=SPACINGS, clip_sample=(False, True)),
        *grid(beta_schedule=("linear", "scaled_linear", "squaredcos_cap_v2"), set_alpha_to_one=(True, False)),
        {**SD, "clip_sample": False, "set_alpha_to_one": False},
        {"thresholding": True},
        {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"},
    ],
    "DPMSolverMultistepScheduler": [
        *grid(prediction_type=PREDICTIONS, timestep_spacing=SPACINGS, solver_order=(1, 2)),
        {"solver_type": "heun"},
        *grid(solver_order=(3,), timestep_spacing=SPACINGS, lower_order_final=(True, False)),
        {"solver_order": 3, "final_sigmas_type": "sigma_min"},
        {"euler_at_final": True, "final_sigmas_type": "sigma_min"},
        *[{**SD, **s} for s in SIGMAS[:3]],
        {**SD, "use_beta_sigmas": True, "_steps": (10, 20)},  # at 50 it tells a step twice and loses its place
        {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1},
        {"thresholding": True},
        {"thresholding": True, "sample_max_value": 3.0},
        {**SD, "rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"},
        *grid(
            algorithm_type=("dpmsolver", "sde-dpmsolver"),
            solver_type=("midpoint", "heun"),
            solver_order=(1, 2),
            final_sigmas_type=("sigma_min",),
        ),
        *grid(algorithm_type=("sde-dpmsolver++",), solver_type=("midpoint", "heun"), solver_order=(1, 2, 3)),
        *grid(
            algorithm_type=("dpmsolver", "sde-dpmsolver"),
            prediction_type=PREDICTIONS,
            timestep_spacing=SPACINGS,
            final_sigmas_type=("sigma_min",),
        ),
        {"algorithm_type": "dpmsolver", "solver_order": 3, "final_sigmas_type": "sigma_min"},
        {"algorithm_type": "dpmsolver", "thresholding": True, "final_sigmas_type": "sigma_min"},
        {**SD, "algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True},
        {**SD, "algorithm_type": "dpmsolver", "use_karras_sigmas": True, "final_sigmas_type": "sigma_min"},
        *grid(use_lu_lambdas=(True,), beta_schedule=("linear", "scaled_linear")),
        {"variance_type": "learned_range"},
        *FLOW,
        *grid(use_flow_sigmas=(True,), flow_shift=(3.0,), algorithm_type=("sde-dpmsolver++",), solver_order=(1, 2)),
        {"use_flow_sigmas": True, "flow_shift": 3.0, "final_sigmas_type": "sigma_min", "algorithm_type": "dpmsolver"},
    ],
    "DPMSolverSinglestepScheduler": [
        *grid(prediction_type=PREDICTIONS, solver_order=(1, 2, 3)),
        *grid(solver_order=(2, 3), solver_type=("midpoint", "heun"), lower_order_final=(True, False)),
        *grid(
            algorithm_type=("dpmsolver",),
            solver_order=(1, 2, 3),
            solver_type=("midpoint", "heun"),
            final_sigmas_type=("sigma_min",),
        ),
        *grid(algorithm_type=("sde-dpmsolver++",), solver_order=(1, 2, 3), solver_type=("midpoint", "heun")),
        {"solver_order": 2, "final_sigmas_type": "sigma_min"},
        *SIGMAS[1:3],
        {"thresholding": True},
        {"beta_schedule": "squaredcos_cap_v2", "lambda_min_clipped": -5.1},
        *FLOW,
    ],
    "SASolverScheduler": [
        *grid(prediction_type=PREDICTIONS, timestep_spacing=SPACINGS),
        *grid(predictor_order=(1, 2), corrector_order=(1, 2)),
        *grid(predictor_order=(1, 2, 3, 4), corrector_order=(1, 2, 3, 4), _exact=(True,)),
        *grid(algorithm_type=("noise_prediction",), predictor_order=(1, 2, 3), corrector_order=(1, 3), _exact=(True,)),
        *grid(algorithm_type=("noise_prediction",), prediction_type=PREDICTIONS),
        *[{**SD, **s} for s in SIGMAS[:3]],
        {"lower_order_final": False},
        {"thresholding": True},
        *FLOW,
    ],
    "LCMScheduler": [
        *grid(prediction_type=PREDICTIONS, clip_sample=(True, False)),
        *grid(beta_schedule=("linear", "squaredcos_cap_v2"), original_inference_steps=(50, 100)),
        {"timestep_scaling": 0.01},
        {"thresholding": True},
        {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"},
    ],
    "DDIMInverseScheduler": [
        *grid(prediction_type=PREDICTIONS[:2], timestep_spacing=SPACINGS[:2], clip_sample=(True, False)),
        *grid(prediction_type=PREDICTIONS[:2], steps_offset=(1,), set_alpha_to_one=(False,), clip_sample=(True, False)),
        {"prediction_type": "sample", "steps_offset": 1, "set_alpha_to_one": False, "_exact": True},
        *grid(beta_schedule=("scaled_linear", "squaredcos_cap_v2"), clip_sample=(False,)),
        {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"},
    ],
    "PNDMScheduler": [
        *grid(prediction_type=PREDICTIONS[:2], skip_prk_steps=(True, False), set_alpha_to_one=(True,)),
        *grid(prediction_type=PREDICTIONS[:2], skip_prk_steps=(True, False), timestep_spacing=SPACINGS[1:]),
        {"timestep_spacing": "linspace", "skip_prk_steps": True, "_steps": (7,)},  # strides of different lengths
        {"_steps": (40,)},  # a stride of 25, halved and rounded
        {"skip_prk_steps": True, "set_alpha_to_one": False},  # ends with a step that moves nothing
        {**SD, "prediction_type": "v_prediction"},
        {**SD, "prediction_type": "v_prediction", "skip_prk_steps": True},
        {**SD, "skip_prk_steps": True},
        {**SD, "skip_prk_steps": True, "set_alpha_to_one": True},
        {"skip_prk_steps": True, "steps_offset": 1, "beta_schedule": "squaredcos_cap_v2"},
    ],
    "DEISMultistepScheduler": [
        *grid(prediction_type=PREDICTIONS, timestep_spacing=SPACINGS),
        *grid(solver_order=(1, 3), lower_order_final=(True, False), _exact=(True,)),  # its integrals cancel
        *[{**SD, **s} for s in SIGMAS[:3]],
    ],
    "UniPCMultistepScheduler": [
        *grid(prediction_type=PREDICTIONS, timestep_spacing=SPACINGS),
        *grid(solver_order=(1, 2, 3), lower_order_final=(True, False), final_sigmas_type=("sigma_min",)),
        *grid(solver_order=(1, 2, 3), solver_type=("bh1", "bh2"), final_sigmas_type=("sigma_min",)),
        *grid(solver_order=(1, 2, 3)),
        {"disable_corrector": [0, 1, 5]},
        {**SD, "rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"},
        *FLOW,
        {**FLOW[0], "use_karras_sigmas": True, "_exact": True},
        {**FLOW[0], "shift_terminal": 0.1},
        {**FLOW[0], "final_sigmas_type": "sigma_min"},
        {**SD, "use_karras_sigmas": True, "final_sigmas_type": "sigma_min"},
        {"solver_type": "bh1", "_to_nan": True},  # its last step to 0 divides infinities
        *[{**SD, **s} for s in SIGMAS[:3]],
        {"thresholding": True},
    ],
}
"""Schedulers whose state is x_t itself."""

RATIO_STATE: dict[str, list[dict[str, Any]]] = {
    "EulerDiscreteScheduler": [
        *grid(prediction_type=PREDICTIONS, timestep_spacing=SPACINGS),
        *[{**SD, **s} for s in SIGMAS],
        {"final_sigmas_type": "sigma_min"},
        {"use_karras_sigmas": True, "final_sigmas_type": "sigma_min"},
        {"use_karras_sigmas": True, "sigma_min": 0.1, "sigma_max": 10.0},
        {**SD, "prediction_type": "v_prediction", "timestep_type": "continuous", "use_karras_sigmas": True},
        {
            "prediction_type": "v_prediction",
            "timestep_type": "continuous",
            "interpolation_type": "log_linear",
            "use_karras_sigmas": True,
            "timestep_spacing": "leading",
        },
        {**SD, "rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"},
    ],
    "EulerAncestralDiscreteScheduler": [
        *grid(prediction_type=("epsilon", "v_prediction"), timestep_spacing=SPACINGS),
        SD,
        {**SD, "rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"},
    ],
    "HeunDiscreteScheduler": [
        *grid(prediction_type=PREDICTIONS, timestep_spacing=SPACINGS),
        *[{**SD, **s} for s in SIGMAS],
        {"clip_sample": True},
    ],
    "LMSDiscreteScheduler": [
        *grid(prediction_type=PREDICTIONS, timestep_spacing=SPACINGS),
        *[{**SD, **s} for s in SIGMAS[:3]],
    ],
    "KDPM2DiscreteScheduler": [
        *grid(prediction_type=PREDICTIONS[:2], timestep_spacing=SPACINGS),
        {**SD, "use_exponential_sigmas": True},
        {**SD, "use_karras_sigmas": True},
        {"use_karras_sigmas": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"},
    ],
    "EDMDPMSolverMultistepScheduler": [
        *grid(solver_order=(1, 2, 3), solver_type=("midpoint", "heun"), prediction_type=("epsilon", "v_prediction")),
        *grid(algorithm_type=("sde-dpmsolver++",), solver_order=(1, 2), solver_type=("midpoint", "heun")),
        {"sigma_schedule": "exponential"},
        {"euler_at_final": True, "final_sigmas_type": "sigma_min"},
        {"solver_order": 3, "lower_order_final": False},
        {"thresholding": True},
    ],
    "EDMEulerScheduler": [
        {},
        {"prediction_type": "v_prediction"},
        {"sigma_schedule": "exponential"},
        {"rho": 5.0, "sigma_data": 0.3},
    ],
    "FlowMatchEulerDiscreteScheduler": [
        {},
        {"shift": 3.0},
        {"shift": 3.0, "use_karras_sigmas": True},
        {"shift_terminal": 0.1},
        {"stochastic_sampling": True, "shift": 3.0},
        {"invert_sigmas": True},
        {"invert_sigmas": True, "shift": 3.0},
    ],
}
"""Schedulers whose state is x_t / alpha_t."""


def _cases(table: dict[str, list[dict[str, Any]]]) -> list[Any]:
    """Every configuration at 10 steps, the first of each class at 20 and 50 too; with ``-m slow`` all at all."""
    return [
        pytest.param(
            {"_class_name": name, **options},
            steps,
            id=f"{name}-{i}-{steps}",
            marks=[pytest.mark.slow] if i > 0 and steps > 10 else [],
        )
        for name, some in table.items()
        for i, options in enumerate(some)
        for steps in options.get("_steps", STEPS)
    ]


def differences(config: dict[str, Any], steps: int, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Largest difference of the states after each step that both make."""
    name = config["_class_name"]
    reference, got = theirs(config, steps, monkeypatch), ours(config, steps)
    if name in ("HeunDiscreteScheduler", "KDPM2DiscreteScheduler"):
        reference = reference[1::2] + reference[-1:]  # two calls make a step, but for the last
    if config.get("_to_nan"):
        reference = [(sigma, x) for sigma, x in reference if bool(x.isfinite().all())]
        got = got[: len(reference)]
    # A last step that repeats a level moves nothing and is not made here.
    assert len(reference) - len(got) in (0, 1)
    assert torch.allclose(reference[-1][1], reference[len(got) - 1][1], atol=1e-5)
    over_alpha = name in RATIO_STATE and not name.startswith("FlowMatch")
    pairs = zip(reference, got, strict=False)
    return [difference(b / alpha if over_alpha else b, a) for (_, a), (alpha, b) in pairs]


@pytest.mark.parametrize(("config", "steps"), _cases(VP_STATE) + _cases(RATIO_STATE))
def test_every_state_is_that_of_diffusers(config: dict[str, Any], steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    worst = max(differences(config, steps, monkeypatch))
    assert worst < TOLERANCE, f"{worst:.2e}"


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_ddim_with_eta(eta: float, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"_class_name": "DDIMScheduler", "clip_sample": False}
    reference, got = theirs(config, 20, monkeypatch, eta=eta), ours(config, 20, eta=eta)
    assert max(difference(b, a) for (_, a), (_, b) in zip(reference, got, strict=True)) < TOLERANCE


@pytest.mark.parametrize("kind", ["exponential", "linear"])
def test_dynamic_shift(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {
        "_class_name": "FlowMatchEulerDiscreteScheduler",
        "use_dynamic_shifting": True,
        "time_shift_type": kind,
    }
    reference = theirs(config, 20, monkeypatch, set_timesteps={"mu": 0.9})
    got = ours(config, 20, shift_mu=0.9)
    assert max(difference(b, a) for (_, a), (_, b) in zip(reference, got, strict=True)) < TOLERANCE


@pytest.mark.parametrize(
    "config",
    [
        {"_class_name": "UniPCMultistepScheduler", "time_shift_type": "exponential"},
        {"_class_name": "UniPCMultistepScheduler", "time_shift_type": "linear"},
        {"_class_name": "DPMSolverMultistepScheduler"},
        {"_class_name": "DPMSolverSinglestepScheduler"},
    ],
)
def test_dynamic_shift_of_solvers(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    config = {**config, "use_dynamic_shifting": True, "use_flow_sigmas": True, "prediction_type": "flow_prediction"}
    reference = theirs(config, 10, monkeypatch, set_timesteps={"mu": 0.9})
    got = ours(config, 10, shift_mu=0.9)
    assert max(difference(b, a) for (_, a), (_, b) in zip(reference, got, strict=True)) < TOLERANCE


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_those_of_the_installed_diffusers(name: str) -> None:
    known = inspect.signature(getattr(diffusers, name).__init__).parameters
    assert DEFAULTS[name] == {k: p.default for k, p in known.items() if k not in ("self", "kwargs")}


@pytest.mark.parametrize(
    ("config", "error", "words"),
    [
        ({}, CheckpointError, "_class_name"),
        ({"_class_name": "DDIMSchedule"}, UsageError, "unknown scheduler class 'DDIMSchedule': did you mean 'DDIMSch"),
        (
            {"_class_name": "DDIMScheduler", "steps_ofset": 1},
            UsageError,
            "DDIMScheduler has no option 'steps_ofset': did you mean 'steps_offset'",
        ),
        ({"_class_name": "DDIMScheduler", "timestep_spacing": "late"}, UsageError, "timestep_spacing 'late'"),
        ({"_class_name": "DDPMScheduler", "variance_type": "learned"}, CapabilityError, "variance_type = 'learned'"),
        ({"_class_name": "SASolverScheduler", "tau_func": "linear"}, CapabilityError, "tau_func = 'linear'"),
        ({"_class_name": "UniPCMultistepScheduler", "predict_x0": False}, CapabilityError, "predict_x0 = False"),
        ({"_class_name": "UniPCMultistepScheduler", "shift_terminal": 0.1}, UsageError, "goes with use_flow_sigmas"),
        (
            {"_class_name": "UniPCMultistepScheduler", "use_flow_sigmas": True, "use_dynamic_shifting": True},
            UsageError,
            "give shift_mu",
        ),
        (
            {"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "dpmsolver"},
            UsageError,
            "needs final_sigmas_type = 'sigma_min'",
        ),
        (
            {"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "dpmsolver+++"},
            CapabilityError,
            r"algorithm_type = 'dpmsolver\+\+\+'",
        ),
        (
            {"_class_name": "DPMSolverSinglestepScheduler", "use_flow_sigmas": True, "use_beta_sigmas": True},
            CapabilityError,
            "use_beta_sigmas = True",
        ),
        ({"_class_name": "DDIMInverseScheduler", "timestep_spacing": "linspace"}, CapabilityError, "= 'linspace'"),
        (
            {"_class_name": "LCMScheduler", "original_inference_steps": 2000},
            UsageError,
            "more than num_train_timesteps",
        ),
        (
            {"_class_name": "FlowMatchEulerDiscreteScheduler", "stochastic_sampling": True, "invert_sigmas": True},
            CapabilityError,
            "invert_sigmas = True",
        ),
        (
            {"_class_name": "FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting": True},
            UsageError,
            "give shift_mu",
        ),
        (
            {"_class_name": "EulerDiscreteScheduler", "use_karras_sigmas": True, "use_beta_sigmas": True},
            UsageError,
            "only one of",
        ),
    ],
)
def test_what_cannot_be_read_is_named(config: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        scheduler(config)


@pytest.mark.parametrize(
    ("config", "steps", "error", "words"),
    [
        ({"_class_name": "LCMScheduler"}, 51, UsageError, r"1 \.\. 50 \(original_inference_steps\), got 51"),
        ({"_class_name": "PNDMScheduler", "set_alpha_to_one": True}, 3, UsageError, "needs 4 steps or more, got 3"),
        (
            {"_class_name": "DDIMInverseScheduler", "timestep_spacing": "trailing"},
            7,
            CapabilityError,
            "7 trailing steps has strides of different lengths",
        ),
        ({"_class_name": "DDIMInverseScheduler", "prediction_type": "sample"}, 10, CapabilityError, "a noise of 0"),
        ({"_class_name": "DDIMInverseScheduler", "set_alpha_to_one": False}, 10, CapabilityError, "moves nothing"),
        ({"_class_name": "DPMSolverSinglestepScheduler"}, 0, UsageError, "steps must lie in 1"),
    ],
)
def test_numbers_of_steps_that_cannot_be_read_are_named(
    config: dict[str, Any], steps: int, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        scheduler(config).plan(steps)


def test_files_and_folders(tmp_path: Path) -> None:
    diffusers.DDIMScheduler(**SD).save_pretrained(tmp_path / "scheduler")
    for path in (tmp_path, tmp_path / "scheduler", tmp_path / "scheduler" / "scheduler_config.json"):
        assert scheduler(path).options["beta_end"] == 0.012
    with pytest.raises(CheckpointError, match=r"holds no scheduler_config.json"):
        scheduler(tmp_path / "none")
    (tmp_path / "scheduler_config.json").write_text("{")
    with pytest.raises(CheckpointError, match="is no JSON"):
        scheduler(tmp_path)
