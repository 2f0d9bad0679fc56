"""What a notification backend is: a short way for news between processes.

It carries no truth. Whoever is told looks into the database; whoever is not told finds out with the next poll. So a
backend that is silent, slow or broken delays, and nothing more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol, runtime_checkable

__all__ = ["NotificationBackend"]


@runtime_checkable
class NotificationBackend(Protocol):
    """Give an object of this shape to `Stent(notification_backend=..)`.

    The subscriptions are async iterators of news: each item is a mapping with at least `state`. `expiry` is how many
    seconds the caller will wait; an iterator may end then, or raise `TimeoutError`.
    """

    async def notify_task_completed(self, task_id: str) -> None:
        """A task has ended."""
        ...

    async def notify_task_updated(self, task_id: str, state: str) -> None:
        """A task is in this state now."""
        ...

    async def notify_execution_updated(self, execution_id: str, state: str) -> None:
        """An execution is in this state now."""
        ...

    def subscribe_to_task(self, task_id: str, *, expiry: float | None = None) -> AsyncIterator[dict[str, Any]]:
        """News of one task, from now on."""
        ...

    def subscribe_to_execution(
        self, execution_id: str, *, expiry: float | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """News of one execution, from now on."""
        ...
