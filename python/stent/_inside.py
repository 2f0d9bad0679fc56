"""What a durable function's code does through the engine beside calling others: sleep, wait for signals and events, run
steps, read the clock, count. Each is recorded, and a replay finds it again.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

from stent import _checks
from stent._current import CHANGE, CHILD, EVENT, SIGNAL, SLEEP, current
from stent._from_threads import calling_thread, from_anywhere, has_loop, on_loop
from stent._function import DurableFunction
from stent._lazy import asyncio, uuid
from stent._options import microseconds
from stent.utils.serialization import dump
from stent.utils.time import Duration

if TYPE_CHECKING:
    from stent._attempt import Attempt

T = TypeVar("T")


def here(what: str) -> Attempt:
    """The attempt whose code calls. Raises `RuntimeError` elsewhere."""
    attempt = current.get()
    if attempt is None:
        raise RuntimeError(f"{what} is for the code of durable functions: there is none here")
    return attempt


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
    _checks.name("signal", name)
    if attempt.bridge.awaited is not None:
        attempt.bridge.awaited.setdefault(attempt.about["execution_id"], set()).add(name)
    return attempt.begin(SIGNAL, name, None if timeout is None else microseconds(timeout))


def call(name: str, /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
    """Calls a function by its registered name, one in another language too."""
    attempt = here("call")
    bridge = attempt.bridge
    function = bridge.function(name)
    if function is not None:
        return function.called_in(attempt, args, kwargs)
    attempt.refuse_if_stopped()
    _checks.name("function", name)
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


def new_uuid() -> uuid.UUID:
    """A random UUID, the same on every replay."""
    return uuid.UUID(bytes=derived("uuid"), version=4)


def gather(*aws: Awaitable[Any], return_exceptions: bool = False) -> Coroutine[Any, Any, list[Any]]:
    """`asyncio.gather`. In plain code, where calls are results already, those are passed on."""
    if calling_thread() is not None:
        aws = tuple(one if inspect.isawaitable(one) else _already(one) for one in aws)
    return _gather(aws, return_exceptions)


@from_anywhere
async def _gather(aws: tuple[Awaitable[Any], ...], return_exceptions: bool) -> list[Any]:
    return list(await asyncio.gather(*aws, return_exceptions=return_exceptions))


async def _already(value: T) -> T:
    return value


def map_calls(
    fn: DurableFunction[Any, T] | Callable[..., Any], items: Iterable[Any], /, **options: Any
) -> Coroutine[Any, Any, list[T]]:
    """`fn.map(items)`."""
    return cast("Any", fn).map(items, **options)


def step(name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
    """Runs a piece of code and records what it comes to. If that is recorded, it is returned and nothing runs. The code
    runs at least once: if the process dies inside of it, it runs again. A plain function runs in a thread."""
    from stent._steps import step_in_thread, step_on_loop

    attempt = calling_thread()
    if attempt is None:
        return step_on_loop(here("step"), name, fn, args, kwargs)
    if not has_loop():
        return step_in_thread(attempt, name, fn, args, kwargs)
    attempt.refuse_if_stopped()
    return on_loop(attempt, lambda: step_on_loop(attempt, name, fn, args, kwargs))


class Counters:
    """One counter of this execution, shared by all of its tasks."""

    def __init__(self, name: str) -> None:
        self.name = name

    def add(self, amount: float = 1) -> Awaitable[int | float]:
        """Adds to it, from 0 where absent, and gives its new value."""
        attempt = here("counters")
        _checks.name("counter", self.name)
        amount = _checks.number(self.name, amount)
        return attempt.begin(CHANGE, f"counters.add:{self.name}", "add", self.name, amount)


class StateValue:
    """One state value of this execution, shared by all of its tasks."""

    def __init__(self, key: str) -> None:
        self.key = key

    def set(self, value: Any) -> Awaitable[None]:
        """Sets it."""
        attempt = here("state")
        _checks.name("state", self.key)
        stored = dump(attempt.bridge.serializer, value, f'the state value "{self.key}"')
        return attempt.begin(CHANGE, f"state.set:{self.key}", "set", self.key, stored, attempt.bridge.codec)


class Context:
    """The counters and state values of this execution."""

    def __init__(self, counters: Mapping[str, float] | None, state: Mapping[str, Any] | None) -> None:
        self._began: list[Awaitable[Any]] = []
        attempt = here("context")
        bridge = attempt.bridge
        for name in counters or ():
            _checks.name("counter", name)
        for key in state or ():
            _checks.name("state", key)
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

    @from_anywhere
    async def emit(self, name: str, payload: Any = None, *, queue: str | None = None) -> None:
        """Publishes one, in the task's queue unless told otherwise; once, whatever is replayed."""
        attempt = here("events.emit")
        _name_event(attempt, name, queue)
        stored = dump(attempt.bridge.serializer, payload, f'the event "{name}"')
        await attempt.begin(CHANGE, f"emit:{name}", "emit", queue, name, stored, attempt.bridge.codec)

    @from_anywhere
    async def wait(self, name: str, timeout: Duration | float | None = None, *, queue: str | None = None) -> Any:
        """The oldest event of the name that this task has not had. Raises `ExpiryError` after `timeout`."""
        attempt = here("events.wait")
        _name_event(attempt, name, queue)
        return await attempt.begin(EVENT, queue, name, None if timeout is None else microseconds(timeout))


def _name_event(attempt: Attempt, name: str, queue: str | None) -> None:
    _checks.name("event", name)
    if queue is not None:
        _checks.name("queue", queue)


def span_of(value: timedelta | float | str) -> float:
    """Seconds, of a number or a duration."""
    return microseconds(value) / 1_000_000
