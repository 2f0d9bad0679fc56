"""Exceptions as plain data, and back: how an error crosses processes with its class, message, attributes, traceback.

Reading one runs no code of a payload's choice. Its class is looked up among those that were registered and in modules
that are imported already; nothing is imported, no `__init__` or `__new__` written in Python is called, and only
subclasses of `Exception` are made. Whatever is not found becomes a `RemoteError` that keeps everything.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
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

_LEVELS = 48
"""How deep what an error holds may be nested. Readers of JSON end at 128 levels, the engine's among them; what stands
around it and causes of causes take their part."""

_INTEGER_BITS = 1000
"""The largest integer that every reader of JSON takes, be it as an inexact number."""

_described: ContextVar[tuple[BaseException, ...]] = ContextVar("stent_described", default=())
"""The errors that are being described here, each held by the one before: one that holds itself comes by twice."""

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
    """The error as plain data that every reader of JSON takes. An attribute that cannot be carried is left out, and
    named in `left_out`; a number that JSON does not have, and text that is no Unicode, stand there as text. An error
    must be recordable whatever it holds."""
    under_way = _described.get()
    if any(error is one for one in under_way):
        raise NotSerializable("", "contains itself")
    token = _described.set((*under_way, error))
    try:
        return _document_of(error, carry, causes)
    finally:
        _described.reset(token)


def _document_of(error: BaseException, carry: Carry, causes: int) -> dict[str, Any]:
    left_out: list[str] = []

    def carried(value: Any, place: str) -> Any:
        try:
            return _plain(carry(value, place), place, _LEVELS)
        except NotSerializable as refusal:
            left_out.append(text_of(str(refusal if refusal.path else refusal.within(place))))
        except Exception as trouble:  # nested without an end, or code of the value's own that fails
            left_out.append(f"{place} cannot be read: {type(trouble).__name__}")
        return None

    if isinstance(error, RemoteError):
        document = _of_remote(error, carried)
    else:
        arguments, attributes = _state_of(error)
        document = {
            "module": type(error).__module__,
            "class": type(error).__qualname__,
            "message": message_of(error),
            "args": [carried(value, f"args[{at}]") for at, value in enumerate(arguments)],
            "attributes": {name: carried(value, name) for name, value in attributes.items()},
            "traceback": _traceback_of(error),
        }
        cause = error.__cause__
        come_by = isinstance(cause, RemoteTraceback) or any(cause is one for one in _described.get())
        if cause is not None and not come_by and causes > 0:
            document["cause"] = to_document(cause, carry, causes - 1)
    if left_out:
        document["left_out"] = left_out
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
        "message": text_of(error.message),
        "args": [carry(value, f"args[{at}]") for at, value in enumerate(error.arguments)],
        "attributes": {name: carry(value, name) for name, value in error.attributes.items()},
        "traceback": text_of(error.traceback) or _traceback_of(error),
    }


def _state_of(error: BaseException) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the error was made with, and what it carries: as the built-in part of its class tells pickle, since that
    knows of fields that no dictionary shows (an `OSError`'s file name, an `ImportError`'s module)."""
    try:
        return _looked_up(error)
    except Exception:  # code of its class's own, which fails
        return cast("Any", BaseException.args).__get__(error), {}


def _looked_up(error: BaseException) -> tuple[tuple[Any, ...], dict[str, Any]]:
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


def message_of(error: BaseException) -> str:
    """What the error says, as text that can be stored."""
    try:
        return text_of(str(error))
    except Exception as second:
        return f"<its __str__ failed: {type(second).__name__}>"


def text_of(text: str) -> str:
    """The text with halves of surrogate pairs, which no encoding has, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _plain(value: Any, place: str, levels: int) -> Any:
    """What was carried, as every reader of JSON takes it."""
    if isinstance(value, str):
        return text_of(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return value if value.bit_length() <= _INTEGER_BITS else hex(value)
    if levels == 0:
        raise NotSerializable(place, "is nested too deeply")
    if isinstance(value, list):
        return [_plain(one, place, levels - 1) for one in cast("list[Any]", value)]
    if isinstance(value, dict):
        whole = cast("dict[str, Any]", value)
        return {text_of(name): _plain(one, place, levels - 1) for name, one in whole.items()}
    return value


def _traceback_of(error: BaseException) -> str:
    cause = error.__cause__
    if error.__traceback__ is None and isinstance(cause, RemoteTraceback):
        return cause.text
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:  # an error whose `__str__` fails, on a version that minds
        text = "".join(traceback.format_tb(error.__traceback__))
    return text_of(text[-_TRACEBACK_CHARS:])
