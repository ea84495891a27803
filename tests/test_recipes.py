"""Every recipe lives its whole life at a size of seconds: a new one needs no line here unless TINY does not fit it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ornstein.core.errors import UsageError
from ornstein.data import Images, shapes
from ornstein.data.series import Record, SeriesTable
from ornstein.recipes import registry
from ornstein.testing.conformance import check_recipe

TINY: dict[str, Any] = {"batch": 8, "widths": (64,), "blocks": 1, "patch": 1, "precision": "fp32"}
"""Fields that make a recipe small; those that it does not have are left out."""

OWN: dict[str, dict[str, Any]] = {
    **{name: {"widths": (16,)} for name in ("ccdf", "ddrm", "dps", "gdmp", "pigdm", "repaint", "sdedit")},
    **{name: {"widths": (16,)} for name in ("generative-colorization", "palette", "sr3")},
    "baseline-flow": {"depth": 2, "width": 16},
    "cdm": {"base_sampling_steps": 2, "widths": (16,)},
    "dag": {"consistency": 0.0, "prior": 0.0},  # two steps train no heads; tests/recipes/test_depth.py trains them
    "diffusion-inst": {"width": 16, "head": 8, "proposals": 6},
    "imagebart": {"autoencoder_steps": 1, "codec_widths": (8, 8), "critic_start": 0, "codes": 8, "width": 32},
    "latent-diffusion": {"autoencoder_steps": 1, "codec_widths": (8, 8), "critic_start": 0},
    "srdiff": {"encoder_width": 4, "encoder_blocks": 1, "widths": (16,)},
    "rectified-flow": {"pairs": 8, "pair_steps": 2},
}
"""More fields, for single recipes."""

SAMPLING_STEPS: dict[str, int] = {"shortcut": 4}
"""Where the usual three cannot be taken."""

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("flow-matching", {"coupling": "optimal_transport"}),
    ("flow-matching", {"latent_noise": 0.5, "solver": "flow_sde"}),
    ("consistency-models", {"mode": "distillation"}),
    ("consistency-improved", {"mode": "ect"}),
    ("consistency-improved", {"mode": "scm"}),
    ("d3pm", {"corruption": "absorbing", "head": "logits", "chain": 20, "sampling_steps": 5}),
    ("d3pm", {"corruption": "uniform", "values": 4}),
    ("d3pm", {"corruption": "nearest", "values": 8, "chain": 20, "sampling_steps": 5}),
    (
        "latent-diffusion",
        {"autoencoder_steps": 1, "codec_widths": (8,), "regulariser": "vq", "codes": 4, "perceptual": "digits"},
    ),
    ("fsdm", {"conditioning": "tokens", "members": 2}),
    ("meanflow", {"omega": 2.0, "kappa": 0.5}),
    ("csdi", {"noise": "chain", "anchored": False, "chain": 8, "sampling_steps": 4}),
    ("csdi", {"task": "forecast", "horizon": 3}),
    ("sssd", {"noise": "chain", "chain": 8, "mixer": "convolution"}),
    ("timegrad", {"noise": "chain", "chain": 8, "lags": (2,)}),
]
"""Ways to use a recipe that differ in what is trained: each lives its life as well."""


def small(name: str) -> dict[str, Any]:
    """Those of TINY that the recipe has."""
    fields = {f.name for f in dataclasses.fields(registry.card(name).config)}
    return {k: v for k, v in TINY.items() if k in fields}


SERIES: dict[str, Any] = {"batch": 4, "window": 8, "layers": 1, "width": 8, "precision": "fp32"}


def waves() -> SeriesTable:
    """Three short series of two columns and two classes, with a gap."""
    records = []
    for i in range(3):
        values = np.sin(np.arange(24)[:, None] / (2 + np.arange(2)) + i)
        values[5, 1] = np.nan
        records.append(Record(values, np.arange(24.0), str(i), label="uv"[i % 2]))
    return SeriesTable(tuple(records), ("a", "b"), "waves", calendar=False)


def laid_out() -> Images:
    """Noise on the left and on the right, told by maps."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (16, 1, 8, 8), dtype=np.uint8)
    return Images(x, conds={"regions": np.repeat(np.arange(2), 4)[None, None, None].repeat(8, 2).repeat(16, 0)})


def domains() -> Images:
    """Dark and bright noise, in turn."""
    x = np.random.default_rng(0).integers(0, 90, (16, 1, 8, 8), dtype=np.uint8)
    x[1::2] += 150
    return Images(x, np.arange(16) % 2, ("dark", "bright"))


DATA: dict[str, Callable[[], Images]] = {
    "diffusion-inst": lambda: shapes(12, size=16),
    "semantic-diffusion-model": laid_out,
    "unit-ddpm": domains,
}
"""Of recipes that need more than pictures and classes."""


def lives(name: str, settings: dict[str, Any], sampling_steps: int = 3) -> None:
    """The whole life of a recipe, on data of its area."""
    if name in DATA:
        check_recipe(name, small(name) | settings, DATA[name](), None, sampling_steps)
        return
    if registry.card(name).area != "series":
        check_recipe(name, small(name) | settings, sampling_steps=sampling_steps)
        return
    fields = {f.name for f in dataclasses.fields(registry.card(name).config)}
    tiny = {k: v for k, v in (SERIES | {"horizon": 3, "hidden": 8}).items() if k in fields}
    check_recipe(name, tiny | settings, waves(), None, sampling_steps)


@pytest.mark.parametrize("name", registry.cards())
def test_recipe(name: str) -> None:
    lives(name, OWN.get(name, {}), SAMPLING_STEPS.get(name, 3))


@pytest.mark.parametrize(
    ("name", "settings"), VARIANTS, ids=lambda v: v if isinstance(v, str) else "-".join(map(str, v))
)
def test_variant(name: str, settings: dict[str, Any]) -> None:
    lives(name, settings, SAMPLING_STEPS.get(name, 3))


def test_an_unknown_recipe_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown recipe 'dppm': did you mean 'ddpm'"):
        registry.card("dppm")


def test_an_unknown_field_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="no field 'sampling_step': did you mean 'sampling_steps'"):
        registry.make_config(registry.card("ddpm").config, {"sampling_step": 1})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lr": "fast"}, "lr"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"precision": "fp8"}, "'bf16', 'fp16', 'fp32'"),
    ],
)
def test_a_wrong_value_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        registry.make_config(registry.card("ddpm").config, settings)
