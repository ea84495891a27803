"""Trajectory: scrub through the denoising of one sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from ornstein.core.errors import CapabilityError
from ornstein.studio import parts
from ornstein.studio.html import empty, notice
from ornstein.studio.tabs.base import Fields, Page, go, told

if TYPE_CHECKING:
    from ornstein.studio.parts.walking import Way

NAME = "Trajectory"


def build(page: Page) -> None:
    """Lay it out."""
    studio = page.studio
    way = gr.State(None)
    with gr.Row():
        with gr.Column(scale=3, min_width=330):
            fields = Fields(page, ("label", "prompt", "negative", "sampler", "grid", "steps", "guidance", "seed"))
            begin = go("Follow")
        with gr.Column(scale=7, min_width=420):
            strip = gr.HTML(empty("draw one sample, then move through its steps"), elem_id="o-strip")
            scrub = gr.Slider(0, 1, value=0, step=1, label="Step", interactive=True, visible=False, elem_id="o-scrub")
            with gr.Row():
                with gr.Column(scale=3, min_width=300):
                    pictures = gr.HTML("", elem_id="o-frame")
                with gr.Column(scale=3, min_width=300):
                    curves = gr.HTML("", elem_id="o-curves")
            with gr.Accordion("Attention", open=False, visible=False) as box:
                with gr.Row():
                    row = gr.Slider(0, 0.99, value=0.5, step=0.01, label="Looking from: height")
                    column = gr.Slider(0, 0.99, value=0.5, step=0.01, label="Looking from: width")
                seen = gr.HTML("", elem_id="o-attention")

    @told
    def run(model: str, *values: Any) -> list[Any]:
        found = parts.walking.follow(studio, fields.asked(model, values))
        last = len(found) - 1
        at = last // 2
        return [
            found,
            parts.walking.strip(found),
            gr.update(maximum=last, value=at, visible=True),
            parts.walking.frame(found, at),
            parts.walking.curves(found, at),
            gr.update(visible=True),
            looks(found, at, 0.5, 0.5),
        ]

    def move(found: Way | None, at: float, height: float, width: float) -> list[Any]:
        if found is None:
            return [gr.update()] * 3
        return [
            parts.walking.frame(found, int(at)),
            parts.walking.curves(found, int(at)),
            looks(found, at, height, width),
        ]

    def turn(found: Way | None, at: float, height: float, width: float) -> Any:
        return gr.update() if found is None else looks(found, at, height, width)

    begin.click(
        run, [page.model, *fields.components], [way, strip, scrub, pictures, curves, box, seen],
        show_progress="minimal", show_progress_on=strip, concurrency_limit=2, api_visibility="private",
    )  # fmt: skip
    places = [way, scrub, row, column]
    scrub.input(
        move,
        places,
        [pictures, curves, seen],
        show_progress="hidden",
        trigger_mode="always_last",
        api_visibility="private",
    )
    for slider in (row, column):
        slider.input(turn, places, seen, show_progress="hidden", trigger_mode="always_last", api_visibility="private")


def looks(found: Way, at: float, height: float, width: float) -> str:
    """The attention of a frame, or why there is none."""
    try:
        return parts.walking.looks(found, int(at), height, width)
    except CapabilityError as e:
        return notice(str(e))
