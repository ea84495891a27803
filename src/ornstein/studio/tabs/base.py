"""What tabs are made of: the fields that ask for samples, and errors that are told where they happen."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gradio as gr

from ornstein.core.errors import OrnsteinError
from ornstein.studio import parts
from ornstein.studio.core import Studio
from ornstein.studio.words import IN_TURN, MOST, OWN

if TYPE_CHECKING:
    from ornstein.studio.parts.generating import Asked
    from ornstein.studio.parts.models import Facts


@dataclass
class Page:
    """The page that tabs are put on: the model that was chosen, and what must follow when another is."""

    studio: Studio
    model: Any
    """the dropdown at the top"""
    followers: list[tuple[list[Any], Callable[[Facts], list[Any]]]] = field(default_factory=list)
    changes: list[tuple[Any, list[Any]]] = field(default_factory=list)
    """events that have put another model on the page, with the components that they have updated themselves"""
    later: list[tuple[list[Any], Callable[[], list[Any]]]] = field(default_factory=list)

    def follow(self, components: list[Any], updates: Callable[[Facts], list[Any]]) -> None:
        """Have components updated when the model changes."""
        self.followers.append((components, updates))

    def fill(self, components: list[Any], updates: Callable[[], list[Any]]) -> None:
        """Have components filled once the page is there: with what cannot be known without reading PyTorch."""
        self.later.append((components, updates))


def told(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a user can mend is said on the page; anything else is a defect and is raised."""
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def stream(*values: Any) -> Any:
            try:
                yield from function(*values)
            except OrnsteinError as e:
                raise gr.Error(str(e), title="This cannot be done", print_exception=False) from e

        return stream

    @functools.wraps(function)
    def once(*values: Any) -> Any:
        try:
            return function(*values)
        except OrnsteinError as e:
            raise gr.Error(str(e), title="This cannot be done", print_exception=False) from e

    return once


class Fields:
    """The fields of a request, those that a tab wants; they follow the model.

    ``method``: what is asked for is a method of its own that has its steps, so that 0 stands for them, and no guidance.
    """

    def __init__(self, page: Page, names: Sequence[str], n: int = 8, method: bool = False):
        self.method = method
        self.names = [name for name in _ORDER if name in names]
        self.parts: dict[str, Any] = {}
        made = {
            "label": lambda: gr.Dropdown([IN_TURN], value=IN_TURN, label="Label"),
            "prompt": lambda: gr.Textbox(label="Prompt", lines=2, visible=False),
            "negative": lambda: gr.Textbox(label="Negative prompt", lines=1, visible=False),
            "sampler": lambda: gr.Dropdown([OWN], value=OWN, label="Sampler"),
            "grid": lambda: gr.Dropdown([OWN], value=OWN, label="Grid of times"),
            "steps": lambda: _slider(
                *((0, 250, 0, 1, "Steps (0: the method's own)") if method else (1, 250, 18, 1, "Steps"))
            ),
            "guidance": lambda: _slider(0, 12, 1, 0.1, "Guidance"),
            "n": lambda: _slider(1, MOST, n, 1, "Samples", "o-samples"),
        }
        with gr.Group(elem_classes="o-fields"):
            for pair in (
                ("label",),
                ("prompt",),
                ("negative",),
                ("sampler", "grid"),
                ("steps",),
                ("guidance",),
                ("n",),
            ):
                there = [name for name in pair if name in self.names]
                if len(there) == 1:
                    self.parts[there[0]] = made[there[0]]()
                elif there:
                    with gr.Row():
                        self.parts |= {name: made[name]() for name in there}
            if "seed" in self.names:
                with gr.Row(elem_classes="o-seed"):
                    self.parts["seed"] = gr.Number(
                        value=0, precision=0, minimum=0, label="Seed", min_width=110, scale=3
                    )
                    self.dice = gr.Button("Dice", size="sm", elem_classes="o-dice o-small", scale=1, min_width=64)
        if "seed" in self.names:
            self.dice.click(
                lambda: parts.generating.dice(),
                None,
                self.parts["seed"],
                show_progress="hidden",
                api_visibility="private",
            )
        page.follow(self.components, self._updates)

    @property
    def components(self) -> list[Any]:
        """In the order in which :meth:`asked` takes their values."""
        return [self.parts[name] for name in self.names]

    def asked(self, model: str, values: Sequence[Any]) -> Asked:
        """The request that the page's values make."""
        return parts.generating.Asked(model or "", **dict(zip(self.names, values, strict=True)))

    def shown(self, asked: Asked, facts: Facts) -> list[Any]:
        """Updates that put a request on the page, under its model."""
        return [
            {**update, "value": getattr(asked, name)}
            for name, update in zip(self.names, self._updates(facts), strict=True)
        ]

    def _updates(self, facts: Facts) -> list[Any]:
        labels = facts.choices[1:] if self.method else facts.choices
        own = {
            "label": gr.update(choices=labels, value=labels[0] if labels else None, visible=bool(labels)),
            "prompt": gr.update(visible=facts.prompts),
            "negative": gr.update(visible=facts.prompts),
            "sampler": gr.update(choices=list(facts.samplers), value=OWN, visible=not facts.one_shot),
            "grid": gr.update(choices=list(facts.grids), value=OWN, visible=not facts.one_shot),
            "steps": gr.update(value=0 if self.method else min(facts.steps, 250), visible=not facts.one_shot),
            "guidance": gr.update(value=1 if self.method else facts.guidance, visible=facts.steers),
            "n": gr.update(),
            "seed": gr.update(),
        }
        return [own[name] for name in self.names]


def _slider(least: float, most: float, value: float, step: float, label: str, kind: str = "") -> gr.Slider:
    return gr.Slider(least, most, value=value, step=step, label=label, buttons=[], min_width=120, elem_classes=kind)


_ORDER = ("label", "prompt", "negative", "sampler", "grid", "steps", "guidance", "n", "seed")


def go(text: str) -> gr.Button:
    """The button that a tab is for; Ctrl+Enter presses it."""
    return gr.Button(text, variant="primary", elem_classes="o-go")


def stop() -> gr.Button:
    """The button that ends it; Escape presses it."""
    return gr.Button("Stop", elem_classes="o-stop")
