"""Evaluate: measure a model or pictures against data, and read the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from ornstein.studio import parts
from ornstein.studio.html import empty, notice
from ornstein.studio.parts.evaluating import Evaluation, shown
from ornstein.studio.parts.running import Command
from ornstein.studio.tabs.base import Page, go, stop, told

NAME = "Evaluate"


def build(page: Page, command: Command) -> None:
    """Lay it out."""
    report = Path(page.studio.folder) / "evaluation.html"
    with gr.Row():
        with gr.Column(scale=3, min_width=330):
            first = page.studio.models[:1]
            what = gr.Textbox(*first, label="What is measured: a model, a run, a folder of pictures", elem_id="o-what")
            against = gr.Dropdown(
                ["digits"], value="digits", label="Against: a set, or a folder of images", allow_custom_value=True
            )
            with gr.Row():
                n = gr.Number(500, label="Samples", precision=0, minimum=2, min_width=90, elem_id="o-evaluated")
                steps = gr.Number(None, label="Steps", precision=0, min_width=90, elem_id="o-evaluated-steps")
                seed = gr.Number(0, label="Seed", precision=0, min_width=90)
            split = gr.Dropdown(["test", "train"], value="test", label="Part of the set")
            metrics = gr.Textbox(
                "", label="Metrics", placeholder="all that suit; or kid, prdc, ...", elem_id="o-metrics"
            )
            with gr.Row():
                begin, end = go("Evaluate"), stop()
            state = gr.HTML("", elem_id="o-evaluating")
        with gr.Column(scale=7, min_width=420):
            page_ = gr.HTML(empty("the report will stand here: figures with their protocol, samples, neighbours, curves"),
                            elem_id="o-evaluation")  # fmt: skip
            file = gr.File(label="The report as a page", visible=False, height=70)

    @told
    def run(*values: Any) -> Iterator[list[Any]]:
        subject, reference, count, how_many, number, part, names = values
        asked = Evaluation(
            subject or "", reference or "", int(count or 0), part or "", names or "", int(how_many or 0) or None,
            int(number or 0),
        )  # fmt: skip
        report.unlink(missing_ok=True)
        command.start(asked.words(report))
        while command.wait(0.5) is None:
            last = command.tail(1) or "drawing and measuring"
            yield [notice(f"{command.seconds:.0f} s: {last}"), gr.update(), gr.update(visible=False)]
        if command.code == 0:
            yield [
                notice(f"done in {command.seconds:.0f} s", "good"),
                shown(report),
                gr.update(value=str(report), visible=True),
            ]
        else:
            said = command.tail(4) or "stopped"
            yield [notice(said, "bad"), gr.update(), gr.update(visible=False)]

    begin.click(run, [what, against, n, steps, seed, split, metrics], [state, page_, file], show_progress="hidden",
                api_visibility="private")  # fmt: skip
    end.click(command.stop, None, None, show_progress="hidden", queue=False, api_visibility="private")

    page.fill([against], lambda: [gr.update(choices=parts.training.sets())])
    page.model.change(lambda name: name, page.model, what, show_progress="hidden", api_visibility="private")
