"""What an executor does as a worker: it serves until it is told to end, and says how its workers are.

Invariant: a worker is listed only once all that can be refused was looked at, and until it has stopped: `shutdown`
waits for whatever is listed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from stent._answers import told_by
from stent._function import DurableFunction
from stent._lazy import asyncio
from stent._lifecycle import WorkerLifecycle, overview
from stent._options import TASKS, microseconds, names, said, span, whole_number
from stent.registry import FunctionRegistry
from stent.utils.time import Duration

if TYPE_CHECKING:
    from weakref import WeakKeyDictionary

    from stent._bridge import Bridge
    from stent._work import Work


class Serving:
    """The part of an executor that works."""

    registry: FunctionRegistry
    poll_backoff_factor: float
    _lifecycles: list[WorkerLifecycle]

    if TYPE_CHECKING:
        _bridges: WeakKeyDictionary[asyncio.AbstractEventLoop, Bridge]

        async def _bridge(self) -> Bridge: ...
        def _publish(self, bridge: Bridge, function: DurableFunction[Any, Any]) -> None: ...

    def create_worker_lifecycle(self, name: str | None = None) -> WorkerLifecycle:
        """A lifecycle for `serve`."""
        return WorkerLifecycle(name)

    def active_worker_lifecycles(self) -> list[WorkerLifecycle]:
        """Those of the workers that run now."""
        return list(self._lifecycles)

    def worker_status_overview(self) -> dict[str, Any]:
        """How many workers are ready and draining, and each by name."""
        return overview(self._lifecycles)

    def request_worker_drain(self, lifecycle: WorkerLifecycle | None = None) -> None:
        """Has one worker end in order, or all."""
        for one in [lifecycle] if lifecycle is not None else self._lifecycles:
            one.request_drain()

    async def wait_until_ready(self) -> None:
        """Returns once all workers that were started take tasks."""
        for one in self._lifecycles:
            await one.wait_until_ready()

    async def shutdown(self) -> None:
        """Ends the workers in order and lets go of the event loop. The backend stays open."""
        for one in self.active_worker_lifecycles():
            one.request_drain()
            await one.wait_until_stopped()
        bridge = self._bridges.pop(asyncio.get_running_loop(), None)
        if bridge is not None:
            bridge.close()

    async def serve(
        self,
        *,
        worker_id: str | None = None,
        queues: Iterable[str] | None = None,
        tags: Iterable[str] | None = None,
        max_concurrency: int = 10,
        lease_duration: Duration | float = timedelta(minutes=5),
        heartbeat_interval: Duration | float | None = None,
        poll_interval: float = 1.0,
        poll_interval_max: float | None = None,
        poll_backoff_factor: float | None = None,
        cleanup_interval: Duration | float = 3600.0,
        retention_period: Duration | float | None = timedelta(days=7),
        lifecycle: WorkerLifecycle | None = None,
        grace: Duration | float = 30.0,
        park_for: Duration | float | None = None,
    ) -> None:
        """Runs a worker until it is cancelled or its lifecycle drains. It takes tasks of the registry's functions, of
        the given queues (all by default) and tags. `max_concurrency` tasks run code at once; those that wait do not
        count. Code that has waited for `park_for` (10 s) is stopped, and runs again up to there once what it waits for
        has come."""
        from stent._work import Work

        whole_number("max_concurrency", max_concurrency, TASKS)
        said("worker_id", worker_id)
        lease = span("lease_duration", lease_duration)
        work = Work(
            worker_id=worker_id,
            queues=names("queues", queues),
            tags=names("tags", tags),
            max_concurrency=max_concurrency,
            lease=lease,
            beat=lease / 2 if heartbeat_interval is None else span("heartbeat_interval", heartbeat_interval),
            pauses=self._pauses_between_looks(poll_interval, poll_interval_max, poll_backoff_factor),
            cleanup_us=microseconds(cleanup_interval, "cleanup_interval"),
            retention_us=None if retention_period is None else microseconds(retention_period, "retention_period"),
            grace_us=microseconds(grace, "grace"),
            park_us=None if park_for is None else microseconds(park_for, "park_for"),
        )
        await self._work(work, lifecycle or self.create_worker_lifecycle(worker_id))

    async def _work(self, work: Work, lifecycle: WorkerLifecycle) -> None:
        """Runs a worker of the engine's."""
        import socket

        bridge = await self._bridge()
        for name, metadata in self.registry.items():
            self._publish(bridge, bridge.function(name) or DurableFunction(metadata))
        lifecycle.begin()
        # A function that is registered while the worker runs is served at once.
        unwatch = self.registry.watch(lambda metadata: self._publish(bridge, DurableFunction(metadata)))
        number = bridge.next_request()
        self._lifecycles.append(lifecycle)
        beats = asyncio.create_task(_beats(bridge, work))
        options = work.options(work.worker_id or f"{socket.gethostname()}:{os.getpid()}")
        try:
            told_by(await bridge.numbered(number, bridge.native.start_worker, options))
            lifecycle.enter("ready")
            await lifecycle.until_drain()
        finally:
            unwatch()
            lifecycle.enter("draining")
            stopping = asyncio.ensure_future(bridge.request(bridge.native.stop_worker, number))
            try:
                await asyncio.shield(stopping)
            except asyncio.CancelledError:
                # Told twice to end: it ends at once, and others take over what it had.
                bridge.native.drop_worker(number)
                raise
            finally:
                beats.cancel()
                with suppress(ValueError):  # one that is part of another worker is not listed by itself
                    self._lifecycles.remove(lifecycle)
                lifecycle.enter("stopped")

    def _pauses_between_looks(
        self, shortest: float, longest: float | None, factor: float | None
    ) -> tuple[float, float, float]:
        """How long a worker that was not told anything rests before it looks: at first, at most, and by what that
        grows."""
        longest = shortest if longest is None else longest
        factor = self.poll_backoff_factor if factor is None else factor
        if not 0 < shortest <= longest:
            raise ValueError("poll_interval must be above 0 and no more than poll_interval_max")
        microseconds(longest, "poll_interval_max")
        if not 1 <= factor < math.inf:
            raise ValueError("poll_backoff_factor must be at least 1")
        return shortest, longest, factor


async def _beats(bridge: Bridge, work: Work) -> None:
    """Says for all attempts that the loop which runs them lives: a hung one says nothing."""
    extend_us = work.lease // timedelta(microseconds=1)
    while True:
        await asyncio.sleep(work.beat.total_seconds())
        bridge.native.heartbeat(list(bridge.attempts), extend_us)
