"""A worker process is killed (`kill -9`) under durable functions: another one goes on where the first had come, takes
the same way again, and runs nothing that is recorded a second time. Judged from a ledger outside of the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import flows
import pytest
from stores import AnyBackend
from worlds import WAIT_S, World, says


@pytest.fixture
async def world(backend: AnyBackend, tmp_path: Path) -> AsyncIterator[World]:
    world = World(backend, tmp_path / "ledger", flows)
    yield world
    await world.executor.shutdown()


async def test_an_orchestrator_that_dies_after_its_third_child_resumes_after_its_third_child(world: World):
    execution = await world.dies_at("one_after_another", "in 4", hanging_children=1)
    assert await world.goes_on(execution) == [10, 20, 30, 40, 50]
    assert [world.ran(f"child {number}") for number in (1, 2, 3, 4, 5)] == [1, 1, 1, 2, 1]


@pytest.mark.parametrize(
    ("flow", "at", "result", "ran"),
    [
        ("gathered", "gathered", [10, 2, 30, 40, 50], ["child 1", "slow 2", "child 3", "child 4", "child 5"]),
        ("grouped", "grouped", [10, 2, 30], ["child 1", "slow 2", "child 3"]),
        ("raced", "raced", "quick", ["child 1", "slow 2", "child 10"]),
        ("as_they_come", "as they come", [10, 2], ["child 1", "slow 2", "child 101", "child 102"]),
        ("timed_out", "timed out", "timeout", ["slow 1", "child 10"]),
        ("in_threads", "in threads", [10, 20], ["child 1", "child 2"]),
    ],
)
async def test_code_that_does_several_things_at_once_takes_the_same_way_again(
    world: World, flow: str, at: str, result: Any, ran: list[str]
):
    execution = await world.dies_at(flow, at)
    assert await world.goes_on(execution) == result
    assert [world.ran(line) for line in ran] == [1] * len(ran), world.lines()
    assert len(set(world.passes())) <= 1, "the second pass took another way"


async def test_a_compensation_that_began_goes_on_and_the_childs_own_error_is_caught_again(world: World):
    execution = await world.dies_at("compensated", "compensated")
    assert await world.goes_on(execution) == "PaymentError 51"
    assert (world.ran("declined 51"), world.ran("child 51")) == (1, 1)


async def test_counters_times_random_values_and_steps_come_out_the_same_and_count_once(world: World):
    execution = await world.dies_at("counted", "counted")
    values = await world.goes_on(execution)
    assert world.passes() == [f"pass: {values}"] * 2 and values[0] == 7
    assert world.ran("step") == 1
    state = await world.executor.state_of(execution)
    assert (state.counters, state.custom_state) == ({"seen": 7}, {"by": "bob"})


async def test_signals_are_consumed_once_each_and_a_wait_that_expired_expires_again(world: World):
    execution = await world.executor.dispatch("signalled")
    for number in (1, 2):
        await world.executor.send_signal(execution, "go", number)
    async with world.worker() as process:
        await says(process, "hangs signalled")
    assert await world.goes_on(execution) == [1, 2, "expired"]


async def test_a_plain_function_runs_in_a_thread(world: World):
    execution = await world.executor.dispatch("plain", 3)
    assert await world.goes_on(execution) == "plain 3"


async def test_code_that_swallows_its_cancellation_records_nothing_after_it(world: World):
    execution = await world.executor.dispatch("swallows")
    async with world.worker():
        async with asyncio.timeout(WAIT_S):
            while not world.passes():
                await asyncio.sleep(0.01)
        await world.executor.cancel(execution)
        result = await world.executor.wait_for(execution, expiry=WAIT_S)
        # The same worker is well, and has had time to run whatever the cancelled code asked for.
        assert (await world.executor.wait_for(await world.executor.dispatch("plain", 1), expiry=WAIT_S)).ok
    assert str(result.error) == "Execution cancelled"
    assert (world.ran("child 1"), world.ran("child 2")) == (0, 0)


async def test_calls_from_many_threads_are_all_replayed(world: World):
    # Nothing tells the engine that a thread is about to call: it may deliver while the call is still being made.
    execution = await world.dies_at("in_many_threads", "in many threads", 300)
    assert await world.goes_on(execution) == 3000
    assert world.ran("child 1") == 300


async def test_key_functions_that_run_in_threads_at_the_same_time_are_recorded_each(world: World):
    execution = await world.dies_at("keyed_in_threads", "keyed")
    assert await world.goes_on(execution) == [0, 1, 2, 3]
    assert world.ran("asks") == 4
    assert [world.ran(f"keyed {number}") for number in range(4)] == [1] * 4
