"""Recipes by name. A recipe is a function from one frozen dataclass to a System; only recipes know papers' systems."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeVar

from ornstein.core.errors import UsageError, suggest, unknown

MODULES = (
    "ornstein.recipes.guidance.autoguidance",
    "ornstein.recipes.guidance.classifier_free",
    "ornstein.recipes.guidance.classifier_guidance",
    "ornstein.recipes.guidance.dag",
    "ornstein.recipes.guidance.low_density",
    "ornstein.recipes.images.adversarial_score_matching",
    "ornstein.recipes.images.analog_bits",
    "ornstein.recipes.images.analytic_dpm",
    "ornstein.recipes.images.baseline_flow",
    "ornstein.recipes.images.baseline_gan",
    "ornstein.recipes.images.baseline_vae",
    "ornstein.recipes.images.blur_diffusion",
    "ornstein.recipes.images.cld",
    "ornstein.recipes.images.consistency_improved",
    "ornstein.recipes.images.consistency_models",
    "ornstein.recipes.images.d3pm",
    "ornstein.recipes.images.ddim",
    "ornstein.recipes.images.ddpm",
    "ornstein.recipes.images.deis",
    "ornstein.recipes.images.dit",
    "ornstein.recipes.images.dpm_solver",
    "ornstein.recipes.images.edm",
    "ornstein.recipes.images.edm2",
    "ornstein.recipes.images.extended_analytic_dpm",
    "ornstein.recipes.images.first_hitting_diffusion",
    "ornstein.recipes.images.flexible_diffusion",
    "ornstein.recipes.images.flow_matching",
    "ornstein.recipes.images.fsdm",
    "ornstein.recipes.images.gotta_go_fast",
    "ornstein.recipes.images.heavy_tailed_dsm",
    "ornstein.recipes.images.hmc_correction",
    "ornstein.recipes.images.imagebart",
    "ornstein.recipes.images.improved_ddpm",
    "ornstein.recipes.images.latent_diffusion",
    "ornstein.recipes.images.likelihood_weighting",
    "ornstein.recipes.images.loss_weighting",
    "ornstein.recipes.images.meanflow",
    "ornstein.recipes.images.ncsn",
    "ornstein.recipes.images.ncsnv2",
    "ornstein.recipes.images.non_uniform_diffusion",
    "ornstein.recipes.images.pds",
    "ornstein.recipes.images.pndm",
    "ornstein.recipes.images.progressive_distillation",
    "ornstein.recipes.images.rectified_flow",
    "ornstein.recipes.images.score_sde",
    "ornstein.recipes.images.shortcut",
    "ornstein.recipes.images.sohl_dickstein",
    "ornstein.recipes.images.unipc",
    "ornstein.recipes.images.vdm",
    "ornstein.recipes.images.zero_terminal_snr",
    "ornstein.recipes.perception.diffusion_inst",
    "ornstein.recipes.restoration.ccdf",
    "ornstein.recipes.restoration.cdm",
    "ornstein.recipes.restoration.ddrm",
    "ornstein.recipes.restoration.diss",
    "ornstein.recipes.restoration.dps",
    "ornstein.recipes.restoration.gdmp",
    "ornstein.recipes.restoration.generative_colorization",
    "ornstein.recipes.restoration.palette",
    "ornstein.recipes.restoration.pigdm",
    "ornstein.recipes.restoration.repaint",
    "ornstein.recipes.restoration.sdedit",
    "ornstein.recipes.restoration.semantic_diffusion_model",
    "ornstein.recipes.restoration.sr3",
    "ornstein.recipes.restoration.srdiff",
    "ornstein.recipes.restoration.unit_ddpm",
    "ornstein.recipes.series.csdi",
    "ornstein.recipes.series.generator",
    "ornstein.recipes.series.sssd",
    "ornstein.recipes.series.timegrad",
)
"""Every module that registers a recipe: one line per system."""


Builder = TypeVar("Builder", bound=Callable[..., Any])


@dataclass(frozen=True)
class Card:
    """What is known of a recipe without building it."""

    name: str
    area: str
    title: str
    paper: str
    claim: str
    equations: str
    config: type
    build: Callable[[Any], Any]
    bibtex: str
    teachers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """recipes whose finished models can teach this one (the same network and process, as first weights and as the teacher in
    ``extra["teacher"]``), and what its config says then"""


_CARDS: dict[str, Card] = {}


def recipe(
    name: str,
    *,
    area: str,
    title: str,
    paper: str,
    claim: str,
    equations: str,
    bibtex: str,
    teachers: Mapping[str, Mapping[str, Any]] | None = None,
) -> Callable[[Builder], Builder]:
    """Register a function ``config -> System`` under a name; its config class is read from the annotation."""

    def register(function: Builder) -> Builder:
        hints = typing.get_type_hints(function)
        config = next(h for k, h in hints.items() if k != "return")
        if name in _CARDS:
            raise ValueError(f"recipe '{name}' is registered twice")
        _CARDS[name] = Card(name, area, title, paper, claim, equations, config, function, bibtex, teachers or {})
        return function

    return register


def cards() -> dict[str, Card]:
    """All recipes by name."""
    for module in MODULES:
        import_module(module)
    return dict(_CARDS)


def card(name: str) -> Card:
    """One recipe; an unknown name suggests the nearest.

    A recipe mostly lies in the module of its name: then no other needs to be read, which takes half a second for all.
    """
    if name not in _CARDS:
        for module in MODULES:
            if module.rpartition(".")[2] == name.replace("-", "_"):
                import_module(module)
    if name in _CARDS:
        return _CARDS[name]
    known = cards()
    if name not in known:
        raise unknown("recipe", name, known)
    return known[name]


def make_config(config: type, settings: Mapping[str, Any]) -> Any:
    """A config with some fields set; values may be strings (from the command line or JSON), read by the field's type.

    Raises:
        UsageError: an unknown field (the nearest is named) or a value that is not of the field's type.
    """
    hints = typing.get_type_hints(config)
    fields = {f.name for f in dataclasses.fields(config)}
    values: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in fields:
            raise UsageError(f"{config.__name__} has no field '{name}': {suggest(name, fields)}")
        values[name] = _convert(name, value, hints[name])
    return config(**values)


def _convert(name: str, value: Any, hint: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        if value not in args:
            raise UsageError(f"{name} must be one of {', '.join(map(repr, args))}, got {value!r}")
        return value
    if args and type(None) in args:
        if value is None or value == "none":
            return None
        return _convert(name, value, next(a for a in args if a is not type(None)))
    if origin is tuple:
        if not isinstance(value, str | list | tuple):
            raise UsageError(f"{name} must be a list of values (a comma between them), got {value!r}")
        items = value.split(",") if isinstance(value, str) else list(value)
        items = [i for i in items if i != ""]
        kinds = [args[0]] * len(items) if args[-1] is Ellipsis else list(args)
        if len(kinds) != len(items):
            raise UsageError(f"{name} needs {len(kinds)} values, got {len(items)}")
        return tuple(_convert(name, i, k) for i, k in zip(items, kinds, strict=True))
    if hint is bool:
        table = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if isinstance(value, bool):
            return value
        if str(value).lower() in table:
            return table[str(value).lower()]
        raise UsageError(f"{name} must be true or false, got {value!r}")
    try:
        # int(2.5) and int(True) would pass and mean something else.
        cut = hint is int and isinstance(value, float) and value % 1 != 0
        if cut or (hint in (int, float) and isinstance(value, bool)):
            raise ValueError
        return hint(value)
    except (TypeError, ValueError) as e:
        raise UsageError(f"{name} must be of type {hint.__name__}, got {value!r}") from e
