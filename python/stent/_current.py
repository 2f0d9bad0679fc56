"""Whose code runs here, and what code asks of the engine by number. Apart from what is done with it, so that a program
that only declares durable functions does not import that.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stent._attempt import Attempt

# What is handed to the engine, by the number that the native module knows it by.
REST, DONE, FAILED, CHILD, SLEEP, SIGNAL, EVENT, CHANGE, STEP, GIVE_UP, UNWOUND = range(11)

current: ContextVar[Attempt | None] = ContextVar("stent_attempt", default=None)
"""The attempt whose code runs here."""

in_step: ContextVar[str | None] = ContextVar("stent_step", default=None)
"""The step whose body runs here: it is recorded as a whole, so no durable call is made in it."""
