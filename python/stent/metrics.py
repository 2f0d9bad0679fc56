"""What a worker tells about its work, as calls to an object of the user's. It measures nothing by itself."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

__all__ = ["MetricsRecorder", "record"]


@runtime_checkable
class MetricsRecorder(Protocol):
    """Give an object of this shape to `Stent(metrics=..)`. Derive from it and only what you override does something.

    It is called on the worker's event loop and must not block. What it raises is logged and harms no task.
    """

    def task_claimed(self, *, queue: str | None, step_name: str, kind: str) -> None:
        """A worker took a task."""

    def task_completed(self, *, queue: str | None, step_name: str, kind: str, duration_s: float) -> None:
        """A task ended with a result, after so many seconds in this worker."""

    def task_failed(self, *, queue: str | None, step_name: str, kind: str, reason: str, retrying: bool) -> None:
        """An attempt failed; `retrying` says whether there will be another."""

    def dead_lettered(self, *, queue: str | None, step_name: str, kind: str, reason: str) -> None:
        """A task failed for good and was put away as a dead letter."""

    def lease_renewed(self, *, task_id: str, success: bool) -> None:
        """A task's lease was renewed, or could not be since the task was taken away."""


def record(recorder: MetricsRecorder | None, event: str, **facts: Any) -> None:
    """Tells the recorder, if there is one and it has a method for `event`. Its errors end here."""
    method = getattr(recorder, event, None)
    if method is None:
        return
    try:
        method(**facts)
    except Exception:
        import logging

        logging.getLogger("stent.metrics").exception("the metrics recorder failed in %s", event)
