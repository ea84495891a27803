"""Time stamps: texts to seconds and back, and what the calendar says of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import final

import numpy as np

from ornstein.core.errors import DataError

DAY, YEAR = 86_400.0, 365.2425 * 86_400.0
CALENDAR: dict[str, float] = {"hour": DAY, "weekday": 7 * DAY, "yearday": YEAR}
"""Calendar features and their periods in seconds: each is the sine and the cosine of the place in its period."""

_MONDAY = 4 * DAY  # 1970-01-01 was a Thursday; the fifth of January a Monday
_EPOCH = datetime(1970, 1, 1)


@final
@dataclass(frozen=True)
class Stamps:
    """``seconds [T]`` float64; whether they are points in time; the offset from UTC that they were all written with."""

    seconds: np.ndarray
    calendar: bool
    zone: str = ""


def parse_stamps(texts: Sequence[str], where: Sequence[str]) -> Stamps:
    """Numbers, or ISO dates with or without a time and an offset from UTC (``2014-01-31 07:00``, ``2014/01/31``).

    The clock on the wall is kept: an offset shifts nothing, it is only remembered. ``where`` says of each text where it stood.

    Raises:
        DataError: a text that is no stamp, an empty one, numbers among dates, different offsets.
    """
    for text, place in zip(texts, where, strict=True):
        if not text.strip():
            raise DataError(f"{place}: there is no time stamp; give every row one")
    numbers = _numbers(texts)
    if numbers is not None:
        return Stamps(numbers, calendar=False)
    seconds = np.empty(len(texts))
    first: str | None = None
    for i, (text, place) in enumerate(zip(texts, where, strict=True)):
        moment = _moment(text, place)
        zone = "" if moment.tzinfo is None else moment.strftime("%z")
        if first is None:
            first = zone
        elif zone != first:
            raise DataError(
                f"{place}: '{text}' is written in {_said(zone)}, {where[0]} in {_said(first)}; write all time stamps in one "
                "zone, best in UTC"
            )
        seconds[i] = (moment.replace(tzinfo=None) - _EPOCH).total_seconds()
    return Stamps(seconds, calendar=True, zone=first or "")


def _said(zone: str) -> str:
    return f"the zone UTC{zone}" if zone else "no zone"


def _numbers(texts: Sequence[str]) -> np.ndarray | None:
    try:
        return np.array([float(t) for t in texts])
    except ValueError:
        return None


def _moment(text: str, place: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip().replace("/", "-"))
    except ValueError:
        raise DataError(
            f"{place}: '{text}' is no time stamp; write 2014-01-31 07:00:00 (year first), or a number"
        ) from None


def joined(parts: Sequence[tuple[str, str]]) -> str:
    """Columns ``year``, ``month``, ``day``, ``hour``, ``minute`` of one row as one stamp."""
    found = dict(parts)
    day = f"{int(found['year']):04d}-{int(found['month']):02d}-{int(found['day']):02d}"
    return f"{day} {int(found.get('hour', 0)):02d}:{int(found.get('minute', 0)):02d}"


def show_stamp(seconds: float, calendar: bool, zone: str = "") -> str:
    """A stamp as :func:`parse_stamps` reads it."""
    if not calendar:
        return f"{seconds:.15g}"
    moment = _EPOCH + timedelta(seconds=seconds)
    whole = moment.strftime("%Y-%m-%d %H:%M:%S") + (f".{moment.microsecond:06d}" if moment.microsecond else "")
    return f"{whole}{zone[:3]}:{zone[3:]}" if zone else whole


def zone_of(text: str) -> timezone:
    """The time zone of an offset such as ``+0800``."""
    if not text:
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[3:5])))


def suitable(step: float, span: float) -> tuple[str, ...]:
    """The calendar features that stamps ``step`` seconds apart over ``span`` seconds can show: at least four steps in a period,
    and the period at least twice in the span."""
    return tuple(name for name, period in CALENDAR.items() if 4 * step <= period and span >= 2 * period)


def calendar_features(seconds: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """``[..., 2 n]`` float32: sine and cosine of each feature's angle."""
    angles = [2 * math.pi * np.mod((seconds - _MONDAY) / CALENDAR[name], 1.0) for name in names]
    parts = [f(a) for a in angles for f in (np.sin, np.cos)]
    if not parts:
        return np.zeros((*seconds.shape, 0), np.float32)
    return np.stack(parts, -1).astype(np.float32)
