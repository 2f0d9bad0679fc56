"""What the decorator makes of a function, and what calling it does: a durable call inside of a durable function, a
dispatch that is awaited where there is a default executor, the plain function elsewhere.
"""

from __future__ import annotations

import functools
import inspect
import json
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from stent._arguments import Arguments
from stent._current import CHILD, current
from stent._from_threads import from_anywhere, gone_through
from stent._lazy import asyncio
from stent.registry import FunctionMetadata
from stent.utils.time import parse_duration

if TYPE_CHECKING:
    from stent._attempt import Attempt
    from stent._stent import Stent

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")


class DurableFunction(Generic[P, R]):
    """A durable function. It is called like the function that was written, and has `map` and `starmap` beside."""

    def __init__(self, metadata: FunctionMetadata) -> None:
        self.metadata = metadata
        self.name = metadata.name
        self.arguments = Arguments(metadata.name, metadata.fn)
        self.is_coroutine = inspect.iscoroutinefunction(metadata.fn)
        functools.update_wrapper(self, metadata.fn)

    def __repr__(self) -> str:
        return f"<durable function {self.name}>"

    @overload
    def __get__(self, instance: None, owner: Any = None) -> DurableFunction[P, R]: ...
    @overload
    def __get__(
        self: Callable[Concatenate[S, Q], Coroutine[Any, Any, R]], instance: S, owner: Any = None
    ) -> BoundFunction[Q, R]: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method: the object is the first argument."""
        return self if instance is None else BoundFunction(self, instance)

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        attempt = current.get()
        if attempt is not None:
            return cast("Coroutine[Any, Any, R]", self.called_in(attempt, args, kwargs))
        executor = default_executor()
        if executor is not None:
            return self._dispatched(executor, args, kwargs)
        if not self.is_coroutine:
            return cast("Coroutine[Any, Any, R]", asyncio.to_thread(self.metadata.fn, *args, **kwargs))
        return self.metadata.fn(*args, **kwargs)

    async def _dispatched(self, executor: Stent, args: Any, kwargs: Any) -> R:
        execution = await executor.start_of(self, args, kwargs, {})
        return cast("R", await executor.returned(execution))

    def called_in(self, attempt: Attempt, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """A durable call: a child of the task whose code runs here, from this moment on."""
        bridge = attempt.bridge
        attempt.refuse_if_stopped()
        stored = self.arguments.write(bridge.serializer, args, kwargs)
        key = self.key_in(attempt, args, kwargs)
        return attempt.begin(CHILD, self.name, stored, bridge.codec, key, None)

    def key_in(self, attempt: Attempt, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
        """What the key function says of a call, which is recorded: a replay does not ask it again."""
        if not self.has_key_function():
            return None
        return attempt.value(f"key:{self.name}", lambda: self.key_of(args, kwargs))

    def has_key_function(self) -> bool:
        """Whether results are kept under what a key function says."""
        metadata = self.metadata
        return metadata.idempotency_key_func is not None and bool(metadata.cached or metadata.idempotent)

    def key_of(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
        """What the key function says of a call. Raises `TypeError` unless that is text."""
        ask = self.metadata.idempotency_key_func
        if ask is None or not self.has_key_function():
            return None
        named = self.arguments.named(args, kwargs)
        try:
            inspect.signature(ask).bind(**named)
        except TypeError:
            by_place, by_name = self.arguments.bind(args, kwargs)
            key = cast("Any", ask(*by_place, **by_name))
        except ValueError:
            key = cast("Any", ask(**named))
        else:
            key = cast("Any", ask(**named))
        if not isinstance(key, str):
            raise TypeError(f"the key function of {self.name} returned {type(key).__name__}: it must return str")
        return key

    def options(self) -> bytes:
        """Its options as the engine reads them, and as workers publish them."""
        metadata, policy = self.metadata, self.metadata.retry_policy
        options: dict[str, Any] = {
            "parameters": self.arguments.names,
            "priority": metadata.priority,
            "tags": sorted(set(metadata.tags)),
            "retry": {
                "max_attempts": policy.max_attempts,
                "initial_delay_ms": round(policy.initial_delay * 1000),
                "factor": policy.backoff_factor,
                "max_delay_ms": round(policy.max_delay * 1000),
                "jitter": policy.jitter,
            },
            "cached": bool(metadata.cached),
            "idempotent": metadata.idempotent,
        }
        if metadata.queue is not None:
            options["queue"] = metadata.queue
        if metadata.version is not None:
            options["version"] = metadata.version
        if metadata.max_concurrent is not None:
            options["max_concurrent"] = metadata.max_concurrent
        if isinstance(metadata.cached, (str, timedelta)):
            options["ttl_ms"] = round(parse_duration(metadata.cached).total_seconds() * 1000)
        return json.dumps(options).encode()

    def map(
        self, items: Iterable[Any], *, return_exceptions: bool = False, max_parallel: int | None = None
    ) -> Coroutine[Any, Any, list[R]]:
        """One call for each item; the results in order. The first failure raises once all have ended, unless
        `return_exceptions`. At most `max_parallel` run at once."""
        return self._fan_out(lambda item: ((item,), {}), gone_through(items), return_exceptions, max_parallel)

    def starmap(
        self, items: Iterable[Any], *, return_exceptions: bool = False, max_parallel: int | None = None
    ) -> Coroutine[Any, Any, list[R]]:
        """`map` with several arguments: a tuple by place, a dictionary by name, or a pair of both."""
        return self._fan_out(_spread, gone_through(items), return_exceptions, max_parallel)

    @from_anywhere
    async def _fan_out(
        self,
        spread: Callable[[Any], tuple[tuple[Any, ...], dict[str, Any]]],
        items: Iterable[Any],
        return_exceptions: bool,
        max_parallel: int | None,
    ) -> list[R]:
        calls = [spread(item) for item in items]
        if max_parallel is not None and max_parallel < 1:
            raise ValueError(f"max_parallel is {max_parallel}: it is at least 1")
        call = cast("Callable[..., Awaitable[R]]", self)
        if max_parallel is None or max_parallel >= len(calls):
            from stent._attempt import Calling

            made = [call(*args, **kwargs) for args, kwargs in calls]
            # Inside of a durable function the calls are futures already, and need no tasks.
            waits = [one.call if isinstance(one, Calling) else one for one in made]
            settled: list[Any] = await asyncio.gather(*waits, return_exceptions=True)
        else:
            settled = await _few_at_once(call, calls, max_parallel)
        if not return_exceptions:
            for one in settled:
                if isinstance(one, BaseException):
                    raise one
        return settled


async def _few_at_once(call: Callable[..., Awaitable[Any]], calls: list[Any], most: int) -> list[Any]:
    """The results of calls of which at most so many are under way."""
    settled: list[Any] = [None] * len(calls)
    left = iter(enumerate(calls))

    async def take() -> None:
        for at, (args, kwargs) in left:
            try:
                settled[at] = await call(*args, **kwargs)
            except Exception as error:
                settled[at] = error

    await asyncio.gather(*(take() for _ in range(most)))
    return settled


class BoundFunction(Generic[P, R]):
    """A durable method of an object, which is its first argument."""

    def __init__(self, function: DurableFunction[Any, R], instance: Any) -> None:
        self.function = function
        self.instance = instance
        self.__func__ = function
        self.__self__ = instance

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        return cast("Any", self.function)(self.instance, *args, **kwargs)

    def map(self, items: Iterable[Any], **options: Any) -> Coroutine[Any, Any, list[R]]:
        """As `DurableFunction.map`."""
        return self.function.starmap(((self.instance, item) for item in gone_through(items)), **options)

    def starmap(self, items: Iterable[Any], **options: Any) -> Coroutine[Any, Any, list[R]]:
        """As `DurableFunction.starmap`."""
        spread = (_spread(item) for item in gone_through(items))
        return self.function.starmap((((self.instance, *args), kwargs) for args, kwargs in spread), **options)


def _spread(item: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(item, Mapping):
        return (), dict(cast("Mapping[str, Any]", item))
    if isinstance(item, tuple):
        whole = cast("tuple[Any, ...]", item)
        if len(whole) == 2 and isinstance(whole[0], tuple) and isinstance(whole[1], Mapping):
            return cast("tuple[Any, ...]", whole[0]), dict(cast("Mapping[str, Any]", whole[1]))
        return whole, {}
    raise TypeError(f"starmap takes tuples and dictionaries, not {type(item).__name__}")


_default: list[Stent] = []
_default_lock = threading.Lock()


def default_executor() -> Stent | None:
    """The executor of this process that calls from outside go through."""
    return _default[-1] if _default else None


def set_default_executor(executor: Stent | None) -> None:
    """Sets it, or clears it."""
    with _default_lock:
        _default.clear()
        if executor is not None:
            _default.append(executor)
