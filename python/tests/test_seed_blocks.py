"""Every Python block of seeds 000, 001 and 003, taken from the seed's text and run as it stands, on both stores. The
names that a block leaves free are bound here to stand-ins; what blocks say in words is tested in test_seed_prose."""

from __future__ import annotations

import ast
import asyncio
import inspect
import types
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import seeds
import servers
from stent import RetryPolicy, Stent, registry
from stent.backend import _over_records
from stores import AnyBackend
from test_seeds import NOT_PYTHON_AS_PRINTED

BLOCKS = [
    block
    for seed in ("000", "001", "003")
    for block in seeds.blocks(seed)
    if not any(words in block.code for words in NOT_PYTHON_AS_PRINTED)
]


class Outside:
    """Whatever stands outside of Stent: any attribute is an async function, any call of it answers itself."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        async def answer(*_args: Any, **_kwargs: Any) -> Any:
            return {"outside": name}

        return answer


async def outside(*_args: Any, **_kwargs: Any) -> Any:
    return {"outside": "called"}


class Serving:
    """An executor whose `serve` ends once the worker is ready: a block that serves would never end."""

    def __init__(self, executor: Any) -> None:
        self._executor = executor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    async def serve(self, **options: Any) -> None:
        lifecycle = self._executor.create_worker_lifecycle()
        serving = asyncio.create_task(self._executor.serve(lifecycle=lifecycle, **options))
        await asyncio.wait_for(lifecycle.wait_until_ready(), 20)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


class MyCustomBackend:
    """The class that seed 003 leaves to its reader."""

    def __init__(self, config: Any) -> None:
        self.config = config

    async def init_db(self) -> None: ...

    async def close(self) -> None: ...


async def _plain(*_args: Any) -> None: ...


@pytest.fixture
async def executor(backend: AnyBackend) -> AsyncIterator[Any]:
    executor = Stent(backend=backend)
    yield Serving(executor)
    await executor.shutdown()


@pytest.fixture
def names(backend: AnyBackend, executor: Any) -> dict[str, Any]:
    """What blocks leave free."""
    anything = types.SimpleNamespace(DataFrame=object, Model=object, ndarray=object)
    outsiders = [
        "http_client",
        "email_service",
        "email_client",
        "db",
        "api",
        "payment_gateway",
        "external_api",
        "report_generator",
        "forex_api",
        "ml_model",
        "payment_api",
        "pricing_engine",
    ]
    functions = [
        "compute_expensive_thing",
        "compute_expensive_result",
        "expensive_computation",
        "expensive_process",
        "store_result",
        "fetch_data",
        "fetch_resource",
    ]
    return {
        "__name__": "__main__",
        "Stent": Stent,
        "RetryPolicy": RetryPolicy,
        "registry": registry,
        "datetime": datetime,
        "Any": Any,
        "backend": backend,
        "executor": executor,
        "dsn": getattr(backend, "dsn", "postgresql://stent@localhost/stent"),
        "pandas": anything,
        "sklearn": anything,
        "numpy": anything,
        "config": {},
        "MyCustomClass": object,
        "MyCustomBackend": MyCustomBackend,
        "DatabaseError": type("DatabaseError", (Exception,), {}),
        "my_function": _plain,
        **{name: Outside() for name in outsiders},
        **{name: outside for name in functions},
        **{name: lambda *args: args for name in ("original_algorithm", "improved_algorithm", "process")},
    }


@pytest.mark.parametrize("block", BLOCKS, ids=str)
async def test_a_block_runs_as_it_stands(
    block: seeds.Block,
    names: dict[str, Any],
    addresses: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "path" / "to").mkdir(parents=True)
    if "exec_id" in block.code:
        names["exec_id"] = await names["executor"].dispatch(await sample(names))
    result = eval(compile(block.code, str(block), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    if inspect.isawaitable(result):
        await asyncio.wait_for(result, 60)
    for name, value in list(names.items()):
        if type(value).__name__ == "DurableFunction" and value.__module__ == "__main__":
            found = registry.get(f"__main__:{name}")
            assert found is not None and registry.name_for_function(value) == f"__main__:{name}"
    if "await backend.init_db()" in block.code:
        assert await names["backend"].count_executions() == 0
        await names["backend"].close()


async def sample(names: dict[str, Any]) -> Any:
    """A durable function to dispatch."""

    @Stent.durable
    async def sampled() -> None: ...

    return sampled


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The addresses of the seed lead to a database of the tests' own, with the parameters that the seed gives."""
    real = _over_records._open

    def led(given: str) -> Any:
        if given.startswith("postgresql://") and "@127.0.0.1" not in given:
            given = url + ("?" + given.partition("?")[2] if "?" in given else "")
        # The server of the tests speaks no TLS.
        return real(given.replace("sslmode=require", "sslmode=prefer"))

    with servers.database() as url:
        monkeypatch.setattr(_over_records, "_open", led)
        yield
