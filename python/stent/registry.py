"""Which functions there are, by name. A worker runs what its executor's registry has, and nothing else.

Invariant: a name stands for one function, the last that was registered under it; a callable is found by identity.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from stent._retry import RetryPolicy

__all__ = ["FunctionMetadata", "FunctionRegistry", "registry"]


@dataclass
class FunctionMetadata:
    """A durable function and its options.

    `cached` is whether results are kept for equal calls, or for how long (`timedelta`, or text such as `"1d"`).
    `max_concurrent` is how many of its tasks may run at once across all workers; `None`: any number.
    """

    name: str
    fn: Callable[..., Any]
    cached: bool | timedelta | str = False
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    tags: list[str] = field(default_factory=list[str])
    priority: int = 0
    queue: str | None = None
    idempotent: bool = False
    idempotency_key_func: Callable[..., str] | None = None
    version: str | None = None
    max_concurrent: int | None = None


class FunctionRegistry:
    """Functions by name.

    >>> mine = FunctionRegistry()
    >>> mine.register(FunctionMetadata(name="shop:total", fn=sum))
    >>> mine.name_for_function(sum), mine.get("shop:unknown")
    ('shop:total', None)
    """

    def __init__(self) -> None:
        self._by_name: dict[str, FunctionMetadata] = {}
        # The callable stands beside the name: it keeps the id from being given to another object.
        self._by_identity: dict[int, tuple[Callable[..., Any], str]] = {}
        self._watchers: list[Callable[[FunctionMetadata], None]] = []

    def register(self, metadata: FunctionMetadata) -> None:
        """Adds a function. A name that is there already stands for the new one from now on."""
        earlier = self._by_name.get(metadata.name)
        if earlier is not None:
            self._by_identity.pop(id(_plain(earlier.fn)), None)
        self._by_name[metadata.name] = metadata
        plain = _plain(metadata.fn)
        self._by_identity[id(plain)] = (plain, metadata.name)
        for told in list(self._watchers):
            told(metadata)

    def watch(self, told: Callable[[FunctionMetadata], None]) -> Callable[[], None]:
        """Has every function that is registered from now on told, until what this returns is called."""
        self._watchers.append(told)
        return lambda: self._watchers.remove(told)

    def get(self, name: str) -> FunctionMetadata | None:
        """The function of this name, or `None`."""
        return self._by_name.get(name)

    def items(self) -> ItemsView[str, FunctionMetadata]:
        """All names with their functions, in the order in which the names were first registered."""
        return self._by_name.items()

    def copy(self) -> FunctionRegistry:
        """Another registry with the same functions. What is registered later is registered in one of them only."""
        other = FunctionRegistry()
        for metadata in self._by_name.values():
            other.register(metadata)
        return other

    def name_for_function(self, fn: Callable[..., Any]) -> str | None:
        """The name that this very callable is registered under, or `None`. It may be the durable function, the plain
        one that was decorated, or a method bound to an object."""
        found = self._by_identity.get(id(_plain(fn)))
        return found[1] if found else None

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __len__(self) -> int:
        return len(self._by_name)


def _plain(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function below bindings and wrappers."""
    while True:
        inner = getattr(fn, "__func__", None) or getattr(fn, "__wrapped__", None)
        if inner is None:
            return fn
        fn = inner


registry = FunctionRegistry()
"""The functions that `@Stent.durable` found, of all modules."""
