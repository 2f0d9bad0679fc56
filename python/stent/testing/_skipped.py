"""A database in memory whose time is skipped, and the executor that knows how. When time passes is decided by the
engine's test kit; this only asks for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stent import _native
from stent._options import microseconds
from stent._records import SignalRecord
from stent._stent import Stent
from stent.backend._over_records import RecordsBackend
from stent.utils.time import Duration

if TYPE_CHECKING:
    from stent._native import Records


class SkippedTime(RecordsBackend):
    """A backend for tests. Its database ends with `close()`. It has all methods but `query` and `get_signal`, which are
    looks by SQL."""

    def __init__(self, *, codec: str = "json") -> None:
        super().__init__("skipped time", codec=codec)

    def __repr__(self) -> str:
        return "SkippedTime()"

    async def init_db(self) -> None:
        """Makes the database. Safe to repeat."""
        if self._records is None:
            self._records = _native.Records.simulated_time()

    def enter(self, records: Records) -> None:
        """Takes a database that is there."""
        self._records = records

    async def get_signal(self, execution_id: str, name: str) -> SignalRecord | None:
        """Not here: it takes SQL."""
        raise NotImplementedError("a database in memory has no SQL to look at signals with")


class SkippedStent(Stent):
    """An executor over `SkippedTime`."""

    async def advance(self, by: Duration | float) -> None:
        """Lets this much time pass, with all that is due in it. A number is seconds."""
        await self._ask("advance", microseconds(by))

    async def settle(self) -> None:
        """Waits until nothing has anything to do any more but wait, without any time passing for it."""
        await self._ask("settle")

    async def crash(self) -> None:
        """Kills the workers' processes, wherever their tasks stand, and starts others."""
        await self._ask("crash")

    async def clock(self) -> datetime:
        """What the database's clock shows."""
        return datetime.fromtimestamp(await self._ask("clock") / 1_000_000, UTC)

    async def leave(self) -> None:
        """Waits until all that was started has ended, or never will, and keeps what it left behind for a comparison."""
        await self._ask("leave")

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[None, None]:
        """A worker that is ready, for as long as this lasts."""
        lifecycle = self.create_worker_lifecycle()
        worker = asyncio.create_task(self.serve(poll_interval=0.1, lifecycle=lifecycle))
        try:
            await lifecycle.wait_until_ready()
            yield
        finally:
            lifecycle.request_drain()
            await worker
