"""Plain durable functions, whose code runs in a thread, and the program that serves them: what `flows.py` is to those
that are coroutines."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from flows import has_noted, note, once, run, serving
from stent import ExpiryError, Stent
from stent.registry import FunctionRegistry

registry = FunctionRegistry()


def durable(fn: Any) -> Any:
    return Stent.durable(name=fn.__name__, registry=registry, retry_policy=once)(fn)


def hangs(at: str) -> None:
    """The first process to come here goes no further."""
    if not has_noted(f"hangs {at}"):
        note(f"hangs {at}")
        print(f"hangs {at}", flush=True)
        threading.Event().wait()


@durable
def child(number: int) -> int:
    note(f"child {number}")
    return number * 10


@durable
def refuses(number: int) -> int:
    note(f"refuses {number}")
    raise ValueError(f"not {number}")


@durable
def steps() -> list[Any]:
    here = threading.get_ident()

    def charge(amount: int, *, currency: str) -> str:
        note("charge")
        assert threading.get_ident() == here
        return f"{amount} {currency}"

    async def fetch() -> str:
        note("fetch")
        return "fetched"

    def breaks() -> None:
        note("breaks")
        raise ValueError("broken")

    came: list[Any] = [Stent.step("charge", charge, 5, currency="EUR"), Stent.step("fetch", fetch)]
    try:
        Stent.step("breaks", breaks)
    except ValueError as error:
        came.append(str(error))
    note(f"pass: {came}")
    hangs("stepped")
    return came


@durable
def fans_out() -> list[Any]:
    # The items' own calls are made in this thread, where they are their results.
    maps: Any = child.map(child(number) for number in (1, 2))
    named: Any = child.starmap([{"number": 3}, (4,)])
    few: Any = Stent.map(child, [5, 6], max_parallel=1)
    failed: Any = refuses.map([7, 8], return_exceptions=True)
    gathered: Any = Stent.gather(child(9), helper())
    came = [maps, named, few, [str(error) for error in failed], gathered]
    note(f"pass: {came}")
    hangs("fanned out")
    return [*came, child(11)]


async def helper() -> int:
    return await child(10)


@durable
def starts() -> list[Any]:
    executor = serving[0]
    begun: Any = executor.dispatch(child, 1)
    later: Any = executor.schedule(0.01, child, 2)
    Stent.events.emit("told", {"by": "plain"})
    told = Stent.events.wait("told", timeout=30)
    try:
        Stent.events.wait("never", timeout=0.01)
        told = "never"
    except ExpiryError:
        pass
    note(f"pass: {[begun, later, told]}")
    hangs("started")
    waited: Any = executor.wait_for(begun)
    return [waited.value, told]


@durable
async def in_threads() -> list[Any]:
    def code(number: int) -> Any:
        first: Any = Stent.step(f"step {number}", lambda: note(f"step {number}") or number)
        return [first, *child.map([first * 10, first * 10 + 1])]

    # Threads are told apart by the order in which they make their first call.
    came = [await asyncio.to_thread(code, number) for number in (1, 2)]
    note(f"pass: {came}")
    await asyncio.to_thread(hangs, "in threads")
    return came


@durable
def with_a_loop_of_its_own() -> Any:
    async def inner() -> list[Any]:
        return [await Stent.step("inner", lambda: 1), await child.map([2]), await child(3)]

    return asyncio.run(inner())


@durable
def parent(depth: int) -> int:
    return parent(depth - 1) + 1 if depth else 0


@durable
def waits() -> str:
    note("waits")
    try:
        Stent.step("blocks", lambda: Stent.sleep(1))
    except RuntimeError as error:
        note(f"pass: {error}")
    try:
        Stent.gather(never())
    except BaseException as error:
        note(f"stopped: {type(error).__name__}")
        raise
    return "came to its end"


async def never() -> None:
    await Stent.wait_for_signal("never")


if __name__ == "__main__":
    run(registry)
