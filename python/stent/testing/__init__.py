"""Tests of durable code: an executor in memory whose time is skipped, so that a sleep of thirty days takes
milliseconds, and `crash_everywhere`, which kills the worker before and after everything that is written and compares
what comes out.

With pytest there are the fixtures `stent_backend`, `stent_executor` and `stent_worker`, and the marks `skip_time` and
`crash_everywhere` (see `stent.testing.plugin`); nothing here needs pytest.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from stent._native import Trial
from stent._stent import Stent
from stent.testing._skipped import SkippedStent, SkippedTime

__all__ = ["ReplayDivergence", "SkippedStent", "SkippedTime", "crash_everywhere", "skip_time", "try_every_crash"]


class ReplayDivergence(AssertionError):
    """A function did not come to the same when its worker was killed: something outside of its steps differs each time
    it runs. The message says where the worker was killed, and what was different."""


@asynccontextmanager
async def skip_time(**options: Any) -> AsyncGenerator[SkippedStent, None]:
    """An executor with a worker on a database in memory, and time that is skipped. It stands still while anything has
    something to do, and jumps to what is due next while somebody waits (`wait_for`, `advance`, a durable function that
    is called and awaited). It begins in 2030. `options` are those of `Stent`; it is the default executor meanwhile.

    A wait that nothing is left to end raises `stent.errors.Stalled`, which says what was waited for.
    """
    async with SkippedStent.bootstrap(SkippedTime(), serve=True, **options) as executor:
        yield cast("SkippedStent", executor)


async def crash_everywhere(test: Callable[[SkippedStent], Awaitable[Any]], **options: Any) -> int:
    """Runs `test` undisturbed, then again and again with the worker's process killed before and after each write of its
    tasks, each time in a new database with skipped time. All that `test` started is compared: what it came to and what
    it recorded. How many times something was killed.

    `test` gets the executor, which is the default executor meanwhile. Raises `ReplayDivergence`; what `test` itself
    raises when nothing is killed comes through.
    """
    backend = SkippedTime()
    executor = cast("SkippedStent", SkippedStent.use(backend, **options))
    try:
        return await try_every_crash(executor, backend, lambda: test(executor))
    finally:
        Stent.reset()


async def try_every_crash(executor: SkippedStent, backend: SkippedTime, test: Callable[[], Awaitable[Any]]) -> int:
    """`crash_everywhere` with an executor that is there."""
    await executor.shutdown()
    await backend.close()
    trial = Trial()
    while (run := trial.next_run()) is not None:
        backend.enter(run)
        try:
            async with executor.serving():
                try:
                    await test()
                except Exception as error:
                    at = Trial.killed(run)
                    if at is None:
                        raise
                    raise ReplayDivergence(f"killed {at}, the test failed: {type(error).__name__}: {error}") from error
                await executor.leave()
            try:
                trial.judge(run)
            except AssertionError as error:
                raise ReplayDivergence(str(error)) from None
        finally:
            await executor.shutdown()
            await backend.close()
    return trial.kills
