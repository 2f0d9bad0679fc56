"""The backend over the engine's records: all methods of the protocol, for whichever store.

What is done here obeys the engine's rules: a task changes only in the hands of whoever claimed it, an end is an end,
and times are the store's. So an update is not a row that is written over: it is what the record's state says beside
what is stored (an end, a retry, a cancel), or an error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from stent._ids import new_id
from stent._lazy import asyncio, rows
from stent.backend._requests import Refused, ask
from stent.errors import LeaseLost, TerminalState

if TYPE_CHECKING:
    from stent._native import Records
    from stent._records import DeadLetterRecord, ExecutionProgress, ExecutionRecord, SignalRecord, TaskRecord

LEASE = timedelta(minutes=5)
"""How long a claim lasts that does not say."""

_PROGRESS = "stent.progress/"
"""What the state values begin with that hold progress appended by hand."""


_PARENTS: list[Any] = []
"""What a forked child has of its parent's: kept, since letting go of it would end what is not the child's to end."""


class RecordsBackend:
    """What `SQLiteBackend` and `PostgresBackend` have in common: everything but the address."""

    def __init__(self, url: str, *, codec: str = "json") -> None:
        self._url = url
        self._codec = codec
        self._records: Records | None = None
        self._process = os.getpid()
        self._opening = asyncio.Lock()

    async def init_db(self) -> None:
        """Opens the database and makes its tables where they are missing. Safe to repeat."""
        self._leave_parents()
        async with self._opening:
            if self._records is None:
                self._records = await asyncio.to_thread(_open, self._url)

    async def close(self) -> None:
        """Gives back what is still claimed by hand and closes the database. Safe to repeat."""
        self._leave_parents()
        async with self._opening:
            records, self._records = self._records, None
            if records is not None:
                await ask(records, "close")

    @property
    def records(self) -> Records:
        """The native records of the open database. Raises `RuntimeError` before `init_db()`."""
        if self._records is None:
            raise RuntimeError("the backend is not open: await its init_db() first")
        return self._records

    async def query(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """What a statement of your own answers, a dictionary for each row. Only reads are taken: what would write is a
        `ValueError`. SQLite counts parameters `?1`, PostgreSQL `$1`; ids are `bytes` there and `str` here."""
        given = [{"hex": one.hex()} if isinstance(one, bytes) else one for one in params]
        table = await self._ask("select", {"statement": sql, "parameters": given})
        names: list[str] = table["columns"]
        return [dict(zip(names, map(_cell, row), strict=True)) for row in table["rows"]]

    # Executions

    async def create_execution(self, record: ExecutionRecord) -> None:
        """Creates an execution and its root task, which has the execution's id. One that has ended already is written
        down as it is, its times aside: those are the store's."""
        await self._ask("create", self._creation(record, None))

    async def create_execution_with_root_task(self, record: ExecutionRecord, task: TaskRecord) -> None:
        """Creates an execution and its root task, whose id is the execution's: both or neither."""
        if task.id != record.id:
            raise ValueError(f"the root task of {record.id} has the id {task.id}: a root task has its execution's id")
        await self._ask("create", self._creation(record, task))

    async def get_execution(self, execution_id: str) -> ExecutionRecord | None:
        """One execution, or `None`."""
        told = await self._find("execution", execution_id)
        return None if told is None else await self._with_progress(rows.execution(told))

    async def update_execution(self, record: ExecutionRecord) -> None:
        """Carries out what the record's state says: `cancelled` cancels, `completed` and `failed` end the root task if
        it is in hand. Raises `TerminalState` when the execution has ended, `LeaseLost` when others run it."""
        now = await self.get_execution(record.id)
        if now is None:
            raise ValueError(f"there is no execution {record.id}")
        if rows.has_ended(now):
            raise TerminalState(f"the execution {record.id} has already ended as {now.state}")
        _must_not_change(now, record, "root_function", "args", "kwargs", "tags", "priority", "queue")
        if record.state == now.state:
            return
        how = self._how(record.state, record.result, record.error)
        await self._ask("finish", {"task": record.id, "how": how})

    async def list_executions(
        self, limit: int = 10, offset: int = 0, state: str | None = None
    ) -> list[ExecutionRecord]:
        """Executions, newest first."""
        told = await self._ask("executions", {"limit": limit, "offset": offset, "state": state})
        return [rows.execution(one) for one in told]

    async def count_executions(self, state: str | None = None) -> int:
        """How many executions are in a state, or in all."""
        return await self._ask("count_executions", {"state": state})

    # Tasks

    async def create_task(self, task: TaskRecord) -> None:
        """Creates a task below one that is in hand (`parent_task_id`, else the root). A root task comes with its
        execution, so creating it once more changes nothing."""
        if task.id == task.execution_id:
            if await self.get_task(task.id) is None:
                raise ValueError(f"there is no execution {task.execution_id}")
            return
        create = {
            "id": task.id,
            "function": task.step_name,
            "args": rows.arguments(task.args, task.kwargs, self._codec),
            "queue": task.queue,
            "priority": task.priority,
            "tags": task.tags,
            **self._of_task(task),
        }
        await self._ask("create_child", {"parent": task.parent_task_id or task.execution_id, "create": create})

    async def create_tasks(self, tasks: Sequence[TaskRecord]) -> None:
        """Creates several, in order; those before one that is refused are there."""
        for task in tasks:
            await self.create_task(task)

    async def get_task(self, task_id: str) -> TaskRecord | None:
        """One task, or `None`."""
        told = await self._find("task", task_id)
        return None if told is None else rows.task(told)

    async def update_task(self, task: TaskRecord) -> None:
        """Carries out what the record's state says. `completed` and `failed` end it; `pending` gives it back, to be
        tried again not before `scheduled_for`, and as a further attempt if `retries` grew; `cancelled` cancels it.

        Raises `LeaseLost` when somebody else owns the task, or the record shows an earlier claim, and `TerminalState`
        when it has ended."""
        now = await self.get_task(task.id)
        if now is None:
            raise ValueError(f"there is no task {task.id}")
        if rows.has_ended(now):
            raise TerminalState(f"the task {task.id} has already ended as {now.state}")
        _must_not_change(now, task, "step_name", "args", "kwargs", "tags", "priority", "queue")
        if task.state == "cancelled":
            how: Any = "cancelled"
        elif task.state == "pending" and now.state == "pending":
            if task.scheduled_for is not None and task.scheduled_for != now.scheduled_for:
                raise ValueError("a task that is pending already keeps its time")
            return
        elif task.state == "running":
            if now.state != "running" or vars(task).get("_epoch", vars(now)["_epoch"]) != vars(now)["_epoch"]:
                raise LeaseLost(f"the task {task.id} is not in the hands that this record shows")
            return
        elif task.state == "pending":
            at = rows.micros(task.scheduled_for)
            if task.retries > now.retries:
                how = {"retry": [rows.failure(task.error, "tried again by hand"), at]}
            else:
                how = {"release": at}
        else:
            how = self._how(task.state, task.result, task.error)
        await self._ask("finish", {"task": task.id, "epoch": vars(task).get("_epoch"), "how": how})

    async def list_tasks(self, limit: int = 100, offset: int = 0, state: str | None = None) -> list[TaskRecord]:
        """Tasks of all executions, the newest executions' first."""
        told = await self._ask("list_tasks", {"limit": limit, "offset": offset, "state": state})
        return [rows.task(one) for one in told]

    async def list_tasks_for_execution(self, execution_id: str) -> list[TaskRecord]:
        """The tasks of one execution, oldest first."""
        told: list[Any] = await self._find("tasks", execution_id) or []
        return [rows.task(one) for one in told]

    async def count_tasks(self, queue: str | None = None, state: str | None = None) -> int:
        """How many tasks lie in a queue, or in all, in a state, or in all."""
        return await self._ask("count_tasks", {"queue": queue, "state": state})

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
        """Claims the highest priority first, then the oldest, of what is ready: due by the store's clock, or by `now`
        if that is later. The lease lasts `lease_duration` (5 minutes) and is this object's: when it is over, or the
        process ends, others may claim the task. `concurrency_limits` says how many tasks of a function may run at
        once."""
        told = await self._ask(
            "claim",
            {
                "worker": worker_id,
                "queues": queues,
                "tags": tags,
                "lease_ms": (LEASE if lease_duration is None else lease_duration) // timedelta(milliseconds=1),
                "limits": concurrency_limits or {},
                "as_of_us": rows.micros(now),
            },
        )
        return None if told is None else rows.task(told)

    async def renew_task_lease(self, task_id: str, worker_id: str, lease_duration: timedelta) -> bool:
        """Makes a lease last so long from now on; false when the worker does not own the task any more."""
        lease = lease_duration // timedelta(milliseconds=1)
        return await self._ask("renew", {"task": task_id, "worker": worker_id, "lease_ms": lease})

    # Results of equal calls

    async def get_cached_result(self, cache_key: str) -> bytes | None:
        """What the cache has under a key, unless its time is over."""
        cached = (await self._ask("memo", cache_key)).get("cached")
        if cached is None or (cached["expires_at"] is not None and cached["expires_at"] <= await self._ask("now")):
            return None
        return rows.value(cached["value"])

    async def set_cached_result(self, cache_key: str, value: bytes, ttl: timedelta | None = None) -> None:
        """Puts a result into the cache, in place of what was there; `ttl` says for how long."""
        milliseconds = None if ttl is None else ttl // timedelta(milliseconds=1)
        await self._ask("keep", self._kept(cache_key, value, idempotent=False, ttl_ms=milliseconds))

    async def get_idempotency_result(self, idempotency_key: str) -> bytes | None:
        """The one result of a key's calls, or `None`."""
        return rows.value((await self._ask("memo", idempotency_key)).get("result"))

    async def set_idempotency_result(self, idempotency_key: str, value: bytes) -> None:
        """Gives a key its one result. Nothing changes if it has one; a key that a task has reserved is refused."""
        records = self._opened()
        try:
            await ask(records, "keep", self._kept(idempotency_key, value, idempotent=True, ttl_ms=None))
        except Refused as refusal:
            if refusal.kind != "exists":
                raise refusal.as_error() from None

    # Dead letters

    async def move_task_to_dead_letter(self, task: TaskRecord, reason: str) -> None:
        """Puts a task that has not ended away as failed for good, whoever owns it; who does is told."""
        failure = {**rows.failure(task.error, reason), "message": reason}
        await self._ask("put_away", {"task": task.id, "failure": failure})

    async def list_dead_tasks(self, limit: int = 50) -> list[DeadLetterRecord]:
        """Dead letters, newest first."""
        return [rows.letter(one) for one in await self._ask("letters", {"limit": limit})]

    async def count_dead_tasks(self) -> int:
        """How many dead letters there are."""
        return await self._ask("count_letters")

    async def get_dead_task(self, task_id: str) -> DeadLetterRecord | None:
        """One dead letter, or `None`."""
        told = await self._find("letter", task_id)
        return None if told is None else rows.letter(told)

    async def delete_dead_task(self, task_id: str) -> bool:
        """Throws a dead letter away; whether there was one. The task stays as it is."""
        return bool(await self._find("discard", task_id))

    async def cleanup_executions(self, older_than: datetime) -> int:
        """Deletes executions that ended before a moment, those with dead letters aside; how many."""
        return await self._ask("clean_executions", rows.micros(older_than))

    async def cleanup_dead_letters(self, older_than: datetime) -> int:
        """Deletes dead letters that were put away before a moment; how many."""
        return await self._ask("clean_letters", rows.micros(older_than))

    # Signals, progress, what an execution carries along

    async def create_signal(self, signal: SignalRecord) -> None:
        """Gives a signal to an execution. Several of one name queue up, and each is consumed by one wait."""
        payload = rows.payload(signal.payload, self._codec)
        await self._ask("signal", {"execution": signal.execution_id, "name": signal.name, "payload": payload})

    async def get_signal(self, execution_id: str, name: str) -> SignalRecord | None:
        """The oldest signal of a name that no wait has consumed, else the last that one has."""
        found = await self.query(self._signal_sql, [self._id(execution_id), name])
        if not found:
            return None
        row = min(
            found, key=lambda row: (bool(row["consumed"]), -row["position"] if row["consumed"] else row["position"])
        )
        return rows.signal(execution_id, name, row)

    async def append_progress(self, execution_id: str, progress: ExecutionProgress) -> None:
        """Adds an entry after what the engine shows of an execution's progress by itself."""
        entry = {
            "step": progress.step,
            "status": progress.status,
            "started_at": rows.micros(progress.started_at),
            "completed_at": rows.micros(progress.completed_at),
            "detail": progress.detail,
        }
        value = {"codec": "json", "hex": json.dumps(entry).encode().hex()}
        await self._ask("change", {"execution": execution_id, "ensure_state": {_PROGRESS + new_id(): value}})

    async def ensure_execution_counters(self, execution_id: str, counters: Mapping[str, int | float]) -> None:
        """Sets counters where they are absent."""
        await self._ask("change", {"execution": execution_id, "ensure_counters": dict(counters)})

    async def increment_execution_counter(self, execution_id: str, name: str, amount: float) -> float:
        """Adds to a counter, from 0 where it is absent; its new value."""
        return await self._ask("change", {"execution": execution_id, "add": [name, amount]})

    async def get_execution_counters(self, execution_id: str) -> dict[str, int | float]:
        """All counters of an execution."""
        return (await self._ask("baggage", execution_id))["counters"]

    async def ensure_execution_state_values(self, execution_id: str, values: Mapping[str, bytes]) -> None:
        """Sets state values where they are absent."""
        ensure = {name: rows.payload(value, self._codec) for name, value in values.items()}
        await self._ask("change", {"execution": execution_id, "ensure_state": ensure})

    async def set_execution_state_value(self, execution_id: str, key: str, value: bytes) -> None:
        """Sets a state value."""
        await self._ask("change", {"execution": execution_id, "set": [key, rows.payload(value, self._codec)]})

    async def get_execution_state_values(self, execution_id: str) -> dict[str, bytes]:
        """All state values of an execution."""
        return {name: stored for name, (_, stored) in (await self.state_values_with_codecs(execution_id)).items()}

    async def state_values_with_codecs(self, execution_id: str) -> dict[str, tuple[str, bytes]]:
        """All state values of an execution, each behind the name of the serializer that wrote it."""
        state: dict[str, Any] = (await self._ask("baggage", execution_id))["state"]
        values = {name: one for name, one in state.items() if not name.startswith(_PROGRESS)}
        return {name: (one["codec"], bytes.fromhex(one["hex"])) for name, one in values.items()}

    # What the two stores do in their own way

    @property
    def _signal_sql(self) -> str:
        raise NotImplementedError

    def _id(self, text: str) -> Any:
        raise NotImplementedError

    # Below

    def _leave_parents(self) -> None:
        """A process that was forked off leaves its parent's connections and locks alone: it closes none of them."""
        if self._process != os.getpid():
            _PARENTS.append(self._records)
            self._records, self._opening, self._process = None, asyncio.Lock(), os.getpid()

    def _opened(self) -> Records:
        self._leave_parents()
        if self._records is None:
            raise RuntimeError("the backend is not open: await backend.init_db() first")
        return self._records

    async def _ask(self, name: str, request: Any = None) -> Any:
        try:
            return await ask(self._opened(), name, request)
        except Refused as refusal:
            raise refusal.as_error() from None

    async def _find(self, name: str, one_id: str) -> Any:
        """The answer for an id; `None` for one that nothing can have."""
        try:
            return await ask(self._opened(), name, one_id)
        except Refused as refusal:
            if refusal.kind == "unknown":
                return None
            raise refusal.as_error() from None

    async def _with_progress(self, record: ExecutionRecord) -> ExecutionRecord:
        state: dict[str, Any] = (await self._ask("baggage", record.id))["state"]
        appended = sorted(name for name in state if name.startswith(_PROGRESS))
        record.progress += [rows.entry(json.loads(bytes.fromhex(state[name]["hex"]))) for name in appended]
        return record

    def _creation(self, record: ExecutionRecord, task: TaskRecord | None) -> dict[str, Any]:
        ended = None if record.state == "pending" else self._how(record.state, record.result, record.error)
        return {
            "id": record.id,
            "function": record.root_function,
            "args": rows.arguments(record.args, record.kwargs, self._codec),
            "queue": record.queue,
            "priority": record.priority,
            "tags": record.tags,
            "expires_us": rows.micros(record.expiry_at),
            "ended": ended,
            **({} if task is None else self._of_task(task)),
        }

    def _of_task(self, task: TaskRecord) -> dict[str, Any]:
        return {
            "retry": rows.retry(task.retry_policy),
            "memo_key": task.idempotency_key,
            "due_us": rows.micros(task.scheduled_for),
        }

    def _how(self, state: str, result: bytes | None, error: bytes | None) -> Any:
        match state:
            case "completed":
                return {"completed": rows.payload(b"null" if result is None else result, self._codec)}
            case "failed":
                return {"failed": rows.failure(error)}
            case "cancelled" | "cancelling":
                return "cancelled"
            case _:
                raise ValueError(f'nobody can make it "{state}" by hand')

    def _kept(self, key: str, value: bytes, *, idempotent: bool, ttl_ms: int | None) -> dict[str, Any]:
        stored = rows.payload(value, self._codec)
        return {"key": key, "value": stored, "idempotent": idempotent, "ttl_ms": ttl_ms}


def _open(url: str) -> Records:
    from stent._native import Records

    try:
        return Records.open(url)
    except ValueError as error:
        if len(error.args) != 2:
            raise
        raise Refused(*error.args).as_error() from None


def _cell(cell: Any) -> Any:
    return bytes.fromhex(cast("dict[str, str]", cell)["hex"]) if isinstance(cell, dict) else cell


def _must_not_change(now: Any, wanted: Any, *fields: str) -> None:
    for field in fields:
        if getattr(now, field) != getattr(wanted, field) and not (field == "queue" and wanted.queue is None):
            raise ValueError(f"{field} cannot be changed: it is part of what was asked for")
