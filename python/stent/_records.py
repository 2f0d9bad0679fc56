"""What is stored, as plain records: executions, tasks, signals, dead letters, schedules; and an execution as users see
it.

They can be built by hand. `args`, `kwargs`, `result`, `error` and payloads are bytes of the executor's serializer.
A record that a backend gave out also carries, hidden, which claim of its task it shows: see `stent.backend`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from stent._result import Result
from stent._retry import RetryPolicy

ExecutionStateName: TypeAlias = Literal[
    "pending", "running", "completed", "failed", "timed_out", "cancelling", "cancelled"
]
TaskKind: TypeAlias = Literal["orchestrator", "activity", "signal"]
ProgressStatus: TypeAlias = Literal["dispatched", "running", "completed", "failed", "cache_hit"]
Missed: TypeAlias = Literal["skip", "one", "all"]
"""What becomes of ticks that passed while no worker was there: nothing, one execution for all of them, or each."""

TERMINAL_STATES: frozenset[str] = frozenset({"completed", "failed", "timed_out", "cancelled"})
"""The states that nothing but an explicit replay leaves."""


@dataclass
class ExecutionProgress:
    """One thing an execution did or does: a durable call, or a step."""

    step: str
    status: ProgressStatus
    started_at: datetime | None = None
    completed_at: datetime | None = None
    detail: str | None = None


@dataclass
class ExecutionRecord:
    """One dispatched run of a root function."""

    id: str
    root_function: str
    state: ExecutionStateName
    args: bytes
    kwargs: bytes
    retries: int
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    expiry_at: datetime | None
    progress: list[ExecutionProgress]
    tags: list[str]
    priority: int
    queue: str | None
    result: bytes | None = None
    error: bytes | None = None


@dataclass
class TaskRecord:
    """One durable function call: the root's (`orchestrator`) or a child's (`activity`)."""

    id: str
    execution_id: str
    step_name: str
    kind: TaskKind
    parent_task_id: str | None
    state: str
    args: bytes
    kwargs: bytes
    retries: int
    created_at: datetime
    tags: list[str]
    priority: int
    queue: str | None
    retry_policy: RetryPolicy | None
    result: bytes | None = None
    error: bytes | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    worker_id: str | None = None
    lease_expires_at: datetime | None = None
    idempotency_key: str | None = None
    scheduled_for: datetime | None = None


@dataclass
class SignalRecord:
    """A named payload given to one execution."""

    execution_id: str
    name: str
    payload: bytes
    created_at: datetime
    consumed: bool = False
    consumed_at: datetime | None = None


@dataclass
class DeadLetterRecord:
    """A task that failed for good, kept for replay or discard."""

    task: TaskRecord
    reason: str
    moved_at: datetime

    @property
    def id(self) -> str:
        """The task's id."""
        return self.task.id

    @property
    def execution_id(self) -> str:
        """The execution that the task belongs to."""
        return self.task.execution_id


@dataclass(frozen=True)
class ScheduleRecord:
    """A schedule as it stands."""

    name: str
    cron: str
    time_zone: str
    missed: Missed
    function: str
    queue: str
    paused: bool
    next_tick: datetime | None
    last_tick: datetime | None
    last_execution: str | None


@dataclass
class ExecutionState:
    """An execution as users see it. One that waits reads `running`. What another serializer wrote is, in the place of
    the value, the `ForeignPayload` that says so."""

    id: str
    state: ExecutionStateName
    result: Result[Any] | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    retries: int = 0
    progress: list[ExecutionProgress] = field(default_factory=list[ExecutionProgress])
    tags: list[str] = field(default_factory=list[str])
    priority: int = 0
    queue: str | None = None
    counters: dict[str, int | float] = field(default_factory=dict[str, "int | float"])
    custom_state: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def progress_str(self) -> str:
        """The progress for people: what is done of what is known, then one line for each entry, in order.

        >>> print(ExecutionState("1", "running", progress=[ExecutionProgress("shop:charge", "completed")]).progress_str)
        1 of 1 done
        [completed] shop:charge
        """
        done = sum(entry.status in ("completed", "cache_hit") for entry in self.progress)
        lines = [f"{done} of {len(self.progress)} done"]
        for entry in self.progress:
            lines.append(f"[{entry.status}] {entry.step}" + (f": {entry.detail}" if entry.detail else ""))
        return "\n".join(lines)
