"""Plain durable functions run in a thread, where each durable call is its result: recorded as any, and found again by
whoever goes on after a crash."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import plain_flows
import pytest
from stores import AnyBackend
from worlds import WAIT_S, World


@pytest.fixture
async def world(backend: AnyBackend, tmp_path: Path) -> AsyncIterator[World]:
    world = World(backend, tmp_path / "ledger", plain_flows)
    yield world
    await world.executor.shutdown()


@pytest.mark.parametrize(
    ("flow", "at", "result", "ran"),
    [
        ("steps", "stepped", ["5 EUR", "fetched", "broken"], ["charge", "fetch", "breaks"]),
        (
            "fans_out",
            "fanned out",
            [[100, 200], [30, 40], [50, 60], ["not 7", "not 8"], [90, 100], 110],
            [*(f"child {number}" for number in (1, 2, 20, 3, 4, 5, 6, 9, 11)), "refuses 7", "refuses 8"],
        ),
        ("starts", "started", [10, {"by": "plain"}], ["child 1", "child 2"]),
        (
            "in_threads",
            "in threads",
            [[1, 100, 110], [2, 200, 210]],
            ["step 1", "step 2", "child 10", "child 11", "child 20", "child 21"],
        ),
    ],
)
async def test_what_is_recorded_does_not_run_again(world: World, flow: str, at: str, result: Any, ran: list[str]):
    execution = await world.dies_at(flow, at)
    assert await world.goes_on(execution) == result
    assert [world.ran(line) for line in ran] == [1] * len(ran), world.lines()
    assert len(world.passes()) == 2 and len(set(world.passes())) == 1, "the second pass took another way"


async def test_in_a_loop_of_its_own_calls_are_awaited(world: World):
    execution = await world.executor.dispatch("with_a_loop_of_its_own")
    assert await world.goes_on(execution) == [1, [20], 30]


async def test_parents_that_wait_keep_no_child_from_a_thread(world: World):
    deep = 2 * (os.cpu_count() or 1) + 8
    execution = await world.executor.dispatch("parent", deep)
    async with world.worker(park="60"):
        assert (await world.executor.wait_for(execution, expiry=8)).unwrap() == deep


async def test_code_that_is_stopped_in_a_call_ends_there(world: World):
    execution = await world.executor.dispatch("waits")
    async with world.worker() as process:
        await world.noted("waits")
        async with asyncio.timeout(WAIT_S):
            while not world.passes():
                await asyncio.sleep(0.01)
        assert "inside of the step" in world.passes()[0]
        await world.executor.cancel(execution)
        await world.noted("stopped: Interrupted")
        assert process.returncode is None
