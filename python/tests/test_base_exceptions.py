"""Durable code that raises what is no `Exception` has failed like any other, and takes nothing else along; what a
signal raises in it is the process's own, and ends that."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from stent import RetryPolicy, Stent
from stent.registry import FunctionRegistry
from worlds import WAIT_S, says

registry = FunctionRegistry()

quick = RetryPolicy(initial_delay=0.01)


class Abort(BaseException):
    pass


def throws(kind: str) -> Any:
    raise {
        "own": Abort("enough"),
        "exit": SystemExit("enough"),
        "interrupt": KeyboardInterrupt("enough"),
        "group": BaseExceptionGroup("enough", [Abort("inner")]),
    }[kind]


@Stent.durable(registry=registry)
async def in_a_coroutine(kind: str) -> None:
    throws(kind)


@Stent.durable(registry=registry)
def in_a_thread(kind: str) -> None:
    throws(kind)


@Stent.durable(registry=registry, retry_policy=quick)
async def in_a_step(kind: str) -> None:
    await Stent.step("throws", throws, kind)


@Stent.durable(registry=registry, retry_policy=quick)
async def in_a_child(kind: str) -> None:
    await asyncio.gather(in_a_thread(kind))


@Stent.durable(registry=registry)
async def says_so() -> None:
    pytest.fail("enough")


@Stent.durable(registry=registry)
async def fine() -> str:
    return "fine"


tries: list[int] = []


@Stent.durable(registry=registry, retry_policy=RetryPolicy(initial_delay=0.01, retry_for=(BaseException,)))
async def tried_again() -> int:
    tries.append(1)
    if len(tries) < 3:
        throws("own")
    return len(tries)


@pytest.fixture
async def executor() -> AsyncIterator[Stent]:
    backend = Stent.backends.SQLiteBackend(":memory:")
    async with Stent.bootstrap(backend, serve=True, function_registry=registry) as executor:
        yield executor


@pytest.mark.parametrize(
    ("flow", "kind"),
    [
        (flow, kind)
        for flow in (in_a_coroutine, in_a_thread, in_a_step, in_a_child)
        for kind in ("own", "exit", "interrupt", "group")
        # On the loop's own thread an interrupt is the process's.
        if (flow, kind) != (in_a_coroutine, "interrupt")
    ],
    ids=lambda one: getattr(one, "__name__", one),
)
async def test_it_fails_the_execution_once_and_the_worker_goes_on(executor: Stent, flow: Any, kind: str):
    execution = await executor.dispatch(flow, kind)
    result = await executor.wait_for(execution, expiry=5)
    state = await executor.state_of(execution)
    assert not result.ok and "enough" in str(result.error)
    assert state.state == "failed"
    # Whoever called a child or a step gets an `Exception` for it, which is tried again as any.
    assert state.retries == (0 if flow in (in_a_coroutine, in_a_thread) else 2)
    assert await fine() == "fine"


async def test_a_test_that_fails_in_durable_code_fails_the_execution(executor: Stent):
    result = await executor.wait_for(await executor.dispatch(says_so), expiry=5)
    assert "enough" in str(result.error)


async def test_a_policy_that_names_it_tries_it_again(executor: Stent):
    tries.clear()
    assert (await executor.wait_for(await executor.dispatch(tried_again), expiry=10)).unwrap() == 3


STUCK = """
import asyncio, time
from stent import Stent

@Stent.durable
async def stuck():
    print("stuck", flush=True)
    time.sleep(60)

async def main():
    async with Stent.bootstrap(Stent.backends.SQLiteBackend(":memory:"), serve=True) as executor:
        await executor.dispatch(stuck)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_an_interrupt_of_the_process_ends_it_whatever_code_it_meets(tmp_path: Path):
    program = tmp_path / "stuck.py"
    program.write_text(STUCK)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, str(program), stdout=pipe, stderr=pipe)
    try:
        await says(process, "stuck")
        async with asyncio.timeout(WAIT_S):
            # The first asks the loop, which does not come to it; the second ends what runs.
            while process.returncode is None:
                process.send_signal(signal.SIGINT)
                await asyncio.sleep(0.2)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode != 0
