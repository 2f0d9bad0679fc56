"""Results, retry policies, records and the registry: what has no database behind it."""

from __future__ import annotations

import time
import uuid
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest
from stent._ids import new_id
from stent.core import (
    DeadLetterRecord,
    ExecutionProgress,
    ExecutionRecord,
    ExecutionState,
    Result,
    RetryPolicy,
    SignalRecord,
    TaskRecord,
    compute_retry_delay,
)
from stent.errors import ExpiryError
from stent.registry import FunctionMetadata, FunctionRegistry


def test_a_result_is_true_exactly_when_it_went_well():
    assert Result.Ok(0) and Result.Ok(None) and Result.Ok("")
    assert not Result.Error(ValueError())


def test_a_result_gives_its_value_or_raises_its_very_error():
    error = ValueError("no")
    assert Result.Ok(7).unwrap() == Result.Ok(7).or_raise() == Result.Ok(7).unwrap_or(8) == 7
    assert Result.Error(error).unwrap_or(8) == 8
    with pytest.raises(ValueError) as raised:
        Result.Error(error).or_raise()
    assert raised.value is error


def test_an_error_that_is_no_exception_is_raised_as_a_value_error():
    with pytest.raises(ValueError, match="out of stock"):
        Result.Error("out of stock").unwrap()


def test_a_result_is_changed_only_where_it_went_well():
    def half(n: int) -> Result[int]:
        return Result.Ok(n // 2) if n % 2 == 0 else Result.Error(ValueError(n))

    assert Result.Ok(20).map(lambda n: n + 1) == Result.Ok(21)
    assert Result.Ok(20).flat_map(half) == Result.Ok(10)
    failed = Result.Ok(21).flat_map(half)
    assert not failed and failed.map(lambda n: n + 1) is failed and failed.flat_map(half) is failed


def test_a_policy_has_the_defaults_that_its_documents_say():
    policy = RetryPolicy()
    assert (policy.max_attempts, policy.backoff_factor, policy.initial_delay) == (3, 2.0, 1.0)
    assert (policy.max_delay, policy.jitter, policy.retry_for) == (60.0, 0.1, (Exception,))


def test_the_delay_grows_by_the_factor_up_to_its_cap():
    policy = RetryPolicy(jitter=0, initial_delay=1, backoff_factor=3, max_delay=20)
    assert [compute_retry_delay(policy, attempt) for attempt in range(1, 6)] == [1, 3, 9, 20, 20]
    assert compute_retry_delay(policy, 1_000_000) == 20
    assert compute_retry_delay(RetryPolicy(initial_delay=0), 1_000_000) == 0


def test_jitter_strays_within_its_share_and_to_both_sides():
    policy = RetryPolicy(jitter=0.5, initial_delay=10, max_delay=10)
    delays = [compute_retry_delay(policy, 1) for _ in range(500)]
    assert all(5 <= delay <= 15 for delay in delays)
    assert min(delays) < 8 and max(delays) > 12


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"initial_delay": -1},
        {"max_delay": float("nan")},
        {"backoff_factor": float("inf")},
        {"jitter": 1.5},
    ],
)
def test_a_policy_that_cannot_be_carried_out_is_refused_when_it_is_made(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RetryPolicy(**wrong)


def test_a_policy_tries_again_only_for_its_classes():
    policy = RetryPolicy(retry_for=(ConnectionError, TimeoutError))
    assert policy.retries(ConnectionResetError()) and policy.retries(ExpiryError())
    assert not policy.retries(ValueError())
    one: Any = OSError
    assert RetryPolicy(retry_for=one).retry_for == (OSError,)
    no_class: Any = ("ValueError",)
    with pytest.raises(TypeError, match="'ValueError'"):
        RetryPolicy(retry_for=no_class)


def test_records_have_their_fields_in_the_order_that_is_promised():
    def names(record: type[Any]) -> str:
        return " ".join(field.name for field in fields(record))

    assert names(ExecutionProgress) == "step status started_at completed_at detail"
    assert names(ExecutionRecord) == (
        "id root_function state args kwargs retries created_at started_at completed_at expiry_at progress tags "
        "priority queue result error"
    )
    assert names(TaskRecord) == (
        "id execution_id step_name kind parent_task_id state args kwargs retries created_at tags priority queue "
        "retry_policy result error started_at completed_at worker_id lease_expires_at idempotency_key scheduled_for"
    )
    assert names(SignalRecord) == "execution_id name payload created_at consumed consumed_at"
    assert names(DeadLetterRecord) == "task reason moved_at"


def test_a_dead_letter_has_the_ids_of_its_task():
    now = datetime.now(UTC)
    task = TaskRecord("t", "e", "m:f", "activity", None, "failed", b"[]", b"{}", 2, now, [], 0, None, None)
    letter = DeadLetterRecord(task, "it broke", now)
    assert (letter.id, letter.execution_id) == ("t", "e")


def test_the_progress_of_a_state_reads_as_lines():
    progress = [
        ExecutionProgress("m:a", "completed"),
        ExecutionProgress("m:b", "cache_hit"),
        ExecutionProgress("m:c", "failed", detail="no money"),
    ]
    state = ExecutionState("e", "running", progress=progress)
    assert state.progress_str.splitlines() == [
        "2 of 3 done",
        "[completed] m:a",
        "[cache_hit] m:b",
        "[failed] m:c: no money",
    ]


async def charge(amount: int) -> int:
    return amount


async def refund(amount: int) -> int:
    return amount


def test_a_registry_finds_by_name_and_by_identity():
    mine = FunctionRegistry()
    mine.register(FunctionMetadata(name="shop:charge", fn=charge))
    meta = mine.get("shop:charge")
    assert meta is not None and meta.fn is charge and meta.max_concurrent is None
    assert mine.get("shop:refund") is None
    assert mine.name_for_function(charge) == "shop:charge"
    assert mine.name_for_function(refund) is None


def test_a_name_that_is_registered_again_stands_for_the_later_function():
    mine = FunctionRegistry()
    mine.register(FunctionMetadata(name="shop:pay", fn=charge))
    mine.register(FunctionMetadata(name="shop:pay", fn=refund))
    assert mine.name_for_function(charge) is None and mine.name_for_function(refund) == "shop:pay"
    assert [name for name, _ in mine.items()] == ["shop:pay"]


def test_a_copy_of_a_registry_goes_its_own_way():
    first = FunctionRegistry()
    first.register(FunctionMetadata(name="shop:charge", fn=charge))
    second = first.copy()
    second.register(FunctionMetadata(name="shop:refund", fn=refund))
    assert len(first) == 1 and "shop:refund" not in first
    assert second.name_for_function(charge) == "shop:charge" and len(second) == 2


def test_a_bound_method_is_found_as_its_function():
    class Shop:
        async def order(self) -> None: ...

    mine = FunctionRegistry()
    mine.register(FunctionMetadata(name="shop:Shop.order", fn=Shop.order))
    assert mine.name_for_function(Shop().order) == "shop:Shop.order"


def test_ids_of_one_process_sort_in_the_order_they_were_made_even_if_the_clock_goes_back(
    monkeypatch: pytest.MonkeyPatch,
):
    now = time.time_ns()
    ids = [new_id() for _ in range(1000)]
    monkeypatch.setattr(time, "time_ns", lambda: now - 3_600_000_000_000)
    ids += [new_id() for _ in range(1000)]
    assert ids == sorted(ids) and len(set(ids)) == 2000
    assert all(uuid.UUID(made).version == 7 for made in ids)
    assert new_id(below=ids[0])[:13] == ids[0][:13]
