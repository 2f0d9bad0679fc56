"""Runs the code of one attempt, and says what it came to."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cache, partial
from typing import Any

from stent import telemetry
from stent._attempt import UNWINDING_S, Attempt, Interrupted
from stent._failures import failure_of, is_the_codes_own
from stent._function import DurableFunction
from stent.metrics import MetricsRecorder, record
from stent.registry import FunctionMetadata, FunctionRegistry
from stent.utils.serialization import Serializer, dump

MOST_THREADS = 100_000
"""More than there ever are: a worker's own limits say how much it takes in hand."""


class Runner:
    """Runs attempts at the functions of one registry."""

    def __init__(self, registry: FunctionRegistry, serializer: Serializer, metrics: MetricsRecorder | None) -> None:
        self.registry = registry
        self.serializer = serializer
        self.metrics = metrics
        self._functions: dict[str, DurableFunction[Any, Any]] = {}

    def function(self, name: str) -> DurableFunction[Any, Any] | None:
        """The function of this name."""
        metadata = self.registry.get(name)
        if metadata is None:
            return None
        known = self._functions.get(name)
        if known is None or known.metadata is not metadata:
            known = self._functions[name] = DurableFunction(metadata)
        return known

    async def __call__(self, attempt: Attempt, stored: bytes, codec: str | None) -> None:
        """One attempt, from its arguments to its end."""
        function = self.function(attempt.function)
        if function is None:
            attempt.bridge.failed(
                attempt, {"kind": "error", "message": f"no function is registered as {attempt.function}"}
            )
            return
        began = time.monotonic()
        if self.metrics is not None:
            record(self.metrics, "task_claimed", **_facts(attempt))
        try:
            args, kwargs = function.arguments.read(self.serializer, codec, stored)
            fn = function.metadata.fn
            memory = attempt.bridge.memory
            known = None if memory is None else await memory.found(attempt, function.metadata)
            if known is not None:
                attempt.bridge.done(attempt, self.serializer.loads(known))
                return
            with _span(attempt):
                if function.is_coroutine:
                    result = await fn(*args, **kwargs)
                else:
                    result = await _in_thread(attempt, fn, args, kwargs)
            if memory is not None:
                result_as_stored = dump(self.serializer, result, f"the result of {attempt.function}")
                await memory.keep(attempt, function.metadata, result_as_stored, stored)
            attempt.bridge.done(attempt, result)
        except BaseException as error:
            if not is_the_codes_own(error, in_thread=not function.is_coroutine):
                raise
            if attempt.stopped is None and not isinstance(error, Interrupted):
                self._failed(attempt, function.metadata, error)
            return
        if self.metrics is not None:
            record(self.metrics, "task_completed", duration_s=time.monotonic() - began, **_facts(attempt))

    def _failed(self, attempt: Attempt, metadata: FunctionMetadata, error: BaseException) -> None:
        again = metadata.retry_policy.retries(error)
        failure = failure_of(self.serializer, error)
        failure["permanent"] = not again
        attempt.bridge.failed(attempt, failure)
        if self.metrics is not None:
            about = attempt.about
            again = again and about["attempt"] < about["max_attempts"]
            facts = _facts(attempt)
            record(self.metrics, "task_failed", reason=failure["message"], retrying=again, **facts)
            if not again:
                record(self.metrics, "dead_lettered", reason=failure["message"], **facts)


def _facts(attempt: Attempt) -> dict[str, Any]:
    about = attempt.about
    kind = "orchestrator" if about["parent_id"] is None else "activity"
    return {"queue": about["queue"], "step_name": attempt.function, "kind": kind}


def _span(attempt: Attempt) -> AbstractContextManager[None]:
    """The attempt's span, for those who trace: asking what an attempt is costs others nothing."""
    if not telemetry.is_on():
        return nullcontext()
    about = attempt.about
    facts = {name: about[name] for name in ("execution_id", "task_id", "attempt")}
    return telemetry.attempt_span(attempt.function, about["headers"] or {}, facts)


async def _in_thread(attempt: Attempt, fn: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    """A plain function's code runs in a thread, whose calls are the attempt's own."""

    def code() -> Any:
        attempt.thread = threading.get_ident()
        return fn(*args, **kwargs)

    context = contextvars.copy_context()
    ending = asyncio.get_running_loop().run_in_executor(_threads(), partial(context.run, code))
    try:
        return await asyncio.shield(ending)
    except asyncio.CancelledError:
        if attempt.stopped is not None:
            await _unwound(ending)
        raise


@cache
def _threads() -> ThreadPoolExecutor:
    """The threads of plain functions' code: one for each that runs, used again when idle. Not the loop's few, where
    parents that wait would keep their children from one."""
    return ThreadPoolExecutor(max_workers=MOST_THREADS, thread_name_prefix="stent")


# A forked child has none of the threads.
os.register_at_fork(after_in_child=_threads.cache_clear)


async def _unwound(ending: asyncio.Future[Any]) -> None:
    """Waits for the thread of stopped code, whose next call raises. Bounded, as nothing ends a thread."""
    loop = asyncio.get_running_loop()
    until = loop.time() + UNWINDING_S
    while not ending.done() and loop.time() < until:
        with suppress(asyncio.CancelledError):
            await asyncio.wait([ending], timeout=until - loop.time())
    if ending.done() and not ending.cancelled():
        ending.exception()
