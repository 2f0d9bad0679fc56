"""The executor on both stores: what runs, what is recorded, what survives the death of a process, and that a replay
goes the way that was gone before."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orchestrators
import pytest
from stent import ExecutionCancelled, ExpiryError, Result, RetryPolicy, Stent
from stent._function import set_default_executor
from stent._ids import new_id
from stent.registry import FunctionRegistry
from stent.utils.serialization import Serializer
from stores import AnyBackend

SERVES = Path(__file__).with_name("orchestrators.py")

ONCE = RetryPolicy(max_attempts=1)


class PaymentError(Exception):
    """A user's own error."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@asynccontextmanager
async def serving(
    backend: AnyBackend, registry: FunctionRegistry, serializer: str | Serializer = "json", **options: Any
) -> AsyncIterator[Stent]:
    """An executor with a worker that is ready."""
    executor = Stent(backend, function_registry=registry, serializer=serializer)
    lifecycle = executor.create_worker_lifecycle()
    worker = asyncio.create_task(executor.serve(lifecycle=lifecycle, **options))
    await lifecycle.wait_until_ready()
    try:
        yield executor
    finally:
        await executor.shutdown()
        await worker


@pytest.mark.parametrize("parts", [6])
async def test_an_orchestrator_that_dies_after_its_third_child_resumes_after_its_third_child_in_another_process(
    backend: AnyBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    ledger = tmp_path / "ledger"
    ledger.touch()
    monkeypatch.setenv(orchestrators.LEDGER, str(ledger))
    kind = "sqlite" if hasattr(backend, "path") else "postgres"
    address = str(getattr(backend, "path", None) or backend.dsn)  # type: ignore[union-attr]
    command = [sys.executable, str(SERVES), kind, address, str(ledger)]
    executor = Stent(backend)
    execution = await executor.dispatch(orchestrators.whole, parts, 3)
    first = await asyncio.to_thread(subprocess.run, command, check=False, env=os.environ.copy(), timeout=60)
    assert first.returncode == -9
    second = subprocess.Popen(command)
    try:
        result = await executor.wait_for(execution, expiry=60)
    finally:
        second.kill()
        second.wait()
    assert result.unwrap() == [n * n for n in range(parts)]
    told = ledger.read_text().split("\n")[:-1]
    assert told == ["part 0", "part 1", "part 2", "died", "part 3", "part 4", "part 5"]
    await executor.shutdown()


async def test_a_childs_own_exception_is_caught_as_such_by_its_parent(backend: AnyBackend) -> None:
    registry = FunctionRegistry()

    @Stent.durable(registry=registry, retry_policy=ONCE)
    async def charge() -> None:
        raise PaymentError(51)

    @Stent.durable(registry=registry)
    async def order() -> int:
        try:
            await charge()
        except PaymentError as error:
            return error.code
        return 0

    async with serving(backend, registry) as executor:
        assert (await executor.wait_for(await executor.dispatch(order), 30)).unwrap() == 51


async def test_a_returned_result_is_the_result_and_a_raised_error_is_in_one(backend: AnyBackend) -> None:
    registry = FunctionRegistry()

    @Stent.durable(registry=registry, retry_policy=ONCE)
    async def either(what: str) -> Result[str]:
        if what == "raise":
            raise PaymentError(7)
        return Result.Error(what) if what == "error" else Result.Ok(what)

    async with serving(backend, registry) as executor:
        ended = [await executor.wait_for(await executor.dispatch(either, one), 30) for one in ("ok", "error", "raise")]
        assert ended[:2] == [Result.Ok("ok"), Result.Error("error")]
        assert isinstance(ended[2].error, PaymentError)
        assert ended[2].error.code == 7


async def test_a_race_is_won_by_the_same_call_when_the_code_runs_again(backend: AnyBackend) -> None:
    registry, seen = FunctionRegistry(), list[list[Any]]()

    @Stent.durable(registry=registry)
    async def after(seconds: float, name: str) -> str:
        await Stent.sleep(seconds)
        return name

    @Stent.durable(registry=registry, retry_policy=RetryPolicy(max_attempts=2, initial_delay=0.01, jitter=0))
    async def race() -> list[Any]:
        way: list[Any] = []
        seen.append(way)
        # So far apart that a busy machine does not change the order of the first pass.
        slow, quick = asyncio.ensure_future(after(1.0, "slow")), asyncio.ensure_future(after(0.05, "quick"))
        done, left = await asyncio.wait({slow, quick}, return_when=asyncio.FIRST_COMPLETED)
        way.append([one.result() for one in done])
        way.append([await one for one in left])
        for next_one in asyncio.as_completed([after(1.6, "c"), after(0.8, "b"), after(0.01, "a")]):
            way.append(await next_one)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(after(0.02, name)) for name in "xyz"]
        way.append([task.result() for task in tasks])
        way.append(await asyncio.gather(after(0.05, "g"), after(0.01, "h")))
        if len(seen) == 1:
            raise ConnectionError("once more")
        return way

    async with serving(backend, registry) as executor:
        result = (await executor.wait_for(await executor.dispatch(race), 60)).unwrap()
    assert len(seen) == 2
    assert seen[0] == seen[1] == result
    assert result == [["quick"], ["slow"], "a", "b", "c", ["x", "y", "z"], ["g", "h"]]


async def test_what_swallows_a_cancellation_does_nothing_durable_afterwards(backend: AnyBackend) -> None:
    registry, begun, came = FunctionRegistry(), asyncio.Event(), asyncio.Event()
    told: list[str] = []

    @Stent.durable(registry=registry)
    async def never() -> None:
        await Stent.wait_for_signal("never")

    @Stent.durable(registry=registry)
    async def stubborn() -> str:
        begun.set()
        await asyncio.gather(never(), return_exceptions=True)
        return "not recorded"

    @Stent.durable(registry=registry)
    async def clings() -> str:
        begun.set()
        try:
            await never()
        except BaseException:
            told.append("stopped")
        try:
            await never()
        except BaseException as error:
            told.append(type(error).__name__)
        finally:
            came.set()
        return "not recorded"

    async with serving(backend, registry) as executor:
        for fn in (stubborn, clings):
            begun.clear()
            execution = await executor.dispatch(fn)
            await begun.wait()
            await executor.cancel(execution)
            result = await executor.wait_for(execution, 30)
            assert isinstance(result.error, ExecutionCancelled)
        await asyncio.wait_for(came.wait(), 10)
    assert told == ["stopped", "Interrupted"]


async def test_signals_queue_up_and_counters_count_once(backend: AnyBackend) -> None:
    registry = FunctionRegistry()

    @Stent.durable(registry=registry, retry_policy=RetryPolicy(max_attempts=2, initial_delay=0.01, jitter=0))
    async def collects() -> list[Any]:
        context = Stent.context(counters={"rows": 0}, state={"phase": "begun"})
        got = [await Stent.wait_for_signal("row") for _ in range(3)]
        await context.counters("rows").add(len(got))
        await context.state("phase").set("done")
        if not failed:
            failed.append(True)
            raise ConnectionError("once more")
        return got

    failed: list[bool] = []
    async with serving(backend, registry) as executor:
        execution = await executor.dispatch(collects)
        for n in range(3):
            await executor.send_signal(execution, "row", {"n": n})
        assert (await executor.wait_for(execution, 30)).unwrap() == [{"n": 0}, {"n": 1}, {"n": 2}]
        state = await executor.state_of(execution)
    assert (state.counters, state.custom_state) == ({"rows": 3}, {"phase": "done"})


async def test_a_step_runs_once_and_a_plain_function_runs_in_a_thread_whose_calls_are_recorded(
    backend: AnyBackend,
) -> None:
    registry, ran = FunctionRegistry(), list[str]()

    async def body() -> int:
        ran.append("step")
        return 5

    @Stent.durable(registry=registry)
    def plain(n: int) -> Any:
        Stent.now()
        return double(n)

    @Stent.durable(registry=registry)
    async def double(n: int) -> int:
        return 2 * n

    @Stent.durable(registry=registry, retry_policy=RetryPolicy(max_attempts=2, initial_delay=0.01, jitter=0))
    async def steps() -> list[Any]:
        got = [await Stent.step("body", body), await plain(4), str(Stent.uuid()), Stent.now().isoformat()]
        attempts.append(got)
        if len(attempts) == 1:
            raise ConnectionError("once more")
        return got

    attempts: list[list[Any]] = []
    async with serving(backend, registry) as executor:
        result = (await executor.wait_for(await executor.dispatch(steps), 30)).unwrap()
    assert (ran, result[:2]) == (["step"], [5, 8])
    assert attempts[0] == attempts[1]


async def test_code_that_does_not_fit_its_history_is_named_with_both_calls(backend: AnyBackend) -> None:
    registry, other = FunctionRegistry(), list[bool]()

    async def one() -> int:
        return 1

    @Stent.durable(registry=registry, retry_policy=ONCE)
    async def changes() -> None:
        await Stent.step("second" if other else "first", one)
        await Stent.wait_for_signal("go")

    execution = ""
    async with serving(backend, registry, grace=0.0) as executor:
        execution = await executor.dispatch(changes)
        async with asyncio.timeout(60):
            while not (await executor.state_of(execution)).progress:
                await asyncio.sleep(0.02)
    other.append(True)
    async with serving(backend, registry) as executor:
        await executor.send_signal(execution, "go", None)
        reason = ""
        async with asyncio.timeout(60):
            while "NonDeterministic" not in reason:
                await asyncio.sleep(0.05)
                record = await backend.get_execution(execution)
                assert record is not None
                reason = json.loads(record.error)["message"] if record.error else ""
        assert '"first"' in reason
        assert '"second"' in reason
        await executor.cancel(execution)


async def test_a_thousand_children_come_back_in_order(backend: AnyBackend) -> None:
    registry = FunctionRegistry()

    @Stent.durable(registry=registry)
    async def same(n: int) -> int:
        return n

    @Stent.durable(registry=registry)
    async def fan() -> list[int]:
        return await same.map(range(1000))

    async with serving(backend, registry, max_concurrency=50) as executor:
        assert (await executor.wait_for(await executor.dispatch(fan), 60)).unwrap() == list(range(1000))


async def test_a_signal_to_what_has_ended_or_never_was_is_a_value_error(backend: AnyBackend) -> None:
    registry = FunctionRegistry()

    @Stent.durable(name="ends", registry=registry)
    async def ends() -> int:
        return 1

    @Stent.durable(name="signals", registry=registry, retry_policy=ONCE)
    async def signals(execution: str) -> str:
        try:
            await executor.send_signal(execution, "go")
        except ValueError as error:
            return str(error)
        return "sent"

    async with serving(backend, registry) as executor, asyncio.timeout(20):
        ended = await executor.dispatch(ends)
        await executor.wait_for(ended)
        for execution, words in ((ended, "already ended as completed"), (new_id(), "there is none with this id")):
            with pytest.raises(ValueError, match=words):
                await executor.send_signal(execution, "go")
            inside = await executor.wait_for(await executor.dispatch(signals, execution))
            assert words in inside.unwrap()
        # Nothing is left to be cancelled: it stays as it ended.
        await executor.cancel(ended)
        assert (await executor.result_of(ended)).unwrap() == 1


async def test_a_call_from_outside_gives_what_the_function_returned(backend: AnyBackend) -> None:
    registry = FunctionRegistry()

    @Stent.durable(name="results", registry=registry, retry_policy=ONCE)
    async def results(how: str) -> Any:
        if how == "raised":
            raise PaymentError(51)
        return {"fine": Result.Ok(5), "words": Result.Error("text"), "error": Result.Error(PaymentError(7))}[how]

    @Stent.durable(name="calls", registry=registry, retry_policy=ONCE)
    async def calls() -> list[Any]:
        return [await results("fine"), await results("words")]

    async with serving(backend, registry) as executor, asyncio.timeout(20):
        set_default_executor(executor)
        try:
            assert await results("fine") == Result.Ok(5)
            assert await results("words") == Result.Error("text")
            assert (await results("error")).error.code == 7
            with pytest.raises(PaymentError):
                await results("raised")
            assert await calls() == [Result.Ok(5), Result.Error("text")]
            assert await results.map(["fine", "words"]) == [Result.Ok(5), Result.Error("text")]
        finally:
            set_default_executor(None)
        # Waited for, it is that result, not nested in another.
        assert await executor.wait_for(await executor.dispatch(results, "words")) == Result.Error("text")


async def test_an_execution_that_took_too_long_says_so(backend: AnyBackend) -> None:
    registry = FunctionRegistry()

    @Stent.durable(name="late", registry=registry)
    async def late() -> None:
        return None

    async with serving(backend, registry) as executor, asyncio.timeout(20):
        execution = await executor.dispatch(late, delay="1h", expiry=0.1)
        ended = await executor.wait_for(execution)
        assert isinstance(ended.error, ExpiryError) and "Execution expired" in str(ended.error)
        assert str((await executor.result_of(execution)).error) == str(ended.error)
