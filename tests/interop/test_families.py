"""Each family draws the same picture as diffusers' own pipeline from the same weights and noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from interop.cases import CASES
from interop.makers import make
from interop.same import compare, drawing, pipeline_at, quiet, system_at
from ornstein.core.rng import Rng

PIXEL, LATENT = 2 / 255, 1e-3


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The checkpoint of a family, made once."""
    root, made = tmp_path_factory.mktemp("checkpoints"), dict[str, Path]()

    def get(family: str) -> Path:
        if family not in made:
            made[family] = make(family, root / family.replace(" ", "-"))
        return made[family]

    return get


@pytest.mark.parametrize(("name", "sampler"), [(name, s) for name, case in CASES.items() for s in case.samplers])
def test_the_same_picture(name: str, sampler: str | None, folder: Callable[[str], Path]) -> None:
    case = CASES[name]
    found = compare(folder(case.family), case, sampler)
    assert found.spread > 0.01  # no blank picture
    assert found.latents < LATENT and found.pixels < PIXEL, found


def test_the_score_sde_draws_the_same_picture(folder: Callable[[str], Path]) -> None:
    # One sample: diffusers takes the size of a corrector's move from the whole batch.
    path = folder("score sde ve")
    ours = system_at(path).sample(1, steps=20, seed=0).tensor
    with quiet(), drawing(Rng([0])):
        theirs = pipeline_at(path, "ScoreSdeVePipeline")(num_inference_steps=20, output_type="np").images
    assert 0.01 < float(ours.std())
    assert float((ours / 2 + 0.5 - torch.from_numpy(theirs).permute(0, 3, 1, 2)).abs().max()) < PIXEL
