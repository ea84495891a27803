"""Compare: one picture under many settings, in a grid, with the error against a long reference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from ornstein.core.errors import UsageError
from ornstein.studio import parts
from ornstein.studio.html import bar, empty, notice
from ornstein.studio.tabs.base import Fields, Page, go, told
from ornstein.studio.words import AXES, NOTHING

if TYPE_CHECKING:
    from ornstein.studio.parts.comparing import Axis, Cell

NAME = "Compare"
DEFAULTS = (("sampler", "ddim, heun, dpmpp_2m, unipc"), ("steps", "4, 8, 16"), (NOTHING, ""))


def build(page: Page) -> None:
    """Lay it out."""
    studio = page.studio
    with gr.Row():
        with gr.Column(scale=3, min_width=330):
            rows = []
            for letter, (name, values) in zip("XYZ", DEFAULTS, strict=True):
                with gr.Row():
                    choices = [*AXES] if letter == "X" else [NOTHING, *AXES]
                    kind = gr.Dropdown(choices, value=name, label=letter, min_width=110)
                    text = gr.Textbox(values, label="Values", scale=2, placeholder="with commas; seeds also as 0-3")
                rows += [kind, text]
            fields = Fields(page, ("label", "prompt", "sampler", "grid", "steps", "guidance", "seed"))
            reference = gr.Slider(10, 400, value=80, step=10, label="Steps of the reference (Heun)")
            begin = go("Compare")
        with gr.Column(scale=7, min_width=420):
            progress = gr.HTML(empty("every cell starts from the same noise; the figure below it is its distance from the "
                                     "reference"), elem_id="o-compared")  # fmt: skip
            grid = gr.HTML("", elem_id="o-cells")
            file = gr.File(label="The figures", visible=False, height=70)

    @told
    def run(model: str, far: float, *values: Any) -> Iterator[list[Any]]:
        given, asked = values[:6], fields.asked(model, values[6:])
        axes: list[Axis] = []
        for kind, text in zip(given[::2], given[1::2], strict=True):
            if kind != NOTHING:
                axes.append(parts.comparing.axis(kind, text or ""))
        if not axes:
            raise UsageError("choose at least one axis")
        total = 1
        for one in axes:
            total *= len(one.values)
        done: dict[tuple[int, int, int], Cell] = {}
        yield [bar(0, total, "drawing the reference"), parts.comparing.page(done, axes), gr.update(visible=False)]
        for cell in parts.comparing.compare(studio, asked, axes, int(far)):
            done[cell.at] = cell
            yield [bar(len(done), total, f"{len(done)} of {total}"), parts.comparing.page(done, axes), gr.update()]
        path = Path(studio.folder) / "comparison.csv"
        path.write_text(parts.comparing.as_csv([done[at] for at in sorted(done)]), encoding="utf-8")
        said = f"{total} pictures; root mean square distance from {int(far)} steps of Heun's method, pixels in [-1, 1]"
        yield [notice(said, "good"), gr.update(), gr.update(value=str(path), visible=True)]

    begin.click(
        run, [page.model, reference, *rows, *fields.components], [progress, grid, file],
        show_progress="hidden", concurrency_limit=2, api_visibility="private",
    )  # fmt: skip
