"""Are these the data that the run was trained on?"""

from __future__ import annotations

from ornstein.core.finding import Finding, ok, warning
from ornstein.data.changes import since
from ornstein.recipes.doctor.case import Case

NAME = "data of the run"


def check(case: Case) -> Finding:
    """Name, number and content against what the checkpoint has."""
    then, now = case.meta.get("data") or {}, case.images
    if "hash" not in then:
        return ok(NAME, "the checkpoint says nothing of them")
    if then["hash"] != now.content_hash:
        return warning(
            NAME,
            f"'{now.name}' has {len(now)} images now, '{then['name']}' had {then['images']}, and their content differs"
            + (f": {what}" if (what := since(then["hash"][:12], now)) else ""),
            "give the run's own data with --data; a resume on changed data is refused",
        )
    return ok(NAME, f"'{now.name}', unchanged since training")
