"""A system that draws pairs, one picture of each of two domains, and so translates: one is given, the other is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ornstein.core.errors import DataError, UsageError, unknown
from ornstein.core.rng import Random, Rng
from ornstein.denoisers.denoiser import Denoiser
from ornstein.recipes.samples import Samples
from ornstein.recipes.system import System
from ornstein.samplers.ancestral import Ancestral
from ornstein.samplers.base import Step, simulate
from ornstein.samplers.conditioned_part import ConditionedPart


def carried(
    joint: Denoiser,
    given: Tensor,
    to: int,
    times: Tensor,
    rng: Random,
    release: float = 0.0,
    on_step: Callable[[Step], None] | None = None,
) -> Tensor:
    """States ``[B, C, ...]`` of one domain as states of the other, ``to`` (0 or 1), by a joint denoiser ``[B, 2C, ...]``.

    The given half is noised anew before each step until ``release``; from there on both are denoised.
    """
    known = torch.cat([given, given], 1)
    mask = torch.zeros(known.shape[1], *[1] * (known.ndim - 2), dtype=torch.bool, device=given.device)
    half = given.shape[1]
    mask[(1 - to) * half : (2 - to) * half] = True
    x = joint.process.prior(known.shape).sample(rng).to(given)
    end = simulate(ConditionedPart(Ancestral(joint), known, mask, release), x, times, rng, on_step=on_step)
    return end[:, to * half : (to + 1) * half]


@dataclass
class Translation(System):
    """Its samples are pairs, side by side; :meth:`translated` draws one half given the other."""

    domains: tuple[str, str] = ("A", "B")
    release: float = 0.0
    """the time from which the given half is denoised with the other"""

    def domain(self, name: str | int) -> int:
        """The number of a domain, 0 or 1.

        Raises:
            UsageError: there is none of that name.
        """
        if str(name) in self.domains:
            return self.domains.index(str(name))
        if str(name) in ("0", "1"):
            return int(name)
        raise unknown("domain", str(name), self.domains)

    @torch.no_grad()
    def translated(
        self,
        pictures: Tensor,
        to: str | int,
        *,
        steps: int | None = None,
        release: float | None = None,
        seed: int = 0,
        batch: int = 64,
        on_step: Callable[[Step], None] | None = None,
    ) -> Samples:
        """One picture of the domain ``to`` for each of ``pictures [B, C, H, W]`` of the other, in [-1, 1].

        ``release`` in [0, 1], by default the recipe's: the later, the more the result may leave the given picture.

        Raises:
            UsageError: an unknown domain, a release outside [0, 1], steps below 1. DataError: pictures that do not fit.
        """
        target = self.domain(to)
        release = self.release if release is None else release
        steps = self.steps if steps is None else steps
        if not 0 <= release <= 1 or steps < 1:
            raise UsageError(f"translation needs release in [0, 1] and steps >= 1, got {release} and {steps}")
        channels, *size = self.shape
        if tuple(pictures.shape[1:]) != (channels // 2, *size) or not pictures.is_floating_point():
            raise DataError(
                f"'{self.recipe}' translates floats {(channels // 2, *size)}, got {tuple(pictures.shape[1:])} {pictures.dtype}"
            )
        if not float(pictures.abs().max()) <= 1 + 1e-6:
            raise DataError(f"pictures lie in [-1, 1]; these reach {float(pictures.abs().max()):.3g}")
        self.modules.eval()
        times = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
        seeds = list(range(seed, seed + len(pictures)))
        joint, done = self.guided(1.0), []
        for at in range(0, len(pictures), batch):
            given = pictures[at : at + batch].to(self.device)
            rng = Rng(seeds[at : at + batch])
            done.append(carried(joint, given, target, times, rng, release, on_step).clamp(-1, 1).cpu())
        about = {"edit": "translated", "to": self.domains[target], "release": release, "steps": steps}
        return Samples(torch.cat(done), seeds, {}, (), self.provenance(about))
