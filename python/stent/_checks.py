"""What code asks of the engine, looked at where it asks: a name, a number or an option that cannot be raises there,
before anything of it is handed over.

Invariant: the engine's rules for names are the engine's alone; it is asked for them.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Mapping
from typing import Any, cast

from stent._native import check_name
from stent._options import PRIORITIES
from stent.utils.serialization import JsonSerializer, dump


def name(what: str, given: Any) -> None:
    """Raises `TypeError` or `ValueError` for what cannot be the name of such a thing."""
    if not isinstance(given, str):
        raise TypeError(f"the {what} name {given!r} is of type {type(given).__qualname__}: it must be str")
    try:
        check_name(what, given)
    except UnicodeEncodeError:
        raise ValueError(f"the {what} name {given!r} is no Unicode text: it holds half of a surrogate pair") from None


def number(counter: str, given: Any) -> int | float:
    """What is added to a counter, or it begins with. Raises `TypeError` or `ValueError` unless that is finite."""
    value: Any = given
    if not isinstance(value, (int, float)):
        if hasattr(value, "__index__"):
            value = operator.index(value)
        elif hasattr(value, "__float__"):
            value = float(value)
        else:
            raise TypeError(f'the counter "{counter}" takes int and float, not {type(given).__qualname__}')
    try:
        if math.isfinite(value):
            return cast("int | float", value)
    except OverflowError:
        pass
    raise ValueError(f'the counter "{counter}" takes finite numbers within those of float')


def execution_id(given: Any) -> str:
    """The id of an execution, as the engine writes it. Raises `TypeError` or `ValueError` for what is none."""
    from uuid import UUID

    if not isinstance(given, str):
        raise TypeError(f"the execution id {given!r} is of type {type(given).__qualname__}: it must be str")
    try:
        return str(UUID(given))
    except ValueError:
        raise ValueError(f"there is no execution {given!r}: it is no id") from None


def options(given: Mapping[str, Any]) -> bytes:
    """What is said of a start beside its function's own options, as the engine reads it. Raises `TypeError` or
    `ValueError` for what cannot be."""
    stated = {option: value for option, value in given.items() if value is not None}
    if "priority" in stated:
        if not hasattr(stated["priority"], "__index__"):
            raise TypeError(f"the priority {stated['priority']!r} must be int")
        stated["priority"] = operator.index(stated["priority"])
        if stated["priority"] not in PRIORITIES:
            raise ValueError(f"the priority is {stated['priority']}: it must be from {-(2**31)} to {2**31 - 1}")
    if "headers" in stated:
        dump(JsonSerializer(), stated["headers"], "headers")
    for option, what in (("queue", "queue"), ("key", "idempotency key")):
        if option in stated:
            name(what, stated[option])
    for tag in stated.get("tags", ()):
        name("tag", tag)
    return json.dumps(stated).encode()
