"""`stent.testing`: time that is skipped, crashes at will, and the check that kills a worker at each of its writes. A
function that replays badly must fail it."""

from __future__ import annotations

import asyncio
import random
import time
import tomllib
from collections.abc import Generator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
import seeds
from stent import ExpiryError, RetryPolicy, Stent
from stent.errors import Stalled
from stent.registry import FunctionRegistry
from stent.testing import ReplayDivergence, SkippedStent, SkippedTime, crash_everywhere, skip_time

CALLS: dict[str, int] = {}


@Stent.durable
async def charge(cents: int) -> str:
    return f"receipt over {cents}"


@Stent.durable
async def order(cents: int) -> list[Any]:
    receipts = list(await asyncio.gather(charge(cents), charge(cents + 1)))
    await Stent.sleep("30d")
    discount = await Stent.step("discount", lambda: 7)
    who = await Stent.wait_for_signal("approved", timeout="90d")
    return [*receipts, discount, who, Stent.now().year]


@Stent.durable(retry_policy=RetryPolicy(max_attempts=4, initial_delay=3600, jitter=0))
async def flaky() -> int:
    CALLS["flaky"] = CALLS.get("flaky", 0) + 1
    if CALLS["flaky"] < 4:
        raise ConnectionError("not yet")
    return CALLS["flaky"]


@Stent.durable
async def careless() -> float:
    number = random.random()  # not recorded
    await charge(1)
    return number


@Stent.durable
async def fickle() -> str:
    CALLS["fickle"] = CALLS.get("fickle", 0) + 1
    await Stent.step(f"part {CALLS['fickle']}", lambda: 7)
    return "done"


@Stent.durable
async def wavering_step() -> str:
    await Stent.step("roll", random.random)
    return "done"


@Stent.durable
async def careful() -> float:
    number = Stent.random()
    await charge(1)
    return number


@Stent.durable
async def forever() -> None:
    await Stent.wait_for_signal("never")


@Stent.durable
def in_a_thread(cents: int) -> list[Any]:
    return [charge(cents), charge(cents * 2)]


async def test_thirty_days_pass_at_once_and_what_is_sent_meanwhile_arrives():
    async with skip_time() as executor:
        began = await executor.clock()
        execution = await executor.dispatch(order, 250)
        await executor.advance("29d")
        assert (await executor.state_of(execution)).state == "running"
        await executor.send_signal(execution, "approved", "ann")
        result = await executor.wait_for(execution)
        assert result.unwrap() == ["receipt over 250", "receipt over 251", 7, "ann", 2030]
        assert timedelta(days=30) <= await executor.clock() - began < timedelta(days=31)


async def test_a_durable_function_that_is_called_is_awaited_with_its_retries_at_once():
    CALLS.clear()
    async with skip_time() as executor:
        began = await executor.clock()
        assert await flaky() == 4
        assert timedelta(minutes=3) <= await executor.clock() - began < timedelta(minutes=4)


async def test_a_crash_loses_nothing_that_was_recorded():
    async with skip_time() as executor:
        execution = await executor.dispatch(order, 1)
        await executor.settle()
        await executor.crash()
        await executor.send_signal(execution, "approved", "bob")
        await executor.crash()
        assert (await executor.wait_for(execution)).unwrap()[2:4] == [7, "bob"]


async def test_a_wait_that_nothing_can_end_says_what_it_waits_for():
    async with skip_time() as executor:
        execution = await executor.dispatch(forever)
        with pytest.raises(Stalled, match="signal:never"):
            await executor.wait_for(execution)
        with pytest.raises(ExpiryError):
            await executor.wait_for(execution, expiry=3600)


async def test_records_of_a_skipped_database_are_seen_by_hand():
    async with skip_time() as executor:
        assert await charge(5) == "receipt over 5"
        (state,) = await executor.list_executions()
        assert state.state == "completed" and state.started_at is not None and state.started_at.year == 2030
        assert await executor.backend.count_executions() == 1
        with pytest.raises(ValueError, match="no tables"):
            await executor.backend.query("SELECT 1")
        with pytest.raises(NotImplementedError):
            await executor.backend.get_signal(state.id, "approved")


async def test_what_only_a_skipped_database_can_do_is_refused_elsewhere():
    async with Stent.bootstrap(Stent.backends.SQLiteBackend(":memory:")) as executor:
        with pytest.raises(ValueError, match="cannot be skipped"):
            await executor._ask("advance", 1)


@pytest.mark.parametrize("function", [careful, charge, in_a_thread], ids=lambda function: function.name)
async def test_a_sound_function_comes_to_the_same_wherever_it_is_killed(function: Any):
    arguments = () if function is careful else (3,)
    kills = await crash_everywhere(lambda executor: function(*arguments))
    assert kills >= {careful: 4, charge: 2, in_a_thread: 6}[function]


async def test_each_write_of_a_long_function_is_a_place_to_die():
    async def test(executor: SkippedStent) -> None:
        execution = await executor.dispatch(order, 250)
        await executor.send_signal(execution, "approved", "ann")
        assert (await executor.wait_for(execution)).unwrap()[3] == "ann"

    assert await crash_everywhere(test) >= 10


async def test_a_random_number_that_is_not_recorded_fails():
    with pytest.raises(ReplayDivergence, match=r"killed (before|after) write \d+ .*it came to 0\.\d+|instead of"):
        await crash_everywhere(lambda executor: careless())


async def test_another_way_on_a_replay_fails():
    async def test(executor: SkippedStent) -> None:
        CALLS.clear()
        await fickle()

    with pytest.raises(
        ReplayDivergence, match=r'killed before write 1 \(step "part 1"\).*recorded nothing for "part 1"'
    ):
        await crash_everywhere(test)


async def test_a_step_that_comes_to_something_else_fails():
    with pytest.raises(ReplayDivergence, match='"roll"'):
        await crash_everywhere(lambda executor: wavering_step())


@Stent.durable
async def impatient() -> str:
    with suppress(TimeoutError):
        async with asyncio.timeout(2):
            await Stent.sleep(3)
    return await charge(4)


async def test_a_timer_that_the_code_gave_up_is_no_difference():
    async def test(executor: SkippedStent) -> None:
        assert await impatient() == "receipt over 4"

    assert await crash_everywhere(test) > 0


@Stent.durable
async def tidies_up() -> str:
    try:
        async with asyncio.timeout(2):
            try:
                await Stent.sleep(3)
            finally:
                time.sleep(0.05)  # what takes this process its time, once it is stopped
    except TimeoutError:
        return "in time"
    return "too late"


@pytest.mark.skip_time
async def test_time_stands_still_while_stopped_code_ends(stent_executor: SkippedStent, stent_worker: Any):
    assert await tidies_up() == "in time"


@Stent.durable
async def naps(seconds: float) -> float:
    await Stent.sleep(seconds)
    return seconds


@Stent.durable
async def two_at_once() -> list[float]:
    return await naps.map([5.0, 4.0, 3.0, 2.0, 1.0], max_parallel=2)


async def test_children_that_end_at_the_same_moment_are_replayed_in_the_order_in_which_they_came():
    async def test(executor: SkippedStent) -> None:
        # Code that is taken for changed would wait for ever.
        assert await asyncio.wait_for(two_at_once(), 20) == [5.0, 4.0, 3.0, 2.0, 1.0]

    assert await crash_everywhere(test) > 20


async def test_a_test_that_fails_by_itself_fails_as_it_is():
    async def test(executor: SkippedStent) -> None:
        raise LookupError("the test's own")

    with pytest.raises(LookupError, match="the test's own"):
        await crash_everywhere(test)


async def test_an_assertion_that_only_a_kill_breaks_names_the_kill():
    CALLS.clear()
    counting = FunctionRegistry()

    @Stent.durable(registry=counting)
    async def counted() -> int:
        CALLS["counted"] = CALLS.get("counted", 0) + 1
        await Stent.sleep("1h")
        return 1

    async def test(executor: SkippedStent) -> None:
        before = CALLS.get("counted", 0)
        await executor.wait_for(await executor.dispatch(counted))
        assert CALLS["counted"] - before <= 2

    with pytest.raises(ReplayDivergence, match=r"killed .*the test failed: AssertionError"):
        await crash_everywhere(test, function_registry=counting)


# The plugin


async def test_the_fixtures_are_an_executor_and_its_worker(stent_executor: Stent, stent_worker: Any):
    assert stent_worker.state == "ready"
    assert await charge(8) == "receipt over 8"
    assert [one.state for one in await stent_executor.list_executions()] == ["completed"]


@pytest.mark.skip_time
async def test_a_mark_has_the_fixtures_skip_time(stent_executor: SkippedStent, stent_worker: Any):
    execution = await stent_executor.dispatch(order, 1)
    await stent_executor.send_signal(execution, "approved", "eve")
    assert (await stent_executor.wait_for(execution)).unwrap()[3] == "eve"


@pytest.fixture
def runs() -> Generator[list[str], None, None]:
    """What the runs of one marked test came to, which this looks at once all are over."""
    receipts: list[str] = []
    yield receipts
    one_undisturbed, one_kill_each, one_that_meets_no_more = 1, 2, 1
    assert receipts == ["receipt over 9"] * (one_undisturbed + one_kill_each + one_that_meets_no_more)


@pytest.mark.crash_everywhere
async def test_a_marked_test_runs_once_for_each_kill_and_twice_more(
    stent_executor: SkippedStent, stent_backend: SkippedTime, runs: list[str]
):
    runs.append(await charge(9))
    assert await stent_backend.count_executions() == 1


@pytest.mark.crash_everywhere
@pytest.mark.xfail(strict=True, raises=ReplayDivergence)
async def test_a_marked_test_of_a_careless_function_fails(stent_executor: Stent):
    await careless()


@pytest.mark.crash_everywhere
@pytest.mark.xfail(strict=True, raises=pytest.fail.Exception)
async def test_a_marked_test_without_an_executor_fails():
    pass


@pytest.mark.crash_everywhere
@pytest.mark.xfail(strict=True, raises=pytest.fail.Exception)
def test_a_marked_test_that_is_not_async_fails(stent_executor: Stent):
    pass


def test_an_installed_package_brings_the_plugin_along():
    project = tomllib.loads((seeds.ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"stent.testing.plugin": "stent.testing.plugin"}
