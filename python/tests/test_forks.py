"""A forked child uses nothing of what its parent has open, and harms none of it."""

from __future__ import annotations

import os
from typing import Any

from stent import RetryPolicy, Stent
from stent.registry import FunctionRegistry
from stores import AnyBackend

registry = FunctionRegistry()


def in_a_child(code: Any) -> str:
    """What the code says in a forked child; the child ends at once, without tidying up."""
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            said = str(code())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writes, said.encode())
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as answer:
        said = answer.read()
    os.waitpid(pid, 0)
    return said


@Stent.durable(registry=registry, retry_policy=RetryPolicy(max_attempts=1), name="doubles")
async def doubles(number: int) -> int:
    return number * 2


@Stent.durable(registry=registry, retry_policy=RetryPolicy(max_attempts=1), name="forks")
async def forks() -> list[Any]:
    before = await doubles(1)
    # The child has the parent's context: its calls are refused, and nothing of them is recorded.
    said = in_a_child(lambda: doubles(2))
    return [before, said, await doubles(3)]


async def test_the_code_of_a_task_that_forks_asks_for_nothing_in_the_child_and_goes_on_in_the_parent(
    backend: AnyBackend,
):
    async with Stent.bootstrap(backend, serve=True, function_registry=registry) as executor:
        execution = await executor.dispatch(forks)
        before, said, after = (await executor.wait_for(execution, expiry=60)).unwrap()
        assert (before, after) == (2, 6)
        assert said.startswith("Interrupted: this process was forked"), said
