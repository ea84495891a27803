"""The optimisers of a run as named tensors, and back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ornstein.core.errors import CheckpointError
from ornstein.core.shards import is_sharded
from ornstein.training.checkpoint import Checkpoint
from ornstein.training.player import Player
from ornstein.training.together import restore


def pack(players: Sequence[Player]) -> dict[str, Tensor]:
    """Optimiser states as named tensors: player, number of the parameter, what it is."""
    return {
        f"{i}.{p}.{name}": torch.as_tensor(value)
        for i, player in enumerate(players)
        for p, param in enumerate(player.update.params)
        for name, value in player.optimizer.state.get(param, {}).items()
    }


def unpack(players: Sequence[Player], found: Checkpoint) -> None:
    """Optimisers as a checkpoint has them; where parameters are divided among processes, all call it."""
    groups = found.meta["optimizer"]
    if len(groups) != len(players):
        raise CheckpointError(f"the checkpoint holds {len(groups)} optimisers, this stage has {len(players)}")
    whole = found.parts.get("optimizer", {})
    divided: dict[str, Tensor] = {}
    for key in (*whole, *(k.removeprefix("optimizer/") for k in found.divided if k.startswith("optimizer/"))):
        which, p, name = key.split(".", 2)
        player = players[int(which)]
        param, value = player.update.params[int(p)], whole.get(key)
        if value is None or (is_sharded(param) and value.shape == param.shape):
            value = divided[key] = torch.zeros_like(param)
        elif value.ndim:  # the number of steps stays where it is
            value = value.to(param)
        player.optimizer.state[param][name] = value
    if divided:
        kept = {key: value for key, value in whole.items() if key in divided}
        left = frozenset(k for k in found.divided if k.startswith("optimizer/"))
        restore(Checkpoint(found.path, found.meta, {"optimizer": kept}, left), "optimizer", divided)
    for i, player in enumerate(players):
        for group in player.optimizer.param_groups:
            group.update({k: v for k, v in groups[i][0].items() if k != "params"})
        scale = found.meta.get("scaler", [{}] * len(players))[i]
        if scale and player.scaler.is_enabled():
            player.scaler.load_state_dict(scale)
