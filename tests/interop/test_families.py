"""Each family draws the same picture as diffusers' own pipeline from the same weights and noise.

The whole table, every family with every sampler, is made by ``benchmarks/same_picture.py``; here each way to use a family is
drawn once, and the samplers take turns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from interop.cases import CASES, their_words, words
from interop.same import Case, compare, pipeline_at, score_sde, system_at

PIXEL, LATENT = 2 / 255, 1e-3

ROWS = [(name, case.samplers[i % len(case.samplers)]) for i, (name, case) in enumerate(CASES.items())]
ROWS += [("text to image", sampler) for sampler in CASES["text to image"].samplers[1:]]
# Their PNDM counts its calls from wherever it begins, and what stays is put back between the two calls of a step.
ROWS += [
    (name, "PNDM") for name in ("image to image", "inpainting, 4 channels", "inpainting, 4 channels, strength 0.7")
]
ROWS = list(dict.fromkeys(ROWS))


@pytest.mark.parametrize(("name", "sampler"), ROWS)
def test_the_same_picture(name: str, sampler: str | None, folder: Callable[[str], Path]) -> None:
    case = replace(CASES[name], steps=min(CASES[name].steps, 6))
    found = compare(folder(case.family), case, sampler)
    assert found.spread > 0.01  # no blank picture
    assert found.latents < LATENT and found.pixels < PIXEL, found


def test_pndm_from_its_second_time_step(folder: Callable[[str], Path]) -> None:
    """Which its list names twice: the walk begins with two calls at the same time step."""
    case = CASES["image to image"]
    most = {"strength": 0.9}
    case = replace(case, ours={**case.ours, **most}, theirs={**case.theirs, **most}, steps=6)
    found = compare(folder(case.family), case, "PNDM")
    assert found.latents < LATENT and found.pixels < PIXEL, found


def test_the_score_sde_draws_the_same_picture(folder: Callable[[str], Path]) -> None:
    assert score_sde(folder("score sde ve"), 12) < PIXEL


@pytest.mark.parametrize("family", ["stable diffusion", "sdxl"])
def test_clip_skip_and_rescale(family: str, folder: Callable[[str], Path]) -> None:
    path = folder(family)
    kind = "StableDiffusionPipeline" if family == "stable diffusion" else "StableDiffusionXLPipeline"
    system, pipe = system_at(path), pipeline_at(path, kind)
    if family == "stable diffusion":  # diffusers 0.42.1 looks for a place that transformers 5 has moved
        vars(pipe.text_encoder)["text_model"] = pipe.text_encoder
    system.guidance_rescale = 0.7
    try:
        case = Case(family, kind, words(clip_skip=1), their_words(clip_skip=1, guidance_rescale=0.7), steps=4)
        found = compare(path, case)
        plain = compare(path, replace(case, ours=words()))
    finally:
        system.guidance_rescale = 0.0
        vars(pipe.text_encoder).pop("text_model", None)
    assert found.latents < LATENT and found.pixels < PIXEL, found
    assert plain.pixels > 10 * found.pixels  # clip skip changes the picture


def test_all_samples_keep_their_pictures_in_any_batch(folder: Callable[[str], Path]) -> None:
    system = system_at(folder("stable diffusion"))
    image = torch.rand(3, 3, 16, 16) * 2 - 1
    mask = (torch.rand(3, 1, 16, 16) > 0.5).float()
    call = {"steps": 4, "prompt": ["a", "b", "c"], "image": image, "mask": mask, "strength": 0.7}
    whole, parts = (system.sample(3, batch=size, **call).tensor for size in (3, 1))
    assert float((whole - parts).abs().max()) < 1e-4
    assert float((whole[0] - whole[1]).abs().max()) > 0.1
