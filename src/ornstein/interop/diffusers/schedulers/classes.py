"""A diffusers scheduler's config as a process, a parametrisation, and a plan (grid and sampler) for a number of steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ornstein.core.errors import UsageError
from ornstein.interop.diffusers.schedulers import chains, consistency, inverse, pseudo, sigmas, solvers, straight
from ornstein.interop.diffusers.schedulers.config import read
from ornstein.interop.diffusers.schedulers.words import Plan as Plan
from ornstein.interop.diffusers.schedulers.words import Scheduler as Scheduler


def scheduler(
    source: Mapping[str, Any] | str | Path,
    *,
    shift_mu: float | None = None,
    eta: float = 0.0,
    even: bool = False,
) -> Scheduler:
    """Read a ``scheduler_config.json`` (a file, a folder with it, or its contents).

    Args:
        shift_mu: the shift that goes with the picture's size, for flow models with ``use_dynamic_shifting``.
        eta: of DDIM, which keeps it out of its file.
        even: for FlowMatchEulerDiscreteScheduler, levels 1, 1 - 1/N, ... before the shift, which Flux's pipelines ask for.

    Raises:
        CheckpointError: no such file, or not a scheduler's.
        UsageError: an unknown class, option or value.
        CapabilityError: an option that is known and not served here (it is named).
    """
    name, options = read(source)
    if even:
        if name != "FlowMatchEulerDiscreteScheduler" or eta:
            raise UsageError(f"even levels belong to FlowMatchEulerDiscreteScheduler; {name} has none")
        return straight.flow(name, options, shift_mu, even=True)
    if name in _SHIFTED:
        if eta:
            raise UsageError(f"eta belongs to DDIM; {name} has none")
        return _SHIFTED[name](name, options, shift_mu)
    if shift_mu is not None:
        raise UsageError(f"shift_mu belongs to flow models; {name} has none")
    if name == "DDIMScheduler":
        return chains.ddim(name, options, eta)
    if eta:
        raise UsageError(f"eta belongs to DDIM; {name} has none")
    return _BUILDERS[name](name, options)


_BUILDERS: dict[str, Callable[[str, Mapping[str, Any]], Scheduler]] = {
    "DDPMScheduler": chains.ddpm,
    "DDIMInverseScheduler": inverse.ddim_inverse,
    "PNDMScheduler": pseudo.pndm,
    "LCMScheduler": consistency.lcm,
    "EulerDiscreteScheduler": sigmas.euler,
    "EulerAncestralDiscreteScheduler": sigmas.euler_ancestral,
    "HeunDiscreteScheduler": sigmas.heun,
    "LMSDiscreteScheduler": sigmas.lms,
    "KDPM2DiscreteScheduler": sigmas.kdpm2,
    "DEISMultistepScheduler": solvers.deis,
    "SASolverScheduler": solvers.sa_solver,
    "EDMEulerScheduler": straight.edm,
    "EDMDPMSolverMultistepScheduler": straight.edm_solver,
}
_SHIFTED: dict[str, Callable[[str, Mapping[str, Any], float | None], Scheduler]] = {
    "DPMSolverMultistepScheduler": solvers.multistep,
    "DPMSolverSinglestepScheduler": solvers.singlestep,
    "UniPCMultistepScheduler": solvers.unipc,
    "FlowMatchEulerDiscreteScheduler": straight.flow,
}
"""Those that may run on flow matching with a shift that goes with the picture's size."""
