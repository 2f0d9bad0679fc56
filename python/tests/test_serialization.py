"""What values become, and what they come back as."""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any

import pytest
from stent.core import Result
from stent.errors import ForeignPayload, NotSerializable, RemoteError, RemoteTraceback
from stent.utils.serialization import (
    JsonSerializer,
    PickleSerializer,
    codec_of,
    dump,
    dump_error,
    get_serializer,
    load,
    load_error,
    register_exception,
)

JSON = JsonSerializer()
PICKLE = PickleSerializer()


class PaymentError(Exception):
    def __init__(self, *, code: int, gateway: str) -> None:
        super().__init__(f"{gateway} says {code}")
        self.code = code
        self.gateway = gateway


class Slotted(Exception):
    __slots__ = ("code",)
    code: int


@dataclass
class Basket:
    items: list[str]


class Color(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


def there_and_back(value: Any) -> Any:
    return JSON.loads(JSON.dumps(value))


def error_there_and_back(error: BaseException, serializer: Any = JSON) -> Exception:
    details = json.loads(json.dumps(dump_error(serializer, error)))
    return load_error(serializer, str(error), details)


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        2**100,
        1.5,
        True,
        False,
        None,
        "",
        "naïve ☃",
        [],
        {},
        [1, [2, {"a": None}]],
        {"a": {"b": [1]}},
        b"",
        b"\x00\xff",
    ],
)
def test_json_carries_plain_values_as_they_are(value: Any):
    back = there_and_back(value)
    assert back == value and type(back) is type(value)


def test_json_carries_tuples_as_lists_and_results_as_results():
    assert there_and_back((1, (2, b"x"))) == [1, [2, b"x"]]
    assert there_and_back(Result.Ok({"n": (1,)})) == Result.Ok({"n": [1]})
    failed = there_and_back(Result.Error(PaymentError(code=7, gateway="acme")))
    assert not failed and isinstance(failed.error, PaymentError) and failed.error.code == 7


def test_json_carries_subclasses_of_plain_types_as_those():
    back = there_and_back([Color.RED, Level.HIGH, {Color.RED: 1}])
    assert back == ["red", 3, {"red": 1}] and type(back[0]) is str and type(back[1]) is int


@pytest.mark.parametrize("key", ["$stent", "$$stent", "$$$stent", "stent", "$"])
def test_a_users_own_key_that_looks_like_the_mark_stays_the_users(key: str):
    value = {key: "bytes", "base64": "AAAA", "inner": {key: {key: b"x"}}}
    assert there_and_back(value) == value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({1, 2}, "argument 'x' is of type set"),
        ({"a": [Decimal(1)]}, "argument 'x'['a'][0] is of type decimal.Decimal"),
        ({"a": {1: 2}}, "argument 'x'['a'] has the key 1 of type int"),
        ([float("nan")], "argument 'x'[0] is nan"),
        ({"a": float("-inf")}, "argument 'x'['a'] is -inf"),
        (["\ud800"], "argument 'x'[0] holds half of a surrogate pair"),
        (Basket([]), "Basket"),
        (Result.Ok(object()), "argument 'x'.value is of type object"),
    ],
)
def test_what_json_cannot_carry_is_a_type_error_that_names_the_place_and_the_type(value: Any, words: str):
    with pytest.raises(TypeError) as raised:
        dump(JSON, value, "argument 'x'")
    assert words in str(raised.value)


def test_a_value_that_contains_itself_is_refused():
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="contains itself"):
        dump(JSON, endless, "the result")


def test_what_is_not_json_is_a_value_error():
    for data in (b"", b"{", b'{"$stent":"rocket"}', b'{"$stent":"bytes","base64":"!"}'):
        with pytest.raises(ValueError):
            JSON.loads(data)


def test_an_exception_comes_back_as_itself_with_all_that_it_carried():
    try:
        raise PaymentError(code=402, gateway="acme")
    except PaymentError as error:
        back = error_there_and_back(error)
    assert isinstance(back, PaymentError)
    assert (str(back), back.code, back.gateway) == ("acme says 402", 402, "acme")
    assert isinstance(back.__cause__, RemoteTraceback)
    assert 'raise PaymentError(code=402, gateway="acme")' in str(back.__cause__)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "no such file", "/tmp/x"),
        KeyError("k"),
        ImportError("no", name="mod", path="/p"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        StopAsyncIteration(),
        TimeoutError(),
        json.JSONDecodeError("bad", "{", 1),
        ExceptionGroup("many", [ValueError(1), PaymentError(code=1, gateway="g")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_built_in_exceptions_come_back_with_their_fields(error: Exception):
    back = error_there_and_back(error)
    assert type(back) is type(error) and str(back) == str(error)
    for field in ("errno", "filename", "name", "path", "object", "start", "pos", "doc"):
        assert getattr(back, field, None) == getattr(error, field, None)
    if isinstance(error, ExceptionGroup):
        assert isinstance(back, ExceptionGroup) and [type(one) for one in back.exceptions] == [ValueError, PaymentError]


def test_attributes_in_slots_are_carried():
    error = Slotted("x")
    error.code = 5
    back = error_there_and_back(error)
    assert isinstance(back, Slotted) and back.code == 5


def test_an_attribute_that_cannot_be_carried_is_left_behind_and_named():
    error = PaymentError(code=1, gateway="g")
    error.basket = Basket(["tea"])  # type: ignore[attr-defined]
    back = error_there_and_back(error)
    assert isinstance(back, PaymentError) and back.code == 1 and getattr(back, "basket", None) is None
    assert any("basket" in note and "Basket" in note for note in back.__notes__)


def test_the_cause_comes_along():
    try:
        try:
            raise KeyError("user")
        except KeyError as inner:
            raise PaymentError(code=1, gateway="g") from inner
    except PaymentError as error:
        back = error_there_and_back(error)
    assert isinstance(back.__cause__, KeyError) and back.__cause__.args == ("user",)


def test_a_traceback_stays_that_of_the_place_where_it_was_raised_over_several_hops():
    def deep() -> None:
        raise PaymentError(code=1, gateway="g")

    try:
        deep()
    except PaymentError as error:
        once = error_there_and_back(error)
    twice = error_there_and_back(once)
    assert str(once.__cause__) == str(twice.__cause__) and "in deep" in str(twice.__cause__)


def test_a_class_that_is_not_imported_here_is_kept_whole_and_never_imported():
    assert "wave" not in sys.modules
    details = {
        "$stent": "exception",
        "module": "wave",
        "class": "Error",
        "message": "unknown format",
        "args": ["unknown format"],
        "attributes": {"rate": 44100},
        "traceback": "Traceback: there",
    }
    error = load_error(JSON, "unknown format", details)
    assert isinstance(error, RemoteError) and "wave" not in sys.modules
    assert str(error) == "Error: unknown format"
    assert (error.module, error.class_name, error.attributes) == ("wave", "Error", {"rate": 44100})
    again = dump_error(JSON, error)
    assert {name: again[name] for name in details} == details


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "SystemExit"),
        ("builtins", "eval"),
        ("os", "path.exists"),
        ("builtins", "KeyboardInterrupt"),
        ("os", "nothing"),
    ],
)
def test_a_payload_makes_nothing_but_exceptions(module: str, name: str):
    details = {"$stent": "exception", "module": module, "class": name, "message": "m", "args": ["1"]}
    assert isinstance(load_error(JSON, "m", details), RemoteError)


def test_reading_an_error_runs_no_code_of_its_class():
    calls: list[str] = []

    class Loud(Exception):
        def __new__(cls, *args: object) -> Loud:
            calls.append("new")
            return super().__new__(cls, *args)

        def __init__(self, *args: object) -> None:
            calls.append("init")
            super().__init__(*args)

        def __setattr__(self, name: str, value: object) -> None:
            calls.append("setattr")
            super().__setattr__(name, value)

    register_exception(Loud)
    error = Loud("x")
    error.code = 1  # type: ignore[attr-defined]
    details = dump_error(JSON, error)
    calls.clear()
    back = load_error(JSON, "x", details)
    assert isinstance(back, Loud) and back.args == ("x",) and vars(back)["code"] == 1 and calls == []


def test_a_local_class_comes_back_once_it_is_registered_also_under_an_old_name():
    class Local(Exception): ...

    details = dump_error(JSON, Local("x"))
    assert isinstance(load_error(JSON, "x", details), RemoteError)
    register_exception(Local, name="old.place:OldLocal")
    assert isinstance(load_error(JSON, "x", {**details, "module": "old.place", "class": "OldLocal"}), Local)
    register_exception(Local)
    assert isinstance(load_error(JSON, "x", details), Local)
    with pytest.raises(TypeError):
        register_exception(SystemExit)  # type: ignore[arg-type]


def test_an_error_of_another_language_keeps_its_words_and_details():
    error = load_error(JSON, "card declined", {"code": 51})
    assert isinstance(error, RemoteError) and str(error) == "card declined" and error.details == {"code": 51}


def test_a_hostile_pickle_is_named_and_never_run_by_a_json_executor():
    ran: list[int] = []
    sys.modules["hostile_target"] = type(sys)("hostile_target")
    sys.modules["hostile_target"].__dict__["go"] = lambda: ran.append(1)

    class Hostile:
        def __reduce__(self) -> Any:
            return (sys.modules["hostile_target"].go, ())

    sys.modules["hostile_target"].go.__module__ = "hostile_target"
    sys.modules["hostile_target"].go.__qualname__ = "go"
    stored = pickle.dumps(Hostile())
    pickle.loads(stored)
    assert ran == [1], "the payload is one that does something"
    with pytest.raises(ForeignPayload, match=r'"pickle".*"json"'):
        load(JSON, "pickle", stored)
    with pytest.raises(ValueError):
        load(JSON, "json", stored)
    import base64

    whole = {"codec": "pickle", "base64": base64.b64encode(stored).decode()}
    details = {"$stent": "exception", "module": "x", "class": "Y", "message": "m", "whole": whole}
    assert isinstance(load_error(JSON, "m", details), RemoteError)
    assert ran == [1]


def test_pickle_carries_what_json_cannot_and_names_what_it_cannot():
    assert PICKLE.loads(PICKLE.dumps(Basket(["tea"]))) == Basket(["tea"])
    with pytest.raises(TypeError, match="argument 'f' is of type function"):
        dump(PICKLE, lambda: None, "argument 'f'")


def test_an_error_crosses_whole_between_pickle_executors_and_as_json_has_it_to_others():
    error = ValueError(Basket(["tea"]))
    details = json.loads(json.dumps(dump_error(PICKLE, error)))
    whole = load_error(PICKLE, str(error), details)
    assert isinstance(whole, ValueError) and whole.args == (Basket(["tea"]),)
    part = load_error(JSON, str(error), details)
    assert isinstance(part, ValueError) and any("Basket" in note for note in part.__notes__)


class Shout:
    def dumps(self, obj: Any) -> bytes:
        return str(obj).upper().encode()

    def loads(self, data: bytes) -> Any:
        return data.decode()


class Named(Shout):
    name = "shout/1"


def test_a_serializer_of_ones_own_is_named_by_its_name_or_its_class():
    assert codec_of(Named()) == "shout/1"
    assert codec_of(Shout()).endswith(":Shout")
    assert load(Named(), "shout/1", dump(Named(), "hi", "it")) == "HI"
    with pytest.raises(ForeignPayload, match=r'"json".*"shout/1"'):
        load(Named(), "json", b"1")


def test_a_choice_of_serializer_is_a_known_word_or_an_object_with_both_methods():
    assert isinstance(get_serializer("json"), JsonSerializer) and isinstance(get_serializer("pickle"), PickleSerializer)
    assert get_serializer(mine := Shout()) is mine
    with pytest.raises(ValueError, match="yaml"):
        get_serializer("yaml")
    no_serializer: Any = object()
    with pytest.raises(TypeError, match="dumps and loads"):
        get_serializer(no_serializer)


def test_a_serializer_that_returns_no_bytes_is_told_so():
    class Text(Shout):
        def dumps(self, obj: Any) -> Any:
            return str(obj)

    with pytest.raises(TypeError, match="must return bytes"):
        dump(Text(), 1, "it")


def test_a_cancelled_error_is_recorded_though_it_is_no_exception():
    error = error_there_and_back(asyncio.CancelledError("stop"))
    assert isinstance(error, RemoteError) and error.class_name == "CancelledError"


def test_not_serializable_can_be_pickled_itself():
    refusal = NotSerializable("['a']", "is of type set", "hint")
    assert str(pickle.loads(pickle.dumps(refusal))) == str(refusal)
