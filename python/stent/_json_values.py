"""Values as plain JSON, and back. JSON knows no bytes, results and exceptions; they stand there as an object whose key
`$stent` says what it is. A user's own key of that name gets one more `$`, and loses it on the way back.

Invariant: what is read is equal to what was written, tuples as lists aside; all else is refused by name when written.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from typing import Any, cast

from stent import _exceptions
from stent._result import Result
from stent.errors import NotSerializable

MARK = "$stent"
_MARK_END = b'$stent"'
_LIKE_MARK = re.compile(r"\$+stent")

_HINT = 'JSON cannot carry it; pass plain data, or use serializer="pickle" or one of your own'

_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False).encode

_decode = json.JSONDecoder().raw_decode


def dumps(value: Any) -> bytes:
    """The value as JSON in UTF-8. Raises `NotSerializable`, which says where what cannot be carried stands."""
    try:
        return _dumps(lower(value, "")).encode()
    except ValueError:
        _find_flaw(value)
        raise
    except RecursionError:
        raise NotSerializable("", "is nested too deeply", "or contains itself") from None


def loads(data: bytes) -> Any:
    """The value that the JSON tells of. Raises `ValueError` for what is no JSON."""
    if _MARK_END in data:
        return json.loads(data, object_hook=_lift_object)
    try:
        # What workers write has no blanks around it, so there is nothing to look for but the value.
        text = data.decode()
        value, end = _decode(text)
    except ValueError:
        return json.loads(data)
    return value if end == len(text) else json.loads(data)


def lower(value: Any, path: str) -> Any:
    """The value in what JSON has. `path` says where it stands in the whole."""
    kind = cast("type[Any]", type(value))
    if kind is str or kind is int or kind is bool or kind is float or value is None:
        return value
    if kind is list or kind is tuple:
        return [lower(one, f"{path}[{at}]") for at, one in enumerate(value)]
    if kind is dict:
        return _lower_dict(value, path)
    if isinstance(value, (str, int, float)):
        # An enumeration's member or another subclass is carried as what it is.
        return _primitive(value)
    if isinstance(value, (list, tuple)):
        return [lower(one, f"{path}[{at}]") for at, one in enumerate(cast("list[Any]", value))]
    if isinstance(value, dict):
        return _lower_dict(cast("dict[Any, Any]", value), path)
    if isinstance(value, bytes):
        return {MARK: "bytes", "base64": base64.b64encode(value).decode()}
    if isinstance(value, Result):
        return _lower_result(cast("Result[Any]", value), path)
    if isinstance(value, BaseException):
        return {MARK: "exception", **_exceptions.to_document(value, lower)}
    raise NotSerializable(path, f"is of type {_name_of(kind)}", _HINT)


def lift(value: Any) -> Any:
    """The way back, for plain data that was read as part of something larger."""
    if isinstance(value, list):
        return [lift(one) for one in cast("list[Any]", value)]
    if isinstance(value, dict):
        # From the inside out, as a JSON reader does it.
        return _lift_object({key: lift(one) for key, one in cast("dict[str, Any]", value).items()})
    return value


def _primitive(value: str | float) -> str | float:
    if isinstance(value, str):
        return str.__str__(value)
    return int.__int__(value) if isinstance(value, int) else float.__float__(value)


def _lower_dict(value: dict[Any, Any], path: str) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, one in value.items():
        if not isinstance(key, str):
            raise NotSerializable(
                path,
                f"has the key {key!r} of type {_name_of(cast('type[Any]', type(key)))}",
                "the keys of a JSON object are str",
            )
        if key.endswith("$stent") and _LIKE_MARK.fullmatch(key):
            key = "$" + key
        plain[str.__str__(key)] = lower(one, f"{path}[{key!r}]")
    return plain


def _lower_result(result: Result[Any], path: str) -> dict[str, Any]:
    if result.ok:
        return {MARK: "result", "ok": True, "value": lower(result.value, f"{path}.value")}
    return {MARK: "result", "ok": False, "error": lower(result.error, f"{path}.error")}


def _lift_object(read: dict[str, Any]) -> Any:
    match read.get(MARK):
        case None:
            return {(_LIKE_MARK.fullmatch(key) and key[1:]) or key: one for key, one in read.items()}
        case "bytes":
            try:
                return base64.b64decode(str(read.get("base64", "")), validate=True)
            except binascii.Error as error:
                raise ValueError("stored bytes are no base64") from error
        case "result":
            return Result.Ok(read.get("value")) if read.get("ok") else Result.Error(read.get("error"))
        case "exception":
            return _exceptions.from_document(read, _as_it_is)
        case other:
            raise ValueError(f"a stored value has the unknown mark {other!r}")


def _as_it_is(value: Any) -> Any:
    """What stands inside was lifted before."""
    return value


def _find_flaw(value: Any) -> None:
    """Raises for the number or text that JSON does not have. Only called once the encoder found that there is one."""
    _look(lower(value, ""), "")


def _look(value: Any, path: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise NotSerializable(path, f"is {value}", "JSON has no such number")
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise NotSerializable(path, "holds half of a surrogate pair", "it is no Unicode text")
    if isinstance(value, list):
        for at, one in enumerate(cast("list[Any]", value)):
            _look(one, f"{path}[{at}]")
    if isinstance(value, Mapping):
        for key, one in cast("Mapping[str, Any]", value).items():
            _look(key, f"{path}: a key")
            _look(one, f"{path}[{key!r}]")


def _name_of(kind: type[Any]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
