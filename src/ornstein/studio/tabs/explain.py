"""Explain: error by noise level, what a condition does, guidance, nearest training images."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ornstein.studio import parts
from ornstein.studio.html import empty
from ornstein.studio.tabs.base import Fields, Page, go, told

NAME = "Explain"
QUESTIONS = {
    "What does the label do?": "with it and without, from the same noise",
    "What does guidance do?": "the same noise under several strengths",
    "Are these copies?": "samples beside their nearest training images",
    "Where does it err?": "error and gradient by noise level",
}


def build(page: Page) -> None:
    """Lay it out."""
    studio = page.studio
    with gr.Row():
        with gr.Column(scale=3, min_width=330):
            question = gr.Radio(list(QUESTIONS), value=next(iter(QUESTIONS)), label="Question", elem_id="o-question")
            fields = Fields(page, ("label", "prompt", "sampler", "steps", "guidance", "n", "seed"), n=16)
            scales = gr.Textbox("0, 1, 2, 4, 8", label="Strengths of guidance", visible=False)
            data = gr.Textbox(
                "digits", label="Training data", placeholder="a set (digits) or a folder of images", visible=False
            )
            begin = go("Explain")
        with gr.Column(scale=7, min_width=420):
            shown = gr.HTML(empty("choose a question"), elem_id="o-explained")

    def ask(name: str) -> list[Any]:
        which = list(QUESTIONS).index(name)
        return [gr.update(visible=which == 1), gr.update(visible=which >= 2), empty(QUESTIONS[name])]

    question.change(ask, question, [scales, data, shown], show_progress="hidden", api_visibility="private")

    @told
    def run(name: str, strengths: str, source: str, model: str, *values: Any) -> str:
        asked = fields.asked(model, values)
        which = list(QUESTIONS).index(name)
        if which == 0:
            return parts.explaining.condition(studio, asked)
        if which == 1:
            return parts.explaining.strengths(studio, asked, parts.explaining.scales_of(strengths))
        if which == 2:
            return parts.explaining.nearest(studio, asked, source)
        return parts.explaining.noise_levels(studio, asked.model, source)

    begin.click(
        run, [question, scales, data, page.model, *fields.components], shown,
        show_progress="minimal", concurrency_limit=2, api_visibility="private",
    )  # fmt: skip
