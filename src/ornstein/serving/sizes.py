"""Calls of a network on a CPU, by few different numbers of rows.

PyTorch prepares every convolution for each number of rows that it meets, and keeps what it has prepared: for the bundled model in
bf16 some 5 MB for each number. A server meets all numbers up to its largest batch, one by one, and its memory would grow until it
had met the last. On a CPU rows gain nothing from the company of more than :data:`PART`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ornstein.core import cond as conditions

FREE, STEP, PART = 8, 4, 64
"""Calls of up to FREE rows are made as they are; larger ones have a multiple of STEP, and at most PART."""


def sizes_of(rows: int) -> list[tuple[int, int]]:
    """How ``rows`` rows are called: for each call, how many of them, and of how many it is made.

    >>> sizes_of(7), sizes_of(10), sizes_of(126)
    ([(7, 7)], [(10, 12)], [(64, 64), (62, 64)])
    """
    parts = [min(PART, rows - first) for first in range(0, rows, PART)]
    return [(n, n if n <= FREE else -(-n // STEP) * STEP) for n in parts]


def in_sizes(network: nn.Module, inputs: Sequence[Any]) -> Any:
    """The network's answer by calls of few different sizes, filled up by repeating the last row."""
    rows = int(inputs[0].shape[0])
    tensors = [t for given in inputs for t in (given.values() if isinstance(given, Mapping) else [given])]
    if any(not isinstance(t, Tensor) or t.ndim == 0 or t.shape[0] != rows for t in tensors):
        return network(*inputs)  # something in it is shared by all rows
    answers, first = [], 0
    for own, size in sizes_of(rows):
        exact = slice(first, first + own)
        chosen = exact if own == size else torch.arange(first, first + size).clamp(max=first + own - 1)
        answer = network(*(_chosen(given, chosen) for given in inputs))
        if not isinstance(answer, Tensor) or answer.shape[0] != size:
            return network(*inputs)
        answers.append(answer[:own])
        first += own
    return torch.cat(answers)


def _chosen(given: Any, rows: slice | Tensor) -> Any:
    return conditions.rows(given, rows) if isinstance(given, Mapping) else given[rows]
