"""The executor over a backend of a user's own, written against the protocol of `stent.backend.base`.

Such a backend keeps records and no history, so the engine that runs an execution lives in the memory of the worker
which has claimed it (`_protocol_worker`), and the backend has what others need to see: that it is there, who has it,
how it ended.

Invariant: an execution is never over here before the backend says so.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from stent import _inside
from stent._arguments import stored_parts
from stent._current import current, in_step
from stent._failures import error_of_end
from stent._from_threads import from_anywhere
from stent._function import DurableFunction
from stent._ids import new_id
from stent._lifecycle import WorkerLifecycle
from stent._news import News
from stent._protocol_worker import ProtocolWorker
from stent._records import TERMINAL_STATES, ExecutionRecord, ExecutionState, SignalRecord, TaskRecord
from stent._states import shown
from stent._stent import Stent
from stent.backend.sqlite import SQLiteBackend
from stent.errors import ExpiryError
from stent.utils.serialization import dump, load_error
from stent.utils.time import Duration, now_utc

if TYPE_CHECKING:
    from stent._bridge import Bridge
    from stent._work import Work

# What has ended in memory is written to the backend by then.
CLEANUP_US, RETENTION_US = 60_000_000, 300_000_000


async def _once(name: str, change: Callable[[], Awaitable[Any]]) -> Any:
    """Makes a change; inside of a durable function a replay in this process does not make it again."""
    if current.get() is None or in_step.get() is not None:
        return await change()
    return await _inside.step(name, change)


class Bell:
    """Rung when something may have changed; whoever waits looks."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def look(self) -> None:
        """Rings."""
        rung, self._rung = self._rung, asyncio.Event()
        rung.set()

    async def within(self, seconds: float) -> None:
        """Returns at the next ring, or after this long."""
        try:
            await asyncio.wait_for(self._rung.wait(), seconds)
        except TimeoutError:
            return


class ProtocolStent(Stent):
    """What `Stent(backend)` is for a backend of one's own."""

    def __init__(self, backend: Any, **options: Any) -> None:
        super().__init__(backend, **options)
        self.store = SQLiteBackend(":memory:")
        self.bell = Bell()
        self._own_news: News | None = None
        self.passed: dict[str, set[tuple[str, datetime, bytes]]] = {}

    def _open_bridge(self) -> Bridge:
        bridge = super()._open_bridge()
        # What the engine in memory has to tell concerns nobody before the backend has it.
        bridge.news = None
        bridge.awaited = {}
        return bridge

    async def bridge(self) -> Bridge:
        """The bridge to the engine in memory."""
        return await self._bridge()

    def make_known(self, bridge: Bridge, name: str) -> None:
        """A function that was registered after the worker began."""
        function = bridge.function(name)
        if function is not None:
            self._publish(bridge, function)

    @property
    def news(self) -> News | None:
        """What goes to and comes from the notification backend."""
        if self.notification_backend is not None and self._own_news is None:
            self._own_news = News(self.notification_backend, self.bell)
        return self._own_news

    def optional(self, name: str) -> Any:
        """A method of the backend that it may have, or `None`."""
        return getattr(self.backend, name, None)

    # Starting

    async def start_of(
        self,
        function: DurableFunction[Any, Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        overrides: dict[str, Any],
    ) -> str:
        """Starts an execution of a function; its id."""
        stored = function.arguments.write(self.serializer, args, kwargs)
        metadata = function.metadata
        own = {"queue": metadata.queue, "priority": metadata.priority, "tags": sorted(set(metadata.tags))}
        own.update({name: value for name, value in overrides.items() if value is not None})
        return await self._create(function.name, stored, own, function.key_of(args, kwargs), metadata.retry_policy)

    async def _start_by_name(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], overrides: dict[str, Any]
    ) -> str:
        if args and kwargs:
            raise TypeError(f"{name} is not known here: give its arguments by place or by name, not both")
        stored = dump(self.serializer, kwargs or list(args), f"the arguments of {name}")
        given = {key: value for key, value in overrides.items() if value is not None}
        return await self._create(name, stored, given, None, None)

    async def _create(self, name: str, stored: bytes, given: dict[str, Any], answer: str | None, policy: Any) -> str:
        if "key" in given:
            raise ValueError("a start key needs SQLite or PostgreSQL: this backend's protocol has no word for it")
        now, execution = now_utc(), new_id()
        args, kwargs = stored_parts(self.serializer, stored)
        tags: list[str] = list(given.get("tags") or [])
        priority, queue = int(given.get("priority") or 0), given.get("queue")
        expiry = now + timedelta(microseconds=given["expiry_us"]) if "expiry_us" in given else None
        due = now + timedelta(microseconds=given["delay_us"]) if given.get("delay_us") else None
        record = ExecutionRecord(
            execution, name, "pending", args, kwargs, 0, now, None, None, expiry, [], tags, priority, queue
        )
        task = TaskRecord(
            execution, execution, name, "orchestrator", None, "pending", args, kwargs, 0, now, tags, priority, queue,
            policy, idempotency_key=answer, scheduled_for=due,
        )  # fmt: skip

        async def create() -> str:
            both = self.optional("create_execution_with_root_task")
            if both is not None:
                await both(record, task)
            else:
                await self.backend.create_execution(record)
                await self.backend.create_task(task)
            self.tell(execution, "pending")
            return execution

        return await _once(f"dispatch:{name}", create)

    def tell(self, execution_id: str, state: str, *, ended: bool = False) -> None:
        """Whoever waits here looks, and others are told."""
        self.bell.look()
        if self.news is not None:
            self.news.tell(execution_id, state, ended=ended)

    # Waiting

    async def _end_of(self, execution_id: str, expiry: Duration | float | None) -> tuple[bool, Any]:
        """As `Stent._end_of`; found by polls at the executor's pace, or sooner if rung for."""
        limit = None if expiry is None else _inside.microseconds(expiry) / 1_000_000
        if self.news is None:
            return await self._wait(execution_id, limit)
        with self.news.heard(execution_id, limit):
            return await self._wait(execution_id, limit)

    async def _wait(self, execution_id: str, limit: float | None) -> tuple[bool, Any]:
        began, pause = time.monotonic(), self.poll_min_interval
        while True:
            rest = None if limit is None else limit - (time.monotonic() - began)
            record = await self._in_time(self._record(execution_id), rest)
            if record.state in TERMINAL_STATES:
                return self._told_by(record)
            rest = None if limit is None else limit - (time.monotonic() - began)
            if rest is not None and rest <= 0:
                raise ExpiryError("the wait expired")
            await self.bell.within(pause if rest is None else min(pause, rest))
            pause = min(pause * self.poll_backoff_factor, self.poll_max_interval)

    async def _in_time(self, reading: Any, rest: float | None) -> ExecutionRecord:
        """A read that may take no longer than the wait: a backend that hangs makes it expire too."""
        try:
            return cast("ExecutionRecord", await asyncio.wait_for(reading, None if rest is None else max(rest, 0.05)))
        except TimeoutError:
            raise ExpiryError("the wait expired") from None

    def _told_by(self, record: ExecutionRecord) -> tuple[bool, Any]:
        if record.state == "completed":
            return True, None if record.result is None else self.serializer.loads(record.result)
        details: dict[str, Any] = {} if record.error is None else json.loads(record.error)
        message = str(details.get("message", "no reason was recorded"))
        return False, error_of_end(record.state) or load_error(self.serializer, message, details)

    async def _state(self, record: ExecutionRecord) -> ExecutionState:
        counters, values = self.optional("get_execution_counters"), self.optional("get_execution_state_values")
        stored: dict[str, bytes] = {} if values is None else await values(record.id)
        result = self._as_result(*self._told_by(record)) if record.state in TERMINAL_STATES else None
        counted: dict[str, int | float] = {} if counters is None else await counters(record.id)
        return shown(record, result, counted, {key: self.serializer.loads(value) for key, value in stored.items()})

    # Changing

    @from_anywhere
    async def cancel(self, execution_id: str) -> None:
        """As `Stent.cancel`; a worker that runs it learns of it with its next look."""
        record = await self._record(execution_id)
        if record.state in TERMINAL_STATES:
            return
        record.state, record.completed_at = "cancelled", now_utc()
        await self.backend.update_execution(record)
        task = await self.backend.get_task(execution_id)
        if task is not None and task.state not in TERMINAL_STATES:
            task.state, task.completed_at = "cancelled", record.completed_at
            await self.backend.update_task(task)
        self.tell(execution_id, "cancelled", ended=True)

    @from_anywhere
    async def send_signal(self, execution_id: str, name: str, payload: Any = None) -> None:
        """As `Stent.send_signal`; a worker that runs it finds it with its next look."""
        stored = dump(self.serializer, payload, f'the signal "{name}"')
        record = await self._record(execution_id)
        if record.state in TERMINAL_STATES:
            raise ValueError(f"the execution {execution_id} has ended: it is {record.state}")

        async def send() -> None:
            await self.backend.create_signal(SignalRecord(execution_id, name, stored, now_utc()))
            self.tell(execution_id, record.state)

        await _once(f"signal:{name}", send)

    async def _ask(self, name: str, asked: Any = None) -> Any:
        raise NotImplementedError(
            f"{name.replace('_', ' ')}: a backend of one's own has no word for it in its protocol"
        )

    async def _start_inside(self, attempt: Any, name: str, stored: bytes, key: str | None, given: bytes) -> str:
        raise NotImplementedError("not reached: starts go to the backend")

    # Serving

    async def shutdown(self) -> None:
        """As `Stent.shutdown`."""
        await super().shutdown()
        if self._own_news is not None:
            self._own_news.close()
            self._own_news = None
        await self.store.close()
        self.passed.clear()

    async def _work(self, work: Work, lifecycle: WorkerLifecycle) -> None:
        """As `Stent._work`, with claims from the backend: the engine in memory gets no more than what these find."""
        worker = ProtocolWorker(self, work.worker_id or lifecycle.name + "@" + new_id(), work)
        lifecycle.begin()
        self._lifecycles.append(lifecycle)
        engine = WorkerLifecycle(lifecycle.name)
        in_memory = replace(
            work,
            worker_id=None,
            queues=None,
            tags=None,
            pauses=(1.0, 1.0, self.poll_backoff_factor),
            cleanup_us=CLEANUP_US,
            retention_us=RETENTION_US,
        )
        here = asyncio.ensure_future(super()._work(in_memory, engine))
        ready = asyncio.ensure_future(engine.wait_until_ready())
        draining = asyncio.ensure_future(lifecycle.until_drain())
        claiming: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait({here, ready}, return_when=asyncio.FIRST_COMPLETED)
            if not here.done():
                self._lifecycles.remove(engine)
                claiming = asyncio.ensure_future(worker.claim())
                lifecycle.enter("ready")
                await asyncio.wait({here, claiming, draining}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            lifecycle.enter("draining")
            for one in (claiming, draining, ready):
                one.cancel()
            engine.request_drain()
            try:
                await here
            finally:
                await worker.give_back()
                self._lifecycles.remove(lifecycle)
                lifecycle.enter("stopped")
