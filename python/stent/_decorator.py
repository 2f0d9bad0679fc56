"""`@Stent.durable`: what declares a durable function, and how type checkers see that."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from datetime import timedelta
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from stent._function import DurableFunction
from stent._options import check
from stent._retry import RetryPolicy
from stent.registry import FunctionMetadata, FunctionRegistry, registry

P = ParamSpec("P")
R = TypeVar("R")


class Decorator(Protocol):
    """What the parentheses give. A function keeps its parameters and its result, a coroutine or not."""

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> DurableFunction[P, R]: ...  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload] - the first that fits
    @overload
    def __call__(self, fn: Callable[P, R], /) -> DurableFunction[P, R]: ...


class Declares(Protocol):
    """`durable` below: its own overloads would be lost in the class that it is a static method of."""

    @overload
    def __call__(self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> DurableFunction[P, R]: ...  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload] - the first that fits
    @overload
    def __call__(self, fn: Callable[P, R], /) -> DurableFunction[P, R]: ...
    @overload
    def __call__(
        self,
        *,
        name: str | None = None,
        cached: bool | timedelta | str = False,
        retry_policy: RetryPolicy | None = None,
        tags: Iterable[str] | None = None,
        priority: int = 0,
        queue: str | None = None,
        idempotent: bool = False,
        idempotency_key_func: Callable[..., str] | None = None,
        version: str | None = None,
        max_concurrent: int | None = None,
        registry: FunctionRegistry = registry,
    ) -> Decorator: ...


def name_of(fn: Callable[..., Any]) -> str:
    """The name a function is registered under: module and qualified name."""
    return f"{fn.__module__}:{fn.__qualname__}"


def durable(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    cached: bool | timedelta | str = False,
    retry_policy: RetryPolicy | None = None,
    tags: Iterable[str] | None = None,
    priority: int = 0,
    queue: str | None = None,
    idempotent: bool = False,
    idempotency_key_func: Callable[..., str] | None = None,
    version: str | None = None,
    max_concurrent: int | None = None,
    registry: FunctionRegistry = registry,
) -> Any:
    """Makes a function durable; with or without parentheses. See `stent.registry.FunctionMetadata` for the options."""

    def decorate(fn: Callable[..., Any]) -> DurableFunction[Any, Any]:
        options: dict[str, Any] = {} if retry_policy is None else {"retry_policy": retry_policy}
        metadata = FunctionMetadata(
            name=name_of(fn) if name is None else name,
            fn=fn,
            cached=cached,
            # One text is left for the check to refuse.
            tags=cast("Any", tags) if isinstance(tags, str) else list(tags or ()),
            priority=priority,
            queue=queue,
            idempotent=idempotent,
            idempotency_key_func=idempotency_key_func,
            version=version,
            max_concurrent=max_concurrent,
            **options,
        )
        check(metadata)
        registry.register(metadata)
        return DurableFunction(metadata)

    return decorate if fn is None else decorate(fn)
