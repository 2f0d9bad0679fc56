"""Ids: UUIDs of version 7, which begin with their time, so that what is newer sorts later."""

from __future__ import annotations

import os
import time
import uuid


def new_id(below: str | None = None) -> str:
    """A fresh id for an execution that is made by hand, or for a task `below` an execution. The engine makes its own.

    A task begins with the time of its execution, by which it is found.

    >>> one = new_id()
    >>> new_id(below=one)[:13] == one[:13]
    True
    """
    milliseconds = time.time_ns() // 1_000_000 if below is None else uuid.UUID(below).int >> 80
    number = int.from_bytes(os.urandom(10), "big")
    number = milliseconds << 80 | 7 << 76 | (number >> 64 & 0xFFF) << 64 | 2 << 62 | number & (1 << 62) - 1
    return str(uuid.UUID(int=number))
