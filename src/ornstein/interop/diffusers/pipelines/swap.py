"""Another scheduler on the same folder: the options that its file names carry over, as ``from_config`` does in diffusers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ornstein.core.errors import CheckpointError
from ornstein.interop.diffusers.schedulers.classes import Scheduler, scheduler
from ornstein.interop.diffusers.schedulers.config import DEFAULTS

NAMED: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "plms": ("PNDMScheduler", {"skip_prk_steps": True}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler a": ("EulerAncestralDiscreteScheduler", {}),
    "euler ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "edm heun": ("HeunDiscreteScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "dpm solver 2": ("KDPM2DiscreteScheduler", {}),
    "dpmpp 2m": ("DPMSolverMultistepScheduler", {}),
    "dpm++ 2m": ("DPMSolverMultistepScheduler", {}),
    "dpmpp 2m sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "dpm++ 2m sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "uni pc": ("UniPCMultistepScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {}),
}
"""Names of samplers, and the class of diffusers that is the same method on a table of betas."""
_FLOW: dict[str, tuple[str, dict[str, Any]]] = {
    "euler": ("FlowMatchEulerDiscreteScheduler", {}),
    "dpmpp 2m": ("DPMSolverMultistepScheduler", {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}),
    "dpm++ 2m": ("DPMSolverMultistepScheduler", {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}),
    "uni pc": ("UniPCMultistepScheduler", {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}),
    "unipc": ("UniPCMultistepScheduler", {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}),
}
"""The same on flow matching."""


@dataclass(frozen=True)
class Schedulers:
    """The folder's scheduler, and the others that its file can be read as."""

    entries: Mapping[str, Any]
    """what the file says"""
    eta: float = 0.0
    shift_mu: float | None = None
    even: bool = False
    """whether the steps of flow matching lie at 1, 1 - 1/N, ..., as some pipelines ask, before they are shifted"""

    @staticmethod
    def at(folder: Path) -> Mapping[str, Any]:
        """What a folder's file says.

        Raises:
            CheckpointError: there is none, or it is no JSON object.
        """
        file = folder / "scheduler_config.json"
        try:
            entries = json.loads(file.read_text(encoding="utf-8"))
        except OSError as e:
            raise CheckpointError(f"{folder} holds no scheduler_config.json") from e
        except ValueError as e:
            raise CheckpointError(f"{file} is no JSON: {e}") from e
        if not isinstance(entries, dict):
            raise CheckpointError(f"{file} is no scheduler's config: a JSON object is expected")
        return entries

    def own(self) -> Scheduler:
        """The folder's own."""
        return self._read(self.entries)

    @property
    def flows(self) -> bool:
        """Whether the file is one of flow matching."""
        return self.entries.get("_class_name") == "FlowMatchEulerDiscreteScheduler"

    def named(self, name: str) -> Scheduler | None:
        """The scheduler of a sampler's name, or None where diffusers has no class for it."""
        key = re.sub(r"[\s_-]+", " ", name.strip().lower())
        extra = {}
        if key.endswith(" karras"):
            key, extra = key.removesuffix(" karras"), {"use_karras_sigmas": True}
        classes = {kind.lower(): (kind, dict[str, Any]()) for kind in DEFAULTS}
        flow = self.flows
        found = (_FLOW if flow else NAMED | classes).get(key)
        if found is None:
            return None
        kind, options = found
        if extra.keys() - DEFAULTS[kind].keys():
            return None
        kept = {k: v for k, v in self.entries.items() if k in DEFAULTS[kind]}
        if kind != self.entries.get("_class_name"):  # a solver's variants are its own
            kept = {k: v for k, v in kept.items() if k not in ("solver_type", "algorithm_type")}
        if flow and kind != "FlowMatchEulerDiscreteScheduler":
            kept["flow_shift"] = self.entries.get("shift", 1.0)
        return self._read({**kept, **options, **extra, "_class_name": kind})

    def _read(self, entries: Mapping[str, Any]) -> Scheduler:
        kind = entries.get("_class_name")
        eta = self.eta if kind == "DDIMScheduler" or entries is self.entries else 0.0
        mu = self.shift_mu if entries.get("use_dynamic_shifting") else None
        return scheduler(entries, eta=eta, shift_mu=mu, even=self.even and kind == "FlowMatchEulerDiscreteScheduler")
