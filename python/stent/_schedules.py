"""Cron schedules of an executor: what is started again and again. The calendar and the ticks are the engine's.

Each tick starts one execution at most, however many workers there are; they are what ticks, so without one nothing
does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from stent import _checks
from stent._answers import told_by
from stent._lazy import records, rows
from stent._options import names
from stent.utils.serialization import Serializer, dump

if TYPE_CHECKING:
    from stent._bridge import Bridge
    from stent._function import DurableFunction


class Schedules:
    """The part of an executor that steers schedules."""

    serializer: Serializer

    if TYPE_CHECKING:

        async def _bridge(self) -> Bridge: ...
        async def _ask(self, name: str, asked: Any = None) -> Any: ...
        def _find(
            self, fn: Callable[..., Any] | str
        ) -> tuple[str, DurableFunction[Any, Any] | None, tuple[Any, ...]]: ...
        def _publish(self, bridge: Bridge, function: DurableFunction[Any, Any]) -> None: ...

    async def set_schedule(
        self,
        name: str,
        cron: str,
        fn: Callable[..., Any] | str,
        /,
        *args: Any,
        time_zone: str = "UTC",
        missed: records.Missed = "one",
        queue: str | None = None,
        priority: int | None = None,
        tags: Iterable[str] | None = None,
        headers: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> bool:
        """Has `fn` started with these arguments whenever the cron line says: five fields (minute, hour, day of month,
        month, day of week), six with seconds before them, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`, in
        an IANA time zone. Whether anything is different now: a program may set its schedules at each start.

        A schedule of this name is changed; one that rests stays at rest. Raises `ValueError` for a line or zone that
        cannot be."""
        overrides: dict[str, Any] = {
            "queue": queue,
            "priority": priority,
            "tags": names("tags", tags),
            "headers": None if headers is None else dict(headers),
        }
        given = _checks.options(overrides)
        registered, function, before = self._find(fn)
        bridge, key = await self._bridge(), None
        if function is not None:
            self._publish(bridge, function)
            stored = function.arguments.write(self.serializer, (*before, *args), kwargs)
            key = function.key_of((*before, *args), kwargs)
        elif args and kwargs:
            raise TypeError(f"{registered} is not known here: give its arguments by place or by name, not both")
        else:
            stored = dump(self.serializer, kwargs or list(args), f"the arguments of {registered}")
        asked = json.dumps({"name": name, "cron": cron, "zone": time_zone, "missed": missed}).encode()
        native = bridge.native
        told = await bridge.request(native.set_schedule, asked, registered, stored, bridge.codec, key, given)
        return cast("bool", json.loads(told_by(told)[1]))

    async def list_schedules(self) -> list[records.ScheduleRecord]:
        """All schedules of the database, by name."""
        return [rows.schedule(told) for told in await self._ask("schedules")]

    async def get_schedule(self, name: str) -> records.ScheduleRecord | None:
        """One schedule, or `None`."""
        told = await self._ask("schedule", name)
        return None if told is None else rows.schedule(told)

    async def pause_schedule(self, name: str) -> bool:
        """Has a schedule rest: ticks that pass meanwhile are nobody's. Whether it did not rest before. Raises
        `ValueError` for an unknown one."""
        return cast("bool", await self._ask("pause_schedule", name))

    async def resume_schedule(self, name: str) -> bool:
        """Has a schedule that rests go on with its next tick. Whether it did rest. Raises `ValueError` for an unknown
        one."""
        return cast("bool", await self._ask("resume_schedule", name))

    async def run_schedule(self, name: str) -> str:
        """Starts now what a schedule starts, beside its ticks; the execution's id. Raises `ValueError` for an unknown
        one."""
        return cast("str", await self._ask("run_schedule", name))

    async def delete_schedule(self, name: str) -> bool:
        """Deletes a schedule; `False` when there was none. What it has started goes on."""
        return cast("bool", await self._ask("delete_schedule", name))
