"""Inversion of real pictures and prompt-to-prompt, on small random networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from interop.same import picture, system_at
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.interop.diffusers import load
from ornstein.interop.diffusers.editing.attention import changed
from ornstein.interop.diffusers.editing.inversion import invert
from ornstein.interop.diffusers.editing.prompt_to_prompt import alignment, edit_prompt


@pytest.fixture
def system(folder: Callable[[str], Path]) -> Any:
    """Stable Diffusion, small and random."""
    return system_at(folder("stable diffusion"))


def test_explicit_attention_is_the_model_s_own(system: Any) -> None:
    net, x = system.denoiser.network, torch.randn(2, 4, 8, 8)
    cond, t = {"text": torch.randn(2, 16, 16)}, torch.full((2,), 500.0)
    seen: list[bool] = []

    def look(maps: torch.Tensor, cross: bool) -> torch.Tensor:
        seen.append(cross)
        torch.testing.assert_close(maps.sum(-1), torch.ones(maps.shape[:-1]))
        return maps

    with torch.no_grad():
        plain = net(x, t, cond)
        with changed(net.model, look):
            torch.testing.assert_close(net(x, t, cond), plain)
        kept = len(seen)
        torch.testing.assert_close(net(x, t, cond), plain)
    assert sorted(set(seen)) == [False, True] and len(seen) == kept  # read inside, and left as it was


def test_an_inverted_picture_is_drawn_again(folder: Callable[[str], Path]) -> None:
    system = load(folder("stable diffusion"))
    with torch.no_grad():  # a random network bends the flow far more than a trained one
        system.denoiser.network.model.conv_out.weight.mul_(0.05)  # type: ignore[operator, union-attr]
    given = picture()[:1]
    strong: dict[str, Any] = {"steps": 5, "guidance": 7.5}
    exact = invert(system, given, "a cat", steps=5, guidance=1.0, null_text=False, refine=4)
    without = invert(system, given, "a cat", null_text=False, **strong)
    # A random network hardly attends to its text: its vectors must move further than a trained one's.
    fitted = invert(system, given, "a cat", **strong, enough=0.0, rate=0.3)
    assert exact.drift < 0.1 * without.drift and fitted.drift < 0.5 * without.drift, (exact, without, fitted)
    assert abs(exact.error - exact.floor) < 0.02  # the random autoencoder loses far more than the inversion
    assert fitted.nulls is not None and fitted.nulls.shape == (5, 1, 16, 16)
    edited = edit_prompt(system, "a cat", "a cat", start=fitted, guidance=7.5)
    torch.testing.assert_close(edited.tensor[:1], fitted.picture, atol=1e-3, rtol=0)
    torch.testing.assert_close(edited.tensor[1:], fitted.picture, atol=1e-3, rtol=0)


def test_prompt_to_prompt_between_no_change_and_another_picture(system: Any) -> None:
    call: dict[str, Any] = {"steps": 6, "seed": 3, "guidance": 4.0}
    one, other = (system.sample(1, sampler="ddim", prompt=p, **call).tensor for p in ("a low cat", "a red cat"))
    free = edit_prompt(system, "a low cat", "a red cat", cross=0, own=0, **call).tensor
    torch.testing.assert_close(free, torch.cat([one, other]), atol=1e-4, rtol=0)
    kept = edit_prompt(system, "a low cat", "a red cat", cross=1, own=1, **call).tensor
    torch.testing.assert_close(kept[:1], one, atol=1e-4, rtol=0)  # the source is untouched
    assert float((kept[1:] - one).abs().mean()) > 1e-5  # the words' vectors have changed, the maps have not
    assert float((kept[1:] - other).abs().mean()) > 1e-5
    heavy = edit_prompt(system, "a low cat", "a low cat", weights={"low": 8.0}, cross=1, own=1, **call).tensor
    same = edit_prompt(system, "a low cat", "a low cat", weights={"low": 1.0}, cross=1, own=1, **call).tensor
    torch.testing.assert_close(same[1:], one, atol=1e-4, rtol=0)
    assert float((heavy[1:] - one).abs().mean()) > 1e-4
    many = edit_prompt(system, "a low cat", "a red cat", n=2, **{**call, "seed": 2}).tensor
    torch.testing.assert_close(
        many[2:], edit_prompt(system, "a low cat", "a red cat", **call).tensor, atol=1e-4, rtol=0
    )


def test_tokens_are_aligned_by_words(system: Any) -> None:
    # "low" is one token, "cat" and "lower" are three, in this vocabulary.
    swapped = alignment(system.prompts, "low cat", "lower cat", None, {"cat": 2.0})
    assert swapped.mapped[0, 0] == 1 and swapped.mapped[1, 1:4].tolist() == pytest.approx([1 / 3] * 3)
    torch.testing.assert_close(swapped.mapped[2:5, 4:7], torch.eye(3))
    assert swapped.weights[4:7].tolist() == [2, 2, 2] and swapped.weights.sum() == 16 + 3
    assert swapped.mapped[5, 7] == 1  # the end
    assert bool((swapped.taken[:15] == 1).all())
    refined = alignment(system.prompts, "low cat", "low a cat", None, {})
    assert refined.taken[:6].tolist() == [1, 1, 0, 1, 1, 1]  # "a" keeps its own map
    assert float(refined.mapped[:, 2].sum()) == 0


def test_what_cannot_be_asked(system: Any, folder: Callable[[str], Path]) -> None:
    flux = system_at(folder("flux"), (16, 16))
    with pytest.raises(CapabilityError, match="inversion with a prompt needs"):
        invert(flux, picture()[:1], "a")
    with pytest.raises(UsageError, match="one picture, steps and rounds of at least 1; got 2"):
        invert(system, picture(), "a")
    with pytest.raises(CapabilityError, match="needs a guided UNet with one CLIP encoder"):
        edit_prompt(flux, "a", "b")
    with pytest.raises(UsageError, match="2 and 3 words: use 'refine'"):
        edit_prompt(system, "a cat", "a low cat", mode="replace")
    with pytest.raises(UsageError, match="'dog' is no word of the edited prompt: a low cat"):
        edit_prompt(system, "a cat", "a low cat", weights={"dog": 2.0})
    with pytest.raises(UsageError, match="shares of the steps"):
        edit_prompt(system, "a cat", "a low cat", cross=1.5)
