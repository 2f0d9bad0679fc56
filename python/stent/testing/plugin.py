"""The pytest plugin, which comes with the package by itself.

- `stent_backend`: a backend in memory;
- `stent_executor`: an executor over it, which is the default executor meanwhile;
- `stent_worker`: the lifecycle of a worker of that executor, which is ready.
- `@pytest.mark.skip_time`: the backend's time is skipped, as `stent.testing.skip_time` says; the executor is a
  `stent.testing.SkippedStent`.
- `@pytest.mark.crash_everywhere`: the test is run again and again with the worker killed before and after each write,
  as `stent.testing.crash_everywhere` says. It asks for `stent_executor`, and has workers without asking.

The fixtures are pytest-asyncio's, or, where that is not installed, such as AnyIO's plugin takes.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Callable
from importlib.util import find_spec
from typing import Any

import pytest

from stent._lifecycle import WorkerLifecycle
from stent._stent import Stent
from stent.backend.sqlite import SQLiteBackend
from stent.testing import SkippedStent, SkippedTime, try_every_crash

_CRASHES = "crash_everywhere"
_SKIPS = "skip_time"


def _fixture(function: Callable[..., Any]) -> Any:
    if find_spec("pytest_asyncio") is None:
        return pytest.fixture(function)
    import pytest_asyncio

    return pytest_asyncio.fixture(function)


@_fixture
async def stent_backend(request: pytest.FixtureRequest) -> AsyncGenerator[Any, None]:
    """A backend in memory, new for each test. Override it for another one."""
    node: pytest.Item = request.node
    is_skipped = any(node.get_closest_marker(mark) is not None for mark in (_CRASHES, _SKIPS))
    backend = SkippedTime() if is_skipped else SQLiteBackend(":memory:")
    await backend.init_db()
    yield backend
    await backend.close()


@_fixture
async def stent_executor(stent_backend: Any) -> AsyncGenerator[Stent, None]:
    """An executor over `stent_backend`. Override it for a registry or a serializer of your own."""
    executor = (SkippedStent if isinstance(stent_backend, SkippedTime) else Stent).use(stent_backend)
    yield executor
    Stent.reset()
    await executor.shutdown()


@_fixture
async def stent_worker(request: pytest.FixtureRequest, stent_executor: Stent) -> AsyncGenerator[WorkerLifecycle, None]:
    """A worker of `stent_executor` that is ready."""
    node: pytest.Item = request.node
    if node.get_closest_marker(_CRASHES) is not None:
        pytest.fail(f"a test marked {_CRASHES} has workers of its own, one for each run: ask for stent_executor only")
    lifecycle = stent_executor.create_worker_lifecycle()
    worker = asyncio.create_task(stent_executor.serve(poll_interval=0.1, lifecycle=lifecycle))
    await lifecycle.wait_until_ready()
    yield lifecycle
    lifecycle.request_drain()
    await worker


def pytest_configure(config: pytest.Config) -> None:
    """Makes the marks known."""
    config.addinivalue_line("markers", f"{_SKIPS}: the time of stent_backend is skipped.")
    config.addinivalue_line(
        "markers", f"{_CRASHES}: run again with the worker killed before and after each write, and compare outcomes."
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Has a marked test run everywhere."""
    if not isinstance(item, pytest.Function) or item.get_closest_marker(_CRASHES) is None:
        return
    test = item.obj
    if getattr(test, "_stent_everywhere", False):
        return
    executor = item.funcargs.get("stent_executor")
    if not inspect.iscoroutinefunction(test) or not isinstance(executor, SkippedStent):
        pytest.fail(f"a test marked {_CRASHES} is an async function that asks for stent_executor, over stent_backend")
    item.obj = _everywhere(test, executor)


def _everywhere(test: Callable[..., Any], executor: SkippedStent) -> Callable[..., Any]:
    @functools.wraps(test)
    async def everywhere(*args: Any, **kwargs: Any) -> None:
        await try_every_crash(executor, executor.backend, lambda: test(*args, **kwargs))

    vars(everywhere)["_stent_everywhere"] = True
    return everywhere
