"""Region prompts, attention to words, rewards of the picture: on small random networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from interop.same import system_at
from ornstein.cli import main
from ornstein.core.errors import CapabilityError, DataError, UsageError
from ornstein.interop.diffusers.editing.regions import Region, with_regions
from ornstein.interop.diffusers.editing.steering import placed, with_attention, with_reward

CALL: dict[str, Any] = {"steps": 3, "seed": 4, "prompt": "a cat"}


@pytest.fixture
def system(folder: Callable[[str], Path]) -> Any:
    """Stable Diffusion, small and random."""
    return system_at(folder("stable diffusion"))


def half(size: int = 16) -> Tensor:
    """1 in the left half."""
    mask = torch.zeros(size, size)
    mask[:, : size // 2] = 1
    return mask


@pytest.mark.parametrize(
    ("family", "size"),
    [("stable diffusion", None), ("sdxl", None), ("pixart", None), ("stable diffusion 3", None), ("flux", (16, 16))],
)
def test_a_region_of_the_whole_picture_is_that_prompt_s(
    family: str, size: tuple[int, int] | None, folder: Callable[[str], Path]
) -> None:
    system = system_at(folder(family), size)
    made = with_regions(system, [Region("her low fox", torch.ones(16, 16))])
    call = {**CALL, "steps": 2} | ({} if family == "flux" else {"negative": "her"})
    plain, wanted = (system.sample(2, **{**call, "prompt": p}).tensor for p in ("a cat", "her low fox"))
    torch.testing.assert_close(made.sample(2, **call).tensor, wanted, atol=1e-4, rtol=0)
    assert float((wanted - plain).abs().max()) > 1e-3


def test_each_place_is_estimated_under_its_own_prompt(system: Any) -> None:
    left, both = half(), torch.ones(16, 16)
    # The second covers all: where both lie, each counts half.
    made = with_regions(system, [Region("low", left), Region("her", both)])
    x, t = torch.randn(2, 4, 8, 8), torch.tensor(0.5, dtype=torch.float64)
    cond = made.conditions([0, 1], {"prompt": "a cat", "negative": "b"})

    def under(prompt: str) -> Tensor:
        told = system.conditions([0, 1], {"prompt": prompt, "negative": "b"})
        return system.guided(5.0)(x, t, told).mean  # type: ignore[no-any-return]

    with torch.no_grad():
        got, low, her = made.guided(5.0)(x, t, cond).mean, under("low"), under("her")
    torch.testing.assert_close(got[..., 6:], her[..., 6:], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(got[..., :2], (low + her)[..., :2] / 2, atol=1e-4, rtol=1e-4)
    assert float((low - her).abs().max()) > 1e-2
    call = {**CALL, "sampler": "DPM++ 2M Karras", "image": torch.zeros(1, 3, 16, 16), "strength": 0.7}
    whole, parts = (made.sample(3, batch=size, **call).tensor for size in (3, 1))
    torch.testing.assert_close(whole, parts, atol=1e-4, rtol=0)


def test_attention_is_changed_where_the_prompt_is_read(system: Any) -> None:
    plain = system.sample(2, **CALL, guidance=5.0).tensor
    seen: list[tuple[int, bool]] = []

    def look(maps: Tensor, cross: bool) -> Tensor:
        seen.append((len(maps), cross))
        return maps

    torch.testing.assert_close(with_attention(system, look).sample(2, **CALL, guidance=5.0).tensor, plain)
    assert {n for n, _ in seen} == {2} and {cross for _, cross in seen} == {True, False}  # the prompt's rows alone
    calls = len(seen)
    with_attention(system, look, until=0.5).sample(2, **CALL, guidance=5.0)
    assert calls < len(seen) < 2 * calls
    assert not torch.allclose(
        with_attention(system, lambda m, c: m.flip(-1) if c else m).sample(2, **CALL).tensor, plain
    )


def test_words_are_looked_at_where_they_are_placed(system: Any) -> None:
    change = placed(system, "a low cat", {"cat": half()}, strength=3.0)
    maps = torch.rand(2, 2, 16, 16).softmax(-1)  # 4 x 4 places, 16 tokens
    after = change(maps, True)
    torch.testing.assert_close(after.sum(-1), torch.ones(2, 2, 16))
    tokens = slice(3, 6)  # <start>, a, low, c, a, t
    inside = torch.tensor([i % 4 < 1 for i in range(16)])
    outside = torch.tensor([i % 4 > 2 for i in range(16)])
    odds = (after / after[..., :1] / (maps / maps[..., :1])).log()
    torch.testing.assert_close(odds[:, :, inside, tokens], torch.full((2, 2, 4, 3), 3.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(after[:, :, outside], maps[:, :, outside])
    assert change(maps, False) is maps
    made = with_regions(with_attention(system, change), [Region("her", half())])
    assert bool(made.sample(1, **{**CALL, "prompt": "a low cat"}).tensor.isfinite().all())


def test_a_reward_of_the_picture_is_raised(system: Any) -> None:
    def bright(x: Tensor) -> Tensor:
        assert x.shape[1:] == (3, 16, 16)
        return x.flatten(1).mean(1)

    call = {**CALL, "sampler": "ddim", "guidance": 2.0}
    plain = system.sample(2, **call).tensor
    torch.testing.assert_close(with_reward(system, bright, 0.0).sample(2, **call).tensor, plain)
    up, down = (bright(with_reward(system, bright, scale).sample(2, **call).tensor) for scale in (20.0, -20.0))
    assert bool((up > bright(plain)).all()) and bool((bright(plain) > down).all())


def test_what_cannot_be_asked(system: Any, folder: Callable[[str], Path]) -> None:
    for mask, words in (
        (torch.ones(1, 16, 16), r"is \[H, W\], got \[1, 16, 16\]"),
        (torch.full((16, 16), 2.0), r"lies in \[0, 1\]; this one reaches from 2 to 2"),
        (torch.full((16, 16), torch.nan), r"lies in \[0, 1\]"),
        (torch.zeros(16, 16), "covers nothing"),
        (torch.ones(16, 64), "out of proportion"),
    ):
        with pytest.raises(DataError, match=words):
            with_regions(system, [Region("a fox", mask)])
    with pytest.raises(UsageError, match="at least one region"):
        with_regions(system, [])
    once = with_regions(system, [Region("a", half())])
    with pytest.raises(UsageError, match="give all of them at once"):
        with_regions(once, [Region("b", half())])
    classes = system_at(folder("dit"))
    with pytest.raises(CapabilityError, match="reads prompts"):
        with_regions(classes, [Region("a", half())])
    with pytest.raises(CapabilityError, match="reads prompts"):
        with_attention(classes, lambda maps, cross: maps)
    with pytest.raises(CapabilityError, match="controlled in UNets"):
        with_attention(system_at(folder("pixart")), lambda maps, cross: maps)
    with pytest.raises(UsageError, match="'fox' is no word of the prompt: a cat"):
        placed(system, "a cat", {"fox": half()})
    with pytest.raises(DataError, match="the mask of 'cat'"):
        placed(system, "a cat", {"cat": half() * 3})
    with pytest.raises(CapabilityError, match="one CLIP encoder"):
        placed(system_at(folder("sdxl")), "a cat", {"cat": half()})
    with pytest.raises(UsageError, match="is a number, got nan"):
        with_reward(system, lambda x: x.flatten(1).mean(1), float("nan"))
    with pytest.raises(CapabilityError, match="one number a sample"):
        with_reward(system, lambda x: x.mean()).sample(2, **CALL)


def test_the_command(folder: Callable[[str], Path], tmp_path: Path, capsys: Any) -> None:
    path, mask = folder("stable diffusion"), tmp_path / "left.png"
    Image.fromarray((half(32) * 255).to(torch.uint8).numpy()).save(mask)
    words = ["sample", str(path), "--prompt", "a cat", "-n", "1", "--steps", "2", "-o", str(tmp_path / "out")]
    assert main([*words, "--region", f"{mask}=a low fox", "--region", f"{mask}=her"]) == 0
    assert main([*words, "--region", str(mask)]) == 2
    assert "--region takes MASK=PROMPT" in capsys.readouterr().err
    assert main([*words, "--region", f"{tmp_path}/none.png=a"]) == 2
    assert "cannot be read" in capsys.readouterr().err
