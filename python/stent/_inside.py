"""What a durable function's code does through the engine beside calling others: sleep, wait for signals and events, run
steps, read the clock, count. Each is recorded, and a replay finds it again.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

from stent import _checks
from stent._current import CHANGE, CHILD, EVENT, SIGNAL, SLEEP, STEP, current, in_step
from stent._failures import failure_of, written
from stent._lazy import asyncio
from stent.utils.serialization import dump
from stent.utils.time import Duration, parse_duration

if TYPE_CHECKING:
    from uuid import UUID

    from stent._attempt import Attempt
    from stent._function import DurableFunction

T = TypeVar("T")


def here(what: str) -> Attempt:
    """The attempt whose code calls. Raises `RuntimeError` elsewhere."""
    attempt = current.get()
    if attempt is None:
        raise RuntimeError(f"{what} is for the code of durable functions: there is none here")
    return attempt


def microseconds(span: Duration | float) -> int:
    """A span for the engine: a number is seconds. Raises `ValueError` for one below 0."""
    seconds = span if isinstance(span, (int, float)) else parse_duration(span).total_seconds()
    if not 0 <= seconds < 3.2e9:
        raise ValueError(f"a span of {seconds} s: it must be from 0 to 100 years")
    return round(seconds * 1_000_000)


def sleep(duration: Duration | float) -> Awaitable[None]:
    """Sleeps; the time of waking stands from the first call on, through crashes. Outside of a durable function it is a
    sleep like any other."""
    span = microseconds(duration)
    attempt = current.get()
    if attempt is None:
        return asyncio.sleep(span / 1_000_000)
    return attempt.begin(SLEEP, "sleep", span)


def wait_for_signal(name: str, timeout: Duration | float | None = None) -> Awaitable[Any]:
    """Waits for a signal to this execution, and gives what it carries. Raises `ExpiryError` after `timeout`."""
    attempt = here("wait_for_signal")
    _checks.name(attempt.bridge, "signal", name)
    if attempt.bridge.awaited is not None:
        attempt.bridge.awaited.setdefault(attempt.about["execution_id"], set()).add(name)
    return attempt.begin(SIGNAL, name, None if timeout is None else microseconds(timeout))


def call(name: str, *args: Any, **kwargs: Any) -> Awaitable[Any]:
    """Calls a function by its registered name, one in another language too."""
    attempt = here("call")
    bridge = attempt.bridge
    function = bridge.function(name)
    if function is not None:
        return function.called_in(attempt, args, kwargs)
    attempt.refuse_if_stopped()
    _checks.name(bridge, "function", name)
    whole: Any = list(args)
    if kwargs:
        if args:
            raise TypeError(f"{name} is not known here: give its arguments by place or by name, not both")
        whole = kwargs
    return attempt.begin(
        CHILD, name, dump(bridge.serializer, whole, f"the arguments of {name}"), bridge.codec, None, None
    )


def now() -> datetime:
    """The present moment, recorded: a replay reads the same."""
    attempt = here("now")
    native = attempt.bridge.native
    return datetime.fromtimestamp(attempt.value("now", native.now) / 1_000_000, UTC)


def derived(name: str) -> bytes:
    """Sixteen bytes that are the same on every replay."""
    attempt = here(name)
    attempt.refuse_if_stopped()
    scope = attempt.scope()
    made = attempt.bridge.native.derived(attempt.run, scope, name)
    if made is None:
        attempt.refuse_if_stopped()
        raise RuntimeError("the attempt is over")
    return made


def random_number() -> float:
    """A random number from 0.0 to 1.0, the same on every replay."""
    import random

    return random.Random(derived("random")).random()


def new_uuid() -> UUID:
    """A random UUID, the same on every replay."""
    from uuid import UUID

    return UUID(bytes=derived("uuid"), version=4)


async def gather(*aws: Awaitable[Any], return_exceptions: bool = False) -> list[Any]:
    """`asyncio.gather`."""
    return list(await asyncio.gather(*aws, return_exceptions=return_exceptions))


async def map_calls(fn: DurableFunction[Any, T] | Callable[..., Any], items: Iterable[Any], **options: Any) -> list[T]:
    """`fn.map(items)`."""
    return await cast("Any", fn).map(items, **options)


async def step(name: str, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Runs a piece of code and records what it comes to. If that is recorded, it is returned and nothing runs. The code
    runs at least once: if the process dies inside of it, it runs again. A plain function runs in a thread."""
    attempt = here("step")
    attempt.refuse_if_stopped()
    bridge = attempt.bridge
    _checks.name(bridge, "step", name)
    attempt.note_task(asyncio.current_task(bridge.loop))
    attempt.flush()
    attempt.last_call += 1
    number = attempt.last_call
    begun = attempt.expect(number)
    try:
        if not bridge.native.begin_step(attempt.run, number, attempt.scope(), name):
            recorded = await begun
            if number not in attempt.calls:
                return recorded
    except asyncio.CancelledError:
        attempt.give_up(begun)
        raise
    token = in_step.set(name)
    try:
        if inspect.iscoroutinefunction(fn):
            value = await fn(*args, **kwargs)
        else:
            value = await asyncio.to_thread(fn, *args, **kwargs)
            if inspect.isawaitable(value):
                value = await value
        ended = (
            STEP,
            attempt.run,
            number,
            True,
            dump(bridge.serializer, value, f"the result of the step {name}"),
            bridge.codec,
        )
    except asyncio.CancelledError:
        attempt.give_up(begun)
        raise
    except Exception as error:
        ended = (STEP, attempt.run, number, False, written(failure_of(bridge.serializer, error)))
    finally:
        in_step.reset(token)
    attempt.refuse_if_stopped()
    attempt.asked.append(ended)
    return await attempt.expect(number)


class Counters:
    """One counter of this execution, shared by all of its tasks."""

    def __init__(self, name: str) -> None:
        self.name = name

    def add(self, amount: float = 1) -> Awaitable[int | float]:
        """Adds to it, from 0 where absent, and gives its new value."""
        attempt = here("counters")
        _checks.name(attempt.bridge, "counter", self.name)
        amount = _checks.number(self.name, amount)
        return attempt.begin(CHANGE, f"counters.add:{self.name}", "add", self.name, amount)


class StateValue:
    """One state value of this execution, shared by all of its tasks."""

    def __init__(self, key: str) -> None:
        self.key = key

    def set(self, value: Any) -> Awaitable[None]:
        """Sets it."""
        attempt = here("state")
        _checks.name(attempt.bridge, "state", self.key)
        stored = dump(attempt.bridge.serializer, value, f'the state value "{self.key}"')
        return attempt.begin(CHANGE, f"state.set:{self.key}", "set", self.key, stored, attempt.bridge.codec)


class Context:
    """The counters and state values of this execution."""

    def __init__(self, counters: Mapping[str, float] | None, state: Mapping[str, Any] | None) -> None:
        self._began: list[Awaitable[Any]] = []
        attempt = here("context")
        bridge = attempt.bridge
        for name in counters or ():
            _checks.name(bridge, "counter", name)
        for key in state or ():
            _checks.name(bridge, "state", key)
        if counters:
            begin = [(name, _checks.number(name, value)) for name, value in counters.items()]
            self._begin(attempt, "counters.ensure", "ensure counters", begin)
        if state:
            stored = [
                (key, dump(bridge.serializer, value, f'the state value "{key}"'), bridge.codec)
                for key, value in state.items()
            ]
            self._begin(attempt, "state.ensure", "ensure state", stored)

    def _begin(self, attempt: Attempt, name: str, kind: str, values: list[Any]) -> None:
        self._began.append(attempt.begin(CHANGE, name, kind, values))

    def counters(self, name: str) -> Counters:
        """One counter."""
        return Counters(name)

    def state(self, key: str) -> StateValue:
        """One state value."""
        return StateValue(key)


class Events:
    """Events under a name, for whoever waits for them."""

    async def emit(self, name: str, payload: Any = None, *, queue: str | None = None) -> None:
        """Publishes one, in the task's queue unless told otherwise; once, whatever is replayed."""
        attempt = here("events.emit")
        _name_event(attempt, name, queue)
        stored = dump(attempt.bridge.serializer, payload, f'the event "{name}"')
        await attempt.begin(CHANGE, f"emit:{name}", "emit", queue, name, stored, attempt.bridge.codec)

    async def wait(self, name: str, timeout: Duration | float | None = None, *, queue: str | None = None) -> Any:
        """The oldest event of the name that this task has not had. Raises `ExpiryError` after `timeout`."""
        attempt = here("events.wait")
        _name_event(attempt, name, queue)
        return await attempt.begin(EVENT, queue, name, None if timeout is None else microseconds(timeout))


def _name_event(attempt: Attempt, name: str, queue: str | None) -> None:
    _checks.name(attempt.bridge, "event", name)
    if queue is not None:
        _checks.name(attempt.bridge, "queue", queue)


def span_of(value: timedelta | float | str) -> float:
    """Seconds, of a number or a duration."""
    return microseconds(value) / 1_000_000
