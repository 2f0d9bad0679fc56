"""What must hold when code runs again over its history, in another process after a `kill -9`: the ways in which such an
engine goes wrong, one by one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import scenario_flows
from stores import AnyBackend
from worlds import WAIT_S, World, says


@pytest.fixture
async def world(backend: AnyBackend, tmp_path: Path) -> AsyncIterator[World]:
    world = World(backend, tmp_path / "ledger", scenario_flows)
    yield world
    await world.executor.shutdown()


async def test_a_race_that_a_won_is_won_by_a_again_though_both_are_ready_now(world: World):
    execution = await world.dies_at("race_then_step", "race")
    assert await world.goes_on(execution) == ["a", 2, 30]
    assert world.passes() == ["pass: ['a']"] * 2
    assert [world.ran(line) for line in ("child 1", "slow 2", "step x")] == [1, 1, 1]


async def test_a_timeout_that_fired_fires_again_and_the_childs_result_waits(world: World):
    execution = await world.dies_at("timeout_then_step", "timeout")
    assert await world.goes_on(execution) == ["timeout", 1, 30]
    assert world.passes() == ["pass: timeout"] * 2
    assert (world.ran("slow 1"), world.ran("step y")) == (1, 1)


async def test_a_failure_that_is_being_compensated_is_given_again_and_the_rest_follows(world: World):
    execution = await world.dies_at("compensation", "compensation")
    assert await world.goes_on(execution) == [51, 510, "undone"]
    assert [world.ran(line) for line in ("child 1", "declined 51", "undo first", "undo last")] == [1, 1, 1, 1]


async def test_a_retry_after_a_compensation_keeps_successes_and_runs_failures_anew(world: World):
    execution = await world.dies_at("retried", "retried")
    assert await world.goes_on(execution) == [10, "receipt 7", 20]
    assert [world.ran(line) for line in ("child 1", "charge 7", "undo", "child 2")] == [1, 2, 1, 1]


async def test_two_branches_that_call_the_same_function_get_their_own_receipts_again(world: World):
    execution = await world.dies_at("branches", "branches")
    assert await world.goes_on(execution, code="the other first") == ["receipt two", "receipt one"]
    assert world.passes() == ["pass: ['receipt one', 'receipt two']"] * 2
    assert [world.ran(f"{what} {name}") for what in ("reserve", "charge") for name in ("one", "two")] == [1] * 4


async def test_a_step_that_is_run_again_has_the_same_uuid_and_random_number(world: World):
    execution = await world.dies_at("keys_of_payments", "in the step")
    key, chance, paid, other = await world.goes_on(execution)
    assert world.passes() == [f"pass: {key} {chance}"] * 2
    assert paid == f"paid {key}" and other != key


async def test_arguments_by_name_by_place_in_another_order_or_left_out_are_the_same(world: World):
    execution = await world.dies_at("same_arguments", "arguments")
    result = await world.goes_on(execution, code="other words")
    assert result == [["a", 5, None], ["b", 5, {"x": 1, "y": 2}]]
    assert world.ran("digest") == 2


async def test_a_key_function_that_reads_the_clock_is_asked_once_for_each_call(world: World):
    execution = await world.dies_at("keyed_by_the_clock", "keyed")
    assert await world.goes_on(execution) == ["a", "a", "a"]
    assert (world.ran("key"), world.ran("keyed")) == (3, 3)


async def test_a_dispatch_a_signal_an_emit_and_a_counter_happen_once(world: World):
    execution = await world.executor.dispatch("side_effects")
    async with world.worker() as process:
        await says(process, "hangs effects")
        # A child under way at the kill would run its body again: it has ended before.
        records = await world.executor.backend.list_executions(100)
        (child,) = [record.id for record in records if record.root_function == "child"]
        assert await world.result(child) == 40
    async with world.worker():
        started, listener, total, more = await world.result(execution)
        assert (total, more) == (3, 7)
        assert await world.result(started) == 40
        assert await world.result(listener) == ["signal", "event", "no more", "no more"]
    assert started == child
    assert world.ran("child 4") == 1
    assert len(await world.executor.list_executions(limit=100)) == 3


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("renamed", ["charge", "invoice"]),
        ("removed", ["charge", "ship"]),
        ("reordered", ["reserve", "charge"]),
        ("added", ["charge", "check"]),
    ],
)
async def test_changed_steps_are_reported_by_name_and_the_old_code_goes_on(world: World, code: str, names: list[str]):
    execution = await world.dies_at("released", "released")
    async with world.worker(code=code):
        told = await reported(world, execution)
    assert "NonDeterministic" in told and all(f'"{name}"' in told for name in names), told
    assert [world.ran(f"ran {name}") for name in ("reserve", "charge", "ship", "invoice", "check")] == [1, 1, 0, 0, 0]
    assert await world.goes_on(execution) == ["reserve", "charge", "ship"]
    assert [world.ran(f"ran {name}") for name in ("reserve", "charge", "ship")] == [1, 1, 1]


async def reported(world: World, execution: str) -> str:
    """What the database says about a task that does not go on."""
    async with asyncio.timeout(WAIT_S):
        while True:
            task = await world.backend.get_task(execution)
            if task is not None and task.error:
                return json.dumps(json.loads(task.error)).replace('\\"', '"')
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("stopped", ["put aside", "cancelled"])
async def test_nothing_is_recorded_of_code_that_swallows_what_stops_it(world: World, stopped: str):
    execution = await world.executor.dispatch("swallowed")
    async with world.worker(park="0.1" if stopped == "put aside" else "60"):
        await world.noted("pass: swallowed")
        if stopped == "cancelled":
            await world.executor.cancel(execution)
            await world.noted("swallowed one", 2)
            result = await world.executor.wait_for(execution, expiry=WAIT_S)
            assert str(result.error) == "Execution cancelled"
        else:
            await world.noted("swallowed one", 2)
            for number in (1, 2):
                await world.executor.send_signal(execution, "go", number)
            assert await world.result(execution) == [1, 2, 660]
    assert world.ran("child 66") == (0 if stopped == "cancelled" else 1)


async def test_a_thread_and_a_task_that_run_on_after_their_attempt_was_put_aside_cannot_write(world: World):
    execution = await world.executor.dispatch("runs_on")
    async with world.worker(park="0.1"):
        async with asyncio.timeout(WAIT_S):
            # In this order: code that has begun has an owner until it is put aside.
            while not world.passes() or (await owner(world, execution)) is not None:
                await asyncio.sleep(0.02)
        with world.ledger.open("a") as ledger:
            ledger.write("go on\n")
        await world.noted("thread refused")
        await world.executor.send_signal(execution, "go", "went")
        assert await world.result(execution) == "went"
    assert world.ran("child 66") == 0


async def owner(world: World, execution: str) -> Any:
    task = await world.backend.get_task(execution)
    return task and task.worker_id


async def test_a_signal_to_a_wait_that_a_timeout_has_just_abandoned_goes_to_the_next_wait(world: World):
    # The limits are spread around the moment when the signals come.
    limits = [0.05 + 0.01 * number for number in range(30)]
    async with world.worker():
        executions = [await world.executor.dispatch("abandoned", limit) for limit in limits]
        await asyncio.sleep(0.1)
        for number, execution in enumerate(executions):
            await world.executor.send_signal(execution, "go", number)
        results = [await world.result(execution) for execution in executions]
    assert [result[1] for result in results] == list(range(30))


async def test_a_signal_to_a_wait_that_lost_a_race_goes_to_the_next_wait(world: World):
    executions = [await world.executor.dispatch("raced_wait", number) for number in range(8)]

    async def send(number: int) -> None:
        await world.executor.send_signal(executions[number], "go", number)

    await send(0)
    async with world.worker():
        for number in range(1, 7):
            # At about the time when the other racer ends.
            await asyncio.sleep(0.07)
            await send(number)
        await world.noted("lost 7")
        await send(7)
        results = [await world.result(execution) for execution in executions]
    assert [result[1] for result in results] == list(range(8))
    assert (results[0][0], results[7][0]) == ("first", "second")


async def test_ten_signals_of_one_name_are_taken_by_ten_waits_in_order(world: World):
    execution = await world.executor.dispatch("ten_signals")
    for number in range(7):
        await world.executor.send_signal(execution, "go", number)
    async with world.worker() as process:
        await says(process, "hangs ten")
    for number in range(7, 10):
        await world.executor.send_signal(execution, "go", number)
    assert await world.goes_on(execution) == list(range(10))
