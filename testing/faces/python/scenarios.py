"""The scenarios in Python, and a worker that serves them until its input ends. Each name stands in `src/scenarios.rs`
too, where the same is written as one writes it there.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from stent import ExpiryError, RetryPolicy, Stent
from stent._current import current
from stent.registry import FunctionRegistry

registry = FunctionRegistry()

LONG_S = 3600
"""Longer than any run."""

SHORT_S = 0.02
"""Over before anybody answers."""

TWICE = RetryPolicy(max_attempts=2, initial_delay=0.001, backoff_factor=1.0, jitter=0)


@Stent.durable(name="scenario", registry=registry)
async def scenario(name: str) -> Any:
    return await SCENARIOS[name]()


async def give(value: Any) -> Any:
    return value


async def fail(name: str) -> Any:
    raise ValueError(f"{name} failed")


def step(name: str) -> Awaitable[Any]:
    return Stent.step(name, give, name)


async def two_steps(first: str, second: str) -> list[Any]:
    return [await step(first), await step(second)]


async def caught(call: Awaitable[Any]) -> str:
    """What an error says that code goes on after."""
    try:
        return await call
    except ValueError as error:
        return str(error)


def attempt() -> int:
    running = current.get()
    assert running is not None
    return running.about["attempt"]


@Stent.durable(name="echo", registry=registry, retry_policy=TWICE)
async def echo(text: str) -> str:
    return text


@Stent.durable(name="nested", registry=registry, retry_policy=TWICE)
async def nested(text: str) -> str:
    await step("a")
    return await echo(text)


@Stent.durable(name="fails", registry=registry, retry_policy=TWICE)
async def fails(text: str) -> str:
    raise ValueError(f"no {text}")


@Stent.durable(name="flaky", registry=registry, retry_policy=TWICE)
async def flaky(text: str) -> str:
    made = await step("a")
    if attempt() == 1:
        raise ValueError(f"not yet {text}")
    return made


async def steps_of_one_name() -> Any:
    return [await step("same"), await step("same"), await step("same")]


async def a_step_that_fails() -> Any:
    return [await caught(Stent.step("bad", fail, "bad")), await step("after")]


async def gather_of_steps() -> Any:
    return await asyncio.gather(step("a"), step("b"), step("c"))


async def gather_of_branches() -> Any:
    return await asyncio.gather(two_steps("a", "b"), two_steps("c", "d"))


async def first_of(*calls: Awaitable[Any]) -> tuple[Any, list[asyncio.Future[Any]]]:
    """What came first, and the others as they stand."""
    runners = [asyncio.ensure_future(call) for call in calls]
    done, _ = await asyncio.wait(runners, return_when=asyncio.FIRST_COMPLETED)
    first = next(one for one in runners if one in done)
    return first.result(), [one for one in runners if one is not first]


async def a_race_of_steps() -> Any:
    first, (other,) = await first_of(step("a"), step("b"))
    return [first, await other, await step("after")]


async def a_race_that_a_timer_lost() -> Any:
    won, (timer,) = await first_of(step("a"), Stent.sleep(LONG_S))
    timer.cancel()
    return [won, await step("after")]


async def a_signal_that_lost() -> Any:
    won, (waiting,) = await first_of(Stent.wait_for_signal("go"), step("a"))
    waiting.cancel()
    return [won, await Stent.wait_for_signal("go")]


async def gather_of_children() -> Any:
    return await asyncio.gather(echo("x"), echo("y"))


async def map_of_children() -> Any:
    return await echo.map(["w", "x", "y", "z"])


async def a_childs_error() -> Any:
    return [await caught(fails("x")), await step("after")]


async def compensation() -> Any:
    await step("book")
    await step("pay")
    error = await caught(fails("x"))
    await step("refund")
    await step("cancel")
    return error


async def a_root_that_is_retried() -> Any:
    await step("kept")
    if attempt() == 1:
        await caught(Stent.step("dropped", fail, "dropped"))
        raise ValueError("once")
    return await step("dropped")


async def sleep() -> Any:
    await Stent.sleep(SHORT_S)
    return await step("after")


async def two_signals() -> Any:
    return [await Stent.wait_for_signal("go"), await Stent.wait_for_signal("go")]


async def too_late(wait: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await wait()
    except ExpiryError:
        return await step("after")


async def an_event_of_its_own() -> Any:
    await Stent.events.emit("own", {"n": 2})
    return await Stent.events.wait("own")


async def counters() -> Any:
    context = Stent.context(counters={"done": 0})
    await context.counters("done").add(2)
    await context.counters("done").add(3)
    return await step("after")


async def state() -> Any:
    context = Stent.context()
    await context.state("stage").set("first")
    await context.state("stage").set("second")
    return await step("after")


async def the_time() -> Any:
    return Stent.now() <= Stent.now()


async def a_dispatch() -> Any:
    await executor[0].dispatch(echo, "x")
    return await step("after")


async def a_signal_to_another() -> Any:
    running = current.get()
    assert running is not None
    await executor[0].send_signal(running.about["execution_id"], "go", 7)
    return await Stent.wait_for_signal("go")


async def cancellation() -> Any:
    await step("before")
    return await Stent.wait_for_signal("never")


SCENARIOS: dict[str, Callable[[], Awaitable[Any]]] = {
    "one step": partial(step, "a"),
    "steps of one name": steps_of_one_name,
    "a step that fails": a_step_that_fails,
    "gather of steps": gather_of_steps,
    "gather of branches": gather_of_branches,
    "a race of steps": a_race_of_steps,
    "a race that a timer lost": a_race_that_a_timer_lost,
    "signal after a race it lost": a_signal_that_lost,
    "a child": partial(echo, "x"),
    "a child of a child": partial(nested, "x"),
    "gather of children": gather_of_children,
    "map of children": map_of_children,
    "a child's error": a_childs_error,
    "a child that is retried": partial(flaky, "x"),
    "compensation": compensation,
    "a root that is retried": a_root_that_is_retried,
    "sleep": sleep,
    "signal": partial(Stent.wait_for_signal, "go"),
    "two signals of one name": two_signals,
    "timeout of a signal": partial(too_late, partial(Stent.wait_for_signal, "go", timeout=SHORT_S)),
    "event": partial(Stent.events.wait, "news"),
    "timeout of an event": partial(too_late, partial(Stent.events.wait, "never", timeout=SHORT_S)),
    "an event of its own": an_event_of_its_own,
    "counters": counters,
    "state": state,
    "the time": the_time,
    "a dispatch": a_dispatch,
    "a signal to another": a_signal_to_another,
    "cancellation": cancellation,
}

executor: list[Stent] = []


async def serve(url: str) -> None:
    file = url.removeprefix("sqlite://")
    backend = Stent.backends.PostgresBackend(url) if file == url else Stent.backends.SQLiteBackend(file)
    executor.append(Stent(backend, function_registry=registry))
    await executor[0].backend.init_db()
    lifecycle = executor[0].create_worker_lifecycle()
    serving = asyncio.create_task(executor[0].serve(max_concurrency=16, lifecycle=lifecycle))
    await lifecycle.wait_until_ready()
    print("up", flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)
    lifecycle.request_drain()
    await serving
    await executor[0].shutdown()
    await executor[0].backend.close()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
