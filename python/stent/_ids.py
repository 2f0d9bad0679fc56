"""Ids: UUIDs of version 7, which begin with their time, so that what is newer sorts later. Those that one process makes
sort in the order in which they were made, within a millisecond and over a clock that goes back too."""

from __future__ import annotations

import os
import threading
import time

_RANDOM_BITS = 74
_STEP_BITS = 32
"""Ids of one millisecond lie a random step apart, so that none can be guessed from its neighbour."""

_lock = threading.Lock()
_last = 0


def new_id(below: str | None = None) -> str:
    """A fresh id for an execution that is made by hand, or for a task `below` an execution. The engine makes its own.

    A task begins with the time of its execution, by which it is found.

    >>> one = new_id()
    >>> new_id(below=one)[:13] == one[:13]
    True
    >>> one < new_id()
    True
    """
    if below is not None:
        return _uuid(int(below.replace("-", ""), 16) >> 80 << _RANDOM_BITS | _random(_RANDOM_BITS))
    global _last
    with _lock:
        now = time.time_ns() // 1_000_000
        if now > _last >> _RANDOM_BITS:
            # The highest bit is left for the steps of this millisecond.
            _last = now << _RANDOM_BITS | _random(_RANDOM_BITS - 1)
        else:
            _last += 1 + _random(_STEP_BITS)
        return _uuid(_last)


def _random(bits: int) -> int:
    return int.from_bytes(os.urandom(bits // 8 + 1), "big") & (1 << bits) - 1


def _uuid(number: int) -> str:
    """The id of a time in milliseconds with the random bits behind it."""
    milliseconds, random = number >> _RANDOM_BITS, number & (1 << _RANDOM_BITS) - 1
    digits = f"{milliseconds << 80 | 7 << 76 | random >> 62 << 64 | 2 << 62 | random & (1 << 62) - 1:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _forget() -> None:
    """A forked child draws anew: what its parent has made and will make is not repeated."""
    global _lock, _last
    _lock, _last = threading.Lock(), 0


os.register_at_fork(after_in_child=_forget)
