"""What seeds 000, 001 and 004 say in words, with an executor that serves, on both stores."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from stent import (
    ExecutionCancelled,
    ExpiryError,
    Result,
    RetryPolicy,
    Stent,
    UnregisteredFunctionError,
    install_structured_logging,
    registry,
    telemetry,
)
from stent.backend.sqlite import SQLiteBackend
from stent.registry import FunctionMetadata, FunctionRegistry
from stores import AnyBackend


@asynccontextmanager
async def serving(backend: AnyBackend, **options: Any) -> AsyncIterator[Stent]:
    """An executor whose worker is ready."""
    serve = {name: options.pop(name) for name in ("queues", "tags", "max_concurrency") if name in options}
    executor = Stent(backend=backend, **options)
    lifecycle = executor.create_worker_lifecycle()
    task = asyncio.create_task(executor.serve(lifecycle=lifecycle, **serve))
    await asyncio.wait_for(lifecycle.wait_until_ready(), 20)
    try:
        yield executor
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await executor.shutdown()


async def test_an_idempotent_function_runs_once_for_equal_arguments_however_they_are_written(backend: AnyBackend):
    calls: list[Any] = []

    @Stent.durable(idempotent=True)
    async def welcome(user_id: str, lang: str = "en") -> bool:
        calls.append((user_id, lang))
        return True

    async with serving(backend) as executor:
        for args, kwargs in ((("u1",), {}), ((), {"user_id": "u1"}), (("u1", "en"), {})):
            assert await executor.wait_for(await executor.dispatch(welcome, *args, **kwargs), 20) == Result.Ok(True)
        await executor.wait_for(await executor.dispatch(welcome, "u2"), 20)
    assert calls == [("u1", "en"), ("u2", "en")]


@pytest.mark.parametrize("falsey", [0, False, "", [], {}, None], ids=repr)
@pytest.mark.parametrize("option", ["idempotent", "cached"])
async def test_p0_2_a_falsey_result_is_a_hit_and_the_body_runs_once(backend: AnyBackend, falsey: Any, option: str):
    calls: list[int] = []

    async def body(key: str) -> Any:
        calls.append(1)
        return falsey

    body.__qualname__ = f"falsey_{option}"
    function = Stent.durable(**{option: True})(body)
    async with serving(backend) as executor:
        for _ in range(2):
            ended = await executor.wait_for(await executor.dispatch(function, "k"), 20)
            assert ended.ok and ended.unwrap() == falsey and type(ended.unwrap()) is type(falsey)
    assert calls == [1]


async def test_a_key_function_decides_what_equal_calls_are(backend: AnyBackend):
    calls: list[str] = []

    @Stent.durable(idempotent=True, idempotency_key_func=lambda order_id, **_: f"process:{order_id}")
    async def process_order(order_id: str, timestamp: str, retries: int) -> str:
        calls.append(timestamp)
        return timestamp

    async with serving(backend) as executor:
        results = [
            (await executor.wait_for(await executor.dispatch(process_order, "o1", stamp, 0), 20)).unwrap()
            for stamp in ("monday", "tuesday")
        ]
    assert results == ["monday", "monday"] and calls == ["monday"]


async def test_of_both_options_the_key_outlives_the_cache(backend: AnyBackend):
    runs: list[str] = []

    @Stent.durable(idempotent=True, cached=True, version="v1")
    async def process_and_store(data_id: str) -> str:
        runs.append(data_id)
        return f"run {len(runs)}"

    @Stent.durable(cached=True)
    async def compute(data_id: str) -> str:
        runs.append(data_id)
        return f"run {len(runs)}"

    async with serving(backend) as executor:

        async def said(function: Any) -> str:
            return (await executor.wait_for(await executor.dispatch(function, "d"), 20)).unwrap()

        assert [await said(process_and_store), await said(compute)] == ["run 1", "run 2"]
        await executor.clear_cache()
        assert [await said(process_and_store), await said(compute)] == ["run 1", "run 3"]


class Shop:
    def __init__(self, name: str) -> None:
        self.name = name

    @Stent.durable
    async def order(self, number: int) -> str:
        return f"{self.name}: {number}"


@Stent.durable
async def orders_twice() -> list[str]:
    return [await Shop("acme").order(1), await Shop("other").order(2)]


async def test_a_method_is_registered_under_its_class_and_takes_its_object_along(backend: AnyBackend):
    assert registry.name_for_function(Shop.order) == f"{__name__}:Shop.order"
    # Its object is its first argument, which JSON would not carry.
    async with serving(backend, serializer="pickle") as executor:
        assert (await executor.wait_for(await executor.dispatch(Shop("acme").order, 2), 20)).unwrap() == "acme: 2"
        ended = await executor.wait_for(await executor.dispatch(orders_twice), 20)
        assert ended.unwrap() == ["acme: 1", "other: 2"]


async def test_a_version_is_part_of_the_key(backend: AnyBackend):
    def make(version: str) -> Any:
        @Stent.durable(cached=True, version=version)
        async def transform(data: dict[str, int]) -> str:
            return version

        return transform

    async with serving(backend) as executor:
        first = await executor.wait_for(await executor.dispatch(make("v1"), {"a": 1}), 20)
        second = await executor.wait_for(await executor.dispatch(make("v2"), {"a": 1}), 20)
    assert (first.unwrap(), second.unwrap()) == ("v1", "v2")


async def test_a_hit_shows_in_the_progress_under_the_registered_name(backend: AnyBackend):
    @Stent.durable(cached=True)
    async def rates(date: str) -> str:
        return date

    @Stent.durable
    async def report() -> list[str]:
        return [await rates("monday"), await rates("monday")]

    async with serving(backend) as executor:
        execution = await executor.dispatch(report)
        assert (await executor.wait_for(execution, 20)).unwrap() == ["monday", "monday"]
        state = await executor.state_of(execution)
    hits = [entry.step for entry in state.progress if entry.status == "cache_hit"]
    assert len(hits) == 1 and hits[0].endswith("rates")


async def test_the_cache_can_be_seen_and_cleared_by_another_process_with_any_sqlite(tmp_path: Any):
    backend = SQLiteBackend(tmp_path / "stent.db")
    await backend.init_db()
    await backend.set_cached_result("k", b"1")
    await backend.close()
    script = """
        import asyncio, sys
        sys.path.insert(0, sys.argv[1])
        import seeds
        names = {}
        for number in (23, 24):
            exec(seeds.blocks("001")[number].code, names)
        asyncio.run(names["view_cache"]())
        asyncio.run(names["clear_cache"]())
        asyncio.run(names["view_cache"]())
    """
    command = [sys.executable, "-c", textwrap.dedent(script), os.path.dirname(__file__)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Key: k") == 1
    await backend.init_db()
    assert await backend.get_cached_result("k") is None
    await backend.close()


async def test_p0_1_a_retry_runs_no_earlier_than_its_delay_and_attempts_are_counted(backend: AnyBackend):
    runs: list[float] = []

    @Stent.durable(retry_policy=RetryPolicy(max_attempts=3, initial_delay=0.4, backoff_factor=1.0, jitter=0.0))
    async def flaky() -> str:
        runs.append(time.monotonic())
        raise ConnectionError("no line")

    async with serving(backend) as executor:
        execution = await executor.dispatch(flaky)
        ended = await executor.wait_for(execution, 20)
        state = await executor.state_of(execution)
    assert not ended and isinstance(ended.error, ConnectionError) and str(ended.error) == "no line"
    assert len(runs) == 3 and all(later - sooner >= 0.39 for sooner, later in itertools.pairwise(runs))
    assert (state.state, state.retries) == ("failed", 2)


async def test_only_errors_that_the_policy_names_are_tried_again(backend: AnyBackend):
    runs: list[int] = []

    @Stent.durable(retry_policy=RetryPolicy(max_attempts=5, initial_delay=0.01, retry_for=(ConnectionError,)))
    async def picky() -> None:
        runs.append(1)
        raise ValueError("for good")

    async with serving(backend) as executor:
        ended = await executor.wait_for(await executor.dispatch(picky), 20)
    assert isinstance(ended.error, ValueError) and runs == [1]


async def test_p0_3_a_wait_that_expires_raises_and_the_execution_goes_on(backend: AnyBackend):
    @Stent.durable
    async def slow() -> None: ...

    executor = Stent(backend=backend)
    execution = await executor.dispatch(slow)
    began = time.monotonic()
    with pytest.raises(ExpiryError):
        await executor.wait_for(execution, 0.2)
    assert 0.15 < time.monotonic() - began < 10
    with pytest.raises(TimeoutError):
        await executor.wait_for(execution, 0.1)
    assert (await executor.state_of(execution)).state == "pending"
    with pytest.raises(ValueError, match="not ended"):
        await executor.result_of(execution)
    await executor.shutdown()
    async with serving(backend) as served:
        assert (await served.wait_for(execution, 20)).ok


async def test_p0_3_a_wait_inside_of_a_function_that_expires_raises_the_same(backend: AnyBackend):
    @Stent.durable
    async def asks() -> str:
        try:
            return await Stent.wait_for_signal("never", timeout=0.05)
        except ExpiryError as error:
            return type(error).__name__

    async with serving(backend) as executor:
        assert (await executor.wait_for(await executor.dispatch(asks), 20)).unwrap() == "ExpiryError"


async def test_p0_4_wait_for_and_result_of_agree_on_a_cancelled_execution(backend: AnyBackend):
    @Stent.durable
    async def never() -> None: ...

    executor = Stent(backend=backend)
    execution = await executor.dispatch(never)
    await executor.cancel(execution)
    for ended in (await executor.wait_for(execution, 20), await executor.result_of(execution)):
        assert not ended and isinstance(ended.error, ExecutionCancelled)
        assert str(ended.error) == "Execution cancelled"
    await executor.cancel(execution)
    assert (await executor.state_of(execution)).state == "cancelled"
    await executor.shutdown()


async def test_p0_4_failed_and_expired_executions_read_alike_from_wait_for_and_result_of(backend: AnyBackend):
    @Stent.durable(retry_policy=RetryPolicy(max_attempts=1))
    async def breaks() -> None:
        raise KeyError("k")

    @Stent.durable
    async def waits() -> None:
        await Stent.wait_for_signal("never")

    async with serving(backend) as executor:
        for function, options, state, kind in (
            (breaks, {}, "failed", KeyError),
            (waits, {"expiry": 0.1}, "timed_out", ExpiryError),
        ):
            execution = await executor.dispatch(function, **options)
            waited, asked = await executor.wait_for(execution, 20), await executor.result_of(execution)
            assert type(waited.error) is type(asked.error) is kind and str(waited.error) == str(asked.error)
            assert (await executor.state_of(execution)).state == state


async def test_p1_1_a_worker_runs_what_shares_a_tag_and_what_has_none(backend: AnyBackend):
    @Stent.durable(tags=["billing"])
    async def charge() -> str:
        return "charged"

    @Stent.durable(tags=["reports"])
    async def report() -> str:
        return "reported"

    @Stent.durable
    async def plain() -> str:
        return "done"

    async with serving(backend, tags=["billing"]) as executor:
        other = await executor.dispatch(report)
        for function in (charge, plain):
            assert (await executor.wait_for(await executor.dispatch(function), 20)).ok
        assert (await executor.state_of(other)).state == "pending"
        async with serving(backend, tags=["reports"]) as second:
            assert (await second.wait_for(other, 20)).unwrap() == "reported"


async def test_a_worker_serves_its_queues_only(backend: AnyBackend):
    @Stent.durable(queue="critical")
    async def urgent() -> str:
        return "now"

    @Stent.durable(queue="background")
    async def later() -> str:
        return "later"

    async with serving(backend, queues=["critical"]) as executor:
        waits = await executor.dispatch(later)
        assert (await executor.wait_for(await executor.dispatch(urgent), 20)).unwrap() == "now"
        assert (await executor.state_of(waits)).state == "pending"
        assert await executor.queue_depth("background") == 1
    await backend.init_db()
    # One that is given none serves all of them.
    async with serving(backend) as executor:
        assert (await executor.wait_for(waits, 20)).unwrap() == "later"
        assert (await executor.wait_for(await executor.dispatch(urgent), 20)).unwrap() == "now"


async def test_higher_priority_runs_first(backend: AnyBackend):
    order: list[int] = []

    @Stent.durable
    async def note(number: int) -> None:
        order.append(number)

    executor = Stent(backend=backend)
    ids = [await executor.dispatch(note, number, priority=number) for number in (-10, 0, 10)]
    await executor.shutdown()
    await backend.init_db()
    async with serving(backend, max_concurrency=1) as served:
        for execution in ids:
            await served.wait_for(execution, 20)
    assert order == [10, 0, -10]


async def test_no_more_calls_than_the_limit_run_at_once(backend: AnyBackend):
    inside: list[int] = []
    most: list[int] = []

    @Stent.durable(max_concurrent=2)
    async def limited() -> None:
        inside.append(1)
        most.append(len(inside))
        await asyncio.sleep(0.05)
        inside.pop()

    async with serving(backend) as executor:
        ids = [await executor.dispatch(limited) for _ in range(8)]
        for execution in ids:
            assert (await executor.wait_for(execution, 30)).ok
    assert len(most) == 8 and max(most) <= 2


async def test_an_executor_with_a_registry_of_its_own_knows_only_that(backend: AnyBackend):
    async def mine(n: int) -> int:
        return n + 1

    @Stent.durable
    async def everybodys(n: int) -> int:
        return n

    own = FunctionRegistry()
    own.register(FunctionMetadata(name="custom:mine", fn=mine))
    async with serving(backend, function_registry=own) as executor:
        assert (await executor.wait_for(await executor.dispatch("custom:mine", 1), 20)).unwrap() == 2
        assert (await executor.wait_for(await executor.dispatch(mine, 2), 20)).unwrap() == 3
        with pytest.raises(UnregisteredFunctionError, match="everybodys"):
            await executor.dispatch(everybodys, 1)
    await backend.init_db()
    executor = Stent(backend=backend)
    with pytest.raises(UnregisteredFunctionError, match="mine"):
        await executor.dispatch(mine, 1)
    await executor.shutdown()


async def test_pickle_and_a_serializer_of_ones_own_carry_what_json_cannot(backend: AnyBackend):
    class Wrapped:
        name = "wrapped/1"

        def dumps(self, obj: Any) -> bytes:
            import pickle

            return b"W" + pickle.dumps(obj)

        def loads(self, data: bytes) -> Any:
            import pickle

            assert data[:1] == b"W"
            return pickle.loads(data[1:])

    @Stent.durable
    async def union(left: set[int], right: set[int]) -> set[int]:
        return left | right

    for serializer in ("pickle", Wrapped()):
        async with serving(backend, serializer=serializer) as executor:
            assert (await executor.wait_for(await executor.dispatch(union, {1}, {2}), 20)).unwrap() == {1, 2}
        await backend.init_db()
    executor = Stent(backend=backend)
    with pytest.raises(TypeError, match="left"):
        await executor.dispatch(union, {1}, {2})
    await executor.shutdown()


async def test_log_records_of_a_durable_function_say_whose_they_are(backend: AnyBackend):
    logger, records = logging.getLogger("test.shop"), []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    logger.addHandler(Keep())
    logger.setLevel(logging.INFO)
    install_structured_logging(logger)

    @Stent.durable
    async def talks() -> None:
        logger.info("inside")

    async with serving(backend) as executor:
        execution = await executor.dispatch(talks)
        assert (await executor.wait_for(execution, 20)).ok
    logger.info("outside")
    inside, outside = records[0], records[-1]
    assert (inside.execution_id, inside.task_id, inside.attempt) == (execution, execution, 1)
    assert inside.function.endswith("talks") and inside.is_replaying is False and outside.execution_id is None


async def test_an_attempt_is_traced_below_the_dispatch_that_started_it(backend: AnyBackend):
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    @Stent.durable(retry_policy=RetryPolicy(max_attempts=1))
    async def fails() -> None:
        raise ValueError("no")

    async with serving(backend) as executor:
        telemetry.instrument(provider)
        try:
            execution = await executor.dispatch(fails, headers={"tenant": "acme"})
            assert not await executor.wait_for(execution, 20)
        finally:
            telemetry.uninstrument()
    spans = {span.name.split()[0]: span for span in exporter.get_finished_spans()}
    sent, ran = spans["dispatch"], spans["run"]
    assert sent.context is not None and ran.parent is not None and ran.parent.span_id == sent.context.span_id
    assert ran.attributes is not None and ran.attributes["stent.execution_id"] == execution
    assert not ran.status.is_ok and ran.events[0].name == "exception"
