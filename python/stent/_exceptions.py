"""Exceptions as plain data, and back: how an error crosses processes with its class, message, attributes, traceback.

Reading one runs no code of a payload's choice. Its class is looked up among those that were registered and in modules
that are imported already; nothing is imported, no `__init__` or `__new__` written in Python is called, and only
subclasses of `Exception` are made. Whatever is not found becomes a `RemoteError` that keeps everything.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, cast

from stent._lazy import traceback
from stent.errors import NotSerializable, RemoteError, RemoteTraceback

Carry = Callable[[Any, str], Any]
"""Turns a value into plain data; the text says where it stands. Raises `NotSerializable`."""

Restore = Callable[[Any], Any]
"""The way back."""

_CAUSES = 16
"""How many causes of causes are carried: enough for people, and an end to chains that grow with every retry."""

_TRACEBACK_CHARS = 64 * 1024
"""How much of a traceback is kept: its end, where the error is."""

_HEAP_TYPE = 1 << 9
"""CPython's flag of classes that are not built in."""

_registered: dict[tuple[str, str], type[Exception]] = {}


def register_exception(cls: type[Exception], *, name: str | None = None) -> type[Exception]:
    """Makes a class known to whoever reads stored errors, also where its module path would not lead to it: a class made
    in a function, or one that has moved (`name="old.module:OldName"`). Returns the class, so it decorates as well.

    Raises `TypeError` for what is no class of exceptions, and `ValueError` for a name without a colon.
    """
    if not (isinstance(cls, type) and issubclass(cls, Exception)):  # pyright: ignore[reportUnnecessaryIsInstance] - callers without types
        raise TypeError(f"{cls!r} is no subclass of Exception")
    module, colon, qualname = (name or f"{cls.__module__}:{cls.__qualname__}").partition(":")
    if not colon:
        raise ValueError(f'"{name}" must read "module:ClassName"')
    _registered[module, qualname] = cls
    return cls


def to_document(error: BaseException, carry: Carry, causes: int = _CAUSES) -> dict[str, Any]:
    """The error as plain data. An attribute that cannot be carried is left out, and named in `left_out`: an error must
    be recordable whatever it holds."""
    if isinstance(error, RemoteError):
        return _of_remote(error, carry)
    arguments, attributes = _state_of(error)
    left_out: list[str] = []

    def carried(value: Any, place: str) -> Any:
        try:
            return carry(value, place)
        except NotSerializable as refusal:
            left_out.append(str(refusal))
            return None

    plain = {name: carried(value, name) for name, value in attributes.items()}
    cause = error.__cause__
    document: dict[str, Any] = {
        "module": type(error).__module__,
        "class": type(error).__qualname__,
        "message": _message_of(error),
        "args": [carried(value, f"args[{at}]") for at, value in enumerate(arguments)],
        "attributes": plain,
        "traceback": _traceback_of(error),
    }
    if left_out:
        document["left_out"] = left_out
    if cause is not None and not isinstance(cause, RemoteTraceback) and causes > 0:
        document["cause"] = to_document(cause, carry, causes - 1)
    return document


def from_document(document: Mapping[str, Any], restore: Restore) -> Exception:
    """The error that the data tells of: of its own class if that is known here, else a `RemoteError`."""
    module, qualname = str(document.get("module", "")), str(document.get("class", ""))
    arguments = tuple(restore(value) for value in cast("list[Any]", document.get("args") or []))
    stored = cast("dict[str, Any]", document.get("attributes") or {})
    attributes = {name: restore(value) for name, value in stored.items()}
    text = str(document.get("traceback") or "")
    cls = find_class(module, qualname)
    error = _make(cls, arguments, attributes) if cls else None
    if error is None:
        error = RemoteError(
            str(document.get("message", "")),
            module=module,
            class_name=qualname,
            attributes=attributes,
            arguments=arguments,
            traceback=text,
        )
    left_out = cast("list[Any]", document.get("left_out") or [])
    if left_out:
        # As `add_note` does it, past a `__setattr__` of the class.
        error.__dict__["__notes__"] = [f"left behind when the error was stored: {refusal}" for refusal in left_out]
    cause = document.get("cause")
    if isinstance(cause, Mapping):
        set_cause(error, from_document(cast("Mapping[str, Any]", cause), restore))
    elif text:
        set_cause(error, RemoteTraceback(text))
    return error


def set_cause(error: BaseException, cause: BaseException) -> None:
    """Names the cause of an error, past a `__setattr__` of its class."""
    BaseException.__setattr__(error, "__cause__", cause)


def find_class(module: str, qualname: str) -> type[Exception] | None:
    """The class of this name, if it is registered or its module is imported already. Only what lies plainly in the
    module counts: a module's `__getattr__`, which may import others, is not asked."""
    known = _registered.get((module, qualname))
    if known is not None:
        return known
    found: object = sys.modules.get(module)
    for part in qualname.split("."):
        names = getattr(found, "__dict__", None)
        if not isinstance(names, Mapping):
            return None
        found = cast("Mapping[str, object]", names).get(part)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def _of_remote(error: RemoteError, carry: Carry) -> dict[str, Any]:
    """What was recorded first: an error that passes through a process that does not know its class loses nothing."""
    return {
        "module": error.module,
        "class": error.class_name,
        "message": error.message,
        "args": [carry(value, "args") for value in error.arguments],
        "attributes": {name: carry(value, name) for name, value in error.attributes.items()},
        "traceback": error.traceback or _traceback_of(error),
    }


def _state_of(error: BaseException) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the error was made with, and what it carries: as the built-in part of its class tells pickle, since that
    knows of fields that no dictionary shows (an `OSError`'s file name, an `ImportError`'s module)."""
    built_in = _built_in_base(type(error))
    told: Any = built_in.__reduce__(error)  # pyright: ignore[reportArgumentType] - the built-in base of its own class
    arguments = cast("tuple[Any, ...]", told[1] if isinstance(told[1], tuple) else error.args)
    attributes: dict[str, Any] = {}
    for state in told[2:3]:
        attributes.update(state or {})
    attributes.update(vars(error))
    for cls in type(error).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(error, name) and not name.startswith("__"):
                attributes[name] = getattr(error, name)
    # Notes say how the error came here, and would grow from process to process.
    return arguments, {name: value for name, value in attributes.items() if name.isidentifier() and name != "__notes__"}


def _make(cls: type[Exception], arguments: tuple[Any, ...], attributes: dict[str, Any]) -> Exception | None:
    """An object of the class without a call of anything that is written in Python; `None` if that cannot be."""
    built_in = _built_in_base(cls)
    new: Callable[..., Any] = built_in.__new__
    try:
        error = new(cls, *arguments)
        built_in.__init__(error, *arguments)
    except Exception:  # a class of odd layout, or arguments that were left behind
        try:
            error = new(cls)
        except Exception:
            return None
    for name, value in attributes.items():
        try:
            # Past a property or a `__setattr__` of the class, which are code too.
            object.__setattr__(error, name, value)
        except (AttributeError, TypeError):
            error.__dict__[name] = value
    return error


def _built_in_base(cls: type[BaseException]) -> type[BaseException]:
    for base in cls.__mro__:
        if not base.__flags__ & _HEAP_TYPE:
            return cast("type[BaseException]", base)
    return BaseException


def _message_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as second:
        return f"<its __str__ failed: {type(second).__name__}>"


def _traceback_of(error: BaseException) -> str:
    cause = error.__cause__
    if error.__traceback__ is None and isinstance(cause, RemoteTraceback):
        return cause.text
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:  # an error whose `__str__` fails, on a version that minds
        text = "".join(traceback.format_tb(error.__traceback__))
    return text[-_TRACEBACK_CHARS:]
