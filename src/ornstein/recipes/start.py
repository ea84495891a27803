"""What a run begins with: new weights, those of a trained model, or these with low-rank changes that alone are trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from ornstein.core.errors import CapabilityError, CheckpointError, UsageError
from ornstein.networks.layers.low_rank import low_rank_of
from ornstein.objectives.followers import Follower
from ornstein.recipes.low_rank import change, network_of
from ornstein.recipes.registry import Card, card, make_config
from ornstein.recipes.saved import load
from ornstein.recipes.system import System
from ornstein.training.checkpoint import Checkpoint
from ornstein.training.fit import Stage

ADAPTER = "adapter.safetensors"
COMMON = (
    "size", "channels", "classes", "caption_width", "architecture", "widths", "blocks", "attention", "augment", "patch",
    "dropout", "sigma_min", "sigma_max", "sigma_data", "data_std",
)  # fmt: skip
"""Fields that a student has from its teacher: those of data, network and process."""


@dataclass
class Start:
    """The first weights of a run."""

    system: System | None = None
    rank: int | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    """what a checkpoint says of them"""
    student: Card | None = None
    """the recipe that the system is a teacher of, where it is another than its own"""

    @property
    def config(self) -> Any:
        """That of the model begun with; None where there is none."""
        return None if self.system is None else self.system.config

    def config_for(self, name: str, data: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
        """The config of the model, or of its student, with the settings given, on the data ``name``.

        Raises:
            UsageError: the data are of another size, or of other classes; a setting that has no use for a teacher.
        """
        assert self.system is not None
        old = dataclasses.asdict(self.system.config)
        for key in ("size", "channels"):
            if key in data and data[key] != old.get(key):
                raise UsageError(
                    f"the base draws {key} {old.get(key)}, '{name}' has {data[key]}: give data of the same"
                )
        if data.get("classes") and tuple(data["classes"]) != tuple(old.get("classes", ())):
            raise UsageError(
                f"'{name}' has the classes {', '.join(data['classes'][:5])}, the base {', '.join(old['classes'][:5]) or 'none'}: "
                "give data of the same, or without"
            )
        if self.student is None:
            return make_config(type(self.system.config), {**old, **given})
        taught = self.student.teachers[self.system.recipe]
        for key, value in taught.items():
            if key in given and str(given[key]) != str(value):
                raise UsageError(f"{key}={given[key]} needs no teacher; leave --from out, or the setting")
        return make_config(self.student.config, {k: old[k] for k in COMMON} | dict(taught) | dict(given))

    def prepare(self, system: System) -> None:
        """Give a new system these weights."""
        if self.system is not None:
            try:
                if self.student is None:
                    system.modules.load_state_dict(self.system.modules.state_dict())
                else:
                    teach(self.system, system)
            except RuntimeError as e:
                raise CheckpointError(f"the settings make a network of other shapes than the base's: {e}") from e
        if self.rank is not None:
            change(system, self.rank)

    def checked(self, stages: Iterator[Stage]) -> Iterator[Stage]:
        """The stages, none of which may train what is frozen.

        Raises:
            CapabilityError: one does.
        """
        for stage in stages:
            if self.rank is not None and any(not p.requires_grad for u in stage.updates for p in u.params):
                raise CapabilityError("this recipe trains weights that a low-rank change leaves alone; leave lora out")
            yield stage

    def export(self, system: System, run: Path) -> None:
        """Write the low-rank changes to the run's ``adapter.safetensors``."""
        if self.rank is None:
            return
        tensors = {}
        for name, module in low_rank_of(network_of(system)).items():
            weight: Any = network_of(system).get_submodule(name)
            shape = weight.parametrizations["weight"].original.shape
            up, down = module.up.detach().cpu(), module.down.detach().cpu() * module.scale
            tensors[f"network.{name}.lora_A.weight"] = down.reshape(-1, *shape[1:]).contiguous()
            tensors[f"network.{name}.lora_B.weight"] = up.reshape(*up.shape, *[1] * (len(shape) - 2)).contiguous()
        base = self.meta.get("base", {})
        about = f"{system.recipe} {base.get('path', '')} {str(base.get('hash', ''))[:12]}".strip()
        save_file(tensors, run / ADAPTER, {"format": "pt", "ornstein_base": about})


def teach(teacher: System, student: System) -> None:
    """Give a student the network of its teacher, as its first weights and in its ``teacher``."""
    weights = network_of(teacher).state_dict()
    network_of(student).load_state_dict(weights)
    follower = student.extra["teacher"]
    assert isinstance(follower, Follower)
    follower.copy.network.load_state_dict(weights)
    follower.ready.fill_(True)


def begun(name: str, base: Any, rank: int | None, found: Checkpoint | None, given: Mapping[str, Any]) -> Start:
    """What a run of recipe ``name`` begins with.

    Args:
        found: the checkpoint that is resumed; it keeps its own rank.

    Raises:
        UsageError: a rank without a base, or the base of another recipe.
    """
    if rank is not None and rank < 1:
        raise UsageError(f"lora, a rank, must be at least 1, got {rank}")
    if found is not None:
        old = found.meta.get("lora")
        if rank is not None and rank != old:
            raise CheckpointError(f"the run has lora={old} and cannot go on with {rank}; choose another out")
        return Start(None, old, {k: found.meta[k] for k in ("base", "lora") if k in found.meta})
    if base is None:
        if rank is not None:
            raise UsageError("lora changes a trained model: say which (--from RUN)")
        return Start()
    system = load(base)
    student = card(name)
    teachers = student.teachers
    if system.recipe != name and system.recipe not in teachers:
        also = f" or of its teachers ({', '.join(teachers)})" if teachers else ""
        raise UsageError(f"{base} is a model of recipe '{system.recipe}', not of '{name}'{also}")
    if low_rank_of(system.modules):
        raise UsageError(f"{base} has low-rank changes of its own; begin with the model that they change")
    meta: dict[str, Any] = {
        "base": {k: v for k, v in system.weights.items() if isinstance(v, str | int | float | bool)}
    }
    if system.recipe != name:
        if rank is not None:
            raise UsageError("a student's whole network is trained; leave lora out")
        return Start(system, None, meta, student)
    return Start(system, rank, meta | ({"lora": rank} if rank is not None else {}))
