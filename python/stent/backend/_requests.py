"""How the package asks the native records of a database: one request, one answer, on the asker's event loop."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from stent._lazy import asyncio
from stent.errors import LeaseLost, StentError, StoreError, TerminalState

if TYPE_CHECKING:
    from stent._native import Records

_ERRORS: dict[str, type[Exception]] = {
    "lease_lost": LeaseLost,
    "terminal": TerminalState,
    "unknown": ValueError,
    "value": ValueError,
    "exists": ValueError,
    "busy": StentError,
}


class Refused(StentError):
    """The store refused, for a reason that the caller decides upon; `kind` says which."""

    def __init__(self, kind: str, words: str) -> None:
        self.kind = kind
        self.words = words
        super().__init__(kind, words)

    def as_error(self) -> Exception:
        """The error that users get."""
        return _ERRORS.get(self.kind, StoreError)(self.words)


async def ask(records: Records, name: str, request: Any = None) -> Any:
    """The answer to a request. Raises `Refused`."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Any] = loop.create_future()

    def settle(kind: str | None, told: Any) -> None:
        if answer.done():
            return
        if kind is None:
            answer.set_result(json.loads(told))
        else:
            answer.set_exception(Refused(kind, told))

    def done(kind: str | None, told: Any) -> None:
        loop.call_soon_threadsafe(settle, kind, told)

    records.call(name, json.dumps(request).encode(), done)
    return await answer
