"""Recipes: published systems, one file each, that train, sample and are measured.

The module is callable, so that the promise ``ornstein.recipes()`` holds beside ``ornstein.recipes.registry``: it lists every
recipe's card.
"""

import sys
from types import ModuleType


class _Recipes(ModuleType):
    def __call__(self) -> list:  # of Card, which would import PyTorch here
        """Every recipe: name, area, paper, claim."""
        from ornstein.recipes.house import recipes

        return recipes()


sys.modules[__name__].__class__ = _Recipes
