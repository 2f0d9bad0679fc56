"""One attempt in hand: the calls its code has made, and what tells one attempt's code from another's.

Invariant: once an attempt is stopped, every durable call in it is refused, whatever its code makes of that; nothing
that the code says afterwards is recorded.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import threading
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakSet

from stent._current import CHANGE, GIVE_UP, SLEEP, STEP, in_step
from stent._failures import error_of
from stent.errors import ExpiryError, RemoteError
from stent.utils.serialization import dump

if TYPE_CHECKING:
    from stent._bridge import Bridge
    from stent._loops import Limit

# How a call came out.
OK, ERROR, TIMED_OUT = range(3)

_ENGINES = frozenset({SLEEP, CHANGE})
"""Calls whose outcome is the engine's own."""

UNWINDING_S = 4.0
"""How long stopped code may take to end before it is left to itself. Its task is kept back as long."""

in_thread: ContextVar[tuple[int, int, int]] = ContextVar("stent_thread", default=(0, 0, 0))
"""The attempt, the thread and the scope of the work that runs here, once it has made a call or another has it done."""


class Interrupted(asyncio.CancelledError):
    """The engine has stopped this attempt: it is suspended, cancelled, or another worker's by now. A `BaseException`:
    code that catches it does not go on, since every durable call raises it again."""


class Call(asyncio.Future[Any]):
    """A durable call that was made, until its outcome is delivered."""

    __slots__ = ("attempt", "kind", "number", "read")

    def __init__(self, attempt: Attempt, number: int, kind: int, read: Any = None) -> None:
        super().__init__(loop=attempt.bridge.loop)
        self.attempt = attempt
        self.number = number
        self.kind = kind
        self.read = read

    def cancel(self, msg: Any = None) -> bool:
        """The code gives the call up."""
        if not super().cancel(msg):
            return False
        self.attempt.give_up(self)
        return True


class Calling(Coroutine[Any, Any, Any]):
    """What calling a durable function gives inside of another: the call is made already, and this awaits it. It is
    taken wherever a coroutine is."""

    __slots__ = ("call",)

    def __init__(self, call: Call) -> None:
        self.call = call

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.call.__await__()

    def send(self, value: Any) -> Any:
        """The next step of a task that was made of it."""
        call = self.call
        if call.done():
            raise StopIteration(call.result())
        call._asyncio_future_blocking = True
        return call

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        """What a task throws in comes out, and the call is given up."""
        self.call.cancel()
        if value is None:
            value = kind() if isinstance(kind, type) else kind
        raise value if traceback is None else value.with_traceback(traceback)

    def close(self) -> None:
        """A task that never began gives the call up."""
        self.call.cancel()


class Attempt:
    """One attempt at a task, as its code sees it."""

    __slots__ = (
        "__weakref__",
        "_about",
        "asked",
        "bridge",
        "calls",
        "ended",
        "function",
        "last_call",
        "run",
        "stopped",
        "task",
        "tasks",
        "thread",
        "timers",
        "turn",
    )

    def __init__(self, bridge: Bridge, run: int, turn: int, function: str) -> None:
        self.bridge = bridge
        self.run = run
        self.turn = turn
        self.function = function
        self.calls: dict[int, Call] = {}
        self.last_call = 0
        self.asked: list[tuple[Any, ...]] = []
        self.stopped: str | None = None
        self.ended = False
        self.task: asyncio.Task[Any] | None = None
        self.tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        self.timers: list[Limit] = []
        self.thread = threading.get_ident()
        self._about: dict[str, Any] | None = None

    @property
    def about(self) -> dict[str, Any]:
        """What the task is: ids, attempt, queue, priority, headers."""
        if self._about is not None:
            return self._about
        told = self.bridge.native.about(self.run)
        if told is None:
            raise Interrupted(self.stopped or "the attempt is over")
        about: dict[str, Any] = json.loads(told)
        self._about = about
        return about

    def refuse_if_stopped(self) -> None:
        """Raises `Interrupted` once the attempt is stopped, and `RuntimeError` inside of a step."""
        if self.stopped is not None:
            raise Interrupted(self.stopped)
        step = in_step.get()
        if step is not None:
            raise RuntimeError(
                f'a durable call inside of the step "{step}", which is recorded as a whole: call it before or after'
            )

    def scope(self) -> int:
        """The scope of the calls that are made here: the code's own, or one of its own for another thread."""
        ident = threading.get_ident()
        # Known by the context that the thread's work runs in: which thread of a pool that is, chance decides. On the
        # loop that is the scope of the thread which the work is done for.
        run, thread, scope = in_thread.get()
        if (run, thread) == (self.run, ident):
            return scope
        if ident == self.thread:
            return 0
        opened = self.bridge.native.branch(self.run, 0, "thread")
        if opened is None:
            raise Interrupted(self.stopped or "the attempt is over")
        in_thread.set((self.run, ident, opened))
        return opened

    def ask(self, kind: int, *asked: Any, read: Any = None, scope: int = 0) -> Call:
        """Makes a call. It goes to the engine once the code rests, in the order in which calls were made."""
        self.refuse_if_stopped()
        call = self._call(kind, asked, read, scope)
        self.note_task(asyncio.current_task(self.bridge.loop))
        self.bridge.busy(self)
        return call

    def expect(self, number: int) -> Call:
        """The call of this number, which waits for an outcome from now on."""
        call = self.calls[number] = Call(self, number, STEP)
        self.bridge.busy(self)
        return call

    def ask_at_rest(self, kind: int, *asked: Any) -> Call:
        """`ask` once the code rests, behind all that it has asked."""
        return self._call(kind, asked, None, 0)

    def _call(self, kind: int, asked: tuple[Any, ...], read: Any, scope: int) -> Call:
        self.last_call += 1
        call = Call(self, self.last_call, kind, read)
        self.calls[call.number] = call
        self.asked.append((kind, self.run, call.number, scope, *asked))
        return call

    def begin(self, kind: int, *asked: Any, read: Any = None) -> Any:
        """`ask` from wherever this is called: an awaitable on an event loop, the outcome itself in a plain thread."""
        if threading.get_ident() == self.bridge.thread:
            run, thread, scope = in_thread.get()
            if (run, thread) != (self.run, self.bridge.thread):
                scope = 0
            return Calling(self.ask(kind, *asked, read=read, scope=scope))
        self.refuse_if_stopped()
        scope = self.scope()
        outcome: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self.bridge.loop.call_soon_threadsafe(self._ask_for_thread, outcome, kind, scope, asked, read)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return outcome.result()
        return asyncio.wrap_future(outcome)

    def _ask_for_thread(
        self, outcome: concurrent.futures.Future[Any], kind: int, scope: int, asked: tuple[Any, ...], read: Any
    ) -> None:
        if not outcome.set_running_or_notify_cancel():
            return

        try:
            call = self.ask(kind, *asked, read=read, scope=scope)
        except BaseException as error:
            outcome.set_exception(error)
        else:
            call.add_done_callback(partial(self.pass_on, outcome))

    def pass_on(self, outcome: concurrent.futures.Future[Any], ended: asyncio.Future[Any]) -> None:
        """What something on the loop has come to, for the thread that waits for it."""
        if ended.cancelled():
            outcome.set_exception(Interrupted(self.stopped or "the call was given up"))
        elif (error := ended.exception()) is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(ended.result())

    def value(self, name: str, make: Callable[[], Any]) -> Any:
        """A value that is made once and recorded."""
        self.refuse_if_stopped()
        scope, native = self.scope(), self.bridge.native
        if threading.get_ident() == self.bridge.thread:
            self.flush()
        recorded = native.begin_value(self.run, scope, name)
        if recorded is not None:
            return self.bridge.load(recorded[1], recorded[0])
        self.refuse_if_stopped()
        made = make()
        native.finish_value(self.run, scope, dump(self.bridge.serializer, made, f"the value {name}"), self.bridge.codec)
        return made

    def note_task(self, task: asyncio.Task[Any] | None) -> None:
        """Remembers a task of the code's: it is stopped with the attempt."""
        if task is not None and task is not self.task:
            self.tasks.add(task)

    def give_up(self, call: Call) -> None:
        """The code does not wait for a call any more."""
        if self.calls.pop(call.number, None) is not None and self.stopped is None:
            self.asked.append((GIVE_UP, self.run, call.number))
            self.bridge.busy(self)

    def flush(self) -> None:
        """Hands over what was asked, so that what follows at once comes after it. Raises `Interrupted` where that could
        not be, which has ended the attempt."""
        if self.asked:
            asked, self.asked = self.asked, []
            self.bridge.hand_over(asked)
            if self.stopped is not None:
                raise Interrupted(self.stopped)

    def deliver(self, number: int, verdict: int, stored: bytes, codec: str | None) -> None:
        """A call's outcome has come."""
        call = self.calls.pop(number, None)
        if call is None or call.done():
            return
        try:
            if verdict == OK:
                # What a sleep or a change comes to, the engine has written, whatever the user's values are written by.
                value = json.loads(stored) if call.kind in _ENGINES else self.bridge.load(codec, stored)
                call.set_result(value if call.read is None else call.read(value))
            elif verdict == TIMED_OUT:
                call.set_exception(ExpiryError("the wait took longer than it may"))
            else:
                error = error_of(self.bridge.serializer, json.loads(stored))
                if call.kind == CHANGE and isinstance(error, RemoteError):
                    # No code failed: the engine refused the change, as of an execution that has ended.
                    error = ValueError(error.message)
                call.set_exception(error)
        except BaseException as error:
            if not call.done():
                call.set_exception(error if isinstance(error, Exception) else RuntimeError(str(error)))

    def stop(self, why: str) -> None:
        """Stops the code: all that it waits for through the engine is over, and all tasks that used the attempt end."""
        if self.stopped is None:
            self.stopped = why
        calls, self.calls = self.calls, {}
        self.asked.clear()
        for call in calls.values():
            cast("Any", asyncio.Future).cancel(call, why)
        for timer in self.timers[:]:
            timer.cancel()
        for task in self.live_tasks():
            task.cancel(why)
        if self.task is not None and self.task.done():
            # Its context leads back here: a circle that only the collector would find.
            self.task = None

    def live_tasks(self) -> list[asyncio.Task[Any]]:
        """The tasks of this attempt that have not ended."""
        if not self.tasks and (self.task is None or self.task.done()):
            # Most attempts, at their end.
            return []
        tasks = set(self.tasks)
        if self.task is not None:
            tasks.add(self.task)
        here = asyncio.current_task(self.bridge.loop)
        return [task for task in tasks if not task.done() and task is not here]
