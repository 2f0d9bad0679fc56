"""Structured logging: records that are made inside a durable function say which execution and task they belong to.

It adds fields to records and formats nothing; without `install_structured_logging` the package touches no logger.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["FIELDS", "StructuredLogFilter", "install_structured_logging"]

FIELDS = ("execution_id", "task_id", "run_id", "function", "attempt", "queue", "is_replaying")
"""What every record has once the filter is installed; `None` outside of a durable function."""

FieldSource = Callable[[], "Mapping[str, Any] | None"]


def _of_attempt() -> Mapping[str, Any] | None:
    from stent._current import current

    attempt = current.get()
    if attempt is None:
        return None
    replaying = attempt.bridge.native.is_replaying(attempt.run)
    return {**attempt.about, "function": attempt.function, "is_replaying": replaying}


_source: FieldSource = _of_attempt


class StructuredLogFilter(logging.Filter):
    """Adds the fields, and drops what replayed code says again if `drop_replayed`."""

    def __init__(self, *, drop_replayed: bool = False) -> None:
        super().__init__()
        self.drop_replayed = drop_replayed

    def filter(self, record: logging.LogRecord) -> bool:
        """Never drops a record of code that runs for the first time."""
        present = _source() or {}
        for name in FIELDS:
            if not hasattr(record, name):
                setattr(record, name, present.get(name))
        return not (self.drop_replayed and present.get("is_replaying"))


def install_structured_logging(
    logger: logging.Logger | str | None = None, *, drop_replayed: bool = False
) -> StructuredLogFilter:
    """Adds the fields of `stent._logs.FIELDS` to all records that the logger's handlers (the root logger's by default)
    see, those of child loggers included. Call it once, after the handlers are set up; a second call changes the first.

    >>> import logging
    >>> logging.basicConfig(format="%(levelname)s [%(execution_id)s %(function)s] %(message)s")
    >>> filter_ = install_structured_logging()
    """
    target = logger if isinstance(logger, logging.Logger) else logging.getLogger(logger)
    added = StructuredLogFilter(drop_replayed=drop_replayed)
    # A filter of a logger is not asked for what child loggers pass on, one of a handler is.
    for holder in (target, *target.handlers):
        for earlier in [one for one in holder.filters if isinstance(one, StructuredLogFilter)]:
            holder.removeFilter(earlier)
        holder.addFilter(added)
    return added
