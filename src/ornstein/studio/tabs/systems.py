"""Systems: the catalogue, with every claim and what was measured of it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ornstein.studio.html import empty, notice
from ornstein.studio.parts.catalogue import detail, entries, find, listing
from ornstein.studio.tabs.base import Page

NAME = "Systems"


def build(page: Page) -> None:
    """Lay it out."""
    all_ = entries()
    areas = ["all", *sorted({e.card.area for e in all_})]
    with gr.Row(elem_classes="o-row"):
        words = gr.Textbox(label="Find", placeholder="a word of name, title or claim", scale=3, elem_id="o-find")
        area = gr.Dropdown(areas, value="all", label="Area", scale=1)
        one = gr.Dropdown([e.card.name for e in all_], value=None, label="Open", scale=2, elem_id="o-open")
    count = gr.HTML(notice(_count(len(all_), len(all_))))
    opened = gr.HTML(empty("open a system for its equations and all its figures"), elem_id="o-detail")
    table = gr.HTML(listing(all_), elem_id="o-listing", elem_classes="o-tall")

    def search(text: str, where: str) -> list[Any]:
        found = find(all_, text or "", where)
        return [notice(_count(len(found), len(all_))), listing(found), gr.update(choices=[e.card.name for e in found])]

    for event in (words.input, area.input):
        event(search, [words, area], [count, table, one], show_progress="hidden", trigger_mode="always_last",
              api_visibility="private")  # fmt: skip
    by_name = {e.card.name: e for e in all_}
    one.change(
        lambda name: detail(by_name[name]) if name in by_name else empty("open a system for its equations and all its figures"),
        one, opened, show_progress="hidden", api_visibility="private",
    )  # fmt: skip


def _count(found: int, total: int) -> str:
    return f"{total} systems" if found == total else f"{found} of {total} systems"
