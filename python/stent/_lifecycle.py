"""The life of a worker as others see it: whether it is ready, and a way to have it end in order."""

from __future__ import annotations

import itertools
from typing import Any, Literal, TypeAlias

from stent._lazy import asyncio

LifecycleState: TypeAlias = Literal["created", "starting", "ready", "draining", "stopped"]

_numbers = itertools.count(1)


class WorkerLifecycle:
    """Give it to `serve(lifecycle=..)`. It serves one worker once, on one event loop."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or f"worker-{next(_numbers)}"
        self._state: LifecycleState = "created"
        self._ready = asyncio.Event()
        self._stopped = asyncio.Event()
        self._drain = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"<WorkerLifecycle {self.name}: {self._state}>"

    @property
    def state(self) -> LifecycleState:
        """`created`, `starting`, `ready`, `draining` or `stopped`."""
        return self._state

    async def wait_until_ready(self) -> None:
        """Returns once the worker takes tasks. Raises `RuntimeError` if it stopped before."""
        waits = [asyncio.ensure_future(one.wait()) for one in (self._ready, self._stopped)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
        if not self._ready.is_set():
            raise RuntimeError(f"{self.name} stopped before it was ready")

    async def wait_until_stopped(self) -> None:
        """Returns once the worker has ended."""
        await self._stopped.wait()

    def request_drain(self) -> None:
        """Has the worker end: nothing new begins, what runs may finish within its grace, the rest is given back. May be
        called from any thread, and from a signal's handler."""
        loop = self._loop
        if loop is None or loop.is_closed():
            self._drain.set()
            return
        loop.call_soon_threadsafe(self._drain.set)

    def begin(self) -> None:
        """The worker starts."""
        if self._state != "created":
            raise RuntimeError(f"{self.name} is {self._state}: a lifecycle serves one worker once")
        self._loop = asyncio.get_running_loop()
        self._state = "starting"

    def enter(self, state: LifecycleState) -> None:
        """The worker has come this far."""
        self._state = state
        if state == "ready":
            self._ready.set()
        elif state == "stopped":
            self._stopped.set()

    async def until_drain(self) -> None:
        """Returns once somebody has asked for the end."""
        await self._drain.wait()


def overview(lifecycles: list[WorkerLifecycle]) -> dict[str, Any]:
    """What is known of some workers at once."""
    return {
        "ready": sum(one.state == "ready" for one in lifecycles),
        "draining": sum(one.state == "draining" for one in lifecycles),
        "workers": [{"name": one.name, "state": one.state} for one in lifecycles],
    }
