"""A model whose weights, gradients, averages and optimiser states are divided among the processes: FSDP2.

``torch.distributed.fsdp.fully_shard`` does the work: before a block runs, its rows are gathered from all processes, and
after its backward pass each process keeps the mean gradient of its own rows. Zhao et al. 2023 (2304.11277).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ornstein.core.errors import CapabilityError
from ornstein.core.shards import RowWise, is_sharded, local
from ornstein.training.distributed import Ranks
from ornstein.training.regions import blocks

CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.Sequential)


def networks(model: nn.Module) -> list[nn.Module]:
    """The modules that run lists of blocks, outermost first: those whose parameters are divided."""
    found: list[nn.Module] = []

    def visit(module: nn.Module) -> None:
        if not isinstance(module, CONTAINERS) and any(isinstance(c, nn.ModuleList) for c in module.children()):
            found.append(module)
            return
        for child in module.children():
            visit(child)

    visit(model)
    return list(dict.fromkeys(found))


@final
class Sharding:
    """The divided parts of a model. Scalars, and what lies outside of its networks, stay whole in every process.

    Raises:
        CapabilityError: nothing in the model can be divided, or this PyTorch cannot.
    """

    def __init__(self, model: nn.Module, ranks: Ranks, device: str):
        try:
            from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader  # noqa: F401
            from torch.distributed.device_mesh import init_device_mesh
            from torch.distributed.fsdp import fully_shard
        except ImportError as e:
            raise CapabilityError(f"sharded training needs PyTorch 2.8 or newer, this is {torch.__version__}") from e
        self.ranks = ranks
        mesh = init_device_mesh(torch.device(device).type, (ranks.world,))
        found = networks(model)
        if not found:
            raise CapabilityError(
                f"{type(model).__name__} has no list of blocks that could be divided among processes; leave out sharded"
            )
        for network in found:
            whole = {p for p in network.parameters() if p.ndim == 0}
            # Gathered again after every use, the outermost too: an average that is put in place between two forward
            # passes must not meet a copy from before.
            for module in [*blocks(network), network]:
                fully_shard(module, mesh=mesh, reshard_after_forward=True, ignored_params=whole)
        self.everything = list(model.parameters())
        self._kept = [m for m in model.modules() if isinstance(m, RowWise) and is_sharded(m.weight)]
        for module in self._kept:
            module.kept = True

    @torch.no_grad()
    def project(self) -> None:
        """Put the weights that are kept row by row back onto their set: each process its own rows."""
        for module in self._kept:
            rows = local(module.weight)
            if len(rows):
                rows.copy_(module.project(rows))

    def clear(self) -> None:
        """Drop the gradients of every player: a backward pass through divided networks reaches all that lies on its way."""
        for p in self.everything:
            p.grad = None

    def norm(self, grads: Sequence[Tensor]) -> Tensor:
        """The norm of gradients of which each process has some rows (or, of whole parameters, all)."""
        parts = [[local(g) for g in grads if is_sharded(g) is divided] for divided in (True, False)]
        divided, whole = (torch.nn.utils.get_total_norm(part, foreach=True) for part in parts)
        square = divided.double().square()
        dist.all_reduce(square)
        return (square + whole.double().square()).sqrt().to(divided.dtype)
