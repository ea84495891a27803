"""Prompts: weights, what is too long, what is left out."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from interop.same import system_at
from ornstein.core.errors import CapabilityError, UsageError
from ornstein.interop.diffusers.prompts.clip import Prompts, PromptWarning
from ornstein.interop.diffusers.prompts.weights import weighted

LONG = "a b c d e f g h i j k d e f g h i"


@pytest.mark.parametrize(
    ("prompt", "pieces"),
    [
        ("a fox", [("a fox", 1)]),
        ("a (red:1.5) fox", [("a ", 1), ("red", 1.5), (" fox", 1)]),
        ("((red:1.5) fox:2)", [("red", 3), (" fox", 2)]),
        ("a (red) fox", [("a (red) fox", 1)]),
        ("(a: b)", [("(a: b)", 1)]),
        (r"\(red:1.5\)", [("(red:1.5)", 1)]),
        ("(red:.5", [("(red:.5", 1)]),
        ("", [("", 1)]),
    ],
)
def test_weights_are_read(prompt: str, pieces: list[tuple[str, float]]) -> None:
    assert weighted(prompt) == pieces


def test_a_weight_that_leaves_nothing_else_is_refused() -> None:
    with pytest.raises(UsageError, match="the weight 90 of 'red' is beyond 20"):
        weighted("a (red:90) fox")


@pytest.fixture
def prompts(folder: Callable[[str], Path]) -> Any:
    """A CLIP encoder whose last norm shifts: trained ones do, and a sequence's mean is not zero then."""
    found: Prompts = system_at(folder("stable diffusion")).prompts.prompts
    norm: Any = found.encoder.final_layer_norm
    with torch.no_grad():
        norm.bias.fill_(0.3)
    yield found
    with torch.no_grad():
        norm.bias.zero_()


def test_weights_stress_words_and_keep_the_mean(prompts: Any) -> None:
    plain, strong = prompts(["a low cat"])[0], prompts(["a (low:1.5) cat"])[0]
    # Tokens: start, a, low, c, a, t, end, ...
    expected = plain.clone()
    expected[2] *= 1.5
    expected *= plain.mean() / expected.mean()
    torch.testing.assert_close(strong, expected)
    torch.testing.assert_close(prompts(["a (low:1) cat"])[0], plain)


def test_long_prompts_are_cut_or_read_in_chunks(prompts: Any) -> None:
    with pytest.warns(PromptWarning, match=r"19 tokens long and the encoder reads 16; cut: 'g h i'.*chunk"):
        cut = prompts([LONG])
    with warnings.catch_warnings():
        warnings.simplefilter("error", PromptWarning)
        chunks = prompts([LONG], long="chunk")
        rest = prompts(["g h i"])
    torch.testing.assert_close(chunks, torch.cat([cut, rest], 1))


def test_a_long_prompt_against_a_short_one(folder: Callable[[str], Path]) -> None:
    for family in ("stable diffusion", "sdxl"):
        system = system_at(folder(family))
        call = {"steps": 2, "guidance": 3.0, "negative": "low"}
        made = system.sample(1, prompt=LONG, long_prompts="chunk", **call).tensor
        with pytest.warns(PromptWarning):
            cut = system.sample(1, prompt=LONG, **call).tensor
        assert float((made - cut).abs().max()) > 1e-3


def test_t5_weights_and_cuts(folder: Callable[[str], Path]) -> None:
    encoder = system_at(folder("pixart")).prompts.encoder
    plain, strong = encoder(["a red fox"])[0][0], encoder(["a (red:1.5) fox"])[0][0]
    # Tokens: a space and "a", the letters of " red", those of " fox", the end.
    expected = plain.clone()
    expected[2:6] *= 1.5
    expected *= plain.mean() / expected.mean()
    torch.testing.assert_close(strong, expected)
    with pytest.warns(PromptWarning, match="123 tokens long and the encoder is given 120; cut: 'abc'"):
        encoder(["d" * 118 + "abc"])


def test_what_cannot_be_asked(folder: Callable[[str], Path]) -> None:
    sd, flux = system_at(folder("stable diffusion")), system_at(folder("flux"), (16, 16))
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (sd, {"clip_skip": 3}, r"clip_skip lies in 0 \.\. 2"),
        (sd, {"long_prompts": "drop"}, "long_prompts is 'cut' or 'chunk', got 'drop'"),
        (sd, {"prmpt": "cat"}, "unknown condition 'prmpt': did you mean 'prompt'"),
        (sd, {"prompt": None}, "give prompt"),
        (sd, {"prompt": ["a", "b", "c"]}, "3 prompts were given for 1 samples"),
        (sd, {"guidance_method": "apg"}, "'apg' is not served"),
        (flux, {"negative": "low"}, "told the guidance scale and has no use for a negative prompt"),
        (flux, {"long_prompts": "chunk"}, "T5 does not read prompts in chunks"),
        (flux, {"guidance_method": "apg"}, "told the guidance scale; 'apg'"),
    ]
    for system, given, message in cases:
        with pytest.raises((UsageError, CapabilityError), match=message):
            system.sample(1, steps=2, **{"prompt": "a", **given})
