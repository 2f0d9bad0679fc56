"""What `workload/mixed.rs` is in Rust, with races: 20 steps in three tasks, one after the other, side by side under
`gather`, in two children at once, around a durable sleep and an event from outside.

Who wins a race decides in which order the steps after it are asked for. So a replay in which another one wins does not
fit its history, and the run fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from ledger import Ledger
from stent import Stent
from stent._current import current
from stent.registry import FunctionRegistry

registry = FunctionRegistry()

opened: list[Ledger] = []
"""This process's way into the ledger, once there is one."""

BODY_MS = 14
"""How long a step's body takes at most."""

NAP_S = 0.04
"""The durable sleep."""

Made = dict[str, Any]


def worth(execution: int, role: str, step: str) -> int:
    """The value of a step, the same in every run, as the checker works it out: FNV-1a."""
    digest = 0xCBF29CE484222325
    for byte in f"{execution}/{role}/{step}".encode():
        digest = (digest ^ byte) * 0x100000001B3 % 2**64
    return digest


class Pen:
    """Writes into the ledger what one task's code does."""

    def __init__(self, execution: int, role: str) -> None:
        self.execution = execution
        self.role = role
        self.has_left = False

    def __enter__(self) -> Pen:
        attempt = current.get()
        assert attempt is not None
        if attempt.about["is_suspect"]:
            self.write("suspect", "", 0)
        self.write("enter", "", attempt.about["attempt"])
        return self

    def __exit__(self, *_: object) -> None:
        if not self.has_left:
            self.write("drop", "", 0)

    def leave(self) -> None:
        """The task's code has come to its end."""
        self.has_left = True
        self.write("leave", "", 0)

    def write(self, verb: str, step: str, number: int) -> None:
        opened[0].add(verb, self.execution, self.role, step, number)

    async def steps(self, *names: str) -> list[Made]:
        """Steps one after the other."""
        return [await self.step(name) for name in names]

    async def step(self, name: str) -> Made:
        made = await Stent.step(name, self.body, name)
        # Whatever was handed out is recorded: from here on the body must never run again.
        self.write("ack", name, made["token"])
        return made

    async def body(self, name: str) -> Made:
        token = opened[0].token()
        self.write("run", name, token)
        value = worth(self.execution, self.role, name)
        await asyncio.sleep(value % (BODY_MS + 1) / 1000)
        return {"role": self.role, "step": name, "worth": value, "token": token}


async def race(*runners: Coroutine[Any, Any, Any]) -> tuple[int, list[Any]]:
    """Which of them came first, and what all of them came to."""
    tasks = [asyncio.ensure_future(runner) for runner in runners]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    first = next(at for at, task in enumerate(tasks) if task in done)
    return first, [await task for task in tasks]


@Stent.durable(name="root", registry=registry)
async def root(execution: int) -> dict[str, Any]:
    with Pen(execution, "root") as pen:
        made = await pen.steps("a1", "a2", "a3", "a4", "a5")
        left_branch, right_branch = await asyncio.gather(pen.steps("b1", "b2"), pen.steps("b3", "b4"))
        first, raced = await race(pen.step("b5"), pen.step("b6"))
        made += [*left_branch, *right_branch, *raced]
        await Stent.sleep(NAP_S)
        first_child, (left_made, right_made) = await race(left(execution), right(execution))
        made += [*left_made, *right_made]
        event = await Stent.events.wait(f"go:{execution}")
        order = ["d1", "d2"] if first == 0 else ["d2", "d1"]
        order.insert(0 if first_child == 0 else 2, "d3")
        last = {name: await pen.step(name) for name in order}
        made += [last[name] for name in ("d1", "d2", "d3")]
        pen.leave()
        return {"made": made, "event": event}


@Stent.durable(name="left", registry=registry)
async def left(execution: int) -> list[Made]:
    return await child(execution, "left")


@Stent.durable(name="right", registry=registry)
async def right(execution: int) -> list[Made]:
    return await child(execution, "right")


async def child(execution: int, role: str) -> list[Made]:
    with Pen(execution, role) as pen:
        made = await pen.steps("c1", "c2", "c3")
        pen.leave()
        return made
