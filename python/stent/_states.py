"""Executions as they stand: looked at without waiting, one by one and in lists. What changes them is `_stent`'s.

Invariant: one execution that cannot be read whole hides neither the rest of it nor the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from stent._from_threads import from_anywhere
from stent._lazy import records
from stent._result import Result
from stent.backend._over_records import RecordsBackend
from stent.errors import ForeignPayload
from stent.utils.serialization import Serializer, load
from stent.utils.time import Duration


class States:
    """The part of an executor that looks at executions."""

    backend: Any
    store: RecordsBackend
    serializer: Serializer

    if TYPE_CHECKING:

        async def wait_for(self, execution_id: str, expiry: Duration | float | None = None) -> Result[Any]: ...

    @from_anywhere
    async def result_of(self, execution_id: str) -> Result[Any]:
        """How an execution ended, without waiting. Raises `ValueError` when unknown or unfinished."""
        record = await self._record(execution_id)
        if record.completed_at is None:
            raise ValueError(f"the execution {execution_id} has not ended: it is {record.state}")
        return await self.wait_for(execution_id)

    async def _record(self, execution_id: str) -> records.ExecutionRecord:
        record = await self.backend.get_execution(execution_id)
        if record is None:
            raise ValueError(f"there is no execution {execution_id}")
        return cast("records.ExecutionRecord", record)

    @from_anywhere
    async def state_of(self, execution_id: str) -> records.ExecutionState:
        """Where an execution stands. A state value that another serializer wrote is the `ForeignPayload` that says so,
        and such a result is a `Result` of it. Raises `ValueError` for an unknown id."""
        return await self._state(await self._record(execution_id))

    async def _state(self, record: records.ExecutionRecord) -> records.ExecutionState:
        result = None
        if record.completed_at is not None:
            try:
                result = await self.wait_for(record.id)
            except ForeignPayload as error:
                result = Result.Error(error)
        counters = await self.store.get_execution_counters(record.id)
        values = await self.store.state_values_with_codecs(record.id)
        state = {key: self._read(codec, stored) for key, (codec, stored) in values.items()}
        return shown(record, result, counters, state)

    def _read(self, codec: str, stored: bytes) -> Any:
        """A stored value, or the error that says who wrote it: one that cannot be read does not hide the rest."""
        try:
            return load(self.serializer, codec, stored)
        except ForeignPayload as error:
            return error

    async def list_executions(
        self, limit: int = 10, offset: int = 0, state: str | None = None
    ) -> list[records.ExecutionState]:
        """Executions, newest first, as `state_of` shows each."""
        found = await self.backend.list_executions(limit, offset, state)
        return [await self._state(record) for record in found]

    async def queue_depth(self, queue: str | None = None) -> int:
        """How many tasks wait to be started, of one queue or all."""
        return cast("int", await self.backend.count_tasks(queue=queue, state="pending"))

    async def get_running_activities(self) -> list[Any]:
        """The tasks that are in some worker's hands."""
        return cast("list[Any]", await self.backend.list_tasks(1000, 0, "running"))


def shown(
    record: records.ExecutionRecord,
    result: Result[Any] | None,
    counters: dict[str, int | float],
    custom_state: dict[str, Any],
) -> records.ExecutionState:
    """An execution as users see it, of its record and what lies beside that."""
    return records.ExecutionState(
        id=record.id,
        state=record.state,
        result=result,
        started_at=record.started_at,
        completed_at=record.completed_at,
        retries=record.retries,
        progress=record.progress,
        tags=record.tags,
        priority=record.priority,
        queue=record.queue,
        counters=counters,
        custom_state=custom_state,
    )
