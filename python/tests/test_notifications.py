"""Notifications: Redis through the engine's bus, and backends of users' own. None of them can do worse than to leave
the finding to polls: a wait ends as the database says, and one that expires raises `ExpiryError`."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orchestrators
import pytest
import servers
from own_backends import InMemory
from stent import ExpiryError, Stent
from stent.notifications.redis import RedisBackend
from stent.registry import FunctionRegistry
from stores import AnyBackend

mine = FunctionRegistry()


@Stent.durable(registry=mine)
async def double(number: int) -> int:
    return number * 2


@Stent.durable(registry=mine)
async def waits() -> str:
    return await Stent.wait_for_signal("go")


@contextmanager
def serving_elsewhere(backend: AnyBackend, redis: str | None = None) -> Iterator[None]:
    """A worker of these functions in another process."""
    kind = "sqlite" if hasattr(backend, "path") else "postgres"
    address = str(getattr(backend, "path", None) or backend.dsn)  # type: ignore[union-attr]
    # Imported, not run: so the functions have the names that they have here.
    code = f"import asyncio, sys, {__name__} as tests; asyncio.run(tests.main(*sys.argv[1:]))"
    command = [sys.executable, "-c", code, kind, address, *([redis] if redis else [])]
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths})
    try:
        assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
        yield
    finally:
        worker.kill()
        worker.wait()


async def check(executor: Stent) -> None:
    """What holds with any notification backend, be it dead."""
    execution = await executor.dispatch(double, 21)
    assert (await executor.wait_for(execution, expiry=30)).unwrap() == 42
    late = await executor.dispatch(waits)
    began = time.monotonic()
    with pytest.raises(ExpiryError):
        await executor.wait_for(late, expiry=0.3)
    assert 0.25 < time.monotonic() - began < 5
    assert (await executor.state_of(late)).state == "running"
    await executor.send_signal(late, "go", "now")
    assert (await executor.wait_for(late, expiry=30)).unwrap() == "now"


# Redis


async def test_with_redis_and_without_it_waits_end_and_expire(backend: AnyBackend):
    with servers.redis() as redis:
        executor = Stent(
            backend, function_registry=mine, notification_backend=Stent.notifications.RedisBackend(redis.url)
        )
        with serving_elsewhere(backend, redis.url):
            await check(executor)
            async with asyncio.timeout(10):
                while redis.subscribers("stent") != 2:
                    await asyncio.sleep(0.01)
            execution = await executor.dispatch(waits)
            redis.kill()
            await executor.send_signal(execution, "go", "without")
            assert (await executor.wait_for(execution, expiry=30)).unwrap() == "without"
            await check(executor)
            redis.start()
            await check(executor)
        await executor.shutdown()


async def test_a_redis_that_is_nowhere_holds_nobody_up(backend: AnyBackend):
    nowhere = RedisBackend(f"redis://127.0.0.1:{servers.free_port()}")
    executor = Stent(backend, function_registry=mine, notification_backend=nowhere)
    with serving_elsewhere(backend):
        await check(executor)
    await executor.shutdown()


async def test_what_is_no_address_of_a_redis_is_refused_without_its_password(backend: AnyBackend):
    executor = Stent(backend, notification_backend=RedisBackend("http://ann:s3cret@db"))
    with pytest.raises(ValueError, match="no address") as refused:
        await executor.dispatch(orchestrators.whole, 1, 1)
    assert "s3cret" not in str(refused.value)
    assert "s3cret" not in repr(executor.notification_backend)


async def test_executors_of_one_backend_share_one_bus(backend: AnyBackend):
    port = servers.free_port()
    first = Stent(backend, notification_backend=RedisBackend(f"redis://127.0.0.1:{port}"))
    again = Stent(backend, notification_backend=RedisBackend(f"redis://127.0.0.1:{port}"))
    other = Stent(backend, notification_backend=RedisBackend(f"redis://127.0.0.1:{port}", channel="orders"))
    assert await first.clear_cache() == 0 == await again.clear_cache()
    with pytest.raises(ValueError, match="another address"):
        await other.clear_cache()
    await first.shutdown()
    await again.shutdown()


# Users' own


class Loopback:
    """A notification backend within one process."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []
        self.subscribed: list[tuple[str, float | None]] = []
        self.changed = asyncio.Condition()

    async def _tell(self, *news: str) -> None:
        async with self.changed:
            self.told.append(news)
            self.changed.notify_all()

    async def notify_task_completed(self, task_id: str) -> None:
        await self._tell("completed", task_id)

    async def notify_task_updated(self, task_id: str, state: str) -> None:
        await self._tell("task", task_id, state)

    async def notify_execution_updated(self, execution_id: str, state: str) -> None:
        await self._tell("execution", execution_id, state)

    async def subscribe_to_task(self, task_id: str, *, expiry: float | None = None) -> AsyncIterator[dict[str, Any]]:
        async for news in self.subscribe_to_execution(task_id, expiry=expiry):
            yield news

    async def subscribe_to_execution(
        self, execution_id: str, *, expiry: float | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        self.subscribed.append((execution_id, expiry))
        seen = len(self.told)
        while True:
            async with self.changed:
                await self.changed.wait_for(lambda seen=seen: len(self.told) > seen)
                seen = len(self.told)
            yield {"state": "changed"}


class Silent(Loopback):
    """It tells nobody anything."""

    async def _tell(self, *news: str) -> None:
        return


class Hanging(Loopback):
    """It does not come back, not even when it is cancelled once."""

    async def _tell(self, *news: str) -> None:
        await asyncio.Event().wait()

    async def subscribe_to_execution(
        self, execution_id: str, *, expiry: float | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()
        yield {}


class Failing(Loopback):
    """It raises whatever it is asked."""

    async def _tell(self, *news: str) -> None:
        raise ConnectionError("the broker is gone")

    def subscribe_to_execution(self, execution_id: str, *, expiry: float | None = None) -> Any:
        raise ConnectionError("the broker is gone")


class Expiring(Loopback):
    """Its subscriptions time out at once."""

    async def subscribe_to_execution(
        self, execution_id: str, *, expiry: float | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        raise TimeoutError
        yield {}


@pytest.mark.parametrize("kind", [Loopback, Silent, Hanging, Failing, Expiring])
async def test_p0_3_a_silent_failing_or_absent_backend_only_slows_waits(
    backend: AnyBackend, kind: type[Loopback], caplog: pytest.LogCaptureFixture
):
    executor = Stent(backend, function_registry=mine, notification_backend=kind())
    lifecycle = executor.create_worker_lifecycle()
    worker = asyncio.create_task(executor.serve(lifecycle=lifecycle))
    await lifecycle.wait_until_ready()
    await check(executor)
    await executor.shutdown()
    await worker
    warnings = [record for record in caplog.records if "notification backend failed" in record.message]
    assert len(warnings) == (1 if kind is Failing else 0)


async def test_a_backend_is_told_of_starts_and_ends_once_they_are_committed(backend: AnyBackend):
    bell = Loopback()
    executor = Stent(backend, function_registry=mine, notification_backend=bell)
    execution = await executor.dispatch(double, 4)
    lifecycle = executor.create_worker_lifecycle()
    worker = asyncio.create_task(executor.serve(lifecycle=lifecycle))
    await lifecycle.wait_until_ready()
    assert (await executor.wait_for(execution, expiry=30)).unwrap() == 8
    async with bell.changed, asyncio.timeout(10):
        await bell.changed.wait_for(lambda: ("completed", execution) in bell.told)
    assert bell.told.index(("execution", execution, "pending")) < bell.told.index(("execution", execution, "completed"))
    assert bell.subscribed == [(execution, 30.0)]
    await executor.shutdown()
    await worker


async def test_what_a_backend_hears_makes_the_engine_look(backend: AnyBackend):
    looks: list[float] = []
    bell = Loopback()
    executor = Stent(backend, function_registry=mine, notification_backend=bell)
    execution = await executor.dispatch(waits)
    waiting = asyncio.create_task(executor.wait_for(execution, expiry=30))
    async with asyncio.timeout(10):
        while not bell.subscribed:
            await asyncio.sleep(0)
        bridge = await executor._bridge()
        assert bridge.news is not None
        records = bridge.news.records

        class Counting:
            def look(self) -> None:
                looks.append(time.monotonic())
                records.look()

        bridge.news.records = Counting()
        await bell.notify_execution_updated(execution, "running")
        while not looks:
            await asyncio.sleep(0)
    await executor.cancel(execution)
    assert not (await waiting).ok
    await executor.shutdown()


@pytest.mark.parametrize("kind", [Loopback, Silent])
async def test_a_wait_ends_with_the_news_or_else_with_its_next_poll(kind: type[Loopback]):
    """Over a backend of one's own there is no other way for news of other executors."""
    own, bell = InMemory(), kind()
    pace = 60.0 if kind is Loopback else 0.2
    options: dict[str, Any] = {"function_registry": mine, "notification_backend": bell}
    waiter = Stent(own, poll_min_interval=pace, poll_max_interval=pace, **options)
    other = Stent(own, **options)
    execution = await waiter.dispatch(waits)
    waiting = asyncio.create_task(waiter.wait_for(execution, expiry=30))
    async with asyncio.timeout(10):
        while not bell.subscribed:
            await asyncio.sleep(0)
        await other.cancel(execution)
        assert not (await waiting).ok
    await waiter.shutdown()
    await other.shutdown()


# Polls


@pytest.mark.parametrize(
    "options",
    [
        {"poll_min_interval": 0},
        {"poll_min_interval": 2, "poll_max_interval": 1},
        {"poll_backoff_factor": 0.5},
        {"poll_backoff_factor": float("nan")},
    ],
)
def test_a_pace_that_cannot_be_is_refused(options: dict[str, Any]):
    with pytest.raises(ValueError, match="poll_"):
        Stent(Stent.backends.SQLiteBackend(":memory:"), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"poll_interval": 0},
        {"poll_interval": 2, "poll_interval_max": 1},
        {"poll_backoff_factor": 0.5},
        {"poll_backoff_factor": float("inf")},
    ],
)
async def test_a_pace_of_a_worker_that_cannot_be_is_refused_and_no_worker_starts(options: dict[str, Any]):
    executor = Stent(Stent.backends.SQLiteBackend(":memory:"))
    with pytest.raises(ValueError, match="poll_"):
        await executor.serve(**options)
    assert executor.active_worker_lifecycles() == []
    await executor.shutdown()


# Promoted sleeps


async def test_a_sleep_of_asyncios_is_durable_where_the_executor_says_so():
    from stent.testing import skip_time

    sleeping = FunctionRegistry()
    plain = asyncio.sleep

    @Stent.durable(registry=sleeping)
    async def naps() -> str:
        await asyncio.sleep(0.01)
        return await asyncio.sleep(3600, "rested")

    async with skip_time(function_registry=sleeping, promote_sleep=True) as executor:
        execution = await executor.dispatch(naps)
        assert (await executor.wait_for(execution)).unwrap() == "rested"
        began = time.monotonic()
        assert await asyncio.sleep(0, "outside") == "outside"
        assert time.monotonic() - began < 1
    asyncio.sleep = plain


async def main(kind: str, address: str, redis: str | None = None) -> None:
    """The worker of `serving_elsewhere`."""
    backend = (Stent.backends.SQLiteBackend if kind == "sqlite" else Stent.backends.PostgresBackend)(address)
    executor = Stent(backend, function_registry=mine, notification_backend=RedisBackend(redis) if redis else None)
    lifecycle = executor.create_worker_lifecycle()
    worker = asyncio.create_task(executor.serve(lifecycle=lifecycle))
    await lifecycle.wait_until_ready()
    print("ready", flush=True)
    await worker
