"""The page: the model at the top, the tabs below."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gradio as gr

from ornstein.studio import parts
from ornstein.studio.core import Studio
from ornstein.studio.html import notice
from ornstein.studio.parts.running import Command
from ornstein.studio.tabs import compare, edit, evaluate, explain, generate, series, systems, train, trajectory
from ornstein.studio.tabs.base import Page, told

if TYPE_CHECKING:
    from ornstein.studio.parts.models import Facts


def build(studio: Studio) -> gr.Blocks:
    """The whole page, ready to be mounted."""
    training = Command(studio.folder / "training.txt", studio.program)
    measuring = Command(studio.folder / "evaluation.txt", studio.program)
    studio.closers += [training.close, measuring.close]
    tabs: tuple[tuple[str, Callable[[Page], None]], ...] = (
        (generate.NAME, generate.build),
        (edit.NAME, edit.build),
        (compare.NAME, compare.build),
        (trajectory.NAME, trajectory.build),
        (explain.NAME, explain.build),
        (train.NAME, lambda page: train.build(page, training)),
        (evaluate.NAME, lambda page: evaluate.build(page, measuring)),
        (series.NAME, series.build),
        (systems.NAME, systems.build),
    )
    names = studio.models
    with gr.Blocks(title="Ornstein studio", analytics_enabled=False, fill_width=True) as page_:
        with gr.Row(elem_id="o-head"):
            gr.HTML(
                "<div id='o-title'><h1>Ornstein studio</h1><p>Ctrl+Enter runs, Esc stops, Alt+1 to Alt+9 open a tab</p></div>",
                min_width=260,
            )
            model = gr.Dropdown(
                names, value=names[0] if names else None, label="Model: a bundled one, a run, or a folder's path",
                allow_custom_value=True, scale=3, elem_id="o-model",
            )  # fmt: skip
            shade = gr.Button("Light / dark", size="sm", elem_id="o-theme")
        about = gr.HTML("", elem_classes="o-about", elem_id="o-about")
        page = Page(studio, model)
        with gr.Tabs(elem_id="o-tabs"):
            for name, lay_out in tabs:
                with gr.Tab(name, id=name.lower(), elem_id=f"o-tab-{name.lower()}"):
                    lay_out(page)
        shade.click(None, None, None, js="() => window.ornsteinTheme()", api_visibility="private")
        _wire(page_, page, about)
    return page_


def _wire(page_: gr.Blocks, page: Page, about: Any) -> None:
    """What follows the model follows it when the page opens, when another is chosen, and when a picture brings one."""
    studio = page.studio

    def updates(name: str, followers: list[tuple[list[Any], Callable[[Facts], list[Any]]]]) -> list[Any]:
        if not name:
            return [notice("choose a model")] + [gr.update()] * sum(len(c) for c, _ in followers)
        facts = parts.models.facts_of(studio.system(name))
        return [facts.line, *(update for _, make in followers for update in make(facts))]

    def outputs(followers: list[tuple[list[Any], Any]]) -> list[Any]:
        return [about, *(c for components, _ in followers for c in components)]

    everyone = page.followers

    @told
    def chosen(name: str) -> list[Any]:
        return updates(name, everyone)

    for event in (page.model.input, page_.load):
        event(chosen, page.model, outputs(everyone), show_progress="hidden", api_visibility="private")
    page_.load(
        lambda: gr.update(choices=studio.models), None, page.model, show_progress="hidden", api_visibility="private"
    )
    page.model.focus(
        lambda: gr.update(choices=studio.models), None, page.model, show_progress="hidden", api_visibility="private"
    )
    page_.load(
        lambda: [update for _, make in page.later for update in make()], None,
        [c for components, _ in page.later for c in components], show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    for event, done in page.changes:
        others = [f for f in everyone if not any(c is d for c in f[0] for d in done)]

        @told
        def brought(name: str, others: Any = others) -> list[Any]:
            return updates(name, others)

        event.then(brought, page.model, outputs(others), show_progress="hidden", api_visibility="private")
