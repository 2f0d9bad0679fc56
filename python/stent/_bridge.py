"""Between one event loop and the engine: takes what became ready, runs the code that waits for it until that rests, and
hands over what was asked. One wake-up of the loop serves everything that came meanwhile.

Invariant: an attempt says that it rests only when the loop has nothing more to run for it, so the engine delivers one
outcome at a time to code that has come to rest, live and on replay alike.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import json
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stent import _loops, _native
from stent._attempt import UNWINDING_S, Attempt, Interrupted
from stent._current import DONE, FAILED, REST, UNWOUND, current
from stent._failures import failure_of, written
from stent.utils.serialization import Serializer, codec_of, dump, load

if TYPE_CHECKING:
    from stent._function import DurableFunction
    from stent._news import News
    from stent._protocol_worker import Memory
    from stent._runner import Runner
    from stent.backend._over_records import RecordsBackend
    from stent.registry import FunctionMetadata

_log = logging.getLogger("stent")

ENDED = "ended"
"""Why code is stopped that its own attempt's end has left behind."""

TURNS = 12
"""How many turns of a loop that does not show what it has ready count as rest. Passing a result on through gather, a
timeout and a task group takes fewer."""


class Bridge:
    """What one event loop has to do with one database."""

    def __init__(
        self,
        backend: RecordsBackend,
        serializer: Serializer,
        runner: Runner,
        poll_us: tuple[int, int] | None = None,
        poll_factor: float = 1.0,
        promote_sleep: bool = False,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self.native = _native.Bridge(backend.records, poll_us, poll_factor)
        self.news: News | None = None
        self.memory: Memory | None = None
        self.awaited: dict[str, set[str]] | None = None
        self.serializer = serializer
        self.codec = None if codec_of(serializer) == "json" else codec_of(serializer)
        self.attempts: dict[int, Attempt] = {}
        self.promote_sleep = promote_sleep
        self.published: dict[str, FunctionMetadata] = {}
        self._runner = runner
        self._busy: dict[int, Attempt] = {}
        self._pumping = False
        self._turns = 0
        self._requests = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._ready: Any = getattr(self.loop, "_ready", None)
        self.loop.add_reader(self.native.fileno(), self._take)
        _loops.install(self.loop)

    def function(self, name: str) -> DurableFunction[Any, Any] | None:
        """The function of this name in the executor's registry."""
        return self._runner.function(name)

    def load(self, codec: str | None, stored: bytes) -> Any:
        """A stored value. Raises `ForeignPayload` for what another serializer wrote."""
        if codec == self.codec:
            return self.serializer.loads(stored)
        return load(self.serializer, codec or "json", stored)

    def close(self) -> None:
        """Nothing comes any more."""
        _loops.uninstall(self.loop)
        if not self.loop.is_closed():
            self.loop.remove_reader(self.native.fileno())
        self.native.close()
        if self.news is not None:
            self.news.close()
        for waiting in self._waiting.values():
            if not waiting.done() and not self.loop.is_closed():
                waiting.cancel()
        self._waiting.clear()

    # Requests

    async def request(self, method: Callable[..., None], *args: Any) -> tuple[Any, ...]:
        """Asks the engine and waits for its answer."""
        number = next(self._requests)
        answer: asyncio.Future[Any] = self.loop.create_future()
        self._waiting[number] = answer
        try:
            method(number, *args)
            return await answer
        finally:
            self._waiting.pop(number, None)

    def next_request(self) -> int:
        """The number of the next request."""
        return next(self._requests)

    async def numbered(self, number: int, method: Callable[..., None], *args: Any) -> tuple[Any, ...]:
        """`request` under a number that was taken before."""
        answer: asyncio.Future[Any] = self.loop.create_future()
        self._waiting[number] = answer
        try:
            method(number, *args)
            return await answer
        finally:
            self._waiting.pop(number, None)

    # What comes

    def _take(self) -> None:
        for message in self.native.take():
            kind = message[0]
            if kind == 1:
                _, run, turn, call, verdict, stored, codec = message
                attempt = self.attempts.get(run)
                if attempt is not None:
                    attempt.turn = turn
                    attempt.deliver(call, verdict, stored, codec)
                    self._busy[run] = attempt
            elif kind == 0:
                self._start(*message[1:])
            elif kind == 2:
                _, run, turn, call = message
                attempt = self.attempts.get(run)
                if attempt is not None:
                    attempt.turn = turn
                    waiting = attempt.calls.get(call)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(None)
                    self._busy[run] = attempt
            elif kind == 3:
                self._stop(message[1], message[2])
            else:
                answer = self._waiting.get(message[1])
                if answer is not None and not answer.done():
                    answer.set_result(message[2:])
        self._pump_soon()

    def _start(self, run: int, turn: int, function: str, stored: bytes, codec: str | None, replaying: bool) -> None:
        attempt = Attempt(self, run, turn, function)
        self.attempts[run] = attempt
        context = contextvars.copy_context()
        context.run(current.set, attempt)
        attempt.task = self.loop.create_task(self._run(attempt, stored, codec), context=context)
        self._busy[run] = attempt

    async def _run(self, attempt: Attempt, stored: bytes, codec: str | None) -> None:
        try:
            await self._runner(attempt, stored, codec)
        except asyncio.CancelledError:
            if attempt.stopped is None:
                # Cancelled by somebody else than the engine: the attempt has failed.
                self.failed(attempt, {"kind": "error", "message": "the code was cancelled from outside"})
        except Exception:
            _log.exception("an attempt at %s ended in an error of Stent's own", attempt.function)
            self.failed(attempt, {"kind": "error", "message": "an error of the executor's own: see the worker's log"})

    def _stop(self, run: int, why: str) -> None:
        attempt = self.attempts.pop(run, None)
        self._busy.pop(run, None)
        if attempt is None:
            return
        attempt.stop(why)
        if attempt.live_tasks():
            self.loop.create_task(self._unwind(attempt), context=contextvars.Context())
        elif why != ENDED:
            self._unwound(attempt)

    async def _unwind(self, attempt: Attempt) -> None:
        """Waits for stopped code to end, which its task is kept back for, and says so when it does not."""
        until = self.loop.time() + UNWINDING_S
        while tasks := attempt.live_tasks():
            if self.loop.time() >= until:
                _log.warning(
                    "code of %s goes on although its attempt was stopped (%s)", attempt.function, attempt.stopped
                )
                break
            await asyncio.wait(tasks, timeout=UNWINDING_S - 1.0)
            # Some took their cancellation for another's, or began after it.
            for task in attempt.live_tasks():
                task.cancel(attempt.stopped)
        if attempt.stopped != ENDED:
            self._unwound(attempt)

    def _unwound(self, attempt: Attempt) -> None:
        self.native.hand_over([(UNWOUND, attempt.run)])

    # What goes

    def busy(self, attempt: Attempt) -> None:
        """The attempt has something to hand over."""
        if attempt.run not in self._busy:
            self._busy[attempt.run] = attempt
            self._pump_soon()

    def _pump_soon(self) -> None:
        if not self._pumping and self._busy:
            self._pumping = True
            self._turns = 0
            self.loop.call_soon(self._pump, context=_EMPTY)

    def _pump(self) -> None:
        """Runs behind everything that the loop had ready, and looks whose code has come to rest."""
        running = self._running()
        handed: list[tuple[Any, ...]] = []
        ended: list[Attempt] = []
        try:
            for run, attempt in list(self._busy.items()):
                if run in running and not attempt.ended:
                    continue
                del self._busy[run]
                if attempt.stopped is not None or run not in self.attempts:
                    continue
                if attempt.timers and not attempt.ended:
                    for timer in attempt.timers[:]:
                        timer.at_rest()
                if attempt.asked:
                    handed += attempt.asked
                    attempt.asked.clear()
                if attempt.ended:
                    ended.append(attempt)
                else:
                    handed.append((REST, run, attempt.turn))
            if handed:
                self.hand_over(handed)
            for attempt in ended:
                # What its code has left running ends with it.
                self._stop(attempt.run, ENDED)
        finally:
            # Whatever happens to one attempt, the others are looked after.
            if self._busy:
                self._turns += 1
                self.loop.call_soon(self._pump, context=_EMPTY)
            else:
                self._pumping = False

    def hand_over(self, handed: list[tuple[Any, ...]]) -> None:
        """Hands over what code asked for. What the engine refuses ends the attempt that it comes from, and no other."""
        try:
            self.native.hand_over(handed)
        except Exception as refusal:
            # All of it is read before any of it is carried out, so nothing was.
            if len(handed) == 1:
                self._refused(handed[0], refusal)
                return
            for entry in handed:
                attempt = self.attempts.get(entry[1])
                if attempt is not None and attempt.stopped is None:
                    self.hand_over([entry])

    def _refused(self, entry: tuple[Any, ...], refusal: Exception) -> None:
        attempt = self.attempts.get(entry[1])
        if attempt is None:
            return
        _log.error("an attempt at %s asked for what cannot be: %s", attempt.function, refusal)
        if entry[0] == FAILED:
            failure = {"kind": "error", "message": f"the code's error could not be recorded: {refusal}"}
        else:
            # It would be refused again.
            failure = {**failure_of(self.serializer, refusal), "permanent": True}
            if self.news is not None and not attempt.ended:
                self._tell_of_the_end(self.news, attempt)
        attempt.ended = True
        self.native.hand_over([(FAILED, attempt.run, written(failure))])
        self._stop(attempt.run, ENDED)

    def _running(self) -> set[int]:
        """The attempts for which the loop has something to run."""
        if self._ready is None:
            return set() if self._turns >= TURNS else set(self._busy)
        running: set[int] = set()
        for handle in self._ready:
            context = handle._context
            if context is not None:
                attempt = context.get(current)
                if attempt is not None and not handle._cancelled:
                    running.add(attempt.run)
        return running

    # How attempts end

    def done(self, attempt: Attempt, result: Any) -> None:
        """The code has come to a result."""
        if attempt.stopped is None:
            stored = dump(self.serializer, result, f"the result of {attempt.function}")
            self._end(attempt, (DONE, attempt.run, stored, self.codec))

    def failed(self, attempt: Attempt, failure: dict[str, Any]) -> None:
        """The code has failed."""
        if attempt.stopped is None and not attempt.ended:
            self._end(attempt, (FAILED, attempt.run, written(failure)))

    def _end(self, attempt: Attempt, ended: tuple[Any, ...]) -> None:
        if self.news is not None:
            self._tell_of_the_end(self.news, attempt)
        attempt.asked.append(ended)
        attempt.ended = True
        self._busy[attempt.run] = attempt
        self._pump_soon()

    def _tell_of_the_end(self, news: News, attempt: Attempt) -> None:
        """Once it is committed that an execution has ended, others are told."""
        about = attempt.about
        if about["parent_id"] is not None:
            return

        async def tell() -> None:
            told = await self.request(self.native.wait, about["execution_id"], _COMMIT_US)
            if told[0] == 2:
                news.tell(about["execution_id"], "completed", ended=True)
            elif told[0] == 0:
                news.tell(about["execution_id"], json.loads(told[1])["state"], ended=True)

        _EMPTY.run(news.later, tell())


_COMMIT_US = 60_000_000
"""How long the end of an execution may take to be committed for others to be told of it."""

_EMPTY = contextvars.Context()


__all__ = ["Bridge", "Interrupted"]
