"""Durable calls of plain code, which runs in a thread: there, what is a coroutine on the event loop is its result.

Such a call runs on the attempt's loop, in the scope of the thread that makes it, so that a replay takes the same way.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from stent._current import current

if TYPE_CHECKING:
    from stent._attempt import Attempt

F = TypeVar("F", bound=Callable[..., Any])


def calling_thread() -> Attempt | None:
    """The attempt whose code calls in a thread beside its event loop; `None` on that loop, and outside of attempts."""
    attempt = current.get()
    return None if attempt is None or threading.get_ident() == attempt.bridge.thread else attempt


def from_anywhere(fn: F) -> F:
    """Has a coroutine function be its result where plain code of a durable function calls it."""

    @functools.wraps(fn)
    def called(*args: Any, **kwargs: Any) -> Any:
        attempt = calling_thread()
        if attempt is None:
            return fn(*args, **kwargs)
        attempt.refuse_if_stopped()
        return on_loop(attempt, lambda: fn(*args, **kwargs))

    return cast("F", called)


def gone_through(items: Iterable[Any]) -> Iterable[Any]:
    """Items for work on the loop: what plain code does to make them, it does in its own thread."""
    return items if calling_thread() is None else list(items)


def on_loop(attempt: Attempt, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """What a coroutine comes to that runs on the attempt's loop for this thread. In a thread that runs a loop of its
    own, an awaitable."""
    import asyncio
    import concurrent.futures
    import contextvars

    from stent._attempt import Interrupted, in_thread

    loop, scope = attempt.bridge.loop, attempt.scope()
    context = contextvars.copy_context()
    context.run(in_thread.set, (attempt.run, attempt.bridge.thread, scope))
    outcome: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def start() -> None:
        if not outcome.set_running_or_notify_cancel():
            return
        if attempt.stopped is not None:
            outcome.set_exception(Interrupted(attempt.stopped))
            return
        task = loop.create_task(make())
        attempt.note_task(task)
        task.add_done_callback(functools.partial(attempt.pass_on, outcome))

    loop.call_soon_threadsafe(start, context=context)
    return outcome.result() if not has_loop() else asyncio.wrap_future(outcome)


def has_loop() -> bool:
    """Whether an event loop runs in this thread."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
