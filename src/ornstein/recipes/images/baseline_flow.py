"""A normalising flow of Glow's steps: the baseline with an exact likelihood."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ornstein.codecs.flow import Flow
from ornstein.core.rng import Stream
from ornstein.networks.glow import Glow
from ornstein.objectives.evidence import ExactLikelihood, dequantised
from ornstein.recipes.images.one_shot import OneShotConfig, one_shot
from ornstein.recipes.registry import recipe
from ornstein.recipes.system import System
from ornstein.training.stage import Data, Stage, Update

FIRST = 256
"""Images by which the scales and shifts of a new flow are set."""


@dataclass(frozen=True, kw_only=True)
class BaselineFlow(OneShotConfig):
    """Sizes of the flow."""

    scales: int = 2
    """squeezes; half of the coordinates leave after each but the last"""
    depth: int = 8
    """steps at each scale"""
    width: int = 64
    """of a coupling's network"""


@recipe(
    "baseline-flow",
    area="images",
    title="Normalising flows: RealNVP's couplings, Glow's steps (Dinh et al. 2016; Kingma & Dhariwal 2018)",
    paper="arxiv:1605.08803",
    claim="an invertible network trained by the exact likelihood of the data, which it can state to the last digit",
    equations="log p(x) = log N(f(x); 0, I) + log |det df/dx|; y_a = x_a, y_b = x_b e^{s(x_a)} + t(x_a)",
    bibtex="@inproceedings{dinh2017density, title={Density Estimation Using Real NVP}, author={Dinh, Laurent and "
    "Sohl-Dickstein, Jascha and Bengio, Samy}, booktitle={ICLR}, year={2017}}",
)
def baseline_flow(c: BaselineFlow = BaselineFlow()) -> System:
    """The flow."""
    glow = Glow(channels=c.channels, size=c.size, scales=c.scales, depth=c.depth, width=c.width)
    codec = Flow(glow)

    def training(system: System, data: Data) -> Iterator[Stage]:
        if not bool(glow.ready):
            glow.initialise(dequantised(first_of(data).to(system.device), Stream(0)))
        update = Update(ExactLikelihood(codec), list(codec.parameters()), c.optimizer())
        yield Stage("likelihood", data, [update], c.steps)

    return one_shot("baseline-flow", c, codec, c.channels * c.size**2, training)


def first_of(data: Data) -> Tensor:
    """Images of a stream that does not move by it, the same on every process: those of its table, or a first batch."""
    table = getattr(data, "images", None)
    if table is not None:
        rows = torch.linspace(0, len(table) - 1, min(FIRST, len(table))).long()
        x: Tensor = table[rows.numpy()].x
        return x
    before = data.state()
    x = next(iter(data)).x
    data.restore(before)
    return x
