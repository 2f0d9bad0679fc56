"""`Result`: what a durable function came to, as a value. It holds either a value or an error, never both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """What something came to: `Result.Ok(value)` or `Result.Error(error)`.

    A durable function that returns a `Result` has that as its result, not nested in another.

    >>> Result.Ok(2).map(lambda n: n * 21).unwrap()
    42
    >>> bool(Result.Error(ValueError("no")))
    False
    """

    ok: bool
    value: T | None = None
    error: Any = None

    @staticmethod
    def Ok(value: U) -> Result[U]:
        """It went well."""
        return Result(ok=True, value=value)

    @staticmethod
    def Error(error: Any) -> Result[Any]:
        """It did not: `error` is an exception, or whatever else says why."""
        return Result(ok=False, error=error)

    def __bool__(self) -> bool:
        return self.ok

    def unwrap(self) -> T:
        """The value; raises the error where there is one. An error that is no exception comes as a `ValueError`."""
        if self.ok:
            return cast("T", self.value)
        if isinstance(self.error, BaseException):
            raise self.error
        raise ValueError(self.error)

    def or_raise(self) -> T:
        """`unwrap` under the name that reads well after an `await`."""
        return self.unwrap()

    def unwrap_or(self, default: U) -> T | U:
        """The value, or `default` where there is an error."""
        return cast("T", self.value) if self.ok else default

    def map(self, change: Callable[[T], U]) -> Result[U]:
        """The same with its value changed; an error stays as it is."""
        if self.ok:
            return Result.Ok(change(cast("T", self.value)))
        return cast("Result[U]", self)

    def flat_map(self, change: Callable[[T], Result[U]]) -> Result[U]:
        """What `change` makes of the value; an error stays as it is."""
        if self.ok:
            return change(cast("T", self.value))
        return cast("Result[U]", self)
