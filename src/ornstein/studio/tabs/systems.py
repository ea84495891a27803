"""Systems: the catalogue, with every claim and what was measured of it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from ornstein.studio import parts
from ornstein.studio.html import empty, notice
from ornstein.studio.tabs.base import Page

NAME = "Systems"
ALL = "all"
ASK = "open a system for its equations and all its figures"


def build(page: Page) -> None:
    """Lay it out; the catalogue comes once the page is there."""
    with gr.Row(elem_classes="o-row"):
        words = gr.Textbox(label="Find", placeholder="a word of name, title or claim", scale=3, elem_id="o-find")
        area = gr.Dropdown([ALL], value=ALL, label="Area", scale=1)
        one = gr.Dropdown([], value=None, label="Open", scale=2, elem_id="o-open")
    count = gr.HTML(notice("reading the catalogue"))
    opened = gr.HTML(empty(ASK), elem_id="o-detail")
    table = gr.HTML("", elem_id="o-listing", elem_classes="o-tall")

    def search(text: str, where: str) -> list[Any]:
        known = parts.catalogue.entries()
        found = parts.catalogue.find(known, text or "", where)
        names = gr.update(choices=[e.card.name for e in found])
        return [notice(_count(len(found), len(known))), parts.catalogue.listing(found), names]

    def first() -> list[Any]:
        areas = sorted({e.card.area for e in parts.catalogue.entries()})
        return [gr.update(choices=[ALL, *areas]), *search("", ALL)]

    def detail(name: str | None) -> str:
        found = [e for e in parts.catalogue.entries() if e.card.name == name]
        return parts.catalogue.detail(found[0]) if found else empty(ASK)

    page.fill([area, count, table, one], first)
    for event in (words.input, area.input):
        event(search, [words, area], [count, table, one], show_progress="hidden", trigger_mode="always_last",
              api_visibility="private")  # fmt: skip
    one.change(detail, one, opened, show_progress="hidden", api_visibility="private")


def _count(found: int, total: int) -> str:
    return f"{total} systems" if found == total else f"{found} of {total} systems"
