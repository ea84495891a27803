"""Texts into tokens. A score depends on this more than on most models, so it is part of the protocol."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, get_args

from ornstein.core.errors import unknown

Tokeniser = Literal["13a", "words", "characters"]

_13A = (
    # mteval-v13a, the scorer of WMT: punctuation and symbols stand alone, but not within numbers.
    (re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"), r" \1 "),
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)
_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]+")


def mteval_13a(text: str) -> list[str]:
    """As mteval-v13a.pl and sacreBLEU's default; case is kept."""
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    text = f" {text} "
    for pattern, into in _13A:
        text = pattern.sub(into, text)
    return text.split()


def rouge_tokens(text: str) -> list[str]:
    """As the ROUGE package: small letters a to z and digits, all else parts words. Other scripts vanish."""
    return _NOT_ALPHANUMERIC.sub(" ", text.lower()).split()


def characters(text: str) -> list[str]:
    """Every character but white space."""
    return [c for c in text if not c.isspace()]


_TABLE: dict[str, Callable[[str], list[str]]] = {"13a": mteval_13a, "words": str.split, "characters": characters}


def tokeniser(name: str) -> Callable[[str], list[str]]:
    """The function of that name.

    Raises:
        UsageError: there is none (suggests the nearest).
    """
    if name not in _TABLE:
        raise unknown("tokeniser", name, get_args(Tokeniser))
    return _TABLE[name]
