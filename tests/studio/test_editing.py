"""Every task of the page, on a small model of colours."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from ornstein.core.errors import CapabilityError, UsageError
from ornstein.studio.core import Studio
from ornstein.studio.parts.editing import Edit, edit
from ornstein.studio.parts.pictures import image_shape, mask_of, tensor_of
from ornstein.studio.tabs.edit import brushed
from ornstein.studio.words import EDITS

CHANGES = {
    "inpaint": {"method": "ddnm"},
    "superres": {"scale": 2},
    "denoise": {"noise": 0.2},
    "translate": {"label": "square"},
}


def picture(seed: int = 0, size: int = 8) -> Image.Image:
    noise = torch.randint(0, 256, (size, size, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    return Image.fromarray(noise.numpy())


def brush(size: int = 8) -> Image.Image:
    """The upper half."""
    mask = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    mask.paste((255, 255, 255, 255), (0, 0, size, size // 2))
    return mask


def asked(tiny: Path, task: str, **change: Any) -> Edit:
    made = Edit(str(tiny), task, picture(), brush(), picture(1), n=2, steps=2, seed=3)
    return dataclasses.replace(made, **{**CHANGES.get(task, {}), **change})


@pytest.mark.parametrize("task", EDITS)
def test_every_task_makes_pictures(studio: Studio, tiny: Path, task: str) -> None:
    job, told = edit(studio, asked(tiny, task))
    samples = job.result(60)
    assert told.shape == (3, 8, 8)
    assert samples.tensor.shape == (1 if task == "translate" else 2, 3, 8, 8)
    assert bool(samples.tensor.isfinite().all())
    assert samples.provenance.get("edit", samples.provenance.get("restoration"))
    assert samples.seeds[0] == 3


def test_what_the_brush_left_alone_stays(studio: Studio, tiny: Path) -> None:
    made = edit(studio, asked(tiny, "inpaint"))[0].result(60).tensor
    given = tensor_of(picture(), 3, 8, 8)
    assert float((made[:, :, 4:] - given[:, 4:]).abs().max()) < 1e-4
    assert float((made[:, :, :4] - given[:, :4]).abs().mean()) > 0.05


@pytest.mark.parametrize(
    ("task", "change", "says"),
    [
        ("inpaint", {"picture": None}, "give a picture"),
        ("inpaint", {"mask": None}, "brush over"),
        ("inpaint", {"mask": Image.new("RGBA", (8, 8), (0, 0, 0, 0))}, "brush over"),
        ("inpaint", {"noise": 2.0}, "between 0 and 1"),
        ("superres", {"scale": 3}, "not to be divided by 3"),
        ("denoise", {"noise": 0.0}, "how strong the noise"),
        ("uncrop", {"margin": 0.5}, "between 0 and 0.5"),
        ("interpolate", {"other": None}, "second picture"),
        ("translate", {"label": None}, "choose the label"),
        ("inpant", {}, "inpaint"),
    ],
)
def test_what_is_missing_is_said(studio: Studio, tiny: Path, task: str, change: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        edit(studio, asked(tiny, task, **change))


def test_colours_need_a_model_of_colours(studio: Studio) -> None:
    with pytest.raises(UsageError, match="makes grey pictures"):
        edit(studio, Edit("fashion-mnist", "colorize", picture(0, 28)))


def test_a_mask_is_brought_to_the_models_size() -> None:
    large = brush(64)
    assert torch.equal(mask_of(large, 8, 8), mask_of(brush(8), 8, 8))
    assert torch.equal(mask_of(brush(8), 8, 8)[0], (torch.arange(8) < 4).float()[:, None].expand(8, 8))


def test_all_layers_of_the_brush_count() -> None:
    left = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    left.paste((0, 0, 0, 255), (0, 0, 2, 8))
    cover = brushed({"layers": [brush(), left]})
    assert cover is not None
    expected = mask_of(brush(), 8, 8)[0].bool() | mask_of(left, 8, 8)[0].bool()
    assert torch.equal(mask_of(cover, 8, 8)[0].bool(), expected)
    assert brushed(None) is None and brushed({"layers": []}) is None


def test_pictures_of_any_mode_are_read() -> None:
    grey = tensor_of(Image.new("L", (20, 10), 255), 3, 8, 8)
    assert torch.equal(grey, torch.ones(3, 8, 8))
    assert tensor_of(picture(), 1, 8, 8).shape == (1, 8, 8)
    clear = tensor_of(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), 3, 8, 8)
    assert torch.equal(clear, torch.ones(3, 8, 8))  # on white


def test_other_data_are_no_pictures(studio: Studio, tiny: Path) -> None:
    flat = dataclasses.replace(studio.system(str(tiny)), data_shape=(12,))
    with pytest.raises(CapabilityError, match="this is for pictures"):
        image_shape(flat)
