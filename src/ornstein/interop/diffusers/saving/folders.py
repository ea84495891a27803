"""Our trained systems as pipeline folders that diffusers opens and runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ornstein.codecs.base import Identity, Scale
from ornstein.core.errors import CapabilityError
from ornstein.denoisers.denoiser import Preconditioned
from ornstein.denoisers.parametrizations import X0, Eps, LearnedRange, V
from ornstein.interop.diffusers.saving.unet2d import config_of, expressible, weights_of
from ornstein.interop.files.bundle import INDEX, Bundle, write_folder
from ornstein.networks.unet import UNet
from ornstein.processes.gaussian import VP
from ornstein.recipes.captions import CONDITION
from ornstein.recipes.system import System

STEPS = 1000
"""A network of ours is told 1000 t; of a chain of T steps diffusers' is told 0 .. T - 1, so that T must be 1000."""
KINDS = {Eps: "epsilon", X0: "sample", V: "v_prediction"}


def save(system: System, folder: str | Path, *, label: str | int | None = None, prompt: str | None = None) -> Path:
    """Write a trained system as a DDPM or DDIM pipeline's folder.

    Where the system clips x_0, its DDIM steps take the noise that belongs to the clipped x_0; diffusers' pipeline does so when it
    is called with ``use_clipped_model_output=True``.

    Args:
        folder: must not exist, or be empty.
        label: for a class-conditional system, the class that the pipeline draws; by default it draws without one, for
            diffusers' pipelines have no classes.
        prompt: the same for a system that reads captions.

    Raises:
        CapabilityError: no class of diffusers can express the system; the message says why.
        UsageError: the folder is not empty, or the label is unknown.
    """
    return write_folder(bundle(system, label=label, prompt=prompt), Path(folder))


def bundle(system: System, *, label: str | int | None = None, prompt: str | None = None) -> Bundle:
    """The same in memory."""
    plain = isinstance(system.codec, Identity) or (isinstance(system.codec, Scale) and system.codec.scale == 1)
    if not plain:
        raise CapabilityError(
            f"diffusers' unconditional pipelines draw pictures in [-1, 1]; this system has a {type(system.codec).__name__} codec"
        )
    denoiser = system.denoiser
    if not isinstance(denoiser, Preconditioned) or not isinstance(denoiser.process, VP):
        raise CapabilityError(
            "diffusers' DDPM and DDIM pipelines need a variance-preserving process and one network; "
            f"this system is a {type(denoiser).__name__} on {type(denoiser.process).__name__}"
        )
    network = expressible(denoiser.network)
    config = config_of(network, (system.shape[1], system.shape[2]))
    given = {k: v for k, v in (("label", label), ("prompt", prompt)) if v is not None}
    cond = system.conditions([0], given) if given else {}
    weights = weights_of(network, told(network, cond))
    steps = scheduler_config(system, denoiser)
    pipeline = "DDPMPipeline" if steps["_class_name"] == "DDPMScheduler" else "DDIMPipeline"
    index = {
        "_class_name": pipeline,
        "unet": ["diffusers", "UNet2DModel"],
        "scheduler": ["diffusers", steps["_class_name"]],
    }
    files = {
        INDEX: json.dumps(index, indent=2),
        "unet/config.json": json.dumps({"_class_name": "UNet2DModel", **config}, indent=2),
        "scheduler/scheduler_config.json": json.dumps(steps, indent=2),
    }
    return Bundle(files, {"unet": weights})


@torch.no_grad()
def told(network: UNet, cond: dict[str, Tensor]) -> Tensor:
    """What the conditions add to the embedding of the noise level: ``[width]``."""
    width = network.noise.second.out_features
    device = network.noise.second.weight.device
    known = {k: v for k, v in cond.items() if k in ("label", CONDITION)}
    return network.conditioning.add(torch.zeros(1, width, device=device), known)[0]


def scheduler_config(system: System, denoiser: Preconditioned) -> dict[str, Any]:
    """The chain of the system's process and what its network predicts."""
    process: Any = denoiser.process
    parametrization: Any = denoiser.parametrization
    learned = isinstance(parametrization, LearnedRange)
    base = parametrization.base if learned else parametrization
    if type(base) not in KINDS:
        raise CapabilityError(
            f"diffusers' networks predict noise, x_0 or v; this one has the parametrisation {type(base).__name__}"
        )
    table = getattr(process.schedule, "steps", None)
    if table not in (None, STEPS) or (learned and parametrization.steps != STEPS):
        raise CapabilityError(
            f"this chain has {table or parametrization.steps} steps, and its network is told 1000 t; diffusers tells it step "
            f"numbers, which is the same for chains of {STEPS} steps only"
        )
    t = torch.arange(STEPS + 1, dtype=torch.float64) / STEPS
    log_alpha = process.schedule.log_alpha(t.clamp(max=process.t_max))
    betas = -torch.expm1(2 * (log_alpha[1:] - log_alpha[:-1]))
    common: dict[str, Any] = {
        "num_train_timesteps": STEPS,
        "beta_schedule": "linear",
        "trained_betas": betas.clamp(max=0.999).tolist(),
        "prediction_type": KINDS[type(base)],
        "clip_sample": system.clip is not None,
        "clip_sample_range": system.clip or 1.0,
    }
    options = dict(system.sampler.options)
    if system.sampler.name == "ancestral" or learned:
        variance = (
            "learned_range" if learned else "fixed_large" if options.get("variance") == "large" else "fixed_small"
        )
        return {"_class_name": "DDPMScheduler", **common, "variance_type": variance}
    return {"_class_name": "DDIMScheduler", **common, "set_alpha_to_one": True, "steps_offset": 0}
