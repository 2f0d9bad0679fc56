"""What a backend is: where executions and tasks live, as records.

`SQLiteBackend` and `PostgresBackend` offer all of it over the engine. A class of your own that does, runs executions
too; only the methods that are called need exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from stent._records import (
    DeadLetterRecord,
    ExecutionProgress,
    ExecutionRecord,
    SignalRecord,
    TaskRecord,
)

__all__ = ["Backend"]


@runtime_checkable
class Backend(Protocol):
    """Records of executions and tasks, and what may be done to them."""

    async def init_db(self) -> None:
        """Connects, and makes the tables where they are missing. Safe to repeat."""
        ...

    async def close(self) -> None:
        """Lets go of everything. Safe to repeat."""
        ...

    async def create_execution(self, record: ExecutionRecord) -> None:
        """Creates an execution."""
        ...

    async def create_execution_with_root_task(self, record: ExecutionRecord, task: TaskRecord) -> None:
        """Creates an execution and its root task: both or neither."""
        ...

    async def get_execution(self, execution_id: str) -> ExecutionRecord | None:
        """One execution, or `None`."""
        ...

    async def update_execution(self, record: ExecutionRecord) -> None:
        """Carries out what the record's state says beside what is stored."""
        ...

    async def list_executions(
        self, limit: int = 10, offset: int = 0, state: str | None = None
    ) -> list[ExecutionRecord]:
        """Executions, newest first."""
        ...

    async def count_executions(self, state: str | None = None) -> int:
        """How many executions are in a state, or in all."""
        ...

    async def create_task(self, task: TaskRecord) -> None:
        """Creates a task of an execution that is there."""
        ...

    async def create_tasks(self, tasks: Sequence[TaskRecord]) -> None:
        """Creates several."""
        ...

    async def get_task(self, task_id: str) -> TaskRecord | None:
        """One task, or `None`."""
        ...

    async def update_task(self, task: TaskRecord) -> None:
        """Carries out what the record's state says beside what is stored. Refused when somebody else owns the task."""
        ...

    async def list_tasks(self, limit: int = 100, offset: int = 0, state: str | None = None) -> list[TaskRecord]:
        """Tasks of all executions, newest first."""
        ...

    async def list_tasks_for_execution(self, execution_id: str) -> list[TaskRecord]:
        """The tasks of one execution, oldest first."""
        ...

    async def count_tasks(self, queue: str | None = None, state: str | None = None) -> int:
        """How many tasks lie in a queue, or in all, in a state, or in all."""
        ...

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
        """Claims the next task for a worker, atomically: no two claims get the same one."""
        ...

    async def renew_task_lease(self, task_id: str, worker_id: str, lease_duration: timedelta) -> bool:
        """Makes a lease last so long from now on; false when the worker does not own the task any more."""
        ...

    async def get_cached_result(self, cache_key: str) -> bytes | None:
        """What the cache has under a key, unless its time is over."""
        ...

    async def set_cached_result(self, cache_key: str, value: bytes, ttl: timedelta | None = None) -> None:
        """Puts a result into the cache, in place of what was there."""
        ...

    async def get_idempotency_result(self, idempotency_key: str) -> bytes | None:
        """The one result of a key's calls, or `None`."""
        ...

    async def set_idempotency_result(self, idempotency_key: str, value: bytes) -> None:
        """Gives a key its one result. Nothing changes if it has one."""
        ...

    async def move_task_to_dead_letter(self, task: TaskRecord, reason: str) -> None:
        """Puts a task away as failed for good."""
        ...

    async def list_dead_tasks(self, limit: int = 50) -> list[DeadLetterRecord]:
        """Dead letters, newest first."""
        ...

    async def count_dead_tasks(self) -> int:
        """How many dead letters there are."""
        ...

    async def get_dead_task(self, task_id: str) -> DeadLetterRecord | None:
        """One dead letter, or `None`."""
        ...

    async def delete_dead_task(self, task_id: str) -> bool:
        """Throws a dead letter away; whether there was one."""
        ...

    async def cleanup_executions(self, older_than: datetime) -> int:
        """Deletes executions that ended before a moment; how many."""
        ...

    async def cleanup_dead_letters(self, older_than: datetime) -> int:
        """Deletes dead letters that were put away before a moment; how many."""
        ...

    async def create_signal(self, signal: SignalRecord) -> None:
        """Gives a signal to an execution. Several of one name queue up."""
        ...

    async def get_signal(self, execution_id: str, name: str) -> SignalRecord | None:
        """The oldest signal of a name that no wait has consumed, else the last that one has."""
        ...

    async def append_progress(self, execution_id: str, progress: ExecutionProgress) -> None:
        """Adds an entry to what an execution shows of its progress."""
        ...

    async def ensure_execution_counters(self, execution_id: str, counters: Mapping[str, int | float]) -> None:
        """Sets counters where they are absent."""
        ...

    async def increment_execution_counter(self, execution_id: str, name: str, amount: float) -> float:
        """Adds to a counter, from 0 where it is absent; its new value."""
        ...

    async def get_execution_counters(self, execution_id: str) -> dict[str, int | float]:
        """All counters of an execution."""
        ...

    async def ensure_execution_state_values(self, execution_id: str, values: Mapping[str, bytes]) -> None:
        """Sets state values where they are absent."""
        ...

    async def set_execution_state_value(self, execution_id: str, key: str, value: bytes) -> None:
        """Sets a state value."""
        ...

    async def get_execution_state_values(self, execution_id: str) -> dict[str, bytes]:
        """All state values of an execution."""
        ...
