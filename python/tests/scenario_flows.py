"""The code of the scenarios of replay, and the program that serves it: `python scenario_flows.py DATABASE`.

Code that `changed` says yes to is what a later release, or another machine, makes of it: the second process runs that.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
from typing import Any

import flows
from flows import PaymentError, hangs, has_noted, note, once
from stent import ExpiryError, RetryPolicy, Stent
from stent.registry import FunctionRegistry

registry = FunctionRegistry()


def durable(fn: Any) -> Any:
    return Stent.durable(name=fn.__name__, registry=registry, retry_policy=once)(fn)


def changed() -> str:
    """What is another way in this process: `STENT_TEST_CODE`."""
    return os.environ.get("STENT_TEST_CODE", "")


@durable
async def child(number: int) -> int:
    note(f"child {number}")
    return number * 10


@durable
async def slow(number: int) -> int:
    note(f"slow {number}")
    await asyncio.sleep(0.3)
    return number


@durable
async def declined(code: int) -> None:
    note(f"declined {code}")
    raise PaymentError(code)


# 1 to 4


@durable
async def race_then_step() -> list[Any]:
    racers = {"a": asyncio.ensure_future(child(1)), "b": asyncio.ensure_future(slow(2))}
    done, _ = await asyncio.wait(racers.values(), return_when=asyncio.FIRST_COMPLETED)
    won = [name for name, racer in racers.items() if racer in done]
    note(f"pass: {won}")
    await Stent.step("x", note, "step x")
    late = await racers["b"]
    await hangs("race")
    return [*won, late, await child(3)]


@durable
async def timeout_then_step() -> list[Any]:
    running = asyncio.ensure_future(slow(1))
    try:
        async with asyncio.timeout(0.05):
            took: Any = await asyncio.shield(running)
    except TimeoutError:
        took = "timeout"
    note(f"pass: {took}")
    await Stent.step("y", note, "step y")
    late = await running
    await hangs("timeout")
    return [took, late, await child(3)]


@durable
async def compensation() -> list[Any]:
    try:
        await asyncio.gather(child(1), declined(51))
    except PaymentError as error:
        undone = await Stent.step("undo first", lambda code=error.code: note("undo first") or code)
        await hangs("compensation")
        return [undone, await child(error.code), await Stent.step("undo last", lambda: note("undo last") or "undone")]
    return ["paid"]


@durable
async def second_time(code: int) -> str:
    """Declined the first time."""
    note(f"charge {code}")
    if not has_noted("declined"):
        note("declined")
        raise PaymentError(code)
    return f"receipt {code}"


@Stent.durable(
    name="retried", registry=registry, retry_policy=RetryPolicy(max_attempts=2, initial_delay=0.05, jitter=0.0)
)
async def retried() -> list[Any]:
    first = await child(1)
    try:
        receipt = await second_time(7)
    except PaymentError:
        await Stent.step("undo", note, "undo")
        raise
    await hangs("retried")
    return [first, receipt, await child(2)]


# 5 to 9


@durable
async def reserve(name: str) -> str:
    note(f"reserve {name}")
    await asyncio.sleep(0.3 if name == "one" else 0.0)
    return name


@durable
async def charge(name: str) -> str:
    note(f"charge {name}")
    return f"receipt {name}"


@durable
async def branches() -> list[str]:
    async def branch(name: str) -> str:
        await reserve(name)
        return await charge(name)

    names = ("one", "two") if not changed() else ("two", "one")
    receipts = await asyncio.gather(*(branch(name) for name in ("one", "two")))
    note(f"pass: {receipts}")
    await hangs("branches")
    return sorted(receipts, key=lambda receipt: names.index(receipt.split()[1]))


@durable
async def keys_of_payments() -> list[Any]:
    key, chance = Stent.uuid(), Stent.random()

    async def pay() -> str:
        note(f"pass: {key} {chance}")
        await hangs("in the step")
        return f"paid {key}"

    paid = await Stent.step("charge", pay)
    return [str(key), chance, paid, str(Stent.uuid())]


@durable
async def digest(name: str, amount: int = 5, options: Any = None) -> list[Any]:
    note("digest")
    return [name, amount, options]


@durable
async def same_arguments() -> list[Any]:
    if not changed():
        came = [await digest("a"), await digest("b", 5, {"x": 1, "y": 2})]
    else:
        came = [await digest(amount=5, name="a"), await digest(options={"y": 2, "x": 1}, name="b")]
    await hangs("arguments")
    return came


def key_of_now(name: str) -> str:
    note("key")
    return f"{name} at {time.time()}"


@Stent.durable(name="keyed", registry=registry, retry_policy=once, idempotent=True, idempotency_key_func=key_of_now)
async def keyed(name: str) -> str:
    note("keyed")
    return name


@durable
async def keyed_by_the_clock() -> list[str]:
    came = [await keyed("a"), await keyed("a")]
    await hangs("keyed")
    return [*came, await keyed("a")]


@durable
async def side_effects() -> list[Any]:
    executor = flows.serving[0]
    started = await executor.dispatch("child", 4)
    listener = await executor.dispatch("listener")
    await executor.send_signal(listener, "go", "signal")
    await Stent.events.emit("news", "event")
    total = await Stent.context(counters={"n": 1}).counters("n").add(2)
    await hangs("effects")
    return [started, listener, total, await Stent.context(counters={"n": 1}).counters("n").add(4)]


@durable
async def listener() -> list[Any]:
    came = [await Stent.wait_for_signal("go"), await Stent.events.wait("news")]
    for wait in (Stent.wait_for_signal("go", timeout=1), Stent.events.wait("news", timeout=1)):
        try:
            came.append(await wait)
        except ExpiryError:
            came.append("no more")
    return came


# 10


@durable
async def released() -> list[Any]:
    code = changed()

    def body(name: str) -> Any:
        return lambda: note(f"ran {name}") or name

    steps = {
        "renamed": ["reserve", "invoice"],
        "removed": ["reserve"],
        "reordered": ["charge", "reserve"],
        "added": ["reserve", "check", "charge"],
    }.get(code, ["reserve", "charge"])
    came = [await Stent.step(name, body(name)) for name in steps]
    await hangs("released")
    return [*came, await Stent.step("ship", body("ship"))]


# 11 and 12


@durable
async def swallowed() -> list[Any]:
    note("pass: swallowed")
    came: list[Any] = []
    try:
        async with asyncio.TaskGroup() as group:
            for wait in (Stent.wait_for_signal("go"), Stent.wait_for_signal("go")):
                group.create_task(swallow(wait, came))
    except BaseException as error:
        note(f"swallowed {type(error).__name__}")
    try:
        came.append(await child(66))
    except BaseException:
        came += await asyncio.gather(child(66), Stent.step("66", note, "child 66"), return_exceptions=True)
    return [one for one in came if not isinstance(one, BaseException)]


async def swallow(wait: Any, came: list[Any]) -> None:
    try:
        came.append(await wait)
    except BaseException:
        note("swallowed one")
        came.append("swallowed")


@durable
async def runs_on() -> Any:
    """A thread and a task that nobody waits for go on after their attempt was put aside."""
    note("pass: runs on")
    first = not has_noted("thread refused")

    def thread() -> None:
        while not has_noted("go on"):
            time.sleep(0.01)
        try:
            child(66)
        except BaseException:
            note("thread refused")

    async def task() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await Stent.step("66", note, "child 66")

    if first:
        threading.Thread(target=in_context(thread), daemon=True).start()
        forgotten.add(asyncio.create_task(task()))
    return await Stent.wait_for_signal("go")


forgotten: set[asyncio.Task[None]] = set()


def in_context(code: Any) -> Any:
    context = contextvars.copy_context()
    return lambda: context.run(code)


# 23


@durable
async def abandoned(limit: float) -> list[Any]:
    try:
        async with asyncio.timeout(limit):
            return ["first", await Stent.wait_for_signal("go")]
    except TimeoutError:
        return ["second", await Stent.wait_for_signal("go")]


@durable
async def raced_wait(number: int) -> list[Any]:
    """The wait is given up for a child that ends at about the time when the signal comes."""
    wait = asyncio.ensure_future(Stent.wait_for_signal("go"))
    other = asyncio.ensure_future(slow(number))
    done, _ = await asyncio.wait({wait, other}, return_when=asyncio.FIRST_COMPLETED)
    if wait in done:
        return ["first", wait.result()]
    wait.cancel()
    note(f"lost {number}")
    return ["second", await Stent.wait_for_signal("go")]


@durable
async def ten_signals() -> list[Any]:
    first = [await Stent.wait_for_signal("go") for _ in range(4)]
    await hangs("ten")
    rest = await asyncio.gather(*(Stent.wait_for_signal("go") for _ in range(6)))
    return [*first, *rest]


if __name__ == "__main__":
    flows.run(registry)
