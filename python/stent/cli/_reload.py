"""Notices that Python files change: for `--reload`, while a program is being written."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable

_INTERVAL_S = 0.3
"""How often the files are looked at."""

_PASSED_BY = {"__pycache__", "node_modules", "site-packages", "target"}


def look(folder: str) -> dict[str, int]:
    """The Python files below a folder and when each was changed, hidden and installed ones aside."""
    found: dict[str, int] = {}
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _PASSED_BY]
        for name in files:
            if name.endswith(".py"):
                path = os.path.join(place, name)
                with contextlib.suppress(OSError):
                    found[path] = os.stat(path).st_mtime_ns
    return found


def difference(before: dict[str, int], after: dict[str, int]) -> str | None:
    """The first file that is new, gone or changed, if any is."""
    changed = {path for path, _ in before.items() ^ after.items()}
    return min(changed) if changed else None


@contextlib.asynccontextmanager
async def watch(folder: str, changed: Callable[[str], None]) -> AsyncGenerator[None, None]:
    """Tells of changes below the folder while the context lasts."""

    async def keep() -> None:
        before = look(folder)
        while True:
            await asyncio.sleep(_INTERVAL_S)
            after = await asyncio.to_thread(look, folder)
            path = difference(before, after)
            before = after
            if path is not None:
                changed(os.path.relpath(path, folder))

    watching = asyncio.create_task(keep())
    try:
        yield
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
