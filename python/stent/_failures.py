"""Errors as the engine records them, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from stent._exceptions import message_of
from stent.errors import ExecutionCancelled, ExpiryError, ForeignPayload, NonDeterministic
from stent.utils.serialization import Serializer, dump_error, load_error


def is_the_codes_own(error: BaseException, *, in_thread: bool) -> bool:
    """Whether code has failed by what it raises itself, of whatever class; what the interpreter raises in it is not its
    own. On the loop's thread an interrupt is the process's (Ctrl-C): made a failure, it would not end that."""
    return in_thread or not isinstance(error, (GeneratorExit, KeyboardInterrupt))


def failure_of(serializer: Serializer, error: BaseException) -> dict[str, Any]:
    """An error as the engine records it."""
    return {"kind": "error", "message": message_of(error), "details": dump_error(serializer, error)}


def written(failure: Mapping[str, Any]) -> bytes:
    """A failure as the engine reads it."""
    return json.dumps(failure, allow_nan=False).encode()


def error_of_end(state: str) -> BaseException | None:
    """Why an execution ended without code of its own having failed. What an earlier attempt failed with does not tell
    that."""
    if state == "cancelled":
        return ExecutionCancelled("Execution cancelled")
    if state == "timed_out":
        return ExpiryError("Execution expired: it ran out of its time")
    return None


def error_of(serializer: Serializer, failure: Mapping[str, Any]) -> BaseException:
    """The error that a recorded failure stands for."""
    kind, message, details = failure.get("kind"), str(failure.get("message", "")), failure.get("details")
    if details is None:
        if kind == "cancelled":
            return ExecutionCancelled("Execution cancelled")
        if kind == "timeout":
            return ExpiryError(message)
        if kind == "non_deterministic":
            return NonDeterministic(message)
    try:
        return load_error(serializer, message, details)
    except ForeignPayload as error:
        return error
