"""What the engine answers to an executor's request, as a value or as the error that it is."""

from __future__ import annotations

from typing import Any

from stent.errors import ExpiryError, Stalled, StentError, StoreError


class Ended(StentError):
    """What was to be changed has ended."""


_ERRORS: dict[str, type[Exception]] = {
    "unknown": ValueError,
    "value": ValueError,
    "exists": ValueError,
    "expired": ExpiryError,
    "terminal": Ended,
    "stalled": Stalled,
}


def told_by(answer: tuple[Any, ...]) -> tuple[Any, ...]:
    """An answer, or the error that it is."""
    if answer[0] != 3:
        return answer
    _, kind, words = answer
    raise _ERRORS.get(kind, StoreError)(words)
