"""A backend of a user's own runs executions: what holds with the least of the protocol, and what more of it brings."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from own_backends import InMemory, OnDisk
from stent import ExecutionCancelled, ExpiryError, RetryPolicy, Stent
from stent.core import TaskRecord
from stent.registry import FunctionRegistry
from stent.utils.time import now_utc

mine = FunctionRegistry()
LEDGER = "OWN_BACKEND_LEDGER"


class OutOfStock(Exception):
    """A user's own error."""

    def __init__(self, item: str) -> None:
        super().__init__(item)
        self.item = item


def note(line: str) -> None:
    """Something outside that happened."""
    with open(os.environ[LEDGER], "a") as ledger:
        ledger.write(line + "\n")


@Stent.durable(registry=mine)
async def pack(item: str, *, gift: bool = False) -> str:
    note(f"pack {item}")
    return f"{item}{' with a ribbon' if gift else ''}"


@Stent.durable(registry=mine)
async def fulfil(items: list[str]) -> list[str]:
    packed = await asyncio.gather(*(pack(item, gift=item == "tea") for item in items))
    await Stent.sleep("0.05s")
    await Stent.context(counters={"parcels": 0}).counters("parcels").add(len(items))
    return list(packed)


@Stent.durable(registry=mine, retry_policy=RetryPolicy(max_attempts=2, initial_delay=0.01, jitter=0))
async def sell(item: str) -> None:
    note(f"sell {item}")
    raise OutOfStock(item)


@Stent.durable(registry=mine)
async def asks() -> list[str]:
    return [await Stent.wait_for_signal("answer") for _ in range(2)]


@Stent.durable(registry=mine)
async def asks_once() -> str:
    return await Stent.wait_for_signal("answer")


@Stent.durable(registry=mine, idempotent=True)
async def charge(order: str) -> str:
    note(f"charge {order}")
    return f"receipt of {order}"


@Stent.durable(registry=mine)
async def dies(items: list[str]) -> list[str]:
    packed = [await pack(item) for item in items]
    if os.environ.get("OWN_BACKEND_DIES"):
        os.kill(os.getpid(), 9)
    return packed


@pytest.fixture(params=["memory", "disk"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> InMemory:
    """Each of the two."""
    return InMemory() if request.param == "memory" else OnDisk(tmp_path / "own.pickle")


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What happened outside."""
    path = tmp_path / "ledger"
    path.touch()
    monkeypatch.setenv(LEDGER, str(path))
    return path


@asynccontextmanager
async def serving(backend: Any, **options: Any) -> AsyncIterator[Stent]:
    """An executor with a worker that is ready."""
    executor = Stent(backend, function_registry=mine)
    lifecycle = executor.create_worker_lifecycle()
    worker = asyncio.create_task(executor.serve(lifecycle=lifecycle, poll_interval=0.05, **options))
    await lifecycle.wait_until_ready()
    try:
        yield executor
    finally:
        await executor.shutdown()
        await worker


async def test_an_execution_runs_with_its_children_and_sleeps(own: InMemory, ledger: Path):
    async with serving(own) as executor:
        execution = await executor.dispatch(fulfil, ["tea", "cup"], priority=3, tags=["shop"])
        result = await executor.wait_for(execution, expiry=30)
        assert result.unwrap() == ["tea with a ribbon", "cup"]
        assert (await executor.result_of(execution)).unwrap() == result.unwrap()
        state = await executor.state_of(execution)
    assert (state.state, state.priority, state.tags) == ("completed", 3, ["shop"])
    assert sorted(ledger.read_text().split("\n")) == ["", "pack cup", "pack tea"]
    if isinstance(own, OnDisk):
        assert state.counters == {"parcels": 2}
        assert "completed" in state.progress_str


async def test_a_failure_comes_back_as_itself_after_its_retries(own: InMemory, ledger: Path):
    async with serving(own) as executor:
        result = await executor.wait_for(await executor.dispatch(sell, "tea"), expiry=30)
        assert isinstance(result.error, OutOfStock) and result.error.item == "tea"
    assert ledger.read_text() == "sell tea\n" * 2
    if isinstance(own, OnDisk):
        with own.open() as tables:
            assert len(tables["dead"]) == 1


async def test_a_wait_that_expires_raises_and_a_cancel_ends_it(own: InMemory):
    async with serving(own) as executor:
        execution = await executor.dispatch(asks)
        with pytest.raises(ExpiryError):
            await executor.wait_for(execution, expiry=0.3)
        with pytest.raises(ValueError, match="not ended"):
            await executor.result_of(execution)
        await executor.cancel(execution)
        result = await executor.wait_for(execution, expiry=30)
        assert isinstance(result.error, ExecutionCancelled)
        await executor.cancel(execution)
        with pytest.raises(ValueError, match="ended"):
            await executor.send_signal(execution, "answer", 1)
        with pytest.raises(ValueError, match="no execution"):
            await executor.wait_for("01b8dac5-b400-7000-8000-000000000000")


async def test_a_signal_arrives_and_with_list_signals_all_of_a_name_do(own: InMemory):
    async with serving(own) as executor:
        execution = await executor.dispatch(asks if isinstance(own, OnDisk) else asks_once)
        await executor.send_signal(execution, "answer", "yes")
        if isinstance(own, OnDisk):
            await executor.send_signal(execution, "answer", "no")
        answer = (await executor.wait_for(execution, expiry=30)).unwrap()
        assert answer == (["yes", "no"] if isinstance(own, OnDisk) else "yes")


async def test_an_execution_that_takes_longer_than_it_may_times_out(own: InMemory):
    async with serving(own) as executor:
        execution = await executor.dispatch(asks, expiry=0.3)
        result = await executor.wait_for(execution, expiry=30)
        assert isinstance(result.error, ExpiryError)
        assert (await executor.state_of(execution)).state == "timed_out"


async def test_what_a_function_starts_and_sends_is_done_once_whatever_is_replayed(own: InMemory):
    async with serving(own) as executor:

        @Stent.durable(registry=mine)
        async def starts() -> str:
            child = await executor.dispatch(asks_once)
            await Stent.sleep("0.05s")
            await executor.send_signal(child, "answer", "from a function")
            await Stent.sleep("0.05s")
            return child

        parent = await executor.dispatch(starts)
        child = (await executor.wait_for(parent, expiry=30)).unwrap()
        assert (await executor.wait_for(child, expiry=30)).unwrap() == "from a function"
        with own.open() as tables:
            assert set(tables["executions"]) == {parent, child}
            assert len(tables["signals"]) == 1


async def test_a_delay_is_kept_and_queues_are_served_as_asked(own: InMemory, ledger: Path):
    async with serving(own, queues=["fast"]) as executor:
        slow = await executor.dispatch(pack, "cup", queue="slow")
        fast = await executor.schedule(0.5, pack, "tea")
        task = await own.get_task(fast)
        assert task is not None and task.scheduled_for is not None
        assert timedelta(0) < task.scheduled_for - task.created_at <= timedelta(seconds=0.5)
        quick = await executor.dispatch(pack, "pot", queue="fast")
        assert (await executor.wait_for(quick, expiry=30)).unwrap() == "pot"
        assert (await executor.state_of(slow)).state == "pending"
    assert ledger.read_text() == "pack pot\n"


async def test_a_dispatched_function_is_awaited_from_outside_by_the_default_executor(own: InMemory):
    async with Stent.bootstrap(own, serve=True, function_registry=mine):
        assert await pack("tea", gift=True) == "tea with a ribbon"
    assert own.calls == ["init_db", "close"]


async def test_idempotency_holds_across_executions_where_the_backend_keeps_results(tmp_path: Path, ledger: Path):
    own = OnDisk(tmp_path / "own.pickle")
    for _ in range(2):
        async with serving(own) as executor:
            execution = await executor.dispatch(charge, "a-1")
            assert (await executor.wait_for(execution, expiry=30)).unwrap() == "receipt of a-1"
    assert ledger.read_text() == "charge a-1\n"


async def test_an_execution_whose_process_is_killed_runs_again_elsewhere_without_repeating_its_calls(
    tmp_path: Path, ledger: Path
):
    own = OnDisk(tmp_path / "own.pickle")
    executor = Stent(own, function_registry=mine)
    execution = await executor.dispatch(dies, ["tea", "cup"])
    code = (
        f"import asyncio, sys, {__name__} as t; "
        "asyncio.run(t.Stent(t.OnDisk(t.Path(sys.argv[1])), function_registry=t.mine)"
        ".serve(poll_interval=0.05, lease_duration=t.timedelta(seconds=1)))"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths, "OWN_BACKEND_DIES": "1"}
    died = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code, str(own.path)], env=environment, timeout=60
    )
    assert died.returncode == -9
    assert ledger.read_text() == "pack tea\npack cup\n"
    async with serving(own) as second:
        assert (await second.wait_for(execution, expiry=30)).unwrap() == ["tea", "cup"]
    assert ledger.read_text() == "pack tea\npack cup\n"


async def test_a_worker_that_lost_its_lease_writes_no_end(own: InMemory):
    async with serving(own) as executor:
        execution = await executor.dispatch(asks_once)
        async with asyncio.timeout(30):
            while (task := await own.get_task(execution)) is None or task.worker_id is None:
                await asyncio.sleep(0.01)
        task.worker_id = "somebody else"
        await own.update_task(task)
        await executor.send_signal(execution, "answer", "yes")
        with pytest.raises(ExpiryError):
            await executor.wait_for(execution, expiry=0.7)
        kept = await own.get_task(execution)
        assert isinstance(kept, TaskRecord) and kept.state == "running"
        # Its lease over, the task comes back to the worker that had given it up: that writes no end of its own making.
        kept.lease_expires_at = now_utc()
        await own.update_task(kept)
        with pytest.raises(ExpiryError):
            await executor.wait_for(execution, expiry=0.7)
    async with serving(own) as second:
        with own.open() as tables:
            tables["tasks"][execution].scheduled_for = None
        assert (await second.wait_for(execution, expiry=30)).unwrap() == "yes"


async def test_what_is_left_at_a_drain_is_free_for_others(own: InMemory):
    async with serving(own) as first:
        execution = await first.dispatch(asks_once)
        async with asyncio.timeout(30):
            while (await first.state_of(execution)).state != "running":
                await asyncio.sleep(0.01)
    task = await own.get_task(execution)
    assert task is not None and (task.state, task.worker_id) == ("pending", None)
    async with serving(own) as second:
        await second.send_signal(execution, "answer", "late")
        assert (await second.wait_for(execution, expiry=30)).unwrap() == "late"


async def test_a_backend_that_fails_meanwhile_is_asked_again(own: InMemory, caplog: pytest.LogCaptureFixture):
    plain, failures = own.claim_next_task, iter([ConnectionError("away"), ConnectionError("away")])

    async def sometimes(**asked: Any) -> Any:
        for failure in failures:
            raise failure
        return await plain(**asked)

    own.claim_next_task = sometimes  # type: ignore[method-assign]
    async with serving(own) as executor:
        assert (await executor.wait_for(await executor.dispatch(pack, "tea"), expiry=30)).unwrap() == "tea"
    assert caplog.text.count("could not be asked for work") == 2


async def test_what_the_protocol_has_no_word_for_is_refused(own: InMemory):
    executor = Stent(own, function_registry=mine)
    with pytest.raises(ValueError, match="start key"):
        await executor.dispatch(pack, "tea", idempotency_key="k")
    with pytest.raises(NotImplementedError, match="protocol"):
        await executor.clear_cache()
    with pytest.raises(NotImplementedError, match="protocol"):
        await executor.list_schedules()
    await executor.shutdown()
