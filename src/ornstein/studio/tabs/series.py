"""Series: gaps that a model fills and futures that it draws, or those of a file, with their intervals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from ornstein.core.errors import UsageError
from ornstein.studio import parts
from ornstein.studio.html import empty, notice
from ornstein.studio.tabs.base import Page, go, told
from ornstein.studio.words import FILLS

if TYPE_CHECKING:
    from ornstein.studio.views.series import Draws

NAME = "Series"


def build(page: Page) -> None:
    """Lay it out."""
    studio = page.studio
    loaded = gr.State([])
    with gr.Row():
        with gr.Column(scale=3, min_width=330):
            file = gr.File(
                label="A table (.csv), or draws (.npz)", file_types=[".csv", ".npz"], height=110, elem_id="o-draws"
            )
            gr.HTML(notice(
                "A table is filled or continued by the model at the top, one of series. Draws are shown as they are: samples "
                "[N, draws, L, K], as ornstein evaluate reads them, and observed [N, L, K] with NaN in the gaps."
            ))  # fmt: skip
            task = gr.Dropdown(list(FILLS), value=FILLS[0], label="Task, for a table")
            with gr.Row():
                n = gr.Number(50, label="Draws", precision=0, minimum=1, min_width=90)
                steps = gr.Number(None, label="Steps", precision=0, min_width=90)
                seed = gr.Number(0, label="Seed", precision=0, minimum=0, min_width=90)
            begin = go("Draw")
            which = gr.Slider(0, 1, value=0, step=1, label="Record", visible=False)
            said = gr.HTML("")
        with gr.Column(scale=7, min_width=420):
            shown = gr.HTML(
                empty("points are what was observed; over the gaps stand the median and the intervals of the draws"),
                elem_id="o-series",
            )

    @told
    def read(path: str | None, model: str, name: str, count: float, how_many: float | None, number: float) -> list[Any]:
        if not path:
            raise UsageError("give a file first")
        records = parts.filling.drawn(
            studio, model, Path(path), name, int(count or 0), int(how_many or 0) or None, int(number or 0)
        )
        first = records[0]
        line = f"{len(records)} records, {first.x.shape[0]} draws of {first.x.shape[1]} steps of {first.x.shape[2]} channels"
        slider = gr.update(maximum=max(len(records) - 1, 1), value=0, visible=len(records) > 1)
        return [records, notice(line, "good"), slider, parts.filling.shown(first)]

    def choose(records: list[Draws], i: float) -> str:
        return parts.filling.shown(records[int(i)]) if records else empty("give a file first")

    begin.click(read, [file, page.model, task, n, steps, seed], [loaded, said, which, shown], show_progress="minimal",
                show_progress_on=shown, concurrency_limit=2, api_visibility="private")  # fmt: skip
    which.input(
        choose, [loaded, which], shown, show_progress="hidden", trigger_mode="always_last", api_visibility="private"
    )
