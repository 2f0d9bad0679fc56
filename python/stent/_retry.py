"""Retry policies. The engine counts attempts and waits; here is only what a policy says.

Invariant: a policy that exists can be carried out, since its numbers are looked at when it is made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MOST_ATTEMPTS = 2**32 - 1
"""The engine counts attempts in 32 bits; this many stand for no end."""


@dataclass(frozen=True)
class RetryPolicy:
    """How a function that failed is tried again.

    The delay before attempt `n + 1` is `min(initial_delay * backoff_factor ** (n - 1), max_delay)` seconds, plus or
    minus up to `jitter` (a share, 0 to 1) of itself. `max_attempts` counts the first. Only errors of the classes in
    `retry_for` are tried again; all others are final.

    >>> RetryPolicy(max_attempts=5, retry_for=(ConnectionError, TimeoutError)).retries(ValueError())
    False
    """

    max_attempts: int = 3
    backoff_factor: float = 2.0
    initial_delay: float = 1.0
    max_delay: float = 60.0
    jitter: float = 0.1
    retry_for: tuple[type[BaseException], ...] = (Exception,)

    def __post_init__(self) -> None:
        if not 1 <= self.max_attempts <= MOST_ATTEMPTS:
            raise ValueError(f"max_attempts is {self.max_attempts}: the first attempt counts, so it is at least 1")
        for name in ("backoff_factor", "initial_delay", "max_delay"):
            number: float = getattr(self, name)
            if not (math.isfinite(number) and number >= 0):
                raise ValueError(f"{name} is {number}: it must be a finite number, 0 or more")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is {self.jitter}: it is a share of the delay, from 0 to 1")
        object.__setattr__(self, "retry_for", _classes(self.retry_for))

    def retries(self, error: BaseException) -> bool:
        """Whether this error is of a class that is tried again."""
        return isinstance(error, self.retry_for)


def compute_retry_delay(policy: RetryPolicy, attempt: int) -> float:
    """Seconds to wait after attempt number `attempt` (from 1) failed, jitter included.

    >>> compute_retry_delay(RetryPolicy(jitter=0), 3)
    4.0
    """
    if attempt < 1:
        raise ValueError(f"attempt is {attempt}: attempts are counted from 1")
    import random

    try:
        grown = policy.initial_delay * policy.backoff_factor ** (attempt - 1)
    except OverflowError:
        grown = math.inf if policy.initial_delay else 0.0
    delay = min(grown, policy.max_delay)
    return delay * (1.0 + policy.jitter * random.uniform(-1.0, 1.0))


def _classes(classes: object) -> tuple[type[BaseException], ...]:
    given: tuple[object, ...] = tuple(classes) if isinstance(classes, (tuple, list)) else (classes,)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - looked at below
    checked: list[type[BaseException]] = []
    for one in given:
        if not (isinstance(one, type) and issubclass(one, BaseException)):
            raise TypeError(f"retry_for holds {one!r}: it must hold classes of exceptions")
        checked.append(one)
    return tuple(checked)
