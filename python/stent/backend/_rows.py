"""Records as the native module tells them, and the other way round. Both stores tell them alike.

`args` and `kwargs` are one value in the store: an array of what stands by place, or an object of what stands by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from stent._json_values import MARK
from stent._records import (
    TERMINAL_STATES,
    DeadLetterRecord,
    ExecutionProgress,
    ExecutionRecord,
    ScheduleRecord,
    SignalRecord,
    TaskRecord,
)
from stent._retry import RetryPolicy
from stent.utils.time import as_utc

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Told = Mapping[str, Any]
"""A record as the native module tells it."""


def moment(micros: int | None) -> datetime | None:
    """The moment that the store counts in microseconds."""
    return None if micros is None else _BEGINNING + micros * _MICROSECOND


def known_moment(micros: int) -> datetime:
    """The same where there always is one."""
    return _BEGINNING + micros * _MICROSECOND


def micros(at: datetime | None) -> int | None:
    """The store's count of a moment. One without a time zone is taken as local time."""
    return None if at is None else (as_utc(at) - _BEGINNING) // _MICROSECOND


def payload(value: bytes, codec: str = "json") -> dict[str, str]:
    """A user's bytes for the store. What is said to be JSON and is not is stored as mere bytes: no executor will take
    it for a value of its serializer."""
    return {"codec": codec if codec != "json" or _is_json(value) else "bytes", "hex": value.hex()}


def value(told: Told | None) -> bytes | None:
    """The bytes of a stored payload."""
    return None if told is None else bytes.fromhex(told["hex"])


def arguments(args: bytes, kwargs: bytes, codec: str) -> dict[str, str]:
    """Arguments as the store has them."""
    if codec != "json":
        if kwargs not in (b"", b"{}"):
            raise ValueError(f'arguments by name need the serializer "json"; these are of "{codec}"')
        return payload(args, codec)
    by_place, by_name = json.loads(args or b"[]"), json.loads(kwargs or b"{}")
    if not by_name:
        return payload(args or b"[]")
    if not by_place:
        return payload(kwargs)
    return payload(json.dumps({MARK: "call", "args": by_place, "kwargs": by_name}).encode())


def args_and_kwargs(told: Told) -> tuple[bytes, bytes]:
    """What stands by place, and what stands by name."""
    stored = bytes.fromhex(told["hex"])
    if told["codec"] != "json" or not stored.startswith(b"{"):
        return stored, b"{}"
    read = cast("dict[str, Any]", json.loads(stored))
    if read.get(MARK) == "call":
        return json.dumps(read["args"]).encode(), json.dumps(read["kwargs"]).encode()
    return b"[]", stored


def failure(error: bytes | None, reason: str = "failed by hand") -> dict[str, Any]:
    """A failure for the store: of an error as `JsonSerializer` writes it, or any other bytes."""
    if error is None:
        return {"message": reason}
    if not _is_json(error):
        return {"message": reason, "details": {"bytes": error.hex()}}
    read: Any = json.loads(error)
    if isinstance(read, dict) and MARK in read:
        document = cast("dict[str, Any]", read)
        return {"message": str(document.get("message", reason)), "details": document}
    return {"message": read if isinstance(read, str) else json.dumps(read)}


def error(told: Told | None) -> bytes | None:
    """A failure as `JsonSerializer` reads an error."""
    if told is None:
        return None
    details = told.get("details")
    if isinstance(details, dict) and cast("dict[str, Any]", details).get(MARK) == "exception":
        return json.dumps(details).encode()
    return json.dumps({MARK: "exception", "module": "", "class": "", "message": told["message"]}).encode()


def retry(policy: RetryPolicy | None) -> dict[str, Any] | None:
    """What the engine needs to know of a policy. Which errors are tried again is decided where they are raised."""
    if policy is None:
        return None
    return {
        "max_attempts": policy.max_attempts,
        "initial_delay_ms": round(policy.initial_delay * 1000),
        "factor": policy.backoff_factor,
        "max_delay_ms": round(policy.max_delay * 1000),
        "jitter": policy.jitter,
    }


def entry(told: Told) -> ExecutionProgress:
    """One entry of an execution's progress."""
    return ExecutionProgress(
        step=told["step"],
        status=told["status"],
        started_at=moment(told["started_at"]),
        completed_at=moment(told["completed_at"]),
        detail=told["detail"],
    )


def execution(told: Told) -> ExecutionRecord:
    """An execution."""
    args, kwargs = args_and_kwargs(told["args"])
    return ExecutionRecord(
        id=told["id"],
        root_function=told["function"],
        state=told["state"],
        args=args,
        kwargs=kwargs,
        retries=told["retries"],
        created_at=known_moment(told["created_at"]),
        started_at=moment(told["started_at"]),
        completed_at=moment(told["completed_at"]),
        expiry_at=moment(told["expires_at"]),
        progress=[entry(one) for one in told["progress"]],
        tags=told["tags"],
        priority=told["priority"],
        queue=told["queue"],
        result=value(told["result"]),
        error=error(told["failure"]),
    )


def task(told: Told) -> TaskRecord:
    """A task. Which claim it shows stands beside its fields, in `_epoch`."""
    args, kwargs = args_and_kwargs(told["args"])
    left = told["lease_ms_left"]
    record = TaskRecord(
        id=told["id"],
        execution_id=told["execution_id"],
        step_name=told["function"],
        kind="orchestrator" if told["parent"] is None else "activity",
        parent_task_id=told["parent"],
        state=told["state"],
        args=args,
        kwargs=kwargs,
        retries=told["retries"],
        created_at=known_moment(told["created_at"]),
        tags=told["tags"],
        priority=told["priority"],
        queue=told["queue"],
        retry_policy=None,
        result=value(told["result"]),
        error=error(told["failure"]),
        started_at=moment(told["started_at"]),
        completed_at=moment(told["completed_at"]),
        worker_id=told["worker"],
        lease_expires_at=None if left is None else datetime.now(UTC) + timedelta(milliseconds=left),
        scheduled_for=moment(told["scheduled_for"]),
    )
    record.__dict__["_epoch"] = told["epoch"]
    return record


def letter(told: Told) -> DeadLetterRecord:
    """A dead letter."""
    return DeadLetterRecord(task=task(told["task"]), reason=told["reason"], moved_at=known_moment(told["moved_at"]))


def signal(execution_id: str, name: str, told: Told) -> SignalRecord:
    """A signal, of its row."""
    return SignalRecord(
        execution_id=execution_id,
        name=name,
        payload=_opened_payload(told["payload"]),
        created_at=known_moment(told["created_at"]),
        consumed=bool(told["consumed"]),
    )


def schedule(told: Told) -> ScheduleRecord:
    """A schedule."""
    times: dict[str, Any] = {name: moment(told[name]) for name in ("next_tick", "last_tick")}
    return ScheduleRecord(**{**told, **times})


def has_ended(record: ExecutionRecord | TaskRecord) -> bool:
    """Whether nothing but an explicit replay changes it any more."""
    return record.state in TERMINAL_STATES


def _opened_payload(stored: bytes) -> bytes:
    """A user's bytes out of a stored payload: behind the checksum and the name of who wrote them."""
    return stored[6 + stored[5] :] if stored[4:5] == b"c" else stored[5:]


def _is_json(stored: bytes) -> bool:
    try:
        json.loads(stored)
    except ValueError:
        return False
    return True
