"""The workloads of the design through the Python package, one part a process: client and worker in one, as the Rust
face is measured. Gets the addresses of fresh databases, prints its figures as one line of JSON, and knows no aims.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from stent import Stent
from stent.registry import FunctionRegistry

registry = FunctionRegistry()

PAYLOAD = "x" * 98
"""What a step records, a task takes and gives: 100 bytes of JSON."""

CONCURRENCY = 1_024
"""Tasks that a worker runs at once: more than any workload has in hand."""

MS = 1_000


class Tally:
    """Counts W1's bodies that have ended."""

    left = 0
    all_ended = asyncio.Event()


async def made() -> str:
    return PAYLOAD


@Stent.durable(registry=registry)
async def one_step(text: str) -> str:
    await Stent.step("step", made)
    Tally.left -= 1
    if Tally.left == 0:
        Tally.all_ended.set()
    return text


@Stent.durable(registry=registry)
async def sequence(steps: int) -> str:
    result = ""
    for _ in range(steps):
        result = await Stent.step("step", made)
    return result


@Stent.durable(registry=registry)
async def calls(count: int) -> str:
    result = ""
    for _ in range(count):
        result = await echo(PAYLOAD)
    return result


@Stent.durable(registry=registry)
async def echo(text: str) -> str:
    return text


@Stent.durable(registry=registry)
async def parent(children: int) -> int:
    return len(await echo.map(PAYLOAD for _ in range(children)))


class Watch:
    """What W7's tasks of this process see and report."""

    crashes = False
    claimed: float | None = None
    live: float | None = None
    bodies = 0


@Stent.durable(registry=registry)
async def resumed(steps: int) -> int:
    # The herald, which has no steps, is claimed first, but whichever begins first has the time.
    if Watch.claimed is None:
        Watch.claimed = time.perf_counter()

    async def body() -> str:
        Watch.bodies += 1
        return PAYLOAD

    for _ in range(steps):
        await Stent.step("step", body)
    if Watch.crashes:
        if steps:
            print("recorded", flush=True)
        await asyncio.Event().wait()

    async def live() -> int:
        if steps:
            Watch.live = time.perf_counter()
        return steps

    return await Stent.step("live", live)


def executor_of(url: str) -> Stent:
    if url.startswith("sqlite://"):
        return Stent(Stent.backends.SQLiteBackend(url.removeprefix("sqlite://")), function_registry=registry)
    return Stent(Stent.backends.PostgresBackend(url), function_registry=registry)


@asynccontextmanager
async def client(url: str) -> AsyncIterator[Stent]:
    """An executor that only starts and waits."""
    executor = executor_of(url)
    await executor.backend.init_db()
    try:
        yield executor
    finally:
        await executor.shutdown()
        await executor.backend.close()


@asynccontextmanager
async def worker(executor: Stent) -> AsyncIterator[None]:
    """A worker that is ready."""
    lifecycle = executor.create_worker_lifecycle()
    serving = asyncio.create_task(executor.serve(max_concurrency=CONCURRENCY, lifecycle=lifecycle))
    await lifecycle.wait_until_ready()
    try:
        yield
    finally:
        lifecycle.request_drain()
        await serving


async def ended(executor: Stent, started: list[str]) -> list[Any]:
    """The results of executions; one that failed is an error. One after the other: most have ended by then."""
    return [(await executor.wait_for(one)).unwrap() for one in started]


async def timed(work: Awaitable[Any]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def run_all(executor: Stent, fn: Callable[..., Any], argument: int, executions: int) -> None:
    started = await asyncio.gather(*(executor.dispatch(fn, argument) for _ in range(executions)))
    await ended(executor, started)


async def together(url: str, fn: Callable[..., Any], argument: int, executions: int) -> float:
    """The seconds that so many executions take, started and awaited while the worker idles."""
    async with client(url) as executor, worker(executor):
        return await timed(run_all(executor, fn, argument, executions))


async def w1(url: str) -> dict[str, float]:
    count = 5_000
    async with client(url) as executor:
        started: list[str] = []
        for _ in range(count // 500):
            started += await asyncio.gather(*(executor.dispatch(one_step, PAYLOAD) for _ in range(500)))
        Tally.left = count
        began = time.perf_counter()
        async with worker(executor):
            await Tally.all_ended.wait()
            # Ends are committed about in the order of the bodies: after these nothing is in flight.
            await ended(executor, started[-64:])
            took = time.perf_counter() - began
            await ended(executor, started)
    return {"w1.executions": count / took}


async def w2(hundred: str, thousand: str, of_calls: str) -> dict[str, float]:
    return {
        "w2.steps_100x100": 10_000 / await together(hundred, sequence, 100, 100),
        "w2.steps_1000x100": 100_000 / await together(thousand, sequence, 100, 1_000),
        "w2.calls_100x100": 10_000 / await together(of_calls, calls, 100, 100),
    }


async def w3(of_steps: str, of_calls: str) -> dict[str, float]:
    return {
        "w3.step": await together(of_steps, sequence, 1_000, 1),
        "w3.call": await together(of_calls, calls, 1_000, 1),
    }


async def w4(url: str) -> dict[str, float]:
    async with client(url) as executor, worker(executor):
        times: list[float] = []
        for number in range(220):
            began = time.perf_counter()
            await ended(executor, [await executor.dispatch(echo, PAYLOAD)])
            if number >= 20:
                times.append((time.perf_counter() - began) * MS)
    times.sort()
    return {"w4.p50": times[len(times) // 2], "w4.p99": times[len(times) * 99 // 100]}


async def w5(url: str) -> dict[str, float]:
    async with client(url) as executor, worker(executor):
        await run_all(executor, parent, 1, 1)
        return {"w5.children": await timed(run_all(executor, parent, 1_000, 1))}


async def w6(one: str, many: str) -> dict[str, float]:
    async def in_a_row(executor: Stent, count: int) -> None:
        for _ in range(count):
            await executor.dispatch(echo, PAYLOAD)

    async with client(one) as executor:
        alone = await timed(in_a_row(executor, 2_000))
    async with client(many) as executor:
        at_once = await timed(asyncio.gather(*(in_a_row(executor, 200) for _ in range(64))))
    return {"w6.starts_one": 2_000 / alone, "w6.starts_64": 64 * 200 / at_once}


async def w7(short: str, long: str) -> dict[str, float]:
    return {
        "w7.resume_1000": await crash_and_resume(short, 1_000),
        "w7.resume_10000": await crash_and_resume(long, 10_000),
    }


async def crash_and_resume(url: str, steps: int) -> float:
    """The milliseconds from the claim until the execution is past its recorded steps."""
    process = subprocess.Popen([sys.executable, __file__, "crash", url, str(steps)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    heard = process.stdout.readline().split()
    process.kill()
    process.wait()
    assert heard[0] == "started", heard
    Watch.claimed = Watch.live = None
    Watch.bodies = 0
    async with client(url) as executor, worker(executor):
        await ended(executor, [heard[2]])
    assert Watch.bodies == 0, f"{Watch.bodies} of {steps} recorded steps ran again"
    assert Watch.claimed is not None and Watch.live is not None
    return (Watch.live - Watch.claimed) * MS


async def crash(url: str, steps: str) -> dict[str, float]:
    """The process that records the steps, and hangs until it is killed."""
    Watch.crashes = True
    async with client(url) as executor:
        herald = await executor.dispatch(resumed, 0)
        print("started", herald, await executor.dispatch(resumed, int(steps)), end=" ")
        async with worker(executor):
            await asyncio.Event().wait()
    return {}


PARTS: dict[str, Callable[..., Awaitable[dict[str, float]]]] = {
    "W1": w1,
    "W2": w2,
    "W3": w3,
    "W4": w4,
    "W5": w5,
    "W6": w6,
    "W7": w7,
    "crash": crash,
}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(PARTS[sys.argv[1]](*sys.argv[2:]))))
