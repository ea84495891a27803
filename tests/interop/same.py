"""One drawing by this library and by diffusers' own pipeline: same weights, same noise, same sampler."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor

from ornstein.core.rng import Rng
from ornstein.interop.diffusers import load

N = 2
"""pictures in each comparison"""

SAMPLERS: dict[str, tuple[str, dict[str, Any]]] = {
    "DDIM": ("DDIMScheduler", {}),
    "PNDM": ("PNDMScheduler", {"skip_prk_steps": True}),
    "Euler": ("EulerDiscreteScheduler", {}),
    "DPM++ 2M Karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "UniPC": ("UniPCMultistepScheduler", {}),
}
"""A name that this library resolves, and diffusers' class of it."""


@dataclass(frozen=True)
class Case:
    """One way to use a family, as each side is called."""

    family: str
    """of :data:`interop.makers.MAKERS`"""
    kind: str
    """diffusers' pipeline class"""
    ours: dict[str, Any] = field(default_factory=dict)
    theirs: dict[str, Any] = field(default_factory=dict)
    samplers: tuple[str | None, ...] = tuple(SAMPLERS)
    """those that are compared; None is the folder's own"""
    size: tuple[int, int] | None = None
    steps: int = 8
    unshifted: bool = False
    """whether diffusers' pipeline decodes without adding the autoencoder's shift, which it took off when encoding"""


@dataclass(frozen=True)
class Difference:
    """The largest differences, and the spread of what was drawn."""

    latents: float
    """in units of their root mean square where that is above 1"""
    pixels: float
    """on [0, 1]"""
    spread: float


def picture(seed: int = 0) -> Tensor:
    """``[N, 3, 16, 16]`` in [-1, 1], smooth."""
    rough = torch.randn(N, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(rough, size=(16, 16), mode="bicubic").tanh()


def hole() -> Tensor:
    """``[1, 1, 16, 16]``: 1 where the picture is drawn anew."""
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:12, 6:14] = 1
    return mask


def system_at(path: Path, size: tuple[int, int] | None = None) -> Any:
    """Ours, loaded once."""
    return _system(path, size)


@cache
def _system(path: Path, size: tuple[int, int] | None) -> Any:
    return load(path, size=size)


@cache
def pipeline_at(path: Path, kind: str) -> Any:
    """Theirs, loaded once."""
    with quiet():
        more = (
            {"safety_checker": None}
            if kind.startswith("StableDiffusion") and "XL" not in kind and "3" not in kind
            else {}
        )
        pipe = getattr(diffusers, kind).from_pretrained(path, **more)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@contextmanager
def quiet() -> Iterator[None]:
    """diffusers and transformers warn of much that is not ours."""
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def drawing(rng: Rng, scale: float = 1.0) -> Iterator[None]:
    """All of diffusers' noise comes from this generator, in the order of its draws, and times ``scale``."""

    def draw(shape: Any, **_: Any) -> Tensor:
        return rng.normal(tuple(shape)) * scale

    places = [m for name, m in list(sys.modules.items()) if name.startswith("diffusers") and "randn_tensor" in vars(m)]
    kept = [m.randn_tensor for m in places]
    for m in places:
        m.randn_tensor = draw
    try:
        yield
    finally:
        for m, former in zip(places, kept, strict=True):
            m.randn_tensor = former


@contextmanager
def decoded(vae: Any, shift: float = 0.0) -> Iterator[list[Tensor]]:
    """What an autoencoder is asked to decode, after adding ``shift`` to it."""
    seen: list[Tensor] = []
    plain = vae.decode

    def decode(z: Tensor, *args: Any, **options: Any) -> Any:
        z = z + shift
        seen.append(z.clone())
        return plain(z, *args, **options)

    vae.decode = decode
    try:
        yield seen
    finally:
        del vae.decode


def compare(path: Path, case: Case, sampler: str | None = None) -> Difference:
    """Draw with both; ``sampler`` is a row of :data:`SAMPLERS`, or None for the folder's own."""
    system, pipe = system_at(path, case.size), pipeline_at(path, case.kind)
    own = pipe.scheduler
    try:
        if sampler is not None:
            kind, options = SAMPLERS[sampler]
            pipe.scheduler = getattr(diffusers, kind).from_config(own.config, **options)
        with decoded(system.codec.model) as z:
            ours = system.sample(N, steps=case.steps, seed=0, sampler=sampler, **case.ours).tensor
        shift = float(pipe.vae.config.shift_factor) if case.unshifted else 0.0
        with quiet(), drawing(Rng(range(N))), decoded(pipe.vae, shift) as w:
            theirs = pipe(num_inference_steps=case.steps, output_type="pt", **case.theirs)[0]
    finally:
        pipe.scheduler = own
    if not isinstance(theirs, Tensor):
        theirs = torch.as_tensor(theirs)
    theirs = theirs.detach().permute(0, 3, 1, 2) if theirs.shape[-1] == 3 else theirs.detach()
    # A random network's latents are larger than a trained one's, whose deviation is 1.
    rms = float(w[0].square().mean().sqrt()) * float(pipe.vae.config.scaling_factor)
    return Difference(
        float((z[0] - w[0]).abs().max()) * float(pipe.vae.config.scaling_factor) / max(rms, 1.0),
        float((ours / 2 + 0.5 - theirs).abs().max()),
        float(theirs.std()),
    )


def of_noise(path: Path, kind: str, steps: int, n: int = N) -> float:
    """The largest difference of a pixel, on [0, 1], by a pipeline that draws without being told anything."""
    ours = system_at(path).sample(n, steps=steps, seed=0).tensor.clamp(-1, 1)
    with quiet(), drawing(Rng(range(n))):
        theirs = pipeline_at(path, kind)(batch_size=n, num_inference_steps=steps, output_type="np").images
    assert float(ours.std()) > 0.01  # no blank picture
    return float((ours / 2 + 0.5 - torch.from_numpy(theirs).permute(0, 3, 1, 2)).abs().max())


def itself(path: Path, kind: str, steps: int, n: int = N) -> float:
    """How far diffusers' own picture moves, on [0, 1], when its start grows by one part in ten million.

    That is the last digit of float32. A random network whose estimates are clipped, +-160 cut to +-1 at the first step, can
    magnify it until it is seen: two exact computations then differ by as much.
    """
    pictures = []
    for scale in (1.0, 1.0 + 1e-7):
        with quiet(), drawing(Rng(range(n)), scale):
            found = pipeline_at(path, kind)(batch_size=n, num_inference_steps=steps, output_type="np")
        pictures.append(torch.from_numpy(found.images))
    return float((pictures[0] - pictures[1]).abs().max())


def score_sde(path: Path, steps: int) -> float:
    """That of the score SDE's predictor and corrector.

    Of one sample: diffusers takes the size of a corrector's move from the whole batch.
    """
    return of_noise(path, "ScoreSdeVePipeline", steps, 1)
