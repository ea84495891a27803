"""The noise behind a real picture: DDIM inversion, and null-text inversion for drawing it again under guidance.

Song et al. 2021, 2010.02502; Mokady et al. 2023, 2211.09794.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from ornstein.core.cond import NO_COND, Cond
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.core.rng import Random, Rng
from ornstein.core.shapes import expand
from ornstein.guidance.negative import PREFIX, NegativeCFG
from ornstein.interop.diffusers.editing.ddim import on_ddim
from ornstein.interop.diffusers.pipelines.system import Pipeline
from ornstein.samplers.base import Sampler, State, Step, simulate
from ornstein.samplers.ddim import DDIM
from ornstein.samplers.ddim_inversion import DDIMInversion

_TEXT = PREFIX + "text"


@dataclass(frozen=True)
class Inverted:
    """A picture's way to noise, and how well it is drawn again from there."""

    noise: Tensor
    """``[1, ...]``, the state at the first time of the grid"""
    grid: Tensor
    """the times that are walked back"""
    prompt: str
    guidance: float
    nulls: Tensor | None
    """``[steps, 1, L, D]``: what takes the negative prompt's place in each step; None for DDIM inversion alone"""
    picture: Tensor
    """``[1, C, H, W]`` in [-1, 1], drawn again"""
    error: float
    """root mean square difference of the redrawn picture from the given one, on [-1, 1]"""
    floor: float
    """that of the autoencoder alone"""
    drift: float
    """root mean square difference of the redrawn state from the picture's, before the autoencoder decodes it"""

    def told(self, sampler: Sampler[Tensor]) -> Sampler[Tensor]:
        """The sampler, with each step's null text."""
        return sampler if self.nulls is None else NullTexts(sampler, self.grid, self.nulls)


def invert(
    system: Pipeline,
    picture: Tensor,
    prompt: str,
    *,
    steps: int = 50,
    guidance: float | None = None,
    null_text: bool = True,
    refine: int = 0,
    rounds: int = 10,
    rate: float = 1e-2,
    enough: float = 1e-5,
    on_step: Callable[[int, int], None] | None = None,
) -> Inverted:
    """The noise from which DDIM draws ``picture [1, C, H, W]`` under ``prompt``, and how well it does.

    The way to noise is made without guidance. Under guidance DDIM leaves that way; with ``null_text`` the vectors of the
    negative prompt are fitted in each step, by ``rounds`` steps of Adam at most, so that it stays.

    Args:
        guidance: the scale of drawing again; the system's own by default.
        refine: rounds by which each step of the way to noise is made the one that DDIM undoes, of one evaluation each.
        rate: of Adam, falling by a hundredth with each of the steps.
        enough: mean square distance of the states at which a step's fit stops, growing by 2e-5 with each step as published.

    Raises:
        UsageError: steps or rounds below 1, or several pictures.
        CapabilityError: a network that reads no prompt or is told its guidance scale.
    """
    if system.prompts is None or system.tells_scale:
        raise CapabilityError("inversion with a prompt needs a system that reads prompts and is guided")
    if len(picture) != 1 or steps < 1 or rounds < 1:
        raise UsageError(f"one picture, steps and rounds of at least 1; got {len(picture)}, {steps} and {rounds}")
    scale = system.guidance if guidance is None else float(guidance)
    base, grid = on_ddim(system, steps)
    base.modules.eval()
    rng = Rng([0])
    with torch.no_grad():
        cond = {k: v.to(system.device) for k, v in base.conditions([0], {"prompt": prompt, "negative": ""}).items()}
        picture = picture.to(system.device)
        x_0 = base.codec.encode(picture, rng)
        path = [x_0]

        def keep(step: Step[Tensor]) -> None:
            path.append(step.x)

        plain = DDIMInversion(NegativeCFG(base.denoiser, 1.0), refine)
        simulate(plain, x_0, grid.flip(0), rng, cond, keep)
    nulls = None
    if null_text:
        nulls = _fit(DDIM(NegativeCFG(base.denoiser, scale)), path[::-1], grid, cond, rounds, rate, enough, on_step)
    found = Inverted(path[-1], grid, prompt, scale, nulls, picture, 0.0, 0.0, 0.0)
    with torch.no_grad():
        move = found.told(DDIM(NegativeCFG(base.denoiser, scale)))
        last = simulate(move, found.noise, grid, rng, cond)
        again = base.codec.decode(last, cond)
        error, floor = (_rms(made - picture) for made in (again, base.codec.decode(x_0, cond)))
    return Inverted(path[-1], grid, prompt, scale, nulls, again.cpu(), error, floor, _rms(last - x_0))


def _fit(
    move: DDIM,
    path: list[Tensor],
    grid: Tensor,
    cond: Cond,
    rounds: int,
    rate: float,
    enough: float,
    on_step: Callable[[int, int], None] | None,
) -> Tensor:
    """The null texts, each starting from the one before it; ``path`` runs from noise to data."""
    x, null, nulls, rng = path[0], cond[_TEXT], [], Rng([0])
    total = len(grid) - 1
    for i in range(total):
        t, s = expand(grid[i], x), expand(grid[i + 1], x)
        null = null.detach().clone().requires_grad_(True)
        adam = torch.optim.Adam([null], lr=rate * (1 - i / 100) if i < 100 else rate / 100)
        for _ in range(rounds):
            with torch.enable_grad():
                x_s, _state = move.step(x, t, s, None, rng, {**cond, _TEXT: null})
                loss = (x_s - path[i + 1]).square().mean()
                (gradient,) = torch.autograd.grad(loss, [null])
            null.grad = gradient
            adam.step()
            if float(loss.detach()) < enough + 2e-5 * i:
                break
        null = null.detach()
        nulls.append(null)
        with torch.no_grad():
            x, _state = move.step(x, t, s, None, rng, {**cond, _TEXT: null})
        if on_step is not None:
            on_step(i + 1, total)
    return torch.stack(nulls)


@final
class NullTexts(Sampler[Tensor]):
    """A sampler that is told another negative text in each step of the grid."""

    def __init__(self, sampler: Sampler[Tensor], grid: Tensor, nulls: Tensor):
        self.sampler = sampler
        self.nulls = {float(t): null for t, null in zip(grid[:-1], nulls, strict=True)}

    @property
    def title(self) -> str:
        return self.sampler.title

    def step(
        self, x_t: Tensor, t: Tensor, s: Tensor, state: State, rng: Random, cond: Cond = NO_COND
    ) -> tuple[Tensor, State]:
        null = self.nulls[float(t.flatten()[0])].expand(len(x_t), -1, -1)
        return self.sampler.step(x_t, t, s, state, rng, {**cond, _TEXT: null})


def _rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())
