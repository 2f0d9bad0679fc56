"""Code that asks for what cannot be, or comes to what cannot be recorded: it is told so, or its own attempt fails with
words, and whatever else runs on its event loop goes on."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from stent import RetryPolicy, Stent
from stent._attempt import Calling
from stent._ids import new_id
from stent.registry import FunctionRegistry
from stores import AnyBackend
from test_executor import serving

ONCE = RetryPolicy(max_attempts=1)

TOO_LARGE = "x" * (17 * 1024 * 1024)
"""More than a payload may have."""

registry = FunctionRegistry()


@Stent.durable(name="beside", registry=registry, retry_policy=ONCE)
async def beside() -> Any:
    """Waits through whatever the others do."""
    return await Stent.wait_for_signal("go")


@Stent.durable(name="large", registry=registry, retry_policy=ONCE)
async def large(how: str) -> Any:
    if how == "result":
        return TOO_LARGE
    if how == "argument":
        return await large(TOO_LARGE)
    if how == "state":
        await Stent.context().state("page").set(TOO_LARGE)
    if how == "before a value":
        # What was asked goes before the value, at once and not when the code rests.
        waiting = asyncio.ensure_future(Stent.events.emit("page", TOO_LARGE))
        await asyncio.sleep(0)
        Stent.now()
        await waiting
    return await Stent.step("reads", lambda: TOO_LARGE)


@pytest.mark.parametrize("how", ["result", "argument", "state", "before a value", "step"])
async def test_what_cannot_be_handed_over_fails_its_own_attempt_and_no_other(backend: AnyBackend, how: str) -> None:
    async with serving(backend, registry) as executor:
        others = [await executor.dispatch(beside) for _ in range(3)]
        async with asyncio.timeout(30):
            ended = await executor.wait_for(await executor.dispatch(large, how))
            assert "over the limit of 16 MiB" in str(ended.error)
            for other in others:
                await executor.send_signal(other, "go", 7)
            assert [(await executor.wait_for(other)).unwrap() for other in others] == [7, 7, 7]
        assert (await executor.state_of(others[0])).retries == 0


def whole(value: Any) -> Exception:
    error = ValueError("the user's words")
    error.held = value  # type: ignore[attr-defined]
    return error


def in_itself() -> list[Any]:
    inner: list[Any] = []
    inner.append(inner)
    return inner


def deep(levels: int) -> list[Any]:
    outer: list[Any] = []
    inner = outer
    for _ in range(levels):
        inner.append([])
        inner = inner[0]
    return outer


def its_own_attribute() -> Exception:
    error = whole(None)
    error.held = error  # type: ignore[attr-defined]
    return error


class Mute(Exception):
    """An error that cannot be described."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Shy(Exception):
    """An error whose attributes cannot be looked at."""

    __slots__ = ("kept",)

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")


def chained(links: int) -> Exception:
    error = whole(deep(30))
    for _ in range(links):
        outer = whole(deep(30))
        outer.__cause__ = error
        error = outer
    return error


ERRORS: dict[str, tuple[Callable[[], BaseException], str]] = {
    "no number": (lambda: ValueError(float("nan")), "nan"),
    "no finite number": (lambda: ValueError(-float("inf")), "-inf"),
    "half a character": (lambda: ValueError("a\ud800b"), "a\\ud800b"),
    "holds no number": (lambda: whole({"n": [float("nan")]}), "the user's words"),
    "holds half a character": (lambda: whole({"\udfff": "\ud800"}), "the user's words"),
    "holds itself in a list": (lambda: whole(in_itself()), "the user's words"),
    "holds itself": (its_own_attribute, "the user's words"),
    "is nested": (lambda: whole(deep(200)), "the user's words"),
    "is nested deeply": (lambda: whole(deep(5000)), "the user's words"),
    "holds a number of many digits": (lambda: whole(10**5000), "the user's words"),
    "is caused by many": (lambda: chained(40), "the user's words"),
    "has no words": (Mute, "<its __str__ failed: RuntimeError>"),
    "shows nothing": (lambda: Shy("shy"), "shy"),
}


@Stent.durable(name="fails", registry=registry, retry_policy=ONCE)
async def fails(how: str) -> None:
    raise ERRORS[how][0]()


@Stent.durable(name="fails_in_a_step", registry=registry, retry_policy=ONCE)
async def fails_in_a_step(how: str) -> None:
    def body() -> None:
        raise ERRORS[how][0]()

    await Stent.step("fails", body)


@pytest.mark.parametrize("serializer", ["json", "pickle"])
@pytest.mark.parametrize("how", ERRORS)
async def test_every_error_is_recorded_as_itself_whatever_it_holds(
    backend: AnyBackend, how: str, serializer: str, caplog: pytest.LogCaptureFixture
) -> None:
    error, words = ERRORS[how]
    async with serving(backend, registry, serializer=serializer) as executor:
        for function in (fails, fails_in_a_step):
            async with asyncio.timeout(20):
                execution = await executor.dispatch(function, how)
                ended = await executor.wait_for(execution)
            assert type(ended.error) is type(error())
            record = await backend.get_execution(execution)
            assert record is not None and record.error is not None
            assert json.loads(record.error)["message"] == words
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


ASKS: dict[str, Callable[[Any], Any]] = {
    "a wait for a signal": lambda name: Stent.wait_for_signal(name, timeout="1s"),
    "an event": lambda name: Stent.events.emit(name, 1),
    "an event's queue": lambda name: Stent.events.emit("news", 1, queue=name),
    "a wait for an event": lambda name: Stent.events.wait(name, timeout="1s"),
    "a wait in a queue": lambda name: Stent.events.wait("news", timeout="1s", queue=name),
    "a counter": lambda name: Stent.context().counters(name).add(1),
    "a counter's beginning": lambda name: Stent.context(counters={name: 1}),
    "a state value": lambda name: Stent.context().state(name).set(1),
    "a state value's beginning": lambda name: Stent.context(state={name: 1}),
    "a call": lambda name: Stent.call(name),
    "a step": lambda name: Stent.step(name, lambda: 1),
    "a signal": lambda name: held[0].send_signal(new_id(), name, 1),
    "a start's queue": lambda name: held[0].dispatch(beside, queue=name),
    "a start's tag": lambda name: held[0].dispatch(beside, tags=[name]),
    "a start's key": lambda name: held[0].dispatch(beside, idempotency_key=name),
}

WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "text for a number": (lambda: Stent.context().counters("seen").add("1"), "TypeError"),  # type: ignore[arg-type]
    "no number": (lambda: Stent.context().counters("seen").add(float("nan")), "ValueError"),
    "too much of a number": (lambda: Stent.context().counters("seen").add(10**400), "ValueError"),
    "a beginning that is no number": (lambda: Stent.context(counters={"seen": "1"}), "TypeError"),  # type: ignore[dict-item]
    "a word for a priority": (lambda: held[0].dispatch(beside, priority="high"), "TypeError"),  # type: ignore[arg-type]
    "a large priority": (lambda: held[0].dispatch(beside, priority=10**12), "ValueError"),
    "headers by number": (lambda: held[0].dispatch(beside, headers={1: 2}), "TypeError"),  # type: ignore[dict-item]
    "headers without a number": (lambda: held[0].dispatch(beside, headers={"n": float("nan")}), "TypeError"),
    "no execution's id": (lambda: held[0].send_signal("nope", "go", 1), "ValueError"),
    "a number for an id": (lambda: held[0].send_signal(5, "go", 1), "TypeError"),  # type: ignore[arg-type]
}

held: list[Stent] = []


async def told(ask: Callable[[], Any]) -> str:
    """The error that asking gives, where it is asked."""
    try:
        asked = ask()
        if asyncio.iscoroutine(asked) and not isinstance(asked, Calling):
            await asked
    except (TypeError, ValueError) as error:
        return f"{'TypeError' if isinstance(error, TypeError) else 'ValueError'}: {error}"
    return f"nothing: {asked!r}"


@Stent.durable(name="asks_wrongly", registry=registry, retry_policy=ONCE)
async def asks_wrongly() -> dict[str, list[str]]:
    names: list[Any] = ["", 5, "a\0b", "\ud800", " blank", "x" * 256]
    heard = {what: [await told(lambda: ask(name)) for name in names] for what, ask in ASKS.items()}  # noqa: B023
    for what, (ask, _) in WRONG.items():
        heard[what] = [await told(ask)]
    # What is refused is not recorded, and what follows is.
    await Stent.sleep(0)
    return heard


async def test_what_is_asked_wrongly_raises_where_it_is_asked(backend: AnyBackend) -> None:
    async with serving(backend, registry) as executor, asyncio.timeout(30):
        held[:] = [executor]
        heard = (await executor.wait_for(await executor.dispatch(asks_wrongly))).unwrap()
    for what in ASKS:
        kinds = [one.partition(":")[0] for one in heard[what]]
        assert kinds == ["ValueError", "TypeError", *["ValueError"] * 4], (what, heard[what])
        assert "must have at most 255 bytes" in heard[what][-1]
    for what, (_, kind) in WRONG.items():
        assert heard[what][0].startswith(kind), (what, heard[what])


async def test_from_outside_what_is_asked_wrongly_raises_too(backend: AnyBackend) -> None:
    executor = Stent(backend, function_registry=registry)
    held[:] = [executor]
    for what, (ask, kind) in WRONG.items():
        if "number" not in what or "headers" in what or "id" in what:
            assert (await told(ask)).startswith(kind), what
    await executor.shutdown()


async def test_names_may_have_as_many_bytes_as_the_engine_takes(backend: AnyBackend) -> None:
    @Stent.durable(name="long_names", registry=(own := FunctionRegistry()), retry_policy=ONCE)
    async def long_names() -> list[Any]:
        name = "é" * 127
        await Stent.events.emit(name, 1)
        await Stent.context().state(name).set(2)
        counted = await Stent.context().counters(name).add(3)
        return [await Stent.events.wait(name), counted, await Stent.step(name, lambda: 4)]

    async with serving(backend, own) as executor, asyncio.timeout(20):
        execution = await executor.dispatch(long_names)
        assert (await executor.wait_for(execution)).unwrap() == [1, 3, 4]
