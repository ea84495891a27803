"""From what a user gives as data to the data set of a recipe: one reader for each kind of data, chosen by a recipe's area."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import torch

from ornstein.core.errors import DataError, UsageError
from ornstein.data import Images, open_data
from ornstein.recipes.captions import CONDITION, Book, embed
from ornstein.recipes.registry import Card


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is known before the data are read."""

    card: Card
    data: Any
    config: Any
    """the recipe's config by ``given`` alone"""
    given: Mapping[str, Any] = field(default_factory=dict)
    """fields of the config that somebody set"""
    former: Any = None
    """the config of the run that is resumed, or of the model that training begins with"""
    run: Path | None = None
    """the folder of the run that is resumed"""
    size: int | None = None
    captions: str | None = None
    strict: bool = False

    def wish(self, name: str) -> int | None:
        """What the data are to be brought to: what was asked for, else what the former run had, else as they are."""
        return getattr(self.config, name) if name in self.given else getattr(self.former, name, None)


@dataclass(frozen=True, kw_only=True)
class Found:
    """The data, what a config takes from them, and their captions where there are any."""

    dataset: Any
    settings: Mapping[str, Any]
    captions: Book | None = None


class Reader(Protocol):
    """Reads one kind of data."""

    def read(self, request: Request) -> Found:
        """Open the data.

        Raises:
            DataError, UsageError: which file, row or option, and the remedy.
        """

    def settings(self, request: Request) -> Mapping[str, Any]:
        """What a config takes from the data, where nothing is to be trained on them."""

    def training(self, config: Any, dataset: Any) -> Any:
        """What training draws its batches from, now that the config is known."""


READERS = {"series": "ornstein.recipes.series.data:SeriesReader"}
"""By area. All others read images."""


def reader(card: Card) -> Reader:
    """The reader of a recipe's data."""
    if card.area not in READERS:
        return ImageReader()
    module, name = READERS[card.area].split(":")
    made: Reader = getattr(import_module(module), name)()
    return made


class ImageReader:
    """Folders, archives, arrays and named sets of images."""

    def read(self, request: Request) -> Found:
        size = request.size if request.size is not None else request.wish("size")
        images = open_data(request.data, size=size, channels=request.wish("channels"), strict=request.strict)
        book = Book.read(request.run) if request.run is not None else None
        if book is not None or request.captions is not None:
            if "caption_width" not in {f.name for f in dataclasses.fields(request.card.config)}:
                raise UsageError(f"recipe '{request.card.name}' takes no captions; leave captions out")
            images, book = embed(images, request.captions or (book.encoder if book is not None else ""), book)
        return Found(dataset=images, settings=data_settings(images), captions=book)

    def settings(self, request: Request) -> Mapping[str, Any]:
        return data_settings(open_data(request.data, size=request.size))

    def training(self, config: Any, dataset: Images) -> Images:
        return dataset


def data_settings(images: Images) -> dict[str, Any]:
    """What a config takes from images: size, channels, classes, and the standard deviation in [-1, 1]."""
    channels, height, width = images.shape
    if height != width:
        raise UsageError(f"images are {height} x {width}; recipes take square ones: pass size")
    part = torch.from_numpy(images.x[:: max(len(images) // 2000, 1)].copy()).float() / 127.5 - 1
    if part.std() < 1e-3:
        raise DataError(
            f"all pixels of '{images.name}' have nearly one value; there is nothing to learn: check the images"
        )
    return {
        "size": height,
        "channels": channels,
        "classes": tuple(images.classes),
        "data_std": max(round(float(part.std()), 3), 0.001),
        "caption_width": int(images.conds[CONDITION].shape[1]) if CONDITION in images.conds else 0,
    }
