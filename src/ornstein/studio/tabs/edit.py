"""Edit: restore and change a picture, with a brush where a task asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr
from PIL import Image, ImageChops

from ornstein.studio import parts
from ornstein.studio.html import bar, empty, notice
from ornstein.studio.tabs.base import Fields, Page, go, stop, told
from ornstein.studio.words import EDITS

if TYPE_CHECKING:
    from ornstein.serving import Job

NAME = "Edit"
CANVAS = 384
OPTIONS = ("scale", "blur", "quality", "margin", "noise", "strength", "method", "from_label")
BRUSHED = ("inpaint", "strokes")


def build(page: Page) -> None:
    """Lay it out."""
    studio = page.studio
    jobs: dict[str, Job] = {}
    with gr.Row():
        with gr.Column(scale=3, min_width=330):
            task = gr.Dropdown(list(EDITS), value="inpaint", label="Task", elem_id="o-task")
            hint = gr.HTML(notice(EDITS["inpaint"][0]))
            given = gr.Image(
                label="Picture", type="pil", image_mode=None, sources=["upload", "clipboard"], height=170, format="png",
                elem_id="o-given", elem_classes="o-pixels",
            )  # fmt: skip
            draw = gr.Button("Draw one with the model", size="sm")
            other = gr.Image(
                label="Second picture", type="pil", image_mode=None, sources=["upload", "clipboard"], height=170,
                format="png", visible=False, elem_classes="o-pixels",
            )  # fmt: skip
            options = _options()
            fields = Fields(page, ("label", "steps", "guidance", "n", "seed"), n=4, method=True)
            with gr.Row():
                begin, end = go("Edit"), stop()
        with gr.Column(scale=7, min_width=420):
            editor = gr.ImageEditor(
                label="Brush", type="pil", sources=[], canvas_size=(CANVAS, CANVAS), fixed_canvas=True, format="png",
                brush=gr.Brush(default_size=28, colors=["#ffffff", "#000000", "#c4572e", "#2f6fb0", "#3f8f5b"]),
                transforms=[], height=440, elem_id="o-editor",
            )  # fmt: skip
            progress = gr.HTML(empty("give a picture, and press Edit"), elem_id="o-edited")
            gallery = gr.Gallery(
                label="Results", show_label=False, columns=6, object_fit="contain", height="auto", format="png",
                interactive=False, elem_classes="o-gallery", elem_id="o-edits",
            )  # fmt: skip
    page.fill([options["method"]], lambda: [gr.update(choices=parts.editing.methods())])
    page.follow([options["from_label"]], lambda facts: [gr.update(choices=list(facts.labels), value=None)])

    def change_task(name: str) -> list[Any]:
        about, reads = EDITS[name]
        shown = [gr.update(visible=option in reads) for option in OPTIONS]
        return [notice(about), gr.update(visible=name in BRUSHED), gr.update(visible="other" in reads), *shown]

    chosen = [hint, editor, other, *(options[name] for name in OPTIONS)]
    task.change(change_task, task, chosen, show_progress="hidden", api_visibility="private")
    given.change(_canvas, given, editor, show_progress="hidden", api_visibility="private")

    @told
    def sample(model: str, label: str | None) -> Image.Image:
        return parts.editing.drawn(studio, model, label)

    draw.click(sample, [page.model, fields.parts["label"]], given, show_progress="hidden", api_visibility="private")

    @told
    def run(
        request: gr.Request, model: str, name: str, image: Image.Image | None, second: Image.Image | None, brush: Any,
        *values: Any,
    ) -> Iterator[list[Any]]:  # fmt: skip
        chosen = dict(zip(OPTIONS, values, strict=False))
        asked = fields.asked(model, values[len(OPTIONS) :])
        picture = brush["composite"] if name == "strokes" and brush and brush.get("composite") else image
        job, told_of = parts.editing.edit(studio, parts.editing.Edit(
            model, name, picture, brushed(brush) if name == "inpaint" else None, second, label=asked.label,
            n=asked.n, steps=asked.steps or None, guidance=asked.guidance if asked.guidance != 1 else None, seed=asked.seed,
            **chosen,
        ))  # fmt: skip
        session = str(request.session_hash)
        jobs[session] = job
        yield [bar(0, 1, "waiting"), gr.update()]
        from ornstein.serving.errors import JobCancelled

        try:
            for moment in parts.generating.follow(job):
                if moment.samples is None:
                    yield [bar(moment.step, moment.steps, moment.line), gr.update()]
                    continue
                paths = moment.samples.save(studio.folder / job.id[:12])
                given_too = parts.editing.given(told_of)
                yield [notice(moment.line, "good") + given_too, [(str(p), p.stem) for p in paths]]
        except JobCancelled:
            yield [notice("stopped"), gr.update()]
        finally:
            job.cancel()

    def cancel(request: gr.Request) -> None:
        job = jobs.get(str(request.session_hash))
        if job is not None:
            job.cancel()

    begin.click(
        run, [page.model, task, given, other, editor, *(options[name] for name in OPTIONS), *fields.components],
        [progress, gallery], show_progress="hidden", concurrency_limit=4, api_visibility="private",
    )  # fmt: skip
    end.click(cancel, None, None, show_progress="hidden", queue=False, api_visibility="private")


def _options() -> dict[str, Any]:
    reads = EDITS["inpaint"][1]
    return {
        "scale": gr.Slider(2, 8, value=4, step=1, label="Times smaller", visible="scale" in reads),
        "blur": gr.Slider(0.2, 4, value=1, step=0.1, label="Width of the blur, pixels", visible="blur" in reads),
        "quality": gr.Slider(1, 95, value=20, step=1, label="Quality of the JPEG", visible="quality" in reads),
        "margin": gr.Slider(
            0.05, 0.45, value=0.25, step=0.05, label="Margin, share of the side", visible="margin" in reads
        ),
        "noise": gr.Slider(0, 0.95, value=0, step=0.01, label="Noise of the picture", visible="noise" in reads),
        "strength": gr.Slider(0.05, 1, value=0.5, step=0.05, label="Strength", visible="strength" in reads),
        "method": gr.Dropdown(["auto"], value="auto", label="Method", visible="method" in reads),
        "from_label": gr.Dropdown([], label="What it shows now", visible="from_label" in reads),
    }


def _canvas(image: Image.Image | None) -> Any:
    """The picture, large enough to be brushed over."""
    if image is None:
        return None
    side = CANVAS / max(image.size)
    size = max(round(image.width * side), 1), max(round(image.height * side), 1)
    large = image.convert("RGB").resize(size, Image.Resampling.NEAREST if side > 1 else Image.Resampling.LANCZOS)
    return {"background": large, "layers": [], "composite": large}


def brushed(value: Any) -> Image.Image | None:
    """Everything that was brushed, on all layers."""
    cover: Image.Image | None = None
    for layer in (value or {}).get("layers") or ():
        alpha = layer.convert("RGBA").getchannel("A")
        cover = alpha if cover is None else ImageChops.lighter(cover, alpha)
    return cover
