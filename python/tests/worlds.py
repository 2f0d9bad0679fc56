"""A database, a ledger outside of it, and worker processes that are killed: what tests of durable code look at.

The workers run a program of flows, as `flows.py` is one; what really ran stands in the ledger, line by line.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from stent import Stent
from stent.backend.sqlite import SQLiteBackend
from stent.core import TERMINAL_STATES
from stores import AnyBackend

WAIT_S = 60


class World:
    """A database, a ledger, and an executor that only dispatches."""

    def __init__(self, backend: AnyBackend, ledger: Path, program: ModuleType) -> None:
        self.executor = Stent(backend, function_registry=program.registry)
        self.backend = backend
        self.ledger = ledger
        self.program = program
        ledger.touch()

    def lines(self) -> list[str]:
        return self.ledger.read_text().splitlines()

    def ran(self, line: str) -> int:
        return self.lines().count(line)

    def passes(self) -> list[str]:
        return [line for line in self.lines() if line.startswith("pass: ")]

    async def noted(self, line: str, times: int = 1) -> None:
        """Waits until a line stands in the ledger."""
        async with asyncio.timeout(WAIT_S):
            while self.ran(line) < times:
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def worker(self, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Another process that serves; killed at the end. Settings are what `flows.main` reads from `STENT_TEST_*`."""
        place = self.backend.path if isinstance(self.backend, SQLiteBackend) else self.backend.dsn
        assert self.program.__file__ is not None
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            self.program.__file__,
            place,
            stdout=asyncio.subprocess.PIPE,
            env={
                **os.environ,
                "STENT_TEST_LEDGER": str(self.ledger),
                **{f"STENT_TEST_{name.upper()}": value for name, value in settings.items()},
            },
        )
        try:
            await says(process, "serves")
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
            await process.wait()

    async def dies_at(self, flow: str, at: str, *args: Any, hanging_children: int = 0, **settings: str) -> str:
        """Starts a flow, and kills its worker once it hangs at that place. A body under way at the kill may run again:
        by then all children have ended but those that hang themselves."""
        execution = await self.executor.dispatch(flow, *args)
        async with self.worker(**settings) as process:
            await says(process, f"hangs {at}")
            async with asyncio.timeout(WAIT_S):
                while await self.children_under_way(execution) > hanging_children:
                    await asyncio.sleep(0.02)
        return execution

    async def children_under_way(self, execution: str) -> int:
        tasks = await self.backend.list_tasks_for_execution(execution)
        return sum(task.id != execution and task.state not in TERMINAL_STATES for task in tasks)

    async def goes_on(self, execution: str, **settings: str) -> Any:
        """What another worker makes of it."""
        async with self.worker(**settings):
            return await self.result(execution)

    async def result(self, execution: str) -> Any:
        """What it comes to."""
        return (await self.executor.wait_for(execution, expiry=WAIT_S)).unwrap()


async def says(process: asyncio.subprocess.Process, line: str) -> None:
    """Waits until a process has written a line."""
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_S):
        while heard := await process.stdout.readline():
            if heard.decode().strip() == line:
                return
    raise AssertionError(f"the process ended without saying {line!r}")
