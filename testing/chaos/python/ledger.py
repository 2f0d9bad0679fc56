"""The ledger, as `ledger.rs` and `line.rs` write it: a file outside the store, one `write` a line, never buffered,
never locked. What a process wrote before it was killed is in the file.
"""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path


class Ledger:
    """One process's way into the ledger."""

    def __init__(self, path: Path, life: int) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._life = life
        self._tokens = itertools.count((life << 32) + 1)

    def token(self) -> int:
        """A number that no other run of a step's body has, in any process of the run."""
        return next(self._tokens)

    def add(self, verb: str, execution: int, role: str, step: str, number: int) -> None:
        """Adds a line about something this process did."""
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        line = f"\n{verb} {execution} {role} {step or '-'} {number} {self._life} {os.getpid()} {now} ."
        os.write(self._file, line.encode())
