"""Code that waits for long is stopped, and runs again up to there when what it waits for has come: nothing of it runs
on, nothing is lost, nothing runs twice. So it is with retries, deadlines and limits meanwhile."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aside_flows
import pytest
from stent import ExecutionCancelled, ExpiryError
from stores import AnyBackend
from worlds import WAIT_S, World

PARK = "0.1"


@pytest.fixture
async def world(backend: AnyBackend, tmp_path: Path) -> AsyncIterator[World]:
    world = World(backend, tmp_path / "ledger", aside_flows)
    yield world
    await world.executor.shutdown()


async def suspended(world: World, execution: str) -> None:
    """Waits until a task lies in the store, and nobody has it."""
    async with asyncio.timeout(WAIT_S):
        while True:
            # In this order: code that has begun has somebody until it is put aside.
            if world.passes():
                task = await world.backend.get_task(execution)
                if task is not None and task.worker_id is None:
                    return
            await asyncio.sleep(0.02)


async def test_long_waits_of_every_kind_are_put_aside_and_gone_on_with(world: World):
    execution = await world.executor.dispatch("waits")
    async with world.worker(park=PARK):
        await world.noted("slept")
        await suspended(world, execution)
        await world.executor.send_signal(execution, "go", "a signal")
        await world.noted("signalled")
        await suspended(world, execution)
        emitter = await world.executor.dispatch("emits", "news")
        assert await world.result(emitter) is None
        assert await world.result(execution) == [10, "a signal", "news", 20]
    assert (world.ran("child 1"), world.ran("child 2")) == (1, 1)
    assert len(world.passes()) >= 3


async def test_code_that_is_put_aside_ends_before_it_begins_again_and_its_calls_are_refused(world: World):
    execution = await world.executor.dispatch("unwinds")
    async with world.worker(park=PARK), world.worker(park=PARK):
        await world.noted("beside ends")
        await world.executor.send_signal(execution, "go", 7)
        assert await world.result(execution) == 7
    lines = world.lines()
    second = lines.index("pass: unwinds", lines.index("pass: unwinds") + 1)
    assert max(lines.index("ended"), lines.index("beside has ended")) < second, lines
    assert (world.ran("refused: Interrupted"), world.ran("child 1")) == (lines.count("ended"), 0)


async def test_code_that_will_not_end_is_put_aside_all_the_same(world: World):
    execution = await world.executor.dispatch("stubborn")
    async with world.worker(park=PARK):
        await suspended(world, execution)
        await world.executor.send_signal(execution, "go", "went")
        assert await world.result(execution) == "went"
    assert world.ran("child 2") == 0


async def test_a_task_group_is_stopped_as_a_whole_and_takes_the_same_way_again(world: World):
    execution = await world.executor.dispatch("grouped")
    async with world.worker(park=PARK):
        await suspended(world, execution)
        assert (world.ran("left a"), world.ran("left b")) == (1, 1)
        await world.executor.send_signal(execution, "b", 2)
        await world.noted("pass: grouped", 2)
        await world.executor.send_signal(execution, "a", 1)
        assert await world.result(execution) == [1, 2]


async def test_code_that_swallows_its_suspension_records_nothing(world: World):
    execution = await world.executor.dispatch("swallows")
    async with world.worker(park=PARK):
        await world.noted("swallowed")
        await suspended(world, execution)
        await world.executor.send_signal(execution, "go", "went")
        assert await world.result(execution) == ["went", 10]
    assert (world.ran("child 1"), world.ran("child 66")) == (1, 0)
    assert (await world.executor.state_of(execution)).counters == {}


async def test_a_drained_worker_puts_waiting_code_aside_and_another_goes_on(world: World):
    execution = await world.executor.dispatch("unwinds")
    async with world.worker() as process:
        await world.noted("pass: unwinds")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), WAIT_S) == 0
    assert (world.ran("ended"), world.ran("beside has ended")) == (1, 1)
    await world.executor.send_signal(execution, "go", 5)
    assert await world.goes_on(execution) == 5


async def test_retries_keep_their_back_off_and_their_successes_through_suspensions(world: World):
    execution = await world.executor.dispatch("again")
    began = time.monotonic()
    assert await world.goes_on(execution, park="0.05") == "attempt 3"
    assert time.monotonic() - began >= 0.3 + 0.4 + 0.8
    assert [world.ran(line) for line in ("attempt 1", "attempt 2", "attempt 3", "child 1")] == [1, 1, 1, 1]


async def test_a_limited_function_runs_one_at_a_time_while_it_is_put_aside_too(world: World):
    execution = await world.executor.dispatch("crowd")
    async with world.worker(park="0.05"), world.worker(park="0.05"):
        assert await world.result(execution) == [0, 1, 2, 3]
    inside: set[str] = set()
    for line in world.lines():
        word, number = line.split()
        if word == "in":
            # Code that was put aside inside begins anew there, and is the same task.
            assert inside <= {number}, world.lines()
            inside.add(number)
        else:
            inside.discard(number)
    assert {line for line in world.lines() if line.startswith("out")} == {f"out {n}" for n in range(4)}


@pytest.mark.parametrize("park", ["0.05", "60"])
async def test_a_deadline_ends_waiting_code_whether_it_is_put_aside_or_not(world: World, park: str):
    async with world.worker(park=park):
        # Given once somebody serves: the code is to be waiting when its time is over.
        execution = await world.executor.dispatch("parent_of_long", expiry=3)
        await world.noted("pass: long")
        result = await world.executor.wait_for(execution, expiry=WAIT_S)
        assert isinstance(result.error, ExpiryError)
        await world.noted("left")
    assert (await world.executor.state_of(execution)).state == "timed_out"


@pytest.mark.parametrize("park", ["0.05", "60"])
async def test_a_cancel_ends_waiting_code_whether_it_is_put_aside_or_not(world: World, park: str):
    execution = await world.executor.dispatch("parent_of_long")
    async with world.worker(park=park):
        await world.noted("pass: long")
        await world.executor.cancel(execution)
        result = await world.executor.wait_for(execution, expiry=WAIT_S)
        assert isinstance(result.error, ExecutionCancelled)
        await world.noted("left")


async def test_a_thread_whose_attempt_is_put_aside_is_refused_and_begins_again(world: World):
    execution = await world.executor.dispatch("in_a_thread")
    async with world.worker(park=PARK):
        await suspended(world, execution)
        await world.executor.send_signal(execution, "go", 3)
        assert await world.result(execution) == 3
    assert world.ran("thread True") == 1
