"""How values become bytes, and back.

Invariant: bytes are only ever read by the serializer that wrote them. A stored value of another one is named
(`ForeignPayload`) and never guessed at; above all nothing is unpickled unless the executor chose pickle, which is not
even imported before.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast, runtime_checkable

from stent import _exceptions, _json_values
from stent._exceptions import register_exception
from stent.errors import ForeignPayload, NotSerializable, RemoteError, RemoteTraceback

__all__ = [
    "JsonSerializer",
    "PickleSerializer",
    "Serializer",
    "codec_of",
    "dump",
    "dump_error",
    "get_serializer",
    "load",
    "load_error",
    "register_exception",
]


@runtime_checkable
class Serializer(Protocol):
    """Give an object of this shape to `Stent(serializer=..)`. Its attribute `name`, if it has one, or else its class,
    says in the database who wrote a value, so two serializers that cannot read each other need two names."""

    def dumps(self, obj: Any) -> bytes:
        """The object as bytes. What cannot be carried raises `TypeError`."""
        ...

    def loads(self, data: bytes) -> Any:
        """The object that the bytes tell of."""
        ...


class JsonSerializer:
    """JSON, the default: `str`, `int`, `float`, `bool`, `None`, lists, tuples (they come back as lists), dictionaries
    with keys of `str`, `bytes`, `Result` and exceptions. All else is refused; nothing is replaced by its `str()`.

    >>> JsonSerializer().loads(JsonSerializer().dumps({"blob": b"\\x00", "pair": (1, 2)}))
    {'blob': b'\\x00', 'pair': [1, 2]}
    """

    name = "json"

    def dumps(self, obj: Any) -> bytes:
        """Raises `NotSerializable`, a `TypeError` that says where what cannot be carried stands."""
        return _json_values.dumps(obj)

    def loads(self, data: bytes) -> Any:
        """Raises `ValueError` for what is no JSON."""
        return _json_values.loads(data)


class PickleSerializer:
    """Python's pickle: any object, at the price that whoever can write to the database can run code in your workers."""

    name = "pickle"

    def dumps(self, obj: Any) -> bytes:
        """Raises `NotSerializable` for what pickle cannot carry."""
        import pickle

        try:
            # A fixed protocol: workers of several Python versions read each other's values.
            return pickle.dumps(obj, protocol=5)
        except (pickle.PicklingError, AttributeError, TypeError, RecursionError) as error:
            raise NotSerializable(
                "", f"is of type {type(obj).__qualname__}", f"pickle cannot carry it: {error}"
            ) from error

    def loads(self, data: bytes) -> Any:
        """Runs what the bytes say."""
        import pickle

        return pickle.loads(data)


def get_serializer(choice: str | Serializer) -> Serializer:
    """The serializer that `"json"`, `"pickle"` or an object of the user's stands for.

    Raises `ValueError` for another word and `TypeError` for an object without `dumps` and `loads`.
    """
    if isinstance(choice, str):
        known: dict[str, Callable[[], Serializer]] = {"json": JsonSerializer, "pickle": PickleSerializer}
        if choice not in known:
            raise ValueError(f'there is no serializer "{choice}": it is "json", "pickle" or an object')
        return known[choice]()
    if not isinstance(choice, Serializer):  # pyright: ignore[reportUnnecessaryIsInstance] - callers without types
        raise TypeError(f"a serializer has the methods dumps and loads; {choice!r} lacks them")
    return choice


def codec_of(serializer: Serializer) -> str:
    """The name under which what this serializer writes is stored."""
    name = getattr(serializer, "name", None)
    if isinstance(name, str) and name:
        return name
    cls = type(serializer)
    return f"{cls.__module__}:{cls.__qualname__}"


def dump(serializer: Serializer, value: Any, place: str) -> bytes:
    """The value as bytes. A value that cannot be carried is a `TypeError` that begins with `place`: what the value is
    to the user (`argument 'config' of shop:charge`)."""
    try:
        stored = serializer.dumps(value)
    except NotSerializable as refusal:
        raise refusal.within(place) from refusal.__cause__
    except TypeError as error:
        raise NotSerializable(place, f"is of type {type(value).__qualname__}", str(error)) from error
    if not isinstance(stored, bytes):  # pyright: ignore[reportUnnecessaryIsInstance] - a user's own code
        raise TypeError(f"{codec_of(serializer)}.dumps returned {type(stored).__name__}: it must return bytes")
    return stored


def load(serializer: Serializer, codec: str, stored: bytes) -> Any:
    """The value that `codec` wrote. Raises `ForeignPayload` if that is not what this serializer writes."""
    wanted = codec_of(serializer)
    if codec != wanted:
        raise ForeignPayload(codec, wanted)
    return serializer.loads(stored)


def dump_error(serializer: Serializer, error: BaseException) -> dict[str, Any]:
    """An error as plain JSON, for the details of a failure. Any process can read it, whatever its serializer; one with
    this very serializer (if it is not JSON) reads the attributes that JSON cannot carry as well."""
    document = {_json_values.MARK: "exception", **_exceptions.to_document(error, _json_values.lower)}
    if codec_of(serializer) != "json":
        try:
            stored = base64.b64encode(serializer.dumps(error)).decode()
        except Exception:  # an error that cannot be carried whole is carried as JSON has it
            return document
        document["whole"] = {"codec": codec_of(serializer), "base64": stored}
    return document


def load_error(serializer: Serializer, message: str, details: Any) -> Exception:
    """The error behind a failure's message and details (plain JSON, as `dump_error` made it or code in another language
    did; what is not an error of Python's is kept as it is)."""
    if not isinstance(details, Mapping) or cast("Mapping[str, Any]", details).get(_json_values.MARK) != "exception":
        return RemoteError(message, details=details)
    document = cast("Mapping[str, Any]", details)
    whole = document.get("whole")
    if isinstance(whole, Mapping):
        error = _load_whole(serializer, cast("Mapping[str, Any]", whole))
        if error is not None:
            text = str(document.get("traceback") or "")
            if error.__cause__ is None and text:
                _exceptions.set_cause(error, RemoteTraceback(text))
            return error
    return _exceptions.from_document(document, _json_values.lift)


def _load_whole(serializer: Serializer, whole: Mapping[str, Any]) -> Exception | None:
    if whole.get("codec") != codec_of(serializer):
        return None
    try:
        error = serializer.loads(base64.b64decode(str(whole.get("base64", ""))))
    except Exception:  # its class is gone or has changed: what JSON has of it is there
        return None
    return error if isinstance(error, Exception) else None
