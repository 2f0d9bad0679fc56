"""A user's own notification backend beside an executor: what ended here is told, and what is heard makes whoever waits
look.

Invariant: nothing waits for the backend. One that is silent, slow or broken, or raises, only leaves the finding to the
engine's own way and its polls.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from stent.notifications.base import NotificationBackend

_log = logging.getLogger("stent")

PATIENCE_S = 5.0
"""How long the backend may take to be told something."""

UNTOLD = 1000
"""How many pieces of news may be on their way to it; more are dropped."""


class Looks(Protocol):
    """Whom news makes look."""

    def look(self) -> None:
        """Something may have changed."""
        ...


class News:
    """What goes to and comes from a notification backend."""

    def __init__(self, backend: NotificationBackend, records: Looks) -> None:
        self.backend = backend
        self.records = records
        self._on_their_way: set[asyncio.Task[None]] = set()
        self._warned = False

    def tell(self, execution_id: str, state: str, *, ended: bool = False) -> None:
        """An execution is in this state; its root task has the same id."""
        backend = self.backend
        self._send(lambda: backend.notify_execution_updated(execution_id, state))
        self._send(lambda: backend.notify_task_updated(execution_id, state))
        if ended:
            self._send(lambda: backend.notify_task_completed(execution_id))

    def later(self, telling: Awaitable[None]) -> None:
        """Runs what will have something to tell."""
        self._keep(asyncio.ensure_future(telling))

    def _send(self, tell: Callable[[], Awaitable[None]]) -> None:
        if len(self._on_their_way) < UNTOLD:
            self._keep(asyncio.ensure_future(self._told(tell)))

    def _keep(self, task: asyncio.Future[None]) -> None:
        kept = cast("asyncio.Task[None]", task)
        self._on_their_way.add(kept)
        kept.add_done_callback(self._on_their_way.discard)

    async def _told(self, tell: Callable[[], Awaitable[None]]) -> None:
        try:
            await asyncio.wait_for(tell(), PATIENCE_S)
        except Exception as error:
            self._warn(error)

    def _warn(self, error: BaseException) -> None:
        if self._warned:
            _log.debug("the notification backend failed again: %r", error)
            return
        self._warned = True
        _log.warning("the notification backend failed: changes are found by polling meanwhile", exc_info=error)

    @contextmanager
    def heard(self, execution_id: str, expiry: float | None) -> Generator[None, None, None]:
        """While this lasts, news of an execution makes whoever waits look."""
        listening = asyncio.ensure_future(self._listen(execution_id, expiry))
        try:
            yield
        finally:
            # Not awaited: a backend that does not let go of its iterator holds nobody up.
            listening.cancel()

    async def _listen(self, execution_id: str, expiry: float | None) -> None:
        try:
            given: Any = self.backend.subscribe_to_execution(execution_id, expiry=expiry)
            if asyncio.iscoroutine(given):
                given = await given
            async for _ in cast("AsyncIterator[Any]", given):
                self.records.look()
        except TimeoutError:
            return
        except Exception as error:
            self._warn(error)

    def close(self) -> None:
        """Nothing is told any more."""
        for task in list(self._on_their_way):
            task.cancel()
