"""Functions that are registered while a worker runs, and functions that are known by name only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from stent import Stent
from stent.registry import FunctionRegistry
from stores import AnyBackend

WAIT_S = 30


@asynccontextmanager
async def serving(backend: AnyBackend, registry: FunctionRegistry, **options: Any) -> AsyncIterator[Stent]:
    executor = Stent(backend, function_registry=registry)
    lifecycle = executor.create_worker_lifecycle()
    worker = asyncio.create_task(executor.serve(lifecycle=lifecycle, **options))
    await lifecycle.wait_until_ready()
    try:
        yield executor
    finally:
        await executor.shutdown()
        await worker


async def test_a_function_that_is_registered_while_a_worker_runs_is_served_at_once(backend: AnyBackend):
    registry = FunctionRegistry()
    async with serving(backend, registry, poll_interval=600.0) as executor:
        execution = await executor.dispatch("late:double", 21)

        @Stent.durable(name="late:double", registry=registry)
        async def double(number: int) -> int:
            return number * 2

        assert (await executor.wait_for(execution, WAIT_S)).unwrap() == 42
        assert double.name == "late:double"


async def test_a_function_known_by_name_only_is_started_as_its_owner_says(backend: AnyBackend):
    owned, others = FunctionRegistry(), FunctionRegistry()

    @Stent.durable(
        name="owner:work",
        registry=owned,
        queue="critical",
        priority=7,
        tags=["gpu"],
    )
    async def work(number: int) -> int:
        return number + 1

    @Stent.durable(name="caller:calls", registry=others)
    async def calls(number: int) -> Any:
        return await Stent.call("owner:work", number)

    assert (work.name, calls.name) == ("owner:work", "caller:calls")
    async with serving(backend, owned), serving(backend, others) as caller:
        started = await caller.dispatch("owner:work", 1)
        called = await caller.dispatch("caller:calls", 2)
        assert [(await caller.wait_for(one, WAIT_S)).unwrap() for one in (started, called)] == [2, 3]
    tasks = [*await backend.list_tasks_for_execution(started), *await backend.list_tasks_for_execution(called)]
    found = [task for task in tasks if task.step_name == "owner:work"]
    assert len(found) == 2
    for task in found:
        assert (task.queue, task.priority, task.tags) == ("critical", 7, ["gpu"])
