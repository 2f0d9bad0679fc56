"""One worker process: serves the executor until it is told to stop, by a signal or by the end of its supervisor.

It reports what becomes of it as lines of JSON on a pipe, which the supervisor reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
from typing import Any

from stent.cli import _target
from stent.cli._worker import UNUSABLE, WorkerArguments, say

GIVING_BACK_S = 5.0
"""How long after its grace a worker may take to give back what did not end; the supervisor waits longer."""


class Reports:
    """The pipe to the supervisor. One that is gone is nobody's business: the process is ending then."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def state(self, state: str) -> None:
        """Tells the state of the worker: `ready`, `draining`, `stopped` or `unusable`."""
        with contextlib.suppress(OSError):
            os.write(self._pipe, json.dumps({"pid": os.getpid(), "state": state}).encode() + b"\n")


def main(arguments: WorkerArguments, pipe: int) -> int:
    """Serves; returns the exit code of the process."""
    reports = Reports(pipe)
    try:
        asyncio.run(_serve(arguments, reports))
    except _target.UnusableTarget as error:
        reports.state("unusable")
        say(str(error))
        return UNUSABLE
    reports.state("stopped")
    return 0


async def _serve(arguments: WorkerArguments, reports: Reports) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    _stop_with_supervisor(loop, stop)
    executor = await _target.executor(arguments.target)
    backend: Any = getattr(executor, "backend", None)
    if hasattr(backend, "init_db"):
        await backend.init_db()
    lifecycle = executor.create_worker_lifecycle(arguments.name)
    serving = asyncio.create_task(
        executor.serve(
            worker_id=arguments.name,
            queues=arguments.queues,
            tags=arguments.tags,
            max_concurrency=arguments.concurrency,
            lifecycle=lifecycle,
            grace=arguments.grace_s,
        )
    )
    ready = asyncio.create_task(lifecycle.wait_until_ready())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({ready, stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
        if ready.done() and not stop.is_set():
            reports.state("ready")
        await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            reports.state("draining")
            lifecycle.request_drain()
            await asyncio.wait({serving}, timeout=arguments.grace_s + GIVING_BACK_S)
        await _end(serving)
    finally:
        for task in (ready, stopping):
            task.cancel()
        if hasattr(executor, "shutdown"):
            await executor.shutdown()
        if hasattr(backend, "close"):
            await backend.close()


async def _end(serving: asyncio.Task[Any]) -> None:
    """Cancels what the grace was too short for: its tasks are given back. Raises what the worker failed with."""
    if not serving.done():
        serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def _stop_with_supervisor(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """The supervisor holds the other end of standard input: when it is gone, however it ended, so is that."""

    def wait() -> None:
        # Not through `sys.stdin`, whose lock the interpreter wants at its end.
        with contextlib.suppress(OSError):
            while os.read(0, 1):
                pass
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait, name="stent-supervisor", daemon=True).start()
