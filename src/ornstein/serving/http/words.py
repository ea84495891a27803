"""Words that come from outside."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


def _text(value: str) -> str:
    """Refuse halves of surrogate pairs, which JSON can say and no file or answer can hold, and control characters."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as e:
        raise ValueError("this is not text: it contains half a surrogate pair") from e
    if any(ord(c) < 32 and c not in "\t\n\r" for c in value):
        raise ValueError("this is not text: it contains control characters")
    return value


Text = Annotated[str, AfterValidator(_text)]
"""Any text that can be written down."""


class Body(BaseModel):
    """The body of a request: unknown fields are refused, so that no wish is passed over in silence."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=())
