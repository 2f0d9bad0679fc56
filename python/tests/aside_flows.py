"""Durable functions that are put aside while they wait, and the program that serves them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import flows
from flows import note, once
from stent import RetryPolicy, Stent
from stent.registry import FunctionRegistry

registry = FunctionRegistry()


def durable(fn: Any) -> Any:
    return Stent.durable(name=fn.__name__, registry=registry, retry_policy=once)(fn)


@durable
async def child(number: int) -> int:
    note(f"child {number}")
    return number * 10


@durable
async def waits() -> list[Any]:
    """Waits of every kind, each long enough to be put aside."""
    note("pass: waits")
    first = await child(1)
    await Stent.sleep(0.5)
    note("slept")
    signal = await Stent.wait_for_signal("go")
    note("signalled")
    event = await Stent.events.wait("news")
    return [first, signal, event, await child(2)]


@durable
async def emits(name: str) -> None:
    await Stent.events.emit(name, name)


async def beside() -> None:
    try:
        await Stent.wait_for_signal("beside")
    finally:
        note("beside ends")
        await asyncio.sleep(0.3)
        note("beside has ended")


@durable
async def unwinds() -> Any:
    note("pass: unwinds")
    task = asyncio.create_task(beside())
    went = False
    try:
        await asyncio.sleep(0)
        value = await Stent.wait_for_signal("go")
        went = True
    finally:
        if not went:
            try:
                await child(1)
            except BaseException as error:
                note(f"refused: {type(error).__name__}")
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.1)
            note("ended")
    task.cancel()
    return value


@durable
async def stubborn() -> Any:
    """Swallows every attempt to stop it, and asks for what is refused."""
    note("pass: stubborn")
    try:
        return await Stent.wait_for_signal("go")
    except BaseException:
        while True:
            with contextlib.suppress(BaseException):
                await asyncio.gather(child(2), return_exceptions=True)
            with contextlib.suppress(BaseException):
                await asyncio.sleep(60)


@durable
async def grouped() -> list[Any]:
    note("pass: grouped")
    came: list[Any] = []

    async def one(name: str) -> None:
        try:
            came.append(await Stent.wait_for_signal(name))
        finally:
            note(f"left {name}")

    async with asyncio.TaskGroup() as group:
        for name in ("a", "b"):
            group.create_task(one(name))
    return sorted(came)


@durable
async def swallows() -> list[Any]:
    """Hides what stops it in every way that asyncio knows."""
    note("pass: swallows")
    came: list[Any] = []
    try:
        came = await asyncio.gather(Stent.wait_for_signal("go"), child(1), return_exceptions=True)
    except BaseException:
        note("swallowed")
    if not came or any(isinstance(one, BaseException) for one in came):
        with contextlib.suppress(BaseException):
            await child(66)
        with contextlib.suppress(BaseException):
            await Stent.step("66", note, "child 66")
        with contextlib.suppress(BaseException):
            await Stent.context(counters={"c": 0}).counters("c").add(1)
        return ["wrong"]
    return came


@Stent.durable(name="limited", registry=registry, retry_policy=once, max_concurrent=1)
async def limited(number: int) -> int:
    note(f"in {number}")
    await Stent.sleep(0.3)
    await asyncio.sleep(0.01)
    note(f"out {number}")
    return number


@durable
async def crowd() -> list[int]:
    return await Stent.gather(*(limited(number) for number in range(4)))


@Stent.durable(name="again", registry=registry, retry_policy=RetryPolicy(max_attempts=3, initial_delay=0.4, jitter=0.0))
async def again() -> str:
    await child(1)
    await Stent.sleep(0.3)
    number = sum(flows.has_noted(f"attempt {n}") for n in (1, 2)) + 1
    note(f"attempt {number}")
    if number < 3:
        raise ValueError(f"attempt {number}")
    return f"attempt {number}"


@durable
async def long() -> str:
    note("pass: long")
    try:
        await Stent.wait_for_signal("never")
    finally:
        note("left")
    return "never"


@durable
def in_a_thread() -> Any:
    note("pass: thread")
    value: Any = Stent.wait_for_signal("go")
    note(f"thread {threading.current_thread() is not threading.main_thread()}")
    return value


@durable
async def parent_of_long() -> Any:
    return await long()


if __name__ == "__main__":
    flows.run(registry)
