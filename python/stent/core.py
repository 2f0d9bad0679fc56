"""The records, results and policies of Stent, under one name. Nothing here touches a database."""

from __future__ import annotations

from stent._ids import new_id
from stent._records import (
    TERMINAL_STATES,
    DeadLetterRecord,
    ExecutionProgress,
    ExecutionRecord,
    ExecutionState,
    ExecutionStateName,
    ProgressStatus,
    ScheduleRecord,
    SignalRecord,
    TaskKind,
    TaskRecord,
)
from stent._result import Result
from stent._retry import RetryPolicy, compute_retry_delay

__all__ = [
    "TERMINAL_STATES",
    "DeadLetterRecord",
    "ExecutionProgress",
    "ExecutionRecord",
    "ExecutionState",
    "ExecutionStateName",
    "ProgressStatus",
    "Result",
    "RetryPolicy",
    "ScheduleRecord",
    "SignalRecord",
    "TaskKind",
    "TaskRecord",
    "compute_retry_delay",
    "new_id",
]
