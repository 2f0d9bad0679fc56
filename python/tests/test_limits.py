"""Time limits of asyncio's in durable code are exact on replay: what was over is over again, what was not is not,
however slow or quick the other process is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import limit_flows
import pytest
from stent import Stent
from stent.backend.sqlite import SQLiteBackend
from stores import AnyBackend
from worlds import World, says

KINDS = ["timeout", "wait_for", "wait", "as_completed"]


@pytest.fixture
async def world(backend: AnyBackend, tmp_path: Path) -> AsyncIterator[World]:
    world = World(backend, tmp_path / "ledger", limit_flows)
    yield world
    await world.executor.shutdown()


@pytest.mark.parametrize("kind", KINDS)
async def test_what_came_in_time_comes_in_time_again_though_the_replay_is_slow(world: World, kind: str):
    execution = await world.dies_at("in_time", "in time", kind)
    assert await world.goes_on(execution) == "10 2"
    assert world.passes() == ["pass: 10 2"] * 2
    assert [world.ran(line) for line in ("child 1", "slow 2", "child 3")] == [1, 1, 1]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_timed_out_times_out_again_and_the_late_result_waits(world: World, kind: str):
    execution = await world.dies_at("too_late", "too late", kind)
    assert await world.goes_on(execution) == ["timeout", 1]
    assert world.passes() == ["pass: timeout"] * 2
    assert (world.ran("slow 1"), world.ran("step")) == (1, 1)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_timed_out_over_other_waiting_times_out_again_though_that_is_quicker_now(world: World, kind: str):
    execution = await world.dies_at("too_late_beside", "beside", kind)
    assert await world.goes_on(execution) == "timeout"
    assert world.passes() == ["pass: timeout"] * 2


async def test_a_limit_stands_from_its_first_asking_through_a_crash(world: World):
    execution = await world.executor.dispatch("stands")
    async with world.worker() as process:
        await says(process, "hangs stands")
        hung = time.monotonic()
    await asyncio.sleep(6)
    async with world.worker():
        # A limit that began anew with this process would be over 8 s after that.
        served = time.monotonic() - hung
        took = await world.result(execution)
    assert 8 <= took < served + 8


async def test_many_limits_in_a_row_are_told_apart_on_replay(world: World):
    execution = await world.dies_at("polled", "polled")
    assert await world.goes_on(execution) == ["timeout", 1, "timeout", 3, "timeout", 5]
    assert len(world.passes()) == 2 and len(set(world.passes())) == 1


async def test_a_limit_in_code_without_durable_calls_is_over_in_its_time(world: World):
    execution = await world.executor.dispatch("reaches")
    assert 0.1 <= await world.goes_on(execution) < 30


async def test_a_promoted_sleep_is_durable_and_puts_its_code_aside(world: World):
    execution = await world.executor.dispatch("sleeps")
    assert await world.goes_on(execution, park="0.1") == "slept"
    assert world.passes() == ["pass: sleeps"] * 2


async def test_the_loop_is_as_it_was_once_its_executors_are_gone(tmp_path: Path):
    loop = asyncio.get_running_loop()
    assert "call_at" not in vars(loop)
    one, other = (Stent(SQLiteBackend(tmp_path / f"{name}.db")) for name in ("one", "other"))
    for executor in (one, other):
        assert await executor.clear_cache() == 0
    await one.shutdown()
    assert "call_at" in vars(loop)
    await other.shutdown()
    assert not {"call_at", "call_later", "create_task"} & set(vars(loop))
    for executor in (one, other):
        await executor.backend.close()
