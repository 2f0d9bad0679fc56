"""Durable functions with time limits of asyncio's, and the program that serves them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import flows
from flows import hangs, has_noted, note, once
from stent import Stent
from stent.registry import FunctionRegistry

registry = FunctionRegistry()


def durable(fn: Any) -> Any:
    return Stent.durable(name=fn.__name__, registry=registry, retry_policy=once)(fn)


@durable
async def child(number: int) -> int:
    note(f"child {number}")
    return number * 10


@durable
async def slow(number: int) -> int:
    note(f"slow {number}")
    await asyncio.sleep(0.2)
    return number


async def limited(kind: str, seconds: float, part: Any) -> str:
    """Runs a part under a limit of each kind; what it came to, or "timeout"."""
    try:
        if kind == "timeout":
            async with asyncio.timeout(seconds):
                return await part
        if kind == "wait_for":
            return await asyncio.wait_for(part, seconds)
        if kind == "as_completed":
            return await next(iter(asyncio.as_completed([part], timeout=seconds)))
        task = asyncio.ensure_future(part)
        done, _ = await asyncio.wait([task], timeout=seconds)
        return task.result() if done else "timeout"
    except TimeoutError:
        return "timeout"


@durable
async def in_time(kind: str) -> str:
    async def part() -> str:
        first = await child(1)
        if has_noted("hangs in time"):
            # The replay takes longer than the limit: the whole loop stands still.
            time.sleep(4)
        return f"{first} {await slow(2)}"

    took = await limited(kind, 3, part())
    note(f"pass: {took}")
    await child(3)
    await hangs("in time")
    return took


@durable
async def too_late(kind: str) -> list[Any]:
    running = asyncio.ensure_future(slow(1))
    took = await limited(kind, 0.05, asyncio.shield(running))
    note(f"pass: {took}")
    await Stent.step("y", note, "step")
    late = await running
    await hangs("too late")
    return [took, late]


@durable
async def too_late_beside(kind: str) -> str:
    async def part() -> str:
        # Nothing of the engine's: another process may be quicker.
        await asyncio.sleep(0.3 if has_noted("hangs beside") else 600)
        return "in time"

    await child(1)
    took = await limited(kind, 0.1, part())
    note(f"pass: {took}")
    await child(2)
    await hangs("beside")
    return took


@durable
async def stands() -> float:
    began = Stent.now()
    try:
        async with asyncio.timeout(8):
            await child(1)
            await hangs("stands")
            await Stent.wait_for_signal("never")
    except TimeoutError:
        return (Stent.now() - began).total_seconds()
    return 0.0


@durable
async def polled() -> list[str]:
    """Many limits one after another, some of which are over."""
    came: list[str] = []
    for number in range(6):
        came.append(await limited("wait_for", 30 if number % 2 else 0.02, slow(number)))
    note(f"pass: {came}")
    await hangs("polled")
    return came


@durable
async def reaches() -> float:
    """No durable call is made in it: its limit costs nothing, and no record."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(0.1):
            await asyncio.sleep(600)
    except TimeoutError:
        return time.monotonic() - began
    return 0.0


@durable
async def sleeps() -> str:
    note("pass: sleeps")
    await asyncio.sleep(1.5)
    return "slept"


if __name__ == "__main__":
    flows.run(registry, promote_sleep=True)
