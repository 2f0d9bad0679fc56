"""Options that cannot be are refused where they are given, by name, and leave nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from stent import RetryPolicy, Stent
from stent.registry import FunctionMetadata, FunctionRegistry


@pytest.fixture
async def executor() -> AsyncIterator[Stent]:
    backend = Stent.backends.SQLiteBackend(":memory:")
    await backend.init_db()
    executor = Stent(backend, function_registry=FunctionRegistry())
    yield executor
    async with asyncio.timeout(5):
        await executor.shutdown()
    await backend.close()


@pytest.mark.parametrize(
    "options",
    [
        {"lease_duration": 60, "heartbeat_interval": 1.0},
        {"lease_duration": "5m", "heartbeat_interval": {"seconds": 1}, "park_for": 5, "retention_period": "7d"},
        {"cleanup_interval": timedelta(hours=1), "grace": "1s", "poll_interval": 0.5},
    ],
)
async def test_a_worker_takes_spans_as_numbers_text_and_timedeltas(executor: Stent, options: dict[str, Any]):
    lifecycle = executor.create_worker_lifecycle()
    worker = asyncio.create_task(executor.serve(lifecycle=lifecycle, **options))
    await asyncio.wait({worker, asyncio.create_task(lifecycle.wait_until_ready())}, return_when="FIRST_COMPLETED")
    assert lifecycle.state == "ready"
    lifecycle.request_drain()
    await worker


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"lease_duration": 0}, ValueError, "lease_duration"),
        ({"heartbeat_interval": []}, TypeError, "a duration is"),
        ({"queues": "mail"}, TypeError, r"queues is 'mail': give a list, \['mail'\]"),
        ({"tags": "abc"}, TypeError, "tags is 'abc'"),
        ({"tags": [1]}, TypeError, "tags holds 1"),
        ({"queues": [""]}, ValueError, "queues holds an empty name"),
        ({"max_concurrency": 0}, ValueError, "max_concurrency"),
        ({"max_concurrency": "3"}, TypeError, "max_concurrency"),
        ({"worker_id": 5}, TypeError, "worker_id"),
    ],
)
async def test_a_worker_that_cannot_be_leaves_nothing_listed(
    executor: Stent, options: dict[str, Any], error: type[Exception], says: str
):
    with pytest.raises(error, match=says):
        await asyncio.wait_for(executor.serve(**options), 5)
    assert executor.active_worker_lifecycles() == []


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"version": 2}, TypeError, "version is 2"),
        ({"queue": ""}, ValueError, "queue is empty"),
        ({"queue": 5}, TypeError, "queue is 5"),
        ({"tags": "abc"}, TypeError, "tags is 'abc'"),
        ({"max_concurrent": 0}, ValueError, "max_concurrent is 0"),
        ({"max_concurrent": -1}, ValueError, "max_concurrent is -1"),
        ({"priority": "a"}, TypeError, "priority is 'a'"),
        ({"priority": 2**40}, ValueError, "priority"),
        ({"cached": "1x"}, ValueError, "1x"),
        ({"cached": 5}, TypeError, "cached is 5"),
        ({"cached": timedelta(-1)}, ValueError, "cached"),
        ({"retry_policy": 5}, TypeError, "retry_policy is 5"),
        ({"idempotency_key_func": 5}, TypeError, "idempotency_key_func is 5"),
        ({"name": 5}, TypeError, "name is 5"),
    ],
)
def test_the_decorator_refuses_options_that_cannot_be(options: dict[str, Any], error: type[Exception], says: str):
    registry = FunctionRegistry()

    async def mine() -> None: ...

    with pytest.raises(error, match=says) as raised:
        Stent.durable(registry=registry, **options)(mine)
    assert "mine" in str(raised.value) or "name" in options
    assert len(registry) == 0


async def test_a_function_that_the_engine_refuses_is_named_and_its_worker_leaves_nothing_behind():
    registry = FunctionRegistry()

    async def fine() -> None: ...

    registry.register(FunctionMetadata(name="shop:odd", fn=fine, max_concurrent=0, retry_policy=RetryPolicy()))
    before = asyncio.all_tasks()
    with pytest.raises(ValueError, match="shop:odd"):
        async with Stent.bootstrap(
            Stent.backends.SQLiteBackend(":memory:"), serve=True, function_registry=registry
        ) as executor:
            raise AssertionError(executor)
    assert asyncio.all_tasks() == before


async def test_what_starts_an_execution_refuses_text_for_tags(executor: Stent):
    Stent.durable(registry=executor.registry, name="takes")(lambda: None)
    with pytest.raises(TypeError, match="tags is 'abc'"):
        await executor.dispatch("takes", tags="abc")
    with pytest.raises(TypeError, match="tags is 'abc'"):
        await executor.set_schedule("daily", "@daily", "takes", tags="abc")
