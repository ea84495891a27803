"""Prompts for every model: captions where the model reads text, the name of a class where it knows classes."""

from __future__ import annotations

import re
from typing import Any

from ornstein.core.errors import UsageError
from ornstein.recipes.system import System
from ornstein.serving.request import Request


def reads_text(system: System) -> bool:
    """Whether the model takes captions."""
    return system.reads_text


def given(system: System, request: Request) -> dict[str, Any]:
    """The conditions of a request as the system declares them.

    Raises:
        UsageError: a prompt that names none of the classes, or more than one; a prompt where there is nothing to say.
    """
    named: dict[str, Any] = {k: v for k, v in request.conditions.items() if v is not None}
    if request.label is not None:
        named["label"] = request.label
    if request.prompt is None:
        return named
    if reads_text(system):
        return named | {"prompt": request.prompt}
    if request.label is None and request.prompt.strip():
        named["label"] = class_in(request.prompt, system.classes)
    return named


def class_in(prompt: str, classes: tuple[str, ...]) -> str:
    """The class that the prompt names: ``"a photo of a Sneaker"`` is "sneaker".

    Raises:
        UsageError: none, or several.
    """
    if not classes:
        raise UsageError("this model reads no text and knows no classes: leave the prompt empty")
    text = _plain(prompt)
    for name in classes:
        if _plain(name) == text:
            return name
    found = [name for name in classes if f" {_plain(name)} " in f" {text} "]
    found = [name for name in found if not any(name != other and _plain(name) in _plain(other) for other in found)]
    if len(found) == 1:
        return found[0]
    what = f"names {' and '.join(found)}" if found else "names none of its classes"
    raise UsageError(f"this model reads no text; the prompt is to name one class and {what}: {', '.join(classes)}")


def _plain(text: str) -> str:
    """Lower case, words parted by one blank."""
    return " ".join(re.findall(r"\w+", text.lower()))
