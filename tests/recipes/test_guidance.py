"""The recipes whose point is their guidance: what the scale does, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import ornstein
from ornstein.core.errors import DataError, UsageError

SMALL: dict[str, Any] = {"size": 8, "channels": 1, "widths": (64,), "blocks": 1, "classes": ("a", "b")}


def build(name: str, **more: Any) -> Any:
    """A small untrained system whose every layer acts."""
    system = ornstein.build(name, settings=SMALL | more)
    with torch.no_grad():
        for i, p in enumerate(system.modules.parameters()):
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(i)))
    return system


@pytest.mark.parametrize(
    ("name", "off"),
    [("classifier-guidance", 0.0), ("classifier-free-guidance", 1.0), ("autoguidance", 1.0), ("low-density", 0.0)],
)
def test_the_scale_acts_and_its_zero_does_not(name: str, off: float) -> None:
    system = build(name)
    plain = system.sample(2, steps=3, guidance=off).tensor
    default = system.sample(2, steps=3).tensor
    assert not torch.equal(plain, default) and bool(default.isfinite().all())


def test_the_unconditional_chain_hears_no_label() -> None:
    system = build("classifier-guidance")
    a, b = (system.sample(1, steps=3, guidance=0.0, label=k).tensor for k in ("a", "b"))
    assert torch.equal(a, b)
    a, b = (system.sample(1, steps=3, guidance=5.0, label=k).tensor for k in ("a", "b"))
    assert not torch.equal(a, b)


def test_misuse_is_named() -> None:
    for name in ("classifier-guidance", "low-density"):
        with pytest.raises(UsageError, match=r"guided .*, not by 'apg'"):
            build(name).sample(1, steps=2, guidance=2.0, guidance_method="apg")
        with pytest.raises(DataError, match="labels of at least two classes"):
            list(build(name, classes=()).stages(None))
    with pytest.raises(UsageError, match="without dropped labels the network never"):
        build("classifier-free-guidance", cond_dropout=0.0)
    with pytest.raises(UsageError, match="weak_every must be at least 1"):
        build("autoguidance", weak_every=0)
    with pytest.raises(UsageError, match="guidance must be at least 0"):
        build("classifier-guidance", guidance=-1.0)
    with pytest.raises(UsageError, match="guidance and real must be at least 0"):
        build("low-density", real=-1.0)
