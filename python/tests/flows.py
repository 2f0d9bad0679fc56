"""Durable functions whose worker dies under them, and the program that serves them: `python flows.py DATABASE LEDGER`.

What really ran is written to a ledger outside of the database, a line for each body and each pass of an orchestrator.
Code that `hangs` does so in the first process that comes there, which is then killed by whoever waits for that line.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from stent import ExpiryError, RetryPolicy, Stent
from stent.registry import FunctionRegistry

registry = FunctionRegistry()
serving: list[Stent] = []
"""The executor of this process, for code that dispatches."""
LEDGER = os.environ.get("STENT_TEST_LEDGER", "")

once = RetryPolicy(max_attempts=1)


def durable(fn: Any) -> Any:
    return Stent.durable(name=fn.__name__, registry=registry, retry_policy=once)(fn)


def note(line: str) -> None:
    """One write, so that a kill leaves no half of a line."""
    file = os.open(LEDGER, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{line}\n".encode())
    os.close(file)


def has_noted(line: str) -> bool:
    return line in Path(LEDGER).read_text().splitlines()


async def hangs(at: str) -> None:
    """The first process to come here goes no further. It says so where its parent hears it."""
    if not has_noted(f"hangs {at}"):
        note(f"hangs {at}")
        print(f"hangs {at}", flush=True)
        await asyncio.Event().wait()


class PaymentError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"declined: {code}")
        self.code = code


@durable
async def child(number: int) -> int:
    note(f"child {number}")
    return number * 10


@durable
async def dies(number: int) -> int:
    note(f"child {number}")
    await hangs(f"in {number}")
    return number * 10


@durable
async def slow(number: int) -> int:
    note(f"slow {number}")
    # So long that whatever is quick has ended before on a busy machine too.
    await asyncio.sleep(0.5)
    return number


@durable
async def declined(code: int) -> None:
    note(f"declined {code}")
    raise PaymentError(code)


@durable
async def one_after_another() -> list[int]:
    first = [await child(number) for number in (1, 2, 3)]
    return [*first, await dies(4), await child(5)]


@durable
async def gathered() -> list[int]:
    results = await Stent.gather(child(1), slow(2), child(3))
    await hangs("gathered")
    return [*results, *await asyncio.gather(child(4), child(5))]


@durable
async def grouped() -> list[int]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(child(1)), group.create_task(slow(2)), group.create_task(child(3))]
    await hangs("grouped")
    return [task.result() for task in tasks]


@durable
async def raced() -> str:
    racers = {asyncio.ensure_future(child(1)): "quick", asyncio.create_task(slow(2)): "slow"}
    done, pending = await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
    won = [racers[task] for task in done]
    note(f"pass: won {won}")
    await child(10)
    await asyncio.wait(pending)
    await hangs("raced")
    return won[0]


@durable
async def as_they_come() -> list[int]:
    came = []
    for coming in asyncio.as_completed([slow(2), child(1)]):
        came.append(await coming)
        await child(100 + len(came))
    await hangs("as they come")
    return came


@durable
async def timed_out() -> str:
    try:
        async with asyncio.timeout(0.05):
            await slow(1)
            took = "result"
    except TimeoutError:
        took = "timeout"
    note(f"pass: {took}")
    await child(10)
    await Stent.sleep(0.3)
    await hangs("timed out")
    return took


@durable
async def compensated() -> str:
    try:
        await declined(51)
    except PaymentError as error:
        await child(error.code)
        await hangs("compensated")
        return f"{type(error).__name__} {error.code}"
    return "paid"


@durable
async def counted() -> list[Any]:
    context = Stent.context(counters={"seen": 5}, state={"by": "ann"})
    total = await context.counters("seen").add(2)
    key, chance, at = Stent.uuid(), Stent.random(), Stent.now()
    step = await Stent.step("step", lambda: note("step") or 7)
    values = [total, str(key), chance, at.isoformat(), step]
    note(f"pass: {values}")
    await hangs("counted")
    await context.state("by").set("bob")
    return values


@durable
async def signalled() -> list[Any]:
    first = await Stent.wait_for_signal("go")
    await hangs("signalled")
    try:
        await Stent.wait_for_signal("never", timeout=0.05)
    except ExpiryError:
        return [first, await Stent.wait_for_signal("go"), "expired"]
    return []


@durable
async def in_threads() -> list[Any]:
    # In a thread without an event loop a call is its result. Threads are told apart by the order of their first calls.
    results = [await asyncio.to_thread(child, number) for number in (1, 2)]
    await hangs("in threads")
    return sorted(results)


@durable
async def in_many_threads(count: int) -> int:
    tens: list[Any] = [await asyncio.to_thread(child, 1) for _ in range(count)]
    await hangs("in many threads")
    return sum(tens)


def key_of(number: int) -> str:
    """Ends once it has been asked by four threads at the same time."""
    note("asks")
    while Path(LEDGER).read_text().splitlines().count("asks") < 4:
        time.sleep(0.01)
    return f"key {number}"


@Stent.durable(name="keyed", registry=registry, retry_policy=once, cached=True, idempotency_key_func=key_of)
async def keyed(number: int) -> int:
    note(f"keyed {number}")
    return number


@durable
async def keyed_in_threads() -> list[int]:
    began = [threading.Event() for _ in range(4)]

    def code(number: int) -> Any:
        # The first call, by which threads are told apart.
        Stent.uuid()
        began[number].set()
        return keyed(number)

    threads: list[asyncio.Task[Any]] = []
    for number in range(4):
        threads.append(asyncio.create_task(asyncio.to_thread(code, number)))
        await asyncio.to_thread(began[number].wait)
    numbers = await asyncio.gather(*threads)
    await hangs("keyed")
    return numbers


@durable
def plain(number: int) -> str:
    note(f"plain {number}")
    return (threading.current_thread() is not threading.main_thread() and f"plain {number}") or ""


@durable
async def swallows() -> str:
    note("pass: swallows")
    with contextlib.suppress(BaseException):
        await Stent.wait_for_signal("never")
    await asyncio.gather(*[child(1)], return_exceptions=True)
    with contextlib.suppress(BaseException):
        await child(2)
    return "swallowed"


async def main(database: str, served: FunctionRegistry, **options: Any) -> None:
    """Serves until it is killed, or drains on SIGTERM. `STENT_TEST_PARK` is how long code may wait before it is put
    aside, in seconds."""
    backend = Stent.backends.PostgresBackend(database) if "://" in database else Stent.backends.SQLiteBackend(database)
    park = os.environ.get("STENT_TEST_PARK")
    async with Stent.bootstrap(backend, function_registry=served, **options) as executor:
        serving.append(executor)
        lifecycle = executor.create_worker_lifecycle()
        park_for = None if park is None else timedelta(seconds=float(park))
        worker = asyncio.create_task(executor.serve(poll_interval=0.1, lifecycle=lifecycle, park_for=park_for))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lifecycle.request_drain)
        ready = asyncio.create_task(lifecycle.wait_until_ready())
        await asyncio.wait({worker, ready}, return_when=asyncio.FIRST_COMPLETED)
        print("serves", flush=True)
        await worker


def run(served: FunctionRegistry, **options: Any) -> None:
    """The program: on the loop that `STENT_TEST_LOOP` names, else asyncio's own."""
    serves = main(sys.argv[1], served, **options)
    if os.environ.get("STENT_TEST_LOOP") == "uvloop":
        import uvloop

        uvloop.run(serves)
    else:
        asyncio.run(serves)


if __name__ == "__main__":
    run(registry)
