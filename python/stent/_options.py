"""Options as people give them, checked where they are given: an error there names the option, and the engine's would
come later, from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from stent._native import MAX_CONCURRENT
from stent._retry import RetryPolicy
from stent.utils.time import Duration, parse_duration

if TYPE_CHECKING:
    from stent.registry import FunctionMetadata

PRIORITIES = range(-(2**31), 2**31)
"""What a priority may be: the databases keep 32 bits."""

TASKS = range(1, 2**31)
"""How many tasks a worker may be told to run at once."""


def microseconds(span: Duration | float, what: str = "a span") -> int:
    """A span for the engine: a number is seconds. Raises `ValueError` for one below 0."""
    seconds = span if isinstance(span, (int, float)) else parse_duration(span).total_seconds()
    if not 0 <= seconds < 3.2e9:
        raise ValueError(f"{what} of {seconds} s: it must be from 0 to 100 years")
    return round(seconds * 1_000_000)


def span(what: str, given: Duration | float) -> timedelta:
    """A span that is more than nothing; a number is seconds."""
    whole = timedelta(microseconds=microseconds(given, what))
    if not whole:
        raise ValueError(f"{what} is {given}: it must be above 0")
    return whole


def names(what: str, given: Iterable[str] | None) -> list[str] | None:
    """Queues or tags, each once. Raises `TypeError` for one text, which would be taken for its characters."""
    if given is None:
        return None
    if isinstance(given, (str, bytes)):
        raise TypeError(f"{what} is {given!r}: give a list, [{given!r}]")
    listed: list[Any] = list(given)
    for one in listed:
        if not isinstance(one, str):
            raise TypeError(f"{what} holds {one!r}: each is a str")
        if not one:
            raise ValueError(f"{what} holds an empty name")
    return sorted(set(listed))


def check(metadata: FunctionMetadata) -> None:
    """Raises `TypeError` or `ValueError`, naming function and option, for what a function's options cannot be."""
    given: dict[str, Any] = vars(metadata)
    try:
        for option in ("name", "queue", "version"):
            said(option, given[option])
        names("tags", metadata.tags)
        _of("retry_policy", given["retry_policy"], RetryPolicy)
        whole_number("priority", given["priority"], PRIORITIES)
        if metadata.max_concurrent is not None:
            whole_number("max_concurrent", given["max_concurrent"], range(1, MAX_CONCURRENT + 1))
        _of("cached", given["cached"], bool, str, timedelta)
        if isinstance(metadata.cached, (str, timedelta)):
            microseconds(metadata.cached, "cached")
        if metadata.idempotency_key_func is not None and not callable(given["idempotency_key_func"]):
            raise TypeError(f"idempotency_key_func is {given['idempotency_key_func']!r}: it must be callable")
    except (TypeError, ValueError) as error:
        raise of_function(metadata.name, error) from None


def of_function(name: str, error: TypeError | ValueError) -> TypeError | ValueError:
    """An error in a function's options that names the function."""
    cls = TypeError if isinstance(error, TypeError) else ValueError
    return cls(f"the durable function {name}: {error}")


def said(option: str, given: Any) -> None:
    """Raises unless it is a text that says something, or `None`."""
    if given is not None:
        _of(option, given, str)
        if not given:
            raise ValueError(f"{option} is empty")


def whole_number(option: str, given: Any, among: range) -> None:
    """Raises unless it is one of these whole numbers."""
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"{option} is {given!r}: it must be an int")
    if given not in among:
        raise ValueError(f"{option} is {given}: it must be from {among[0]} to {among[-1]}")


def _of(option: str, given: Any, *classes: type) -> None:
    if not isinstance(given, classes):
        wanted = " or ".join(one.__name__ for one in classes)
        raise TypeError(f"{option} is {given!r}: it must be a {wanted}")
