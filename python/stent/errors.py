"""The errors that Stent raises by name.

What a user's own code raises is carried as itself and has no place here. An error that crosses processes keeps its
class where the class can be found, and becomes a `RemoteError` where it cannot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "ExecutionCancelled",
    "ExpiryError",
    "ForeignPayload",
    "LeaseLost",
    "NonDeterministic",
    "NotSerializable",
    "RemoteError",
    "RemoteTraceback",
    "StentError",
    "StoreError",
    "TerminalState",
    "UnregisteredFunctionError",
]


class StentError(Exception):
    """What all errors of this package's own have in common."""


class ExpiryError(StentError, TimeoutError):
    """A wait, an attempt or an execution took longer than it may. A `TimeoutError` like any other."""


class ExecutionCancelled(StentError):
    """The execution was cancelled, by hand or with its parent."""


class UnregisteredFunctionError(StentError, ValueError):
    """The executor's registry knows no function of this name, or the given callable is not in it."""


class NonDeterministic(StentError):
    """The code does not fit the recorded history. The message names the record and the call; nothing is lost, and the
    task goes on with code that fits."""


class LeaseLost(StentError):
    """A write came from somebody who does not own the task any more: it changed nothing."""


class TerminalState(StentError):
    """What was to be changed has ended: nothing but an explicit replay changes it."""


class StoreError(StentError):
    """The database could not do what was asked. Nothing of the change is there."""


class NotSerializable(StentError, TypeError):
    """A value that the serializer cannot carry. The message names where it stands and its type."""

    def __init__(self, path: str, kind: str, hint: str = "") -> None:
        self.path = path
        self.kind = kind
        self.hint = hint
        super().__init__(path, kind, hint)

    def __str__(self) -> str:
        return f"{self.path or 'the value'} {self.kind}{': ' if self.hint else ''}{self.hint}"

    def within(self, place: str) -> NotSerializable:
        """The same error with its path begun at `place`, the name of an argument say."""
        return NotSerializable(place + self.path, self.kind, self.hint)


class ForeignPayload(StentError, ValueError):
    """A stored value that another serializer wrote. It is named and never guessed at."""

    def __init__(self, found: str, wanted: str) -> None:
        self.found = found
        self.wanted = wanted
        super().__init__(found, wanted)

    def __str__(self) -> str:
        return (
            f'the stored value was written by the serializer "{self.found}", and this executor reads "{self.wanted}": '
            f"give the executor the serializer that wrote it"
        )


class Stalled(StentError):
    """A wait in a test whose time is skipped, and nothing is left that could end it; the message says what was waited
    for."""


class RemoteTraceback(Exception):
    """The traceback of an error that was raised in another process, as text: the cause of the error that came back."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)

    def __str__(self) -> str:
        return f"\n\n{self.text.rstrip()}\n"


class RemoteError(StentError):
    """An error whose class this process does not have: raised elsewhere, by a module that is not imported here, or by
    code in another language. It keeps all that was recorded, and passes it on when it is recorded again.

    To get the class itself, import its module before the result is read, or name it with
    `stent.utils.serialization.register_exception`.
    """

    def __init__(
        self,
        message: str,
        *,
        module: str = "",
        class_name: str = "",
        attributes: Mapping[str, Any] | None = None,
        arguments: tuple[Any, ...] = (),
        traceback: str = "",
        details: Any = None,
    ) -> None:
        self.message = message
        """What the error said."""
        self.module = module
        """The module that defines its class; empty where the language has none."""
        self.class_name = class_name
        """The qualified name of its class."""
        self.attributes: dict[str, Any] = dict(attributes or {})
        """What it carried."""
        self.arguments = arguments
        """What it was made with."""
        self.traceback = traceback
        """Where it was raised, as text."""
        self.details = details
        """What code in another language recorded beside the message, as JSON has it."""
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.class_name}: {self.message}" if self.class_name else self.message
