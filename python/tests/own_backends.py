"""Two backends of users' own, against seed 003's protocol and nothing else: one in memory, one that keeps a dictionary
on the disk, which several processes may share. Neither has all methods: only those that are called need exist."""

from __future__ import annotations

import copy
import fcntl
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from stent.core import TERMINAL_STATES, ExecutionProgress, ExecutionRecord, SignalRecord, TaskRecord
from stent.utils.time import now_utc


class InMemory:
    """The least that runs executions."""

    def __init__(self) -> None:
        self.tables: dict[str, Any] = {"executions": {}, "tasks": {}, "signals": [], "keys": {}, "dead": {}}
        self.calls: list[str] = []

    @contextmanager
    def open(self) -> Iterator[dict[str, Any]]:
        """The tables, for one transaction."""
        yield self.tables

    async def init_db(self) -> None:
        self.calls.append("init_db")

    async def close(self) -> None:
        self.calls.append("close")

    async def create_execution(self, record: ExecutionRecord) -> None:
        with self.open() as tables:
            tables["executions"][record.id] = copy.deepcopy(record)

    async def create_task(self, task: TaskRecord) -> None:
        with self.open() as tables:
            tables["tasks"].setdefault(task.id, copy.deepcopy(task))

    async def get_execution(self, execution_id: str) -> ExecutionRecord | None:
        with self.open() as tables:
            return copy.deepcopy(tables["executions"].get(execution_id))

    async def update_execution(self, record: ExecutionRecord) -> None:
        with self.open() as tables:
            assert tables["executions"][record.id].state not in TERMINAL_STATES
            tables["executions"][record.id] = copy.deepcopy(record)

    async def get_task(self, task_id: str) -> TaskRecord | None:
        with self.open() as tables:
            return copy.deepcopy(tables["tasks"].get(task_id))

    async def update_task(self, task: TaskRecord) -> None:
        with self.open() as tables:
            tables["tasks"][task.id] = copy.deepcopy(task)

    async def claim_next_task(
        self,
        *,
        worker_id: str,
        queues: list[str] | None = None,
        tags: list[str] | None = None,
        now: datetime | None = None,
        lease_duration: timedelta | None = None,
        concurrency_limits: dict[str, int] | None = None,
    ) -> TaskRecord | None:
        at = now or now_utc()
        with self.open() as tables:
            free = [
                task
                for task in tables["tasks"].values()
                if task.kind == "orchestrator"
                and (queues is None or (task.queue or "default") in queues)
                and (tags is None or not task.tags or set(tags) & set(task.tags))
                and (
                    (task.state == "pending" and (task.scheduled_for is None or task.scheduled_for <= at))
                    or (task.state == "running" and task.lease_expires_at <= at)
                )
            ]
            if not free:
                return None
            task = min(free, key=lambda task: (-task.priority, task.created_at))
            task.state, task.worker_id, task.started_at = "running", worker_id, at
            task.lease_expires_at = at + (lease_duration or timedelta(minutes=5))
            return copy.deepcopy(task)

    async def renew_task_lease(self, task_id: str, worker_id: str, lease_duration: timedelta) -> bool:
        with self.open() as tables:
            task = tables["tasks"][task_id]
            if task.state != "running" or task.worker_id != worker_id:
                return False
            task.lease_expires_at = now_utc() + lease_duration
            return True

    async def create_signal(self, signal: SignalRecord) -> None:
        with self.open() as tables:
            tables["signals"].append(signal)

    async def get_signal(self, execution_id: str, name: str) -> SignalRecord | None:
        with self.open() as tables:
            found = [one for one in tables["signals"] if (one.execution_id, one.name) == (execution_id, name)]
            return found[0] if found else None


class OnDisk(InMemory):
    """A dictionary on the disk, under a lock file; with the optional methods."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    @contextmanager
    def open(self) -> Iterator[dict[str, Any]]:
        """The tables as they are on the disk, and there again afterwards."""
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tables = pickle.loads(self.path.read_bytes()) if self.path.exists() else copy.deepcopy(self.tables)
            before = pickle.dumps(tables)
            yield tables
            if (after := pickle.dumps(tables)) != before:
                beside = self.path.with_suffix(".new")
                beside.write_bytes(after)
                os.replace(beside, self.path)

    async def create_execution_with_root_task(self, record: ExecutionRecord, task: TaskRecord) -> None:
        with self.open() as tables:
            tables["executions"][record.id], tables["tasks"][task.id] = record, task

    async def list_signals(self, execution_id: str) -> list[SignalRecord]:
        """Ours, optional: all signals of an execution, oldest first."""
        with self.open() as tables:
            return [one for one in tables["signals"] if one.execution_id == execution_id]

    async def get_idempotency_result(self, idempotency_key: str) -> bytes | None:
        with self.open() as tables:
            return tables["keys"].get(idempotency_key)

    async def set_idempotency_result(self, idempotency_key: str, value: bytes) -> None:
        with self.open() as tables:
            tables["keys"].setdefault(idempotency_key, value)

    async def move_task_to_dead_letter(self, task: TaskRecord, reason: str) -> None:
        with self.open() as tables:
            tables["dead"][task.id] = (task, reason)

    async def append_progress(self, execution_id: str, progress: ExecutionProgress) -> None:
        with self.open() as tables:
            tables["executions"][execution_id].progress.append(progress)

    async def ensure_execution_counters(self, execution_id: str, counters: dict[str, int | float]) -> None:
        with self.open() as tables:
            tables.setdefault("counters", {}).setdefault(execution_id, dict(counters))

    async def get_execution_counters(self, execution_id: str) -> dict[str, int | float]:
        with self.open() as tables:
            return tables.get("counters", {}).get(execution_id, {})
