"""What durable code sees of its event loop. Time limits (`asyncio.timeout`, `wait_for`, `wait(timeout=)`,
`as_completed(timeout=)`) ask the loop for a timer, and a loop's own fires another time on a replay: durable code gets a
durable one. Its tasks are known to its attempt from the start. Every other caller gets what it always got.

Invariant: a limit that has fired in durable code is recorded; one that has not fired by then does not fire on a replay
before what came in its place.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from stent._attempt import Attempt, Call
from stent._current import SLEEP, current, in_step

_log = logging.getLogger("stent")

LIMITS = frozenset({"asyncio.tasks", "asyncio.timeouts"})
"""Where the callbacks of asyncio's own time limits are written. Timers of libraries are none of ours."""

SLEEPS = "asyncio.futures"
"""Where the callback of `asyncio.sleep` is written."""

PROMOTED_S = 1.0
"""From how many seconds on `promote_sleep` takes a sleep for a durable one."""

LONGEST_S = 3.2e9
"""The longest durable timer: about 100 years."""


class Limit:
    """What durable code gets for a timer of the loop's: a handle that can be cancelled. The loop's own timer at first;
    the engine's once the code rests on it and makes durable calls at all. Code that makes none has no replay to be
    exact in, and its limits cost nothing."""

    __slots__ = ("_args", "_attempt", "_call", "_callback", "_context", "_name", "_over", "_raw", "_when")

    def __init__(
        self,
        attempt: Attempt,
        name: str,
        when: float,
        callback: Callable[..., Any],
        args: tuple[Any, ...],
        context: contextvars.Context,
    ) -> None:
        self._attempt = attempt
        self._name = name
        self._when = when
        self._callback: Callable[..., Any] = callback
        self._args = args
        self._context = context
        self._raw: asyncio.TimerHandle | None = None
        self._call: Call | None = None
        self._over = False

    def begin(self, call_at: Callable[..., asyncio.TimerHandle]) -> Limit:
        """Sets the loop's timer, and has the bridge look once the code rests."""
        self._raw = call_at(self._when, self._fire, context=self._context)
        self._attempt.timers.append(self)
        self._attempt.bridge.busy(self._attempt)
        return self

    def at_rest(self) -> None:
        """The code rests: if it makes durable calls, the limit is one of them from now on."""
        attempt = self._attempt
        if self._call is not None or not (attempt.last_call or self._name == "sleep"):
            return
        left = max(0.0, self._when - attempt.bridge.loop.time())
        if left >= LONGEST_S:
            return
        if self._raw is not None:
            self._raw.cancel()
        self._call = attempt.ask_at_rest(SLEEP, self._name, round(left * 1_000_000))
        self._call.add_done_callback(self._came, context=self._context)

    def _came(self, call: asyncio.Future[Any]) -> None:
        if not call.cancelled():
            self._fire()

    def _fire(self) -> None:
        if self._end():
            self._callback(*self._args)

    def _end(self) -> bool:
        if self._over:
            return False
        self._over = True
        if self in self._attempt.timers:
            self._attempt.timers.remove(self)
        return True

    # What a handle of the loop's has

    def cancel(self) -> None:
        """The limit does not count any more."""
        if self._end():
            if self._raw is not None:
                self._raw.cancel()
            if self._call is not None:
                self._call.cancel()

    def cancelled(self) -> bool:
        """Whether it fires no more."""
        return self._over

    def when(self) -> float:
        """When it is over, by the loop's clock."""
        return self._when


class _Loop:
    """A loop that tells durable code from other code, and how many bridges want that."""

    def __init__(self, loop: Any) -> None:
        self.bridges = 0
        self._loop = loop
        self._call_at: Callable[..., asyncio.TimerHandle] = loop.call_at
        self._call_later: Callable[..., asyncio.TimerHandle] = loop.call_later
        self._create_task: Callable[..., asyncio.Task[Any]] = loop.create_task

    def install(self) -> None:
        try:
            self._loop.call_at, self._loop.call_later = self._limited_at, self._limited_later
            self._loop.create_task = self._noted_task
        except AttributeError:
            _log.warning("time limits in durable code are not exact on replay: %r has its own", self._loop)

    def uninstall(self) -> None:
        for name in ("call_at", "call_later", "create_task"):
            with suppress(AttributeError):
                delattr(self._loop, name)

    def _noted_task(self, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task = self._create_task(coroutine, **options)
        context: contextvars.Context | None = options.get("context")
        attempt = current.get() if context is None else context.get(current)
        if attempt is not None and attempt.bridge.loop is self._loop:
            attempt.note_task(task)
        return task

    def _limited_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> Any:
        limit = self._limit(when, callback, args, context)
        return self._call_at(when, callback, *args, context=context) if limit is None else limit

    def _limited_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> Any:
        limit = self._limit(self._loop.time() + delay, callback, args, context)
        return self._call_later(delay, callback, *args, context=context) if limit is None else limit

    def _limit(
        self, when: float, callback: Callable[..., Any], args: tuple[Any, ...], context: contextvars.Context | None
    ) -> Limit | None:
        attempt = current.get() if context is None else context.get(current)
        if attempt is None or attempt.stopped is not None or attempt.bridge.loop is not self._loop:
            return None
        if in_step.get() is not None:
            return None
        written = getattr(getattr(callback, "__func__", callback), "__module__", None)
        if written in LIMITS:
            name = "timeout"
        elif written == SLEEPS and attempt.bridge.promote_sleep and when - self._loop.time() > PROMOTED_S - 0.001:
            name = "sleep"
        else:
            return None
        limit = Limit(attempt, name, when, callback, args, context or contextvars.copy_context())
        return limit.begin(self._call_at)


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()


def install(loop: asyncio.AbstractEventLoop) -> None:
    """From now on durable code that runs on this loop gets durable time limits, and its tasks are noted."""
    known = _loops.get(loop)
    if known is None:
        known = _loops[loop] = _Loop(loop)
        known.install()
    known.bridges += 1


def uninstall(loop: asyncio.AbstractEventLoop) -> None:
    """One bridge fewer; the loop is as it was after the last."""
    known = _loops.get(loop)
    if known is None:
        return
    known.bridges -= 1
    if known.bridges == 0:
        del _loops[loop]
        known.uninstall()
