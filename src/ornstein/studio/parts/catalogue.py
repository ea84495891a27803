"""The catalogue: every recipe with what its paper says, what was tested here, and what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from ornstein.recipes.house import recipes
from ornstein.recipes.ledger import SHIPPED, Row, rows
from ornstein.recipes.registry import Card
from ornstein.studio.html import escape, facts, notice, table


@dataclass(frozen=True)
class Entry:
    """A recipe and its row in the ledger, where it was measured."""

    card: Card
    row: Row | None

    @property
    def state(self) -> str:
        """In a word."""
        return "not measured" if self.row is None else "holds" if self.row.holds else "does not hold"


@cache
def entries() -> tuple[Entry, ...]:
    """All of them, by area and name; what ships does not change while the studio runs."""
    measured = {row.recipe: row for row in rows(SHIPPED)}
    return tuple(Entry(card, measured.get(card.name)) for card in recipes())


def find(all_: Sequence[Entry], words: str, area: str = "all") -> list[Entry]:
    """Those in which every word is found, of an area."""
    wanted = words.lower().split()
    return [
        e
        for e in all_
        if area in ("all", "", None, e.card.area)
        and all(w in f"{e.card.name} {e.card.title} {e.card.claim} {e.state}".lower() for w in wanted)
    ]


def listing(found: Sequence[Entry]) -> str:
    """The table."""
    if not found:
        return notice("no system with these words")
    kinds = {"holds": "good", "does not hold": "bad", "not measured": "quiet"}
    lines = [
        (f"<code>{escape(e.card.name)}</code>", escape(e.card.title), escape(e.card.claim),
         f"<b class='o-{kinds[e.state]}'>{e.state}</b>", escape(figure(e)))
        for e in found
    ]  # fmt: skip
    return table(("system", "paper", "claim", "here", "measured"), lines, raw=True)


def figure(entry: Entry) -> str:
    """The first condition's figure, the mean over the seeds, beside its bound."""
    if entry.row is None or not entry.row.conditions:
        return ""
    first = entry.row.conditions[0]
    measured, bound = (sum(v) / len(v) for v in (first.measured, first.bound))
    return f"{first.text.split(' ')[0].replace('_', ' ')} {measured:.3g} (bound {bound:.3g})"


def detail(entry: Entry) -> str:
    """One system: the claim, the equations, every condition with its figures."""
    card, row = entry.card, entry.row
    told = {"paper": card.paper, "claim": card.claim, "equations": card.equations}
    if row is None:
        return facts(told) + notice(f"not measured here: ornstein reproduce {card.name}", "quiet")
    told |= {
        "of the paper": row.paper_claim,
        "tested here": row.claim,
        "seconds": f"{row.seconds:.0f}",
        "on": row.machine,
    }
    lines = []
    for c in row.conditions:
        word = "holds" if c.holds else "does not hold"
        kind = "good" if c.holds else "bad"
        values = ", ".join(f"{m:.4g}" for m in c.measured)
        lines.append(
            (f"<b class='o-{kind}'>{word}</b>", f"<code>{escape(c.text)}</code>", escape(values), escape(c.reason))
        )
    return facts(told) + table(("", "condition", "measured, seed by seed", "why this bound"), lines, raw=True)
