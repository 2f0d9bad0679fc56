"""Cron schedules from Python, on both stores and in skipped time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stent import Stent
from stent.core import ScheduleRecord
from stent.registry import FunctionRegistry
from stent.testing import skip_time
from stores import AnyBackend

mine = FunctionRegistry()
SEEN: list[Any] = []


@Stent.durable(registry=mine, queue="reports")
async def report(region: str, *, deep: bool = False) -> str:
    SEEN.append((region, deep))
    return region


async def test_a_schedule_starts_its_function_tick_after_tick(backend: AnyBackend):
    SEEN.clear()
    executor = Stent(backend, function_registry=mine)
    assert await executor.set_schedule("often", "* * * * * *", report, "north", deep=True)
    lifecycle = executor.create_worker_lifecycle()
    worker = asyncio.create_task(executor.serve(lifecycle=lifecycle))
    async with asyncio.timeout(30):
        while len(SEEN) < 2:
            await asyncio.sleep(0.05)
    assert SEEN[:2] == [("north", True)] * 2
    schedule = await executor.get_schedule("often")
    assert schedule is not None and schedule.last_execution is not None and schedule.last_tick is not None
    assert (await executor.wait_for(schedule.last_execution, expiry=30)).unwrap() == "north"
    assert await executor.delete_schedule("often")
    await executor.shutdown()
    await worker


async def test_a_schedule_is_set_seen_paused_resumed_run_and_deleted(backend: AnyBackend):
    executor = Stent(backend, function_registry=mine)

    async def nightly() -> bool:
        return await executor.set_schedule(
            "nightly", "30 2 * * MON-FRI", report, "south", time_zone="Europe/Berlin", missed="all", tags=["slow"]
        )

    assert await nightly() and not await nightly()
    (one,) = await executor.list_schedules()
    assert one == await executor.get_schedule("nightly")
    assert isinstance(one, ScheduleRecord) and one.next_tick is not None
    assert (one.cron, one.time_zone, one.missed) == ("30 2 * * MON-FRI", "Europe/Berlin", "all")
    assert (one.function, one.queue, one.paused) == ("test_schedules:report", "reports", False)
    assert datetime.now(UTC) < one.next_tick < datetime.now(UTC) + timedelta(days=4)
    assert await executor.pause_schedule("nightly") and not await executor.pause_schedule("nightly")
    resting = await executor.get_schedule("nightly")
    assert resting is not None and resting.paused and resting.next_tick is None
    assert await executor.resume_schedule("nightly") and not await executor.resume_schedule("nightly")
    execution = await executor.run_schedule("nightly")
    assert (await executor.state_of(execution)).tags == ["slow"]
    assert await executor.delete_schedule("nightly") and not await executor.delete_schedule("nightly")
    assert await executor.get_schedule("nightly") is None
    await executor.shutdown()


async def test_what_cannot_be_is_refused_in_words(backend: AnyBackend):
    executor = Stent(backend, function_registry=mine)
    for line, options, words in [
        ("61 * * * *", {}, "minute"),
        ("* * * * *", {"time_zone": "Mars/Olympus"}, "Mars/Olympus"),
        ("* * * * *", {"missed": "some"}, "missed"),
    ]:
        with pytest.raises(ValueError, match=words):
            await executor.set_schedule("odd", line, report, "x", **options)  # type: ignore[arg-type]
    for asked in (executor.pause_schedule, executor.resume_schedule, executor.run_schedule):
        with pytest.raises(ValueError, match="nobody"):
            await asked("nobody")
    with pytest.raises(TypeError):
        await executor.set_schedule("odd", "* * * * *", report)
    await executor.shutdown()


async def test_a_year_of_ticks_passes_at_once():
    SEEN.clear()
    async with skip_time(function_registry=mine) as executor:
        await executor.set_schedule("monthly", "@monthly", report, "east")
        await executor.advance("366d")
        assert len(SEEN) == 12


async def test_a_function_of_another_process_is_scheduled_by_its_name(backend: AnyBackend):
    executor = Stent(backend, function_registry=mine)
    assert await executor.set_schedule("theirs", "@daily", "shop:close", "north")
    schedule = await executor.get_schedule("theirs")
    assert schedule is not None and schedule.function == "shop:close"
    await executor.shutdown()
