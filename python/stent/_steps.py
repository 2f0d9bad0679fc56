"""Steps: a piece of code whose outcome is recorded. On the event loop a plain function runs in a thread beside it; in
plain code, which has a thread already, it runs there.

Invariant: an outcome is recorded before the code goes on with it, and what is recorded does not run again.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from stent import _checks
from stent._attempt import Attempt
from stent._current import STEP, in_step
from stent._failures import failure_of, is_the_codes_own, written
from stent._from_threads import on_loop
from stent.utils.serialization import dump


class Step:
    """One step of an attempt. It begins and finishes on the attempt's event loop."""

    def __init__(self, attempt: Attempt, name: str) -> None:
        attempt.refuse_if_stopped()
        self.attempt = attempt
        self.name = name
        self.recorded: Any = None

    async def begins(self) -> bool:
        """Whether its code is to run. If not, `recorded` is what that came to; raises what it failed with."""
        attempt = self.attempt
        attempt.refuse_if_stopped()
        attempt.note_task(asyncio.current_task(attempt.bridge.loop))
        attempt.flush()
        attempt.last_call += 1
        self.number = attempt.last_call
        self.begun = attempt.expect(self.number)
        try:
            runs = attempt.bridge.native.begin_step(attempt.run, self.number, attempt.scope(), self.name)
        except (TypeError, ValueError):
            # The engine has looked at the name; what is wrong with it is told as everywhere.
            self.give_up()
            _checks.name("step", self.name)
            raise
        if runs:
            return True
        try:
            self.recorded = await self.begun
        except asyncio.CancelledError:
            self.give_up()
            raise
        return self.number in attempt.calls

    def give_up(self) -> None:
        """Its code was stopped: nothing comes of it."""
        self.attempt.give_up(self.begun)

    def came_to(self, value: Any) -> tuple[Any, ...]:
        """How a value of its code is recorded. Raises `TypeError` for what cannot be."""
        bridge = self.attempt.bridge
        stored = dump(bridge.serializer, value, f"the result of the step {self.name}")
        return (STEP, self.attempt.run, self.number, True, stored, bridge.codec)

    def failed(self, error: BaseException) -> tuple[Any, ...]:
        """How an error of its code is recorded."""
        failure = failure_of(self.attempt.bridge.serializer, error)
        return (STEP, self.attempt.run, self.number, False, written(failure))

    async def finishes(self, ended: tuple[Any, ...]) -> Any:
        """Records how its code ended, and comes to that."""
        self.attempt.refuse_if_stopped()
        self.attempt.asked.append(ended)
        return await self.attempt.expect(self.number)


async def step_on_loop(
    attempt: Attempt, name: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """A step of code on the event loop."""
    step = Step(attempt, name)
    if not await step.begins():
        return step.recorded
    token = in_step.set(name)
    in_thread = not inspect.iscoroutinefunction(fn)
    try:
        if in_thread:
            value = await asyncio.to_thread(fn, *args, **kwargs)
            in_thread = False
            if inspect.isawaitable(value):
                value = await value
        else:
            value = await fn(*args, **kwargs)
        ended = step.came_to(value)
    except asyncio.CancelledError:
        step.give_up()
        raise
    except BaseException as error:
        if not is_the_codes_own(error, in_thread=in_thread):
            raise
        ended = step.failed(error)
    finally:
        in_step.reset(token)
    return await step.finishes(ended)


def step_in_thread(
    attempt: Attempt, name: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """A step of plain code, in its thread."""
    step = Step(attempt, name)
    if not on_loop(attempt, step.begins):
        return step.recorded
    token = in_step.set(name)
    try:
        value = fn(*args, **kwargs)
        if inspect.isawaitable(value):
            awaited = value

            async def awaits() -> Any:
                return await awaited

            value = on_loop(attempt, awaits)
        ended = step.came_to(value)
    except asyncio.CancelledError:
        attempt.bridge.loop.call_soon_threadsafe(step.give_up)
        raise
    except BaseException as error:
        ended = step.failed(error)
    finally:
        in_step.reset(token)
    return on_loop(attempt, lambda: step.finishes(ended))
