"""The supervisor of `stent worker`: starts the worker processes, starts them again when they die or the code changes,
answers for their health, and ends them when it is told to.

Invariant: it never ends before its processes have; and they end with it, however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from stent.cli import _health, _reload
from stent.cli._worker import REPORTS, UNUSABLE, WorkerArguments, say

_MARGIN_S = 10.0
"""How much longer than its grace a process may take to end before it is killed."""

_PAUSES_S = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
"""How long to wait before a process that died is started again: longer with each that soon dies again."""

_STEADY_S = 30.0
"""A process that lived as long as this begins with the shortest pause again."""


@dataclass
class Worker:
    """One place for a worker process: who is in it now, and how it fares."""

    number: int
    state: str = "starting"
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    _in_a_row: int = field(default=0, repr=False)

    def pause(self, lived_s: float) -> float:
        """How long to wait before the next start, after a process that lived so long."""
        self._in_a_row = 0 if lived_s >= _STEADY_S else self._in_a_row + 1
        return _PAUSES_S[min(self._in_a_row, len(_PAUSES_S) - 1)]


class Supervisor:
    """All places of one `stent worker`."""

    def __init__(self, arguments: WorkerArguments, argv: Sequence[str]) -> None:
        self.arguments = arguments
        self.workers = [Worker(number) for number in range(arguments.processes)]
        self.is_stopping = False
        self._command = [sys.executable, "-m", "stent", "worker", *argv]
        self._stop = asyncio.Event()
        self._code = 0

    async def run(self) -> int:
        """Supervises until it is told to stop and all processes have ended; the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        async with contextlib.AsyncExitStack() as around:
            if self.arguments.health:
                where = await around.enter_async_context(_health.serve(self.arguments.health, self.health))
                say(f"health at http://{where}/ready")
            if self.arguments.reload:
                await around.enter_async_context(_reload.watch(os.getcwd(), self.reload))
            await asyncio.gather(*(self._keep(worker) for worker in self.workers))
        return self._code

    def stop(self) -> None:
        """The first call drains, the second kills."""
        if self.is_stopping:
            self._signal(signal.SIGKILL)
            return
        self.is_stopping = True
        self._stop.set()
        self._signal(signal.SIGTERM)

    def reload(self, changed: str) -> None:
        """Ends all processes so that they are started anew with the code as it is now."""
        say(f"{changed} has changed: starting anew")
        for worker in self.workers:
            worker.state = "reloading"
        self._signal(signal.SIGTERM)

    def health(self) -> _health.Health:
        """How the processes fare."""
        states = [worker.state for worker in self.workers]
        workers = [
            {"pid": worker.process.pid if worker.process else None, "state": worker.state, "restarts": worker.restarts}
            for worker in self.workers
        ]
        is_ready = not self.is_stopping and all(state == "ready" for state in states)
        return _health.Health(ready=is_ready, draining=self.is_stopping, workers=workers)

    def _signal(self, number: signal.Signals) -> None:
        for worker in self.workers:
            if worker.process is not None and worker.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    worker.process.send_signal(number)

    async def _keep(self, worker: Worker) -> None:
        """Keeps a process in this place until the supervisor stops."""
        loop = asyncio.get_running_loop()
        while not self.is_stopping:
            began = loop.time()
            code = await self._one(worker)
            if self.is_stopping:
                break
            if code == UNUSABLE and worker.state == "unusable":
                # It would be the same every time, and with every process.
                self._code = UNUSABLE
                self.stop()
                break
            if worker.state == "reloading":
                continue
            worker.restarts += 1
            pause = worker.pause(loop.time() - began)
            worker.state = "dead"
            say(f"process {worker.number} ended with {_words(code)}: it is started again in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)

    async def _one(self, worker: Worker) -> int:
        """One process from its start to its end; its exit code."""
        worker.state = "starting"
        reads, writes = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                pass_fds=(writes,),
                env={**os.environ, REPORTS: str(writes)},
                # A signal from the terminal reaches the supervisor alone, which passes it on.
                start_new_session=True,
            )
        finally:
            os.close(writes)
        worker.process = process
        if self.is_stopping:
            process.terminate()
        listening = asyncio.create_task(_listen(reads, worker))
        code = await self._end_of(process)
        await listening
        return code

    async def _end_of(self, process: asyncio.subprocess.Process) -> int:
        ended = asyncio.create_task(process.wait())
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not ended.done():
            await asyncio.wait({ended}, timeout=self.arguments.grace_s + _MARGIN_S)
        if not ended.done():
            say(f"process {process.pid} did not end in its time and is killed")
            process.kill()
        return await ended


async def _listen(pipe: int, worker: Worker) -> None:
    """Takes in what a process reports, until it has ended."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    with os.fdopen(pipe, "rb", buffering=0) as file:
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
        async for line in reader:
            state = str(json.loads(line).get("state"))
            if worker.state != "reloading":
                worker.state = state
            say(f"process {worker.number} is {state}")
        transport.close()


def _words(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def main(arguments: WorkerArguments, argv: Sequence[str]) -> int:
    """Runs the supervisor; returns the exit code."""

    async def run() -> int:
        return await Supervisor(arguments, argv).run()

    return asyncio.run(run())
