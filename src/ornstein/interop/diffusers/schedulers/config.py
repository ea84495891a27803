"""``scheduler_config.json``: the options of each scheduler class, their defaults, and what a file may say."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ornstein.core.errors import CheckpointError, UsageError, suggest, unknown

_BETAS: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
    "prediction_type": "epsilon",
    "steps_offset": 0,
}
_SIGMAS: dict[str, Any] = {"use_karras_sigmas": False, "use_exponential_sigmas": False, "use_beta_sigmas": False}
_CLIP: dict[str, Any] = {
    "clip_sample": True,
    "clip_sample_range": 1.0,
    "thresholding": False,
    "dynamic_thresholding_ratio": 0.995,
    "sample_max_value": 1.0,
}
_SOLVER: dict[str, Any] = {
    **_BETAS,
    **_SIGMAS,
    "solver_order": 2,
    "thresholding": False,
    "dynamic_thresholding_ratio": 0.995,
    "sample_max_value": 1.0,
    "lower_order_final": True,
    "use_flow_sigmas": False,
    "flow_shift": 1.0,
    "final_sigmas_type": "zero",
    "timestep_spacing": "linspace",
    "rescale_betas_zero_snr": False,
    "use_dynamic_shifting": False,
    "time_shift_type": "exponential",
}
_DPM: dict[str, Any] = {
    **_SOLVER,
    "algorithm_type": "dpmsolver++",
    "solver_type": "midpoint",
    "use_lu_lambdas": False,
    "lambda_min_clipped": -math.inf,
    "variance_type": None,
}
_NOT_SINGLE = ("timestep_spacing", "steps_offset", "rescale_betas_zero_snr", "use_lu_lambdas")
_NOT_ADAMS = (
    "solver_order",
    "solver_type",
    "final_sigmas_type",
    "rescale_betas_zero_snr",
    "use_lu_lambdas",
    "use_dynamic_shifting",
    "time_shift_type",
)
_EDM: dict[str, Any] = {
    "sigma_min": 0.002,
    "sigma_max": 80.0,
    "sigma_data": 0.5,
    "sigma_schedule": "karras",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "rho": 7.0,
    "final_sigmas_type": "zero",
}

DEFAULTS: dict[str, dict[str, Any]] = {
    "DDPMScheduler": {
        **_BETAS,
        **_CLIP,
        "variance_type": "fixed_small",
        "timestep_spacing": "leading",
        "rescale_betas_zero_snr": False,
    },
    "DDIMScheduler": {
        **_BETAS,
        **_CLIP,
        "set_alpha_to_one": True,
        "timestep_spacing": "leading",
        "rescale_betas_zero_snr": False,
    },
    "EulerDiscreteScheduler": {
        **_BETAS,
        **_SIGMAS,
        "interpolation_type": "linear",
        "sigma_min": None,
        "sigma_max": None,
        "timestep_spacing": "linspace",
        "timestep_type": "discrete",
        "rescale_betas_zero_snr": False,
        "final_sigmas_type": "zero",
    },
    "EulerAncestralDiscreteScheduler": {
        **_BETAS,
        "timestep_spacing": "linspace",
        "rescale_betas_zero_snr": False,
    },
    "HeunDiscreteScheduler": {
        **_BETAS,
        **_SIGMAS,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "clip_sample": False,
        "clip_sample_range": 1.0,
        "timestep_spacing": "linspace",
    },
    "DDIMInverseScheduler": {
        **_BETAS,
        "clip_sample": True,
        "clip_sample_range": 1.0,
        "set_alpha_to_one": True,
        "timestep_spacing": "leading",
        "rescale_betas_zero_snr": False,
    },
    "LCMScheduler": {
        **_BETAS,
        **_CLIP,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "clip_sample": False,
        "original_inference_steps": 50,
        "set_alpha_to_one": True,
        "timestep_spacing": "leading",
        "timestep_scaling": 10.0,
        "rescale_betas_zero_snr": False,
    },
    "DPMSolverMultistepScheduler": {**_DPM, "euler_at_final": False},
    "DPMSolverSinglestepScheduler": {
        **{k: v for k, v in _DPM.items() if k not in _NOT_SINGLE},
        "lower_order_final": False,
    },
    "SASolverScheduler": {
        **{k: v for k, v in _DPM.items() if k not in _NOT_ADAMS},
        "predictor_order": 2,
        "corrector_order": 2,
        "tau_func": None,
        "algorithm_type": "data_prediction",
    },
    "PNDMScheduler": {
        **_BETAS,
        "skip_prk_steps": False,
        "set_alpha_to_one": False,
        "timestep_spacing": "leading",
    },
    "LMSDiscreteScheduler": {**_BETAS, **_SIGMAS, "timestep_spacing": "linspace"},
    "KDPM2DiscreteScheduler": {
        **_BETAS,
        **_SIGMAS,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "timestep_spacing": "linspace",
    },
    "DEISMultistepScheduler": {
        **{k: v for k, v in _SOLVER.items() if k not in ("final_sigmas_type", "rescale_betas_zero_snr")},
        "algorithm_type": "deis",
        "solver_type": "logrho",
    },
    "UniPCMultistepScheduler": {
        **_SOLVER,
        "predict_x0": True,
        "solver_type": "bh2",
        "disable_corrector": [],
        "solver_p": None,
        "sigma_min": None,
        "sigma_max": None,
        "shift_terminal": None,
    },
    "EDMDPMSolverMultistepScheduler": {
        **_EDM,
        "solver_order": 2,
        "thresholding": False,
        "dynamic_thresholding_ratio": 0.995,
        "sample_max_value": 1.0,
        "algorithm_type": "dpmsolver++",
        "solver_type": "midpoint",
        "lower_order_final": True,
        "euler_at_final": False,
    },
    "EDMEulerScheduler": _EDM,
    "FlowMatchEulerDiscreteScheduler": {
        "num_train_timesteps": 1000,
        "shift": 1.0,
        "use_dynamic_shifting": False,
        "base_shift": 0.5,
        "max_shift": 1.15,
        "base_image_seq_len": 256,
        "max_image_seq_len": 4096,
        "invert_sigmas": False,
        "shift_terminal": None,
        **_SIGMAS,
        "time_shift_type": "exponential",
        "stochastic_sampling": False,
    },
}
"""What each class assumes where its file is silent (diffusers 0.42.1; the tests compare with the installed one)."""

_CHOICES: dict[str, tuple[str, ...]] = {
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid"),
    "prediction_type": ("epsilon", "sample", "v_prediction", "flow_prediction"),
    "timestep_spacing": ("leading", "trailing", "linspace"),
    "final_sigmas_type": ("zero", "sigma_min"),
}
_OPTIONS = frozenset(key for options in DEFAULTS.values() for key in options)
"""Options of any class: files keep those of the class that they were written for, and diffusers ignores them."""


def read(source: Mapping[str, Any] | str | Path) -> tuple[str, dict[str, Any]]:
    """The class's name and all its options, from a mapping, a ``scheduler_config.json`` or a folder that holds one.

    Raises:
        CheckpointError: there is no such file, or it is no JSON object with ``_class_name``.
        UsageError: an unknown class, option or value (named; the nearest known one is suggested).
    """
    given = dict(source) if isinstance(source, Mapping) else _load(Path(source))
    name = given.get("_class_name")
    if not isinstance(name, str):
        raise CheckpointError("the scheduler's config names no class: '_class_name' is missing")
    if name not in DEFAULTS:
        raise unknown("scheduler class", name, DEFAULTS)
    options = dict(DEFAULTS[name])
    for key, value in given.items():
        if key.startswith("_"):
            continue
        if key in options:
            options[key] = value
        elif key not in _OPTIONS:
            raise UsageError(f"{name} has no option '{key}': {suggest(key, options)}")
    for key, allowed in _CHOICES.items():
        if key in options and options[key] not in allowed:
            raise unknown(key, str(options[key]), allowed)
    if sum(bool(options.get(k)) for k in _SIGMAS) > 1:
        raise UsageError(f"{name}: only one of {', '.join(_SIGMAS)} may be set")
    return name, options


def _load(path: Path) -> dict[str, Any]:
    for file in (path, path / "scheduler_config.json", path / "scheduler" / "scheduler_config.json"):
        if file.is_file():
            try:
                entries = json.loads(file.read_text(encoding="utf-8"))
            except ValueError as e:
                raise CheckpointError(f"{file} is no JSON: {e}") from e
            if not isinstance(entries, dict):
                raise CheckpointError(f"{file} is no scheduler's config: a JSON object is expected")
            return entries
    raise CheckpointError(f"{path} holds no scheduler_config.json")
