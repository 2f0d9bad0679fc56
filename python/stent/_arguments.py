"""The arguments of a call as they are stored: bound to the function's signature with defaults applied, so that one call
has one form however it is written. A JSON array by place; what has names only, and `**rest`, stands beside it.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, cast

from stent._json_values import MARK
from stent.errors import ForeignPayload
from stent.utils.serialization import Serializer, codec_of, dump

_PLAIN = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Arguments:
    """How the calls of one function are written and read."""

    __slots__ = ("_count", "_defaults", "_fast", "_name", "names", "signature")

    def __init__(self, name: str, fn: Callable[..., Any]) -> None:
        self._name = name
        self.signature = inspect.signature(fn)
        parameters = list(self.signature.parameters.values())
        self.names = [one.name for one in parameters]
        self._count = len(parameters)
        # Most functions: no stars, nothing by name only. Their calls need no binding where all is given by place.
        self._fast = all(one.kind in _PLAIN for one in parameters)
        self._defaults = tuple(one.default for one in parameters)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments by place, and those that have no place. Raises `TypeError` as the call itself would."""
        if self._fast and not kwargs and len(args) == self._count:
            return list(args), {}
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return list(bound.args), dict(bound.kwargs)

    def named(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The bound arguments by name, those of `**rest` among them."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        named: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            if self.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
                named.update(value)
            else:
                named[name] = value
        return named

    def write(self, serializer: Serializer, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The stored form. Raises `TypeError`, naming the argument, for what the serializer cannot carry."""
        by_place, by_name = self.bind(args, kwargs)
        whole: Any = {MARK: "call", "args": by_place, "kwargs": by_name} if by_name else by_place
        try:
            if by_name and codec_of(serializer) == "json":
                return _call_as_json(serializer, by_place, by_name)
            return dump(serializer, whole, "")
        except TypeError:
            self._blame(serializer, by_place, by_name)
            raise

    def _blame(self, serializer: Serializer, by_place: list[Any], by_name: dict[str, Any]) -> None:
        """Raises the error of the argument that cannot be carried."""
        names = self.names + [f"{self.names[-1] if self.names else 'args'}[{at}]" for at in range(len(by_place))]
        for name, value in [*zip(names, by_place, strict=False), *by_name.items()]:
            dump(serializer, value, f'argument "{name}" of {self._name}')

    def read(self, serializer: Serializer, codec: str | None, stored: bytes) -> tuple[list[Any], dict[str, Any]]:
        """Arguments by place and by name. An object of JSON is read by name, as other languages may write it."""
        if (codec or "json") != codec_of(serializer):
            raise ForeignPayload(codec or "json", codec_of(serializer))
        if codec is None and stored.lstrip()[:1] == b"{":
            return _read_call(serializer, stored)
        whole = serializer.loads(stored)
        if isinstance(whole, dict):
            call = cast("dict[str, Any]", whole)
            if call.get(MARK) == "call":
                return list(call["args"]), dict(call["kwargs"])
            return [], call
        return list(whole or ()), {}


def _call_as_json(serializer: Serializer, by_place: list[Any], by_name: dict[str, Any]) -> bytes:
    args, kwargs = serializer.dumps(by_place), serializer.dumps(by_name)
    return b'{"' + MARK.encode() + b'":"call","args":' + args + b',"kwargs":' + kwargs + b"}"


def _read_call(serializer: Serializer, stored: bytes) -> tuple[list[Any], dict[str, Any]]:
    call: dict[str, Any] = json.loads(stored)
    if call.get(MARK) == "call":
        args = serializer.loads(json.dumps(call["args"]).encode())
        return list(args), dict(serializer.loads(json.dumps(call["kwargs"]).encode()))
    return [], dict(serializer.loads(stored))


def stored_parts(serializer: Serializer, stored: bytes) -> tuple[bytes, bytes]:
    """A record's `args` and `kwargs`, of arguments as they are stored."""
    if codec_of(serializer) != "json" or not stored.lstrip().startswith(b"{"):
        return stored, b"{}"
    read: dict[str, Any] = json.loads(stored)
    if read.get(MARK) == "call":
        return json.dumps(read["args"]).encode(), json.dumps(read["kwargs"]).encode()
    return b"[]", stored


def stored_whole(serializer: Serializer, args: bytes, kwargs: bytes) -> bytes:
    """Arguments as they are stored, of a record's `args` and `kwargs`."""
    if codec_of(serializer) != "json" or kwargs in (b"", b"{}"):
        return args
    by_place: list[Any] = json.loads(args or b"[]")
    if not by_place:
        return kwargs
    return json.dumps({MARK: "call", "args": by_place, "kwargs": json.loads(kwargs)}).encode()
