"""Train: start a run, watch it, stop it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from ornstein.studio import parts
from ornstein.studio.html import empty, notice, picture
from ornstein.studio.parts.running import Command
from ornstein.studio.tabs.base import Page, go, stop, told

NAME = "Train"
EVERY = 2.0
"""Seconds between two looks at a run."""


def build(page: Page, command: Command) -> None:
    """Lay it out."""
    with gr.Row():
        with gr.Column(scale=3, min_width=330):
            recipe = gr.Dropdown(["edm"], value="edm", label="Recipe", elem_id="o-recipe")
            data = gr.Dropdown(
                ["digits"], value="digits", label="Data: a set, or a folder of images", allow_custom_value=True
            )
            out = gr.Textbox("runs/mine", label="Folder of the run", elem_id="o-out")
            with gr.Row():
                minutes = gr.Number(5, label="Minutes", minimum=0.01, min_width=90, elem_id="o-minutes")
                size = gr.Number(None, label="Size, pixels", precision=0, min_width=90)
                seed = gr.Number(0, label="Seed", precision=0, min_width=90)
            settings = gr.Textbox(
                "", label="Settings of the recipe", placeholder="lr=1e-3 widths=32,64", lines=2, elem_id="o-settings"
            )
            with gr.Row():
                begin, end = go("Train"), stop()
            state = gr.HTML(notice("a run that lies in the folder is gone on with"), elem_id="o-training")
        with gr.Column(scale=7, min_width=420):
            with gr.Row():
                with gr.Column(min_width=300):
                    loss = gr.HTML(empty("the loss will stand here"), elem_id="o-loss")
                with gr.Column(min_width=300):
                    levels = gr.HTML(empty("the loss by noise level will stand here"))
            strip = gr.HTML(empty("samples from the same seeds, as the model grows"), elem_id="o-strips")
            word = gr.HTML(empty("the doctor looks at a run once it has a checkpoint"), elem_id="o-doctor")
            with gr.Accordion("What it says", open=False):
                log = gr.Textbox("", lines=10, max_lines=10, show_label=False, interactive=False, elem_classes="o-log")
    timer = gr.Timer(EVERY, active=False)
    page.fill(
        [recipe, data],
        lambda: [gr.update(choices=parts.training.recipes()), gr.update(choices=parts.training.sets())],
    )

    def watch(folder: str) -> list[Any]:
        run = Path((folder or "").strip() or ".")
        seen = parts.training.look(run)
        pictures = [picture(_open(p), p.stem) for p in seen.strips[-3:][::-1]]
        return [
            notice(_line(command, seen.step), "good" if command.running or command.code == 0 else "quiet"),
            parts.training.loss_curve(seen),
            parts.training.level_curve(seen),
            "".join(pictures) or empty("samples from the same seeds, as the model grows"),
            parts.training.doctor_word(seen.findings),
            command.tail(),
            gr.update(active=command.running),
        ]

    outputs = [state, loss, levels, strip, word, log, timer]

    @told
    def start(*values: Any) -> list[Any]:
        name, source, folder, how_long, pixels, chosen, number = values
        plan = parts.training.Plan(
            name, source or "", folder or "", how_long or 0, int(pixels or 0) or None, chosen or "", int(number or 0)
        )
        command.start(plan.words())
        return [notice("starting", "good"), *[gr.update()] * 5, gr.update(active=True)]

    def finish() -> str:
        command.stop()
        return notice("stopping: it saves what it has")

    begin.click(start, [recipe, data, out, minutes, size, settings, seed], outputs, show_progress="hidden",
                api_visibility="private")  # fmt: skip
    end.click(finish, None, state, show_progress="hidden", queue=False, api_visibility="private")
    timer.tick(watch, out, outputs, show_progress="hidden", api_visibility="private")
    out.submit(watch, out, outputs, show_progress="hidden", api_visibility="private")


def _line(command: Command, step: int) -> str:
    if command.running:
        return f"step {step}, {command.seconds:.0f} s"
    if command.code is None:
        return f"a run of {step} steps lies here" if step else "a run that lies in the folder is gone on with"
    if command.code == 0:
        return f"done: {step} steps; the run is among the models now"
    return f"stopped after {step} steps" if command.code in (130, 143) else "it failed; see what it says"


def _open(path: Path) -> Any:
    from PIL import Image

    with Image.open(path) as file:
        return file.copy()
