"""Code that asks for what cannot be, or comes to what cannot be recorded: it is told so, or its own attempt fails with
words, and whatever else runs on its event loop goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from stent import RetryPolicy, Stent
from stent.registry import FunctionRegistry
from stores import AnyBackend
from test_executor import serving

ONCE = RetryPolicy(max_attempts=1)

TOO_LARGE = "x" * (17 * 1024 * 1024)
"""More than a payload may have."""

registry = FunctionRegistry()


@Stent.durable(name="beside", registry=registry, retry_policy=ONCE)
async def beside() -> Any:
    """Waits through whatever the others do."""
    return await Stent.wait_for_signal("go")


@Stent.durable(name="large", registry=registry, retry_policy=ONCE)
async def large(how: str) -> Any:
    if how == "result":
        return TOO_LARGE
    if how == "argument":
        return await large(TOO_LARGE)
    if how == "state":
        await Stent.context().state("page").set(TOO_LARGE)
    if how == "before a value":
        # What was asked goes before the value, at once and not when the code rests.
        waiting = asyncio.ensure_future(Stent.events.emit("page", TOO_LARGE))
        await asyncio.sleep(0)
        Stent.now()
        await waiting
    return await Stent.step("reads", lambda: TOO_LARGE)


@pytest.mark.parametrize("how", ["result", "argument", "state", "before a value", "step"])
async def test_what_cannot_be_handed_over_fails_its_own_attempt_and_no_other(backend: AnyBackend, how: str) -> None:
    async with serving(backend, registry) as executor:
        others = [await executor.dispatch(beside) for _ in range(3)]
        async with asyncio.timeout(30):
            ended = await executor.wait_for(await executor.dispatch(large, how))
            assert "over the limit of 16 MiB" in str(ended.error)
            for other in others:
                await executor.send_signal(other, "go", 7)
            assert [(await executor.wait_for(other)).unwrap() for other in others] == [7, 7, 7]
        assert (await executor.state_of(others[0])).retries == 0
