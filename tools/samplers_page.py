"""Write the tables of docs/guide/measured-samplers.md from the results of four benchmarks.

    python tools/samplers_page.py

Orders are those of ``benchmarks/solver_orders.py``, errors those of ``benchmarks/solvers.py``, the comparison with diffusers
that of ``benchmarks/scheduler_parity.py``, times those of ``benchmarks/overhead.py``. The text around the tables is kept.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "guide" / "measured-samplers.md"
RESULTS = ROOT / "benchmarks" / "results"


def read(name: str) -> list[dict[str, str]]:
    """Rows of a CSV."""
    with (RESULTS / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def orders() -> str:
    """Declared and measured orders."""
    head = ["sampler", "declared", "calls a step", "VP", "VP, cosine", "VE", "EDM", "flow matching"]
    return table(head, [[f"`{row['sampler']}`", *list(row.values())[1:]] for row in read("solver_orders.csv")])


def parity() -> str:
    """Largest differences from diffusers."""
    head = ["class", "configurations", "states compared", "largest difference"]
    rows = read("scheduler_parity.csv")
    return table(head, [[f"`{r['class']}`", r["configurations"], r["states"], r["largest_difference"]] for r in rows])


def errors() -> str:
    """The best of ours beside the best of diffusers' and k-diffusion's, at each budget of each problem."""
    rows = read("solvers.csv")
    lines: list[list[str]] = []
    for problem in dict.fromkeys((r["process"], r["dimension"]) for r in rows):
        part = [r for r in rows if (r["process"], r["dimension"]) == problem]
        for budget in sorted({int(r["evaluations"]) for r in part}):
            best = {
                mine: min(
                    (
                        (float(r["error"]), r)
                        for r in part
                        if int(r["evaluations"]) == budget and (r["source"] == "ornstein") == mine
                    ),
                    key=lambda found: found[0],
                    default=None,
                )
                for mine in (True, False)
            }
            a, b = best[True], best[False]
            if a is None or b is None:
                continue
            ours, theirs = (f"`{r['sampler']}` on {r['grid']}" for _, r in (a, b))
            peer = f"{theirs} ({b[1]['source']})"
            lines.append(
                [
                    f"{problem[0]}, {problem[1]}",
                    str(budget),
                    f"{a[0]:.2g}",
                    ours,
                    f"{b[0]:.2g}",
                    peer,
                    f"{a[0] / b[0]:.2f}",
                ]
            )
    return table(["problem, dimensions", "calls", "error", "ours", "error", "theirs", "ratio"], lines)


def costs() -> str:
    """What samplers cost beside their network, ours and diffusers'."""
    head = ["sampler", "a step", "of the network's", "class of diffusers", "a step", "of the network's"]
    lines = []
    for row in read("overhead.csv"):
        network, theirs = float(row["network_ms"]), float(row["diffusers_ms"])
        lines.append(
            [
                f"`{row['sampler']}`",
                f"{float(row['ms']):.2f} ms",
                f"{float(row['share']):.1%}",
                f"`{row['diffusers']}`",
                f"{theirs:.2f} ms",
                f"{theirs / network:.1%}",
            ]
        )
    return table(head, lines)


def page(text: str) -> str:
    """The page with its tables made anew."""
    for name, made in (("orders", orders()), ("errors", errors()), ("parity", parity()), ("costs", costs())):
        mark = f"<!-- {name} -->"
        text = re.sub(rf"{mark}.*?{mark}", lambda _, m=mark, t=made: f"{m}\n{t}\n{m}", text, flags=re.DOTALL)  # type: ignore[misc]
    return text


def main() -> None:
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
