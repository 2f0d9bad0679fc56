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
