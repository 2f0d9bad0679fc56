"""A worker over a backend of a user's own: claims executions there, has the engine in this process's memory run them,
and writes down how they ended.

Invariant: what it writes of a task, it writes while its lease was just renewed; the backend's own check, if it has one,
is what makes that exact.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from stent._answers import Ended, told_by
from stent._arguments import stored_whole
from stent._records import TERMINAL_STATES, ExecutionRecord, TaskRecord
from stent.utils.time import now_utc, parse_duration

if TYPE_CHECKING:
    from stent._attempt import Attempt
    from stent._by_protocol import ProtocolStent
    from stent._work import Work

_log = logging.getLogger("stent")

FRESH_S = 0.5
"""How long a claim counts as one that runs, whether or not it does yet."""

UNKNOWN_S = 5
"""How long a task of a function that is unknown here is left to others."""


class ProtocolWorker:
    """One worker's claims."""

    def __init__(self, executor: ProtocolStent, worker_id: str, work: Work) -> None:
        self.executor = executor
        self.backend = executor.backend
        self.worker_id = worker_id
        self.work = work
        self.in_hand: dict[str, tuple[TaskRecord, float, asyncio.Task[None]]] = {}
        self._awaited: dict[str, set[str]] = {}

    async def claim(self) -> None:
        """Claims what there is, for ever."""
        bridge = await self.executor.bridge()
        bridge.memory = Memory(self.backend)
        self._awaited = bridge.awaited if bridge.awaited is not None else self._awaited
        least, most, factor = self.work.pauses
        pause = least
        while True:
            # What sleeps or waits is put aside after a while and has no attempt then; what was just claimed has none
            # yet.
            fresh = sum(time.monotonic() - claimed < FRESH_S for _, claimed, _ in self.in_hand.values())
            task = await self._claim_one() if len(bridge.attempts) + fresh < self.work.max_concurrency else None
            if task is None:
                await self.executor.bell.within(pause)
                pause = min(pause * factor, most)
                continue
            pause = least
            run = asyncio.ensure_future(self._run(task))
            self.in_hand[task.execution_id] = (task, time.monotonic(), run)
            run.add_done_callback(lambda _, id=task.execution_id: self._done(id))

    def _done(self, execution_id: str) -> None:
        self.in_hand.pop(execution_id, None)
        self._awaited.pop(execution_id, None)
        self.executor.bell.look()

    async def _claim_one(self) -> TaskRecord | None:
        try:
            task: TaskRecord | None = await self.backend.claim_next_task(
                worker_id=self.worker_id, queues=self.work.queues, tags=self.work.tags, lease_duration=self.work.lease
            )
        except Exception as error:
            _log.warning("the backend could not be asked for work: %r", error)
            return None
        return task

    async def _run(self, task: TaskRecord) -> None:
        try:
            record: ExecutionRecord | None = await self.backend.get_execution(task.execution_id)
            if record is None:
                _log.warning("the task %s belongs to no execution", task.id)
            elif record.state in TERMINAL_STATES:
                # Whoever ended it died before its task was told.
                task.state, task.completed_at = record.state, now_utc()
                await self.backend.update_task(task)
            elif self.executor.registry.get(task.step_name) is None:
                _log.warning("no function is registered as %s: left to other workers", task.step_name)
                await self._release(task, timedelta(seconds=UNKNOWN_S))
            else:
                record.state, record.started_at = "running", record.started_at or now_utc()
                await self.backend.update_execution(record)
                if not await self._begin_here(task, record):
                    await self._release(task, timedelta(seconds=UNKNOWN_S))
                elif await self._follow(task):
                    await self._write_the_end(task)
        except Exception:
            # The lease ends by itself, and another claim goes on.
            _log.exception("the backend failed in the midst of %s (%s)", task.step_name, task.execution_id)

    async def _begin_here(self, task: TaskRecord, record: ExecutionRecord) -> bool:
        """Starts the execution in memory, under its id. One that is there already goes on; one that was given up here
        is left to others until it is forgotten."""
        executor = self.executor
        bridge = await executor.bridge()
        overrides: dict[str, Any] = {"id": task.execution_id, "priority": task.priority, "tags": sorted(set(task.tags))}
        if task.queue:
            overrides["queue"] = task.queue
        if record.expiry_at is not None:
            rest = (record.expiry_at - now_utc()).total_seconds()
            overrides["expiry_us"] = max(round(rest * 1_000_000), 1)
        executor.make_known(bridge, task.step_name)
        stored = stored_whole(executor.serializer, task.args, task.kwargs)
        given = json.dumps(overrides).encode()
        native = bridge.native
        told = await bridge.request(native.start, task.step_name, stored, bridge.codec, task.idempotency_key, given)
        if not (told[0] == 3 and told[1] == "exists"):
            told_by(told)
            return True
        there = await executor.store.get_execution(task.execution_id)
        return there is not None and there.state not in TERMINAL_STATES

    async def _follow(self, task: TaskRecord) -> bool:
        """Keeps the lease and passes on what comes, until the engine is done. Whether the end is ours to write."""
        bridge = await self.executor.bridge()
        look_us = round(min(self.work.pauses[0], self.work.beat.total_seconds()) * 1_000_000)
        renewed = time.monotonic()
        while True:
            told = await self._ended_or_rung(task.execution_id, look_us)
            if told is not None:
                return True
            try:
                if time.monotonic() - renewed >= self.work.beat.total_seconds():
                    if not await self.backend.renew_task_lease(task.id, self.worker_id, self.work.lease):
                        break
                    renewed = time.monotonic()
                record: ExecutionRecord | None = await self.backend.get_execution(task.execution_id)
                if record is None or record.state in TERMINAL_STATES:
                    break
                await self._pass_signals_on(task.execution_id)
            except Exception as error:
                _log.warning("the backend failed while %s runs: %r", task.step_name, error)
                if time.monotonic() - renewed >= self.work.lease.total_seconds():
                    break
        with suppress(Ended, ValueError):
            told_by(await bridge.request(bridge.native.ask, "cancel", f'"{task.execution_id}"'.encode()))
        return False

    async def _ended_or_rung(self, execution_id: str, look_us: int) -> tuple[Any, ...] | None:
        bridge = await self.executor.bridge()
        waiting = asyncio.ensure_future(bridge.request(bridge.native.wait, execution_id, look_us))
        rung = asyncio.ensure_future(self.executor.bell.within(look_us / 1_000_000))
        try:
            await asyncio.wait({waiting, rung}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                return None
            told = waiting.result()
            return None if told[0] == 3 and told[1] == "expired" else told_by(told)
        finally:
            waiting.cancel()
            rung.cancel()

    async def _pass_signals_on(self, execution_id: str) -> None:
        bridge = await self.executor.bridge()
        every = self.executor.optional("list_signals")
        if every is not None:
            signals = await every(execution_id)
        elif (one := self.executor.optional("get_signal")) is not None:
            names = sorted(self._awaited.get(execution_id, ()))
            signals = [signal for name in names if (signal := await one(execution_id, name)) is not None]
        else:
            return
        for signal in signals:
            mark = (signal.name, signal.created_at, signal.payload)
            passed = self.executor.passed.setdefault(execution_id, set())
            if mark not in passed:
                passed.add(mark)
                native = bridge.native
                told_by(await bridge.request(native.signal, execution_id, signal.name, signal.payload, bridge.codec))

    async def _write_the_end(self, task: TaskRecord) -> None:
        executor = self.executor
        ended = await executor.store.get_execution(task.execution_id)
        if ended is None or not await self.backend.renew_task_lease(task.id, self.worker_id, self.work.lease):
            return
        await self._write_what_it_carried(task.execution_id, ended)
        record: ExecutionRecord | None = await self.backend.get_execution(task.execution_id)
        if record is None or record.state in TERMINAL_STATES:
            return
        now = now_utc()
        for one in (record, task):
            one.state, one.completed_at = ended.state, now
            one.result, one.error, one.retries = ended.result, ended.error, ended.retries
        # The execution first: if this process dies in between, the next claim finds that it is over.
        await self.backend.update_execution(record)
        await self.backend.update_task(task)
        if ended.state == "failed" and (bury := executor.optional("move_task_to_dead_letter")) is not None:
            await bury(task, "failed for good")
        executor.passed.pop(task.execution_id, None)
        executor.tell(task.execution_id, ended.state, ended=True)

    async def _write_what_it_carried(self, execution_id: str, ended: ExecutionRecord) -> None:
        executor = self.executor
        if (append := executor.optional("append_progress")) is not None:
            for entry in ended.progress:
                await append(execution_id, entry)
        if (ensure := executor.optional("ensure_execution_counters")) is not None:
            await ensure(execution_id, await executor.store.get_execution_counters(execution_id))
        if (ensure := executor.optional("ensure_execution_state_values")) is not None:
            await ensure(execution_id, await executor.store.get_execution_state_values(execution_id))

    async def _release(self, task: TaskRecord, delay: timedelta) -> None:
        task.state, task.worker_id, task.lease_expires_at, task.started_at = "pending", None, None, None
        task.scheduled_for = now_utc() + delay
        await self.backend.update_task(task)

    async def give_back(self) -> None:
        """What has not ended is free for others."""
        for task, _, run in list(self.in_hand.values()):
            ended = await self.executor.store.get_execution(task.execution_id)
            if ended is not None and ended.state in TERMINAL_STATES:
                # Its end is being written.
                await asyncio.wait({run}, timeout=self.work.lease.total_seconds())
            if run.done():
                continue
            run.cancel()
            try:
                await self._release(task, timedelta())
            except Exception as error:
                _log.warning("%s could not be given back before its lease is over: %r", task.step_name, error)


class Memory:
    """What the backend remembers of calls, so that a run from the beginning does not make them again: results of child
    calls by their task's id, and those of idempotent and cached functions by their key."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend

    async def found(self, attempt: Attempt, metadata: Any) -> bytes | None:
        """The result that is there already."""
        about = attempt.about
        if about["parent_id"] is not None and (get := getattr(self.backend, "get_task", None)) is not None:
            task: TaskRecord | None = await get(about["task_id"])
            if task is not None and task.state == "completed":
                return task.result
        key: str | None = about.get("key")
        for wanted, name in ((metadata.idempotent, "get_idempotency_result"), (metadata.cached, "get_cached_result")):
            if key is not None and wanted and (get := getattr(self.backend, name, None)) is not None:
                result: bytes | None = await get(key)
                if result is not None:
                    return result
        return None

    async def keep(self, attempt: Attempt, metadata: Any, stored: bytes, args: bytes) -> None:
        """A result is there now."""
        about, now = attempt.about, now_utc()
        key: str | None = about.get("key")
        if key is not None and metadata.idempotent and hasattr(self.backend, "set_idempotency_result"):
            await self.backend.set_idempotency_result(key, stored)
        if key is not None and metadata.cached and hasattr(self.backend, "set_cached_result"):
            ttl = None if metadata.cached is True else parse_duration(metadata.cached)
            await self.backend.set_cached_result(key, stored, ttl)
        if about["parent_id"] is not None and hasattr(self.backend, "get_task"):
            create: Callable[[TaskRecord], Coroutine[Any, Any, None]] | None
            create = getattr(self.backend, "create_task", None)
            if create is not None:
                child = TaskRecord(
                    about["task_id"], about["execution_id"], attempt.function, "activity", about["parent_id"],
                    "completed", args, b"{}", about["attempt"] - 1, now, [], about["priority"], about["queue"], None,
                    result=stored, started_at=now, completed_at=now,
                )  # fmt: skip
                await create(child)


__all__ = ["Memory", "ProtocolWorker"]
