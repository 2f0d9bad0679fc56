"""The backend objects in hand: every method of seed 003's protocol, on both stores."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
import textwrap
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from stent.backend.base import Backend
from stent.backend.postgres import PostgresBackend
from stent.backend.sqlite import SQLiteBackend
from stent.core import (
    ExecutionProgress,
    ExecutionRecord,
    RetryPolicy,
    SignalRecord,
    TaskRecord,
    new_id,
)
from stent.errors import LeaseLost, StentError, TerminalState
from stent.utils.serialization import JsonSerializer
from stent.utils.time import now_utc
from stores import AnyBackend


def execution(**changes: Any) -> ExecutionRecord:
    record = ExecutionRecord(
        id=new_id(),
        root_function="shop:order",
        state="pending",
        args=b"[1, 2]",
        kwargs=b"{}",
        retries=0,
        created_at=now_utc(),
        started_at=None,
        completed_at=None,
        expiry_at=None,
        progress=[],
        tags=[],
        priority=0,
        queue=None,
    )
    return replace(record, **changes)


def root_of(record: ExecutionRecord, **changes: Any) -> TaskRecord:
    task = TaskRecord(
        id=record.id,
        execution_id=record.id,
        step_name=record.root_function,
        kind="orchestrator",
        parent_task_id=None,
        state="pending",
        args=record.args,
        kwargs=record.kwargs,
        retries=0,
        created_at=record.created_at,
        tags=record.tags,
        priority=record.priority,
        queue=record.queue,
        retry_policy=None,
    )
    return replace(task, **changes)


async def create(backend: AnyBackend, *, task: dict[str, Any] | None = None, **changes: Any) -> str:
    record = execution(**changes)
    await backend.create_execution_with_root_task(record, root_of(record, **(task or {})))
    return record.id


async def claimed(backend: AnyBackend, worker_id: str = "w", **how: Any) -> TaskRecord:
    task = await backend.claim_next_task(worker_id=worker_id, **how)
    assert task is not None
    return task


def test_both_backends_offer_every_method_of_the_protocol_with_its_parameters():
    for name, method in vars(Backend).items():
        if name.startswith("_") or not inspect.isfunction(method):
            continue
        for cls in (SQLiteBackend, PostgresBackend):
            ours = getattr(cls, name)
            assert inspect.iscoroutinefunction(ours)
            assert list(inspect.signature(ours).parameters) == list(inspect.signature(method).parameters), name


async def test_a_backend_opens_nothing_before_it_is_told_to_and_may_be_told_twice(fresh_backend: AnyBackend):
    with pytest.raises(RuntimeError, match="init_db"):
        await fresh_backend.count_executions()
    if isinstance(fresh_backend, SQLiteBackend):
        import os

        assert not os.path.exists(fresh_backend.path)
    await asyncio.gather(fresh_backend.init_db(), fresh_backend.init_db())
    assert await fresh_backend.count_executions() == 0
    await fresh_backend.close()
    await fresh_backend.close()
    await fresh_backend.init_db()
    assert await fresh_backend.count_executions() == 0
    await fresh_backend.close()


async def test_what_is_created_is_what_is_read(backend: AnyBackend):
    expiry = now_utc() + timedelta(hours=1)
    one = await create(backend, tags=["b", "a"], priority=7, queue="critical", expiry_at=expiry, kwargs=b'{"c": 3}')
    record = await backend.get_execution(one)
    assert record is not None and record.expiry_at is not None
    assert (record.id, record.root_function, record.state) == (one, "shop:order", "pending")
    assert (json.loads(record.args), json.loads(record.kwargs)) == ([1, 2], {"c": 3})
    assert (record.tags, record.priority, record.queue) == (["a", "b"], 7, "critical")
    assert abs(record.expiry_at - expiry) < timedelta(seconds=2)
    assert record.started_at is None and record.result is None and record.error is None
    assert abs(record.created_at - now_utc()) < timedelta(seconds=30)
    task = await backend.get_task(one)
    assert task is not None and (task.kind, task.parent_task_id, task.state) == ("orchestrator", None, "pending")
    assert [entry.status for entry in record.progress] == ["dispatched"]
    by_name = await create(backend, args=b"[]", kwargs=b'{"a": 1}')
    named = await backend.get_execution(by_name)
    assert named is not None and (json.loads(named.args), json.loads(named.kwargs)) == ([], {"a": 1})


async def test_an_unknown_id_is_none_whatever_it_looks_like(backend: AnyBackend):
    for unknown in (new_id(), "no id at all", ""):
        assert await backend.get_execution(unknown) is None
        assert await backend.get_task(unknown) is None
        assert await backend.get_dead_task(unknown) is None
        assert await backend.list_tasks_for_execution(unknown) == []
        assert await backend.delete_dead_task(unknown) is False


async def test_an_id_that_would_stand_in_the_wrong_place_of_every_list_is_refused(backend: AnyBackend):
    import uuid

    for wrong in ("order-1", str(uuid.uuid4())):
        with pytest.raises(ValueError, match="new_id"):
            await backend.create_execution(execution(id=wrong))
    record = execution()
    with pytest.raises(ValueError, match="has its execution's id"):
        await backend.create_execution_with_root_task(record, root_of(record, id=new_id()))
    await backend.create_execution(record)
    with pytest.raises(ValueError, match="exists already"):
        await backend.create_execution(record)
    await backend.create_task(root_of(record))
    assert await backend.count_tasks() == 1


async def test_lists_and_counts_agree_by_state_and_queue(backend: AnyBackend):
    ended: dict[str, Any] = {"result": b'"done"'}
    ids = [
        await create(backend),
        await create(backend, queue="critical"),
        await create(backend, state="completed", **ended),
        await create(backend, state="failed"),
        await create(backend, state="cancelled"),
    ]
    task = await claimed(backend, queues=["critical"])
    assert task.id == ids[1]
    states = {"pending": 1, "running": 1, "completed": 1, "failed": 1, "cancelled": 1, "timed_out": 0}
    for state, count in states.items():
        assert await backend.count_executions(state) == count
        assert len(await backend.list_executions(10, 0, state)) == count
        assert await backend.count_tasks(None, state) == count
        assert len(await backend.list_tasks(10, 0, state)) == count
    assert [record.id for record in await backend.list_executions(10)] == ids[::-1]
    assert [record.id for record in await backend.list_executions(2, 1)] == [ids[3], ids[2]]
    assert [record.id for record in await backend.list_tasks(2, 1)] == [ids[3], ids[2]]
    assert await backend.count_executions() == await backend.count_tasks() == 5
    assert await backend.count_tasks("critical") == 1 and await backend.count_tasks("critical", "pending") == 0
    with pytest.raises(ValueError, match="asleep"):
        await backend.count_executions("asleep")
    completed = await backend.get_execution(ids[2])
    assert completed is not None and completed.result == b'"done"' and completed.completed_at is not None


async def test_a_claim_takes_the_highest_priority_then_the_oldest_and_each_task_once(backend: AnyBackend):
    low = await create(backend)
    high = [await create(backend, priority=5) for _ in range(2)]
    tasks = await asyncio.gather(*(backend.claim_next_task(worker_id=f"w{at}") for at in range(5)))
    assert {task.id for task in tasks if task} == {low, *high} and sum(task is None for task in tasks) == 2
    again = [await create(backend), await create(backend, priority=1)]
    order = [(await claimed(backend)).id, (await claimed(backend)).id]
    assert order == again[::-1]


async def test_a_claim_takes_only_its_queues_and_tags(backend: AnyBackend):
    tagged, plain = await create(backend, tags=["gpu"], queue="q"), await create(backend)
    assert await backend.claim_next_task(worker_id="w", queues=["other"]) is None
    assert (await claimed(backend, tags=["cpu"])).id == plain
    assert await backend.claim_next_task(worker_id="w", tags=["cpu"]) is None
    assert (await claimed(backend, queues=["q"], tags=["cpu", "gpu"])).id == tagged


async def test_a_task_that_is_scheduled_is_claimed_when_its_time_has_come_by_the_clock_or_by_now(backend: AnyBackend):
    at = now_utc() + timedelta(hours=1)
    one = await create(backend, task={"scheduled_for": at})
    assert await backend.claim_next_task(worker_id="w") is None
    assert await backend.claim_next_task(worker_id="w", now=at - timedelta(minutes=1)) is None
    pending = await backend.get_task(one)
    assert pending is not None and pending.scheduled_for is not None
    assert abs(pending.scheduled_for - at) < timedelta(milliseconds=1)
    assert (await claimed(backend, now=at + timedelta(seconds=1))).id == one


async def test_no_more_tasks_of_a_function_are_claimed_than_the_limits_say(backend: AnyBackend):
    for _ in range(3):
        await create(backend)
    other = await create(backend, root_function="shop:other")
    limits = {"shop:order": 2}
    tasks = [await backend.claim_next_task(worker_id="w", concurrency_limits=limits) for _ in range(5)]
    held = [task for task in tasks if task]
    assert len(held) == 3 and other in {task.id for task in held}
    order = next(task for task in held if task.id != other)
    await backend.update_task(replace_kept(order, state="completed", result=b"1"))
    assert await backend.claim_next_task(worker_id="w", concurrency_limits=limits) is not None


def replace_kept(task: TaskRecord, **changes: Any) -> TaskRecord:
    """The same record changed in place, as users do it."""
    for name, value in changes.items():
        setattr(task, name, value)
    return task


async def test_a_task_in_hand_is_ended_by_its_record(backend: AnyBackend):
    one = await create(backend)
    task = await claimed(backend, "me", lease_duration=timedelta(minutes=1))
    assert (task.id, task.state, task.worker_id) == (one, "running", "me")
    assert task.lease_expires_at is not None and task.started_at is not None
    assert timedelta(seconds=50) < task.lease_expires_at - now_utc() <= timedelta(seconds=60)
    await backend.update_task(replace_kept(task, state="completed", result=b'{"ok": true}'))
    record = await backend.get_execution(one)
    assert record is not None and (record.state, record.result) == ("completed", b'{"ok": true}')
    with pytest.raises(TerminalState):
        await backend.update_task(replace_kept(task, state="failed"))
    with pytest.raises(TerminalState):
        await backend.update_execution(replace(record, state="cancelled"))


async def test_a_failure_by_hand_keeps_its_error_and_leaves_a_dead_letter(backend: AnyBackend):
    one = await create(backend)
    task = await claimed(backend)
    error = JsonSerializer().dumps(ValueError("no money"))
    await backend.update_task(replace_kept(task, state="failed", error=error))
    record = await backend.get_execution(one)
    assert record is not None and record.state == "failed" and record.error is not None
    read = JsonSerializer().loads(record.error)
    assert isinstance(read, ValueError) and str(read) == "no money"
    letter = await backend.get_dead_task(one)
    assert letter is not None and (letter.id, letter.execution_id, letter.reason) == (one, one, "no money")
    assert [letter.id for letter in await backend.list_dead_tasks(10)] == [one]
    assert await backend.count_dead_tasks() == 1
    assert await backend.delete_dead_task(one) is True and await backend.delete_dead_task(one) is False
    assert await backend.count_dead_tasks() == 0


async def test_a_retry_by_hand_is_claimed_no_earlier_than_it_says_and_counts(backend: AnyBackend):
    one = await create(backend, task={"retry_policy": RetryPolicy(max_attempts=5)})
    task = await claimed(backend)
    at = now_utc() + timedelta(minutes=5)
    await backend.update_task(
        replace_kept(
            task, state="pending", scheduled_for=at, retries=1, worker_id=None, lease_expires_at=None, started_at=None
        )
    )
    waiting = await backend.get_task(one)
    assert waiting is not None and (waiting.state, waiting.retries, waiting.worker_id) == ("pending", 1, None)
    assert waiting.scheduled_for is not None and waiting.scheduled_for >= at
    assert await backend.claim_next_task(worker_id="w") is None
    assert await backend.claim_next_task(worker_id="w", now=at - timedelta(seconds=1)) is None
    again = await claimed(backend, now=waiting.scheduled_for)
    assert (again.id, again.retries) == (one, 1)


async def test_what_is_given_back_is_no_further_attempt(backend: AnyBackend):
    one = await create(backend)
    task = await claimed(backend)
    await backend.update_task(replace_kept(task, state="pending"))
    again = await claimed(backend, "other")
    assert (again.id, again.retries, again.worker_id) == (one, 0, "other")


async def test_a_record_of_an_earlier_claim_changes_nothing(backend: AnyBackend):
    one = await create(backend)
    first = await claimed(backend, "first")
    stale = replace_kept(await claimed_copy(backend, one))
    await backend.update_task(replace_kept(first, state="pending"))
    second = await claimed(backend, "second")
    for state in ("completed", "failed", "pending", "running"):
        with pytest.raises(LeaseLost):
            await backend.update_task(replace_kept(stale, state=state))
    await backend.update_task(replace_kept(second, state="completed", result=b"2"))
    record = await backend.get_execution(one)
    assert record is not None and record.result == b"2"


async def claimed_copy(backend: AnyBackend, task_id: str) -> TaskRecord:
    task = await backend.get_task(task_id)
    assert task is not None
    return task


async def test_another_object_cannot_write_for_a_task_that_it_did_not_claim(backend: AnyBackend, request: Any):
    one = await create(backend)
    task = await claimed(backend)
    if isinstance(backend, SQLiteBackend):
        other: AnyBackend = SQLiteBackend(backend.path)
    else:
        other = PostgresBackend(backend.dsn)
    await other.init_db()
    seen = await claimed_copy(other, one)
    assert seen.state == "running" and await other.claim_next_task(worker_id="w") is None
    with pytest.raises(LeaseLost):
        await other.update_task(replace_kept(seen, state="completed", result=b"0"))
    assert await other.renew_task_lease(one, "w", timedelta(minutes=1)) is False
    await backend.update_task(replace_kept(task, state="completed", result=b"1"))
    await other.close()


async def test_a_lease_ends_when_its_time_is_over_unless_it_is_renewed(backend: AnyBackend):
    one = await create(backend)
    # Longer than it takes to ask for more.
    task = await claimed(backend, "slow", lease_duration=timedelta(milliseconds=1500))
    assert await backend.renew_task_lease(one, "slow", timedelta(seconds=600)) is True
    assert await backend.renew_task_lease(one, "stranger", timedelta(seconds=600)) is False
    await asyncio.sleep(1.8)
    assert await backend.claim_next_task(worker_id="fast") is None
    assert await backend.renew_task_lease(one, "slow", timedelta(milliseconds=100)) is True
    async with asyncio.timeout(10):
        while (again := await backend.claim_next_task(worker_id="fast")) is None:
            await asyncio.sleep(0.02)
    assert again.id == one and again.retries == 0
    assert await backend.renew_task_lease(one, "slow", timedelta(seconds=600)) is False
    with pytest.raises(LeaseLost):
        await backend.update_task(replace_kept(task, state="completed"))


async def test_what_is_claimed_by_hand_is_free_when_the_object_is_closed(backend: AnyBackend):
    one = await create(backend)
    await claimed(backend)
    await backend.close()
    await backend.init_db()
    assert (await claimed(backend, "next")).id == one


async def test_cancelling_by_a_record_ends_an_execution_whoever_runs_it(backend: AnyBackend):
    one = await create(backend)
    task = await claimed(backend)
    record = await backend.get_execution(one)
    assert record is not None and record.state == "running"
    await backend.update_execution(replace(record, state="cancelled"))
    ended = await backend.get_execution(one)
    assert ended is not None and ended.state == "cancelled"
    with pytest.raises(TerminalState):
        await backend.update_task(replace_kept(task, state="completed"))


async def test_what_was_asked_for_cannot_be_changed_by_an_update(backend: AnyBackend):
    one = await create(backend)
    record = await backend.get_execution(one)
    assert record is not None
    with pytest.raises(ValueError, match="priority"):
        await backend.update_execution(replace(record, priority=3))
    with pytest.raises(ValueError, match="nobody can make it"):
        await backend.update_execution(replace(record, state="timed_out"))
    with pytest.raises(ValueError, match="there is no execution"):
        await backend.update_execution(execution())


async def test_tasks_are_created_below_one_that_is_in_hand(backend: AnyBackend):
    one = await create(backend)
    below: dict[str, Any] = {"execution_id": one, "kind": "activity", "parent_task_id": one}
    children = [root_of(execution(), id=new_id(below=one), step_name=f"shop:child{at}", **below) for at in range(3)]
    with pytest.raises(LeaseLost):
        await backend.create_task(children[0])
    parent = await claimed(backend)
    with pytest.raises(ValueError, match="below"):
        await backend.create_task(replace(children[0], id="0199" + new_id()[4:]))
    await backend.create_tasks(children)
    tasks = await backend.list_tasks_for_execution(one)
    assert {task.id for task in tasks} == {one, *(child.id for child in children)}
    child = await claimed(backend)
    assert (child.kind, child.parent_task_id, child.execution_id) == ("activity", one, one)
    await backend.update_task(replace_kept(child, state="completed", result=b'"c"'))
    assert (await claimed_copy(backend, child.id)).result == b'"c"'
    await backend.update_task(replace_kept(parent, state="completed"))
    assert await backend.count_tasks(None, "cancelled") == 2


async def test_the_cache_keeps_results_for_their_time_falsey_ones_like_any_other(backend: AnyBackend):
    assert await backend.get_cached_result("k") is None
    for value in (b"0", b"false", b'""', b"[]", b"{}", b"null", b"", b"\x80raw"):
        await backend.set_cached_result("k", value, None)
        assert await backend.get_cached_result("k") == value
    await backend.set_cached_result("short", b"1", timedelta(milliseconds=50))
    await backend.set_cached_result("long", b"1", timedelta(hours=1))
    async with asyncio.timeout(10):
        while await backend.get_cached_result("short") is not None:
            await asyncio.sleep(0.01)
    assert await backend.get_cached_result("long") == b"1"
    rows = await backend.query("SELECT key, created_at FROM cache ORDER BY key")
    assert [row["key"] for row in rows] == ["k", "long", "short"] and all(row["created_at"] > 0 for row in rows)


async def test_an_idempotency_key_has_one_result_for_ever(backend: AnyBackend):
    assert await backend.get_idempotency_result("k") is None
    await backend.set_idempotency_result("k", b"0")
    await backend.set_idempotency_result("k", b"1")
    assert await backend.get_idempotency_result("k") == b"0"
    # A task with that key ends with it, and its body is nobody's to run.
    one = await create(backend, task={"idempotency_key": "k"})
    record = await backend.get_execution(one)
    assert record is not None and (record.state, record.result) == ("completed", b"0")
    assert [entry.status for entry in record.progress] == ["cache_hit"]
    assert await backend.claim_next_task(worker_id="w") is None


async def test_a_key_that_a_task_in_hand_has_reserved_is_the_tasks(backend: AnyBackend):
    await create(backend, task={"idempotency_key": "mine"})
    waiting = await create(backend, task={"idempotency_key": "mine"})
    task = await claimed(backend)
    assert await backend.claim_next_task(worker_id="w") is None, "the second waits for the first"
    with pytest.raises(StentError):
        await backend.set_idempotency_result("mine", b"0")
    await backend.update_task(replace_kept(task, state="completed", result=b'"one"'))
    assert await backend.claim_next_task(worker_id="w") is None, "a hit needs no run"
    record = await backend.get_execution(waiting)
    assert record is not None and (record.state, record.result) == ("completed", b'"one"')


async def test_a_task_is_put_away_by_hand_with_its_reason(backend: AnyBackend):
    one, two = await create(backend), await create(backend)
    running = await claimed(backend)
    pending = await claimed_copy(backend, two)
    for task in (running, pending):
        await backend.move_task_to_dead_letter(task, "poison")
    assert {letter.id for letter in await backend.list_dead_tasks(10)} == {one, two}
    letter = await backend.get_dead_task(one)
    assert letter is not None and letter.reason == "poison" and abs(letter.moved_at - now_utc()) < timedelta(seconds=30)
    record = await backend.get_execution(one)
    assert record is not None and record.state == "failed"
    with pytest.raises(TerminalState):
        await backend.move_task_to_dead_letter(running, "again")


async def test_cleaning_deletes_what_ended_before_and_spares_the_rest(backend: AnyBackend):
    done, failed, pending = (
        await create(backend, state="completed"),
        await create(backend, state="failed"),
        await create(backend),
    )
    assert await backend.cleanup_executions(now_utc() - timedelta(hours=1)) == 0
    later = now_utc() + timedelta(hours=1)
    assert await backend.cleanup_executions(later) == 1, "a letter keeps its execution"
    assert await backend.get_execution(done) is None
    assert await backend.cleanup_dead_letters(now_utc() - timedelta(hours=1)) == 0
    assert await backend.cleanup_dead_letters(later) == 1
    assert await backend.cleanup_executions(later) == 1
    assert await backend.get_execution(failed) is None and await backend.get_execution(pending) is not None
    # A moment without a time zone is local time.
    await create(backend, state="completed")
    assert await backend.cleanup_executions(later.astimezone().replace(tzinfo=None)) == 1


async def test_signals_queue_up_and_are_read_oldest_first(backend: AnyBackend):
    one = await create(backend)
    assert await backend.get_signal(one, "go") is None
    for value in (b"1", b"2"):
        await backend.create_signal(SignalRecord(one, "go", value, now_utc()))
    signal = await backend.get_signal(one, "go")
    assert signal is not None and (signal.payload, signal.consumed, signal.name) == (b"1", False, "go")
    # A look consumes nothing.
    assert await backend.get_signal(one, "go") == signal
    assert await backend.get_signal(one, "stop") is None
    with pytest.raises(ValueError):
        await backend.create_signal(SignalRecord(new_id(), "go", b"1", now_utc()))
    record = await backend.get_execution(one)
    assert record is not None
    await backend.update_execution(replace(record, state="cancelled"))
    with pytest.raises(TerminalState):
        await backend.create_signal(SignalRecord(one, "go", b"3", now_utc()))


async def test_progress_that_is_appended_stands_behind_what_is_known_anyway(backend: AnyBackend):
    one = await create(backend)
    at = now_utc()
    await backend.append_progress(one, ExecutionProgress("packed", "completed", started_at=at, detail="by hand"))
    await backend.append_progress(one, ExecutionProgress("sent", "running"))
    record = await backend.get_execution(one)
    assert record is not None
    assert [(entry.step, entry.status) for entry in record.progress] == [
        ("shop:order", "dispatched"),
        ("packed", "completed"),
        ("sent", "running"),
    ]
    assert record.progress[1].detail == "by hand" and record.progress[1].started_at == at
    assert await backend.get_execution_state_values(one) == {}


async def test_counters_and_state_values_are_kept_and_changed_from_outside(backend: AnyBackend):
    one = await create(backend)
    await backend.ensure_execution_counters(one, {"n": 1, "x": 0.5})
    await backend.ensure_execution_counters(one, {"n": 100, "m": 3})
    assert await backend.increment_execution_counter(one, "n", 2) == 3
    assert await backend.increment_execution_counter(one, "x", 0.25) == 0.75
    assert await backend.increment_execution_counter(one, "new", -1) == -1
    assert await backend.get_execution_counters(one) == {"m": 3, "n": 3, "new": -1, "x": 0.75}
    await asyncio.gather(*(backend.increment_execution_counter(one, "many", 1) for _ in range(20)))
    assert (await backend.get_execution_counters(one))["many"] == 20
    await backend.ensure_execution_state_values(one, {"a": b'"1"'})
    await backend.ensure_execution_state_values(one, {"a": b'"2"', "b": b"\x00raw"})
    await backend.set_execution_state_value(one, "c", b"[]")
    assert await backend.get_execution_state_values(one) == {"a": b'"1"', "b": b"\x00raw", "c": b"[]"}
    with pytest.raises(ValueError):
        await backend.ensure_execution_counters(new_id(), {"n": 1})


async def test_a_look_by_sql_reads_and_never_writes(backend: AnyBackend):
    one = await create(backend)
    place = "?1" if isinstance(backend, SQLiteBackend) else "$1"
    rows = await backend.query(f"SELECT count(*) AS n, {place} AS word FROM executions", ["ü"])
    assert rows == [{"n": 1, "word": "ü"}]
    for wrong in ("DELETE FROM executions", "SELECT * FROM no_such_table"):
        with pytest.raises(ValueError):
            await backend.query(wrong)
    assert await backend.get_execution(one) is not None


def test_an_address_that_cannot_be_is_refused_and_a_password_is_never_shown():
    with pytest.raises(ValueError, match="postgresql://"):
        PostgresBackend("mysql://host/db")
    shown = repr(PostgresBackend("postgresql://me:secret@db.example.com/stent?sslmode=require"))
    assert "secret" not in shown and "db.example.com/stent" in shown
    with pytest.raises(ValueError, match="another name"):
        SQLiteBackend("what?.db")


async def test_a_database_in_memory_is_one_like_any_other_and_ends_with_its_object():
    backend = SQLiteBackend(":memory:")
    await backend.init_db()
    one = await create(backend)
    task = await claimed(backend)
    await backend.update_task(replace_kept(task, state="completed", result=b"1"))
    record = await backend.get_execution(one)
    assert record is not None and record.state == "completed"
    await backend.close()


async def test_a_server_that_does_not_answer_is_an_error_that_says_so():
    from stent.errors import StoreError

    backend = PostgresBackend("postgresql://nobody@127.0.0.1:1/none?connect_timeout=2")
    with pytest.raises(StoreError):
        await backend.init_db()


FORKS = """
    import asyncio, os, sys
    from stent.backend.sqlite import SQLiteBackend

    backend = SQLiteBackend(sys.argv[1])

    async def count():
        try:
            return await backend.count_executions()
        except RuntimeError as error:
            return str(error)

    async def again():
        await backend.init_db()
        return await backend.count_executions()

    asyncio.run(again())
    child = os.fork()
    if child == 0:
        told = asyncio.run(count()), asyncio.run(again())
        asyncio.run(backend.close())
        print("child", *told, flush=True)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    print("parent", asyncio.run(count()))
    asyncio.run(backend.close())
"""


def test_a_forked_child_leaves_its_parents_handles_alone_and_opens_its_own(tmp_path: Path):
    command = [sys.executable, "-c", textwrap.dedent(FORKS), str(tmp_path / "stent.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    child, parent = done.stdout.splitlines()
    assert "init_db" in child and child.endswith(" 0") and parent == "parent 0"


async def test_an_object_serves_one_event_loop_after_another(tmp_path: Path):
    backend = SQLiteBackend(tmp_path / "stent.db")
    for count in range(3):

        async def use(count: int = count) -> None:
            await backend.init_db()
            assert await backend.count_executions() == count
            await create(backend)

        await asyncio.to_thread(asyncio.run, use())
    await backend.close()


async def test_a_caller_that_goes_away_harms_nobody(backend: AnyBackend):
    asked = [asyncio.create_task(backend.count_executions()) for _ in range(20)]
    await asyncio.sleep(0)
    for one in asked[::2]:
        one.cancel()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert all(answer == 0 or isinstance(answer, asyncio.CancelledError) for answer in answers)
    assert await backend.count_executions() == 0
