"""Generate: draw samples and watch them become; restore the settings of a picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from ornstein.core.errors import OrnsteinError
from ornstein.studio import parts
from ornstein.studio.html import bar, empty, facts, notice
from ornstein.studio.tabs.base import Fields, Page, go, stop, told

if TYPE_CHECKING:
    from ornstein.serving import Job

NAME = "Generate"
KEPT = 120
"""Pictures that stay in the gallery."""
FIELDS = ("label", "prompt", "negative", "sampler", "grid", "steps", "guidance", "n", "seed")

Kept = list[tuple[str, str]]


def build(page: Page) -> None:
    """Lay it out."""
    studio = page.studio
    jobs: dict[str, Job] = {}
    kept = gr.State([])
    used = gr.State(0)
    with gr.Row():
        with gr.Column(scale=3, min_width=330):
            fields = Fields(page, FIELDS)
            reuse = gr.Button("Use the last seed again", size="sm")
            with gr.Row():
                begin, end = go("Generate"), stop()
            gr.HTML(notice("A picture dropped here brings its settings back:"))
            dropped = gr.File(
                show_label=False, file_types=[".png"], height=118, elem_id="o-dropped", elem_classes="o-drop"
            )
            told_of = gr.HTML("")
        with gr.Column(scale=7, min_width=420):
            progress = gr.HTML(empty("choose, and press Generate (Ctrl+Enter)"), elem_id="o-progress")
            live = gr.HTML("", elem_id="o-live")
            gallery = gr.Gallery(
                label="Pictures, newest first", show_label=False, columns=8, object_fit="contain", height="auto", format="png",
                elem_id="o-gallery", elem_classes="o-gallery", interactive=False,
            )  # fmt: skip
            drawn = gr.HTML("", elem_id="o-drawn")
            about = gr.HTML("")
            restore = gr.Button("Restore the settings of this picture", size="sm", visible=False)
            chosen = gr.State("")

    @told
    def run(request: gr.Request, old: Kept, model: str, *values: Any) -> Iterator[list[Any]]:
        from ornstein.serving.errors import JobCancelled
        from ornstein.studio.views.table import view_of

        asked = fields.asked(model, values)
        session = str(request.session_hash)
        job, moments = parts.generating.generate(studio, asked)
        jobs[session] = job
        view = view_of(studio.system(asked.model))
        yield [bar(0, 1, "waiting"), "", gr.update(), "", old, asked.seed]
        try:
            for moment in moments:
                if moment.samples is None:
                    looks = gr.update() if moment.preview is None else _limited(view.preview(moment.preview))
                    yield [
                        bar(moment.step, moment.steps, moment.line),
                        looks,
                        gr.update(),
                        gr.update(),
                        old,
                        asked.seed,
                    ]
                    continue
                shown = view.show(moment.samples, studio.folder / f"{job.id[:12]}")
                new: Kept = [(str(path), caption) for path, caption in shown.gallery]
                all_ = [*new, *old][:KEPT]
                pictures = gr.update(value=all_, visible=bool(all_))
                yield [notice(moment.line, "good"), "", pictures, shown.html, all_, asked.seed]
        except JobCancelled:
            yield [notice("stopped"), "", gr.update(), gr.update(), old, asked.seed]
        finally:
            job.cancel()
            if jobs.get(session) is job:
                del jobs[session]

    def cancel(request: gr.Request) -> None:
        job = jobs.get(str(request.session_hash))
        if job is not None:
            job.cancel()

    outputs = [progress, live, gallery, drawn, kept, used]
    begin.click(
        run,
        [kept, page.model, *fields.components],
        outputs,
        show_progress="hidden",
        concurrency_limit=8,
        api_name="generate",
    )
    end.click(cancel, None, None, show_progress="hidden", queue=False, api_visibility="private")
    reuse.click(lambda seed: seed, used, fields.parts["seed"], show_progress="hidden", api_visibility="private")

    def select(event: gr.SelectData, all_: Kept) -> list[Any]:
        path = all_[event.index][0]
        return [described(Path(path)), path, gr.update(visible=True)]

    gallery.select(select, kept, [about, chosen, restore], show_progress="hidden", api_visibility="private")

    def put_back(path: Any, model: str, *values: Any) -> list[Any]:
        if not path:
            return [gr.skip()] * (2 + len(values))
        asked, notes = parts.settings.restored(studio, parts.settings.read(path), fields.asked(model, values))
        said = notice("; ".join(notes), "warning") if notes else notice("settings restored", "good")
        return [asked.model, said, *fields.shown(asked, parts.models.facts_of(studio.system(asked.model)))]

    back = [page.model, told_of, *fields.components]
    for trigger, source in ((dropped.upload, dropped), (restore.click, chosen)):
        event = trigger(
            told(put_back),
            [source, page.model, *fields.components],
            back,
            show_progress="hidden",
            api_visibility="private",
        )
        page.changes.append((event, fields.components))


def described(path: Path) -> str:
    """What a picture says of itself."""
    try:
        values = parts.settings.read(path)
    except OrnsteinError as e:
        return notice(str(e), "warning")
    wanted = ("recipe", "label", "prompt", "seed", "sampler", "grid", "steps", "guidance", "software")
    weights = str((values.get("weights") or {}).get("hash", ""))[:16] or None
    return facts({**{name: values.get(name) for name in wanted}, "weights": weights, "file": path.name})


def _limited(html: str) -> str:
    return f"<div style='max-width:560px'>{html}</div>"
