"""Durations as people write them, and moments. Every moment of this package has a time zone, UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from stent import _native

__all__ = ["Duration", "as_utc", "now_utc", "parse_duration"]

Duration: TypeAlias = str | timedelta | Mapping[str, float]
"""`"1h30m"`, a `timedelta`, or its keywords: `{"hours": 1, "minutes": 30}`."""


def parse_duration(value: Duration) -> timedelta:
    """Reads a duration: text of numbers with units (`s`, `m`, `h`, `d`, `w`; decimals; combinable; no blanks; the whole
    text counts), a mapping of timedelta's keywords, or a `timedelta`.

    Raises `ValueError` for text or keywords that are no duration, and `TypeError` for any other type.

    >>> parse_duration("1h30m") == parse_duration({"hours": 1, "minutes": 30})
    True
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return _of_text(value)
    if isinstance(value, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - callers without types
        return _of_keywords(value)
    raise TypeError(f"a duration is a str, a dict or a timedelta, not {type(value).__name__}")


def now_utc() -> datetime:
    """The present moment, with its time zone: UTC."""
    return datetime.now(UTC)


def as_utc(moment: datetime) -> datetime:
    """The same moment in UTC. One without a time zone is taken as local time."""
    return moment.astimezone(UTC)


def _of_text(text: str) -> timedelta:
    # The engine's own parser: one for Rust, Python and the command line.
    return timedelta(microseconds=_native.parse_duration(text))


def _of_keywords(keywords: Mapping[Any, Any]) -> timedelta:
    if not keywords:
        raise ValueError("{} is no duration: name at least one unit")
    try:
        return timedelta(**keywords)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"{dict(keywords)!r} is no duration: it takes the keywords of timedelta ({error})") from error
