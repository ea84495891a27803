"""Series: forecasts and filled gaps of a file, with their intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from ornstein.studio.html import empty, notice
from ornstein.studio.tabs.base import Page, told
from ornstein.studio.views.series import Draws, plots, read_draws

NAME = "Series"


def build(page: Page) -> None:
    """Lay it out."""
    loaded = gr.State([])
    with gr.Row():
        with gr.Column(scale=3, min_width=330):
            file = gr.File(label="Draws (.npz)", file_types=[".npz"], height=110, elem_id="o-draws")
            gr.HTML(notice(
                "samples [N, draws, L, K], as ornstein evaluate reads them; beside them observed [N, L, K], NaN in the gaps"
            ))  # fmt: skip
            which = gr.Slider(0, 1, value=0, step=1, label="Record", visible=False)
            said = gr.HTML("")
        with gr.Column(scale=7, min_width=420):
            shown = gr.HTML(
                empty("points are what was observed; over the gaps stand the median and the intervals of the draws"),
                elem_id="o-series",
            )

    @told
    def read(path: str | None) -> list[Any]:
        if not path:
            return [[], "", gr.update(visible=False), gr.update()]
        records = read_draws(Path(path))
        first = records[0]
        line = f"{len(records)} records, {first.x.shape[0]} draws of {first.x.shape[1]} steps of {first.x.shape[2]} channels"
        slider = gr.update(maximum=max(len(records) - 1, 1), value=0, visible=len(records) > 1)
        return [records, notice(line, "good"), slider, plots(first)]

    def choose(records: list[Draws], i: float) -> str:
        return plots(records[int(i)]) if records else empty("give a file first")

    file.change(read, file, [loaded, said, which, shown], show_progress="hidden", api_visibility="private")
    which.input(
        choose, [loaded, which], shown, show_progress="hidden", trigger_mode="always_last", api_visibility="private"
    )
