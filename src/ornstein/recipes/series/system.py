"""A System of series: it fills gaps and forecasts beside drawing series."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ornstein.recipes.system import System

if TYPE_CHECKING:
    from ornstein.recipes.series.filled import Filled


@dataclass
class SeriesSystem(System):
    """Draws windows ``[n, K, L]`` in the data's unit; :meth:`impute` and :meth:`forecast` take records of any length."""

    fills_no_gaps: str = ""
    """why this system fills no gaps, where it does not"""

    def impute(
        self,
        data: Any,
        *,
        n: int = 100,
        steps: int | None = None,
        seed: int = 0,
        sampler: str | None = None,
        batch: int | None = None,
        fast: bool = True,
        on_step: Callable[[float], None] | None = None,
    ) -> Filled:
        """Draw every missing value of a table ``n`` times, given all that was observed around it.

        Args:
            data: a pandas frame, a ``.csv`` file, or a table of :mod:`ornstein.data.series`, with the model's columns.
            n: draws of each missing value.
            steps, sampler: as in :meth:`System.sample`.
            seed: draw j of window w depends on seed + w n + j.
            batch: windows that are drawn at once (default: as many as suit the device); changes no result but for rounding, where
                ``fast``.
            fast: bfloat16 network calls.
            on_step: told how far it is, in [0, 1].

        Raises:
            DataError: other columns or another distance of time stamps than the model's, unusable data.
        """
        from ornstein.recipes.series.fill import Draws, impute

        draws = Draws(n=n, steps=steps, seed=seed, sampler=sampler, batch=batch, fast=fast, on_step=on_step)
        return impute(self, data, draws)

    def forecast(
        self,
        data: Any,
        *,
        n: int = 100,
        steps: int | None = None,
        seed: int = 0,
        sampler: str | None = None,
        batch: int | None = None,
        fast: bool = True,
        on_step: Callable[[float], None] | None = None,
    ) -> Filled:
        """Draw the ``horizon`` steps after the end of each series ``n`` times; the arguments are those of :meth:`impute`."""
        from ornstein.recipes.series.fill import Draws, forecast

        draws = Draws(n=n, steps=steps, seed=seed, sampler=sampler, batch=batch, fast=fast, on_step=on_step)
        return forecast(self, data, draws)
