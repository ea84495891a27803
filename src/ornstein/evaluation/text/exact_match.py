"""Exact match: the share of texts that equal a reference."""

from __future__ import annotations

from collections.abc import Sequence


def exact_match(hypothesis: str, references: Sequence[str]) -> bool:
    """Whether the text is one of the references, up to white space at its ends and its amount between words."""
    return " ".join(hypothesis.split()) in {" ".join(r.split()) for r in references}
