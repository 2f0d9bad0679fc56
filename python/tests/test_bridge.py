"""What the bridge between engine and event loop costs: what ended leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from stent import Stent
from stent._current import current
from stent.registry import FunctionRegistry

registry = FunctionRegistry()

seen: list[weakref.ref[Any]] = []


@Stent.durable(name="gives", registry=registry)
async def gives(value: int) -> int:
    seen.append(weakref.ref(current.get()))
    return value


@Stent.durable(name="fans_out", registry=registry)
async def fans_out(count: int) -> int:
    seen.append(weakref.ref(current.get()))
    return len(await gives.map(range(count)))


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def test_attempts_that_ended_are_gone_without_the_collector(no_collector: None) -> None:
    seen.clear()
    backend = Stent.backends.SQLiteBackend(":memory:")
    async with Stent.bootstrap(backend, serve=True, function_registry=registry) as executor:
        assert (await executor.wait_for(await executor.dispatch(fans_out, 50))).unwrap() == 50
        async with asyncio.timeout(10):
            while any(one() is not None for one in seen):
                await asyncio.sleep(0)
    assert len(seen) == 51
