"""What diffusers asks of its attentions at every call is worked out once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interop.same import system_at


def test_the_signature_of_each_attention_is_kept(folder: Callable[[str], Path], monkeypatch: Any) -> None:
    model = system_at(folder("stable diffusion")).denoiser.network.model
    processors = [m.processor for m in model.modules() if hasattr(m, "processor")]
    plain = inspect.signature(type(processors[0]).__call__)
    monkeypatch.setattr(inspect, "_signature_from_function", None)  # what works one out anew
    found = [inspect.signature(p.__call__) for p in processors]
    assert all(list(f.parameters) == list(plain.parameters)[1:] for f in found)
