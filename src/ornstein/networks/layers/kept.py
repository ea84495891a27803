"""What is made of weights and can be kept between calls without gradients, as long as the weights stay."""

from __future__ import annotations

from typing import NamedTuple
from weakref import ReferenceType, ref

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad


def keepable(w: Tensor) -> bool:
    """Whether what is made of this weight now will serve later calls: no gradients, no transforms, no stand-in."""
    return (
        not torch.is_grad_enabled()
        and type(w) in (nn.Parameter, Tensor)  # neither sharded nor a stand-in
        and not w.is_inference()
        and not torch.compiler.is_compiling()
        and forward_ad._current_level < 0
        and not torch._C._functorch.is_functorch_wrapped_tensor(w)
    )


class Origin(NamedTuple):
    """A tensor, by identity, and the place and number of changes of its values."""

    tensor: ReferenceType[Tensor]
    place: int
    changes: int

    @classmethod
    def of(cls, x: Tensor) -> Origin:
        """Where ``x`` stands now."""
        return cls(ref(x), x.data_ptr(), x._version)

    def unchanged(self, x: Tensor | float) -> bool:
        """Whether ``x`` is the same tensor with the same values."""
        return (
            isinstance(x, Tensor) and self.tensor() is x and self.place == x.data_ptr() and self.changes == x._version
        )
