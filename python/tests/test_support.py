"""Durations, moments, metrics, structured logging and telemetry."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from stent import _logs
from stent._logs import install_structured_logging
from stent.metrics import MetricsRecorder, record
from stent.notifications.base import NotificationBackend
from stent.telemetry import attempt_span, dispatch_span, instrument, uninstrument
from stent.utils.time import as_utc, now_utc, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10), ("1h30m", 5_400), ("2d8h", 201_600), ("1w", 604_800), ("0.5s", 0.5), ("1.5h", 5_400), ("0s", 0)],
)
def test_text_of_numbers_with_units_is_a_duration(text: str, seconds: float):
    assert parse_duration(text) == timedelta(seconds=seconds)


def test_a_mapping_and_a_timedelta_are_durations():
    assert parse_duration({"hours": 1, "minutes": 30}) == timedelta(hours=1.5)
    assert parse_duration(timedelta(days=2)) == timedelta(days=2)


@pytest.mark.parametrize(
    "text", ["", "10", "10x", "10s!", "1h 30m", " 10s", "s", "-1s", "1.s", "10ms", "1h30", "\u0661s", "1e3s"]
)
def test_text_that_is_no_duration_to_its_last_character_is_a_value_error(text: str):
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


@pytest.mark.parametrize("keywords", [{}, {"years": 1}, {"hours": "1"}, {"days": 10**12}])
def test_keywords_that_timedelta_does_not_take_are_a_value_error(keywords: Any):
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(keywords)


@pytest.mark.parametrize("value", [10, 1.5, None, ["10s"], b"10s"])
def test_any_other_type_is_a_type_error(value: Any):
    with pytest.raises(TypeError, match=type(value).__name__):
        parse_duration(value)


def test_now_is_utc_and_says_so():
    assert now_utc().utcoffset() == timedelta(0)
    assert abs(now_utc() - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_naive_moment_is_taken_as_local_time():
    naive = datetime(2024, 7, 1, 12)
    assert as_utc(naive) == naive.astimezone() and as_utc(naive).utcoffset() == timedelta(0)


def test_a_recorder_overrides_what_it_wants_and_its_errors_end_with_it(caplog: pytest.LogCaptureFixture):
    seen: list[str] = []

    class Mine(MetricsRecorder):
        def task_claimed(self, *, queue: str | None, step_name: str, kind: str) -> None:
            seen.append(step_name)

        def lease_renewed(self, *, task_id: str, success: bool) -> None:
            raise RuntimeError("the recorder broke")

    mine = Mine()
    record(mine, "task_claimed", queue=None, step_name="m:f", kind="activity")
    record(mine, "task_completed", queue=None, step_name="m:f", kind="activity", duration_s=0.1)
    record(mine, "lease_renewed", task_id="t", success=True)
    record(None, "task_claimed", queue=None, step_name="m:g", kind="activity")
    assert seen == ["m:f"]
    assert "lease_renewed" in caplog.text and "the recorder broke" in caplog.text


def test_an_object_of_the_right_shape_is_a_notification_backend():
    class Shape:
        async def notify_task_completed(self, task_id: str) -> None: ...
        async def notify_task_updated(self, task_id: str, state: str) -> None: ...
        async def notify_execution_updated(self, execution_id: str, state: str) -> None: ...
        async def subscribe_to_task(self, task_id: str, *, expiry: float | None = None) -> Any: ...
        async def subscribe_to_execution(self, execution_id: str, *, expiry: float | None = None) -> Any: ...

    assert isinstance(Shape(), NotificationBackend) and not isinstance(object(), NotificationBackend)


class Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def test_records_of_child_loggers_have_the_fields_of_the_present_task(monkeypatch: pytest.MonkeyPatch):
    logger, handler = logging.getLogger("myapp"), Collector()
    logger.addHandler(handler)
    install_structured_logging(logger)
    present: dict[str, Any] = {}
    monkeypatch.setattr(_logs, "_source", lambda: present or None)
    logging.getLogger("myapp.shop").warning("outside")
    present.update(execution_id="e", function="m:f", attempt=2, is_replaying=True)
    logging.getLogger("myapp.shop").warning("inside")
    outside, inside = handler.records
    assert (outside.execution_id, outside.attempt) == (None, None)
    assert (inside.execution_id, inside.function, inside.attempt, inside.task_id) == ("e", "m:f", 2, None)
    install_structured_logging(logger, drop_replayed=True)
    logging.getLogger("myapp.shop").warning("again")
    assert len(handler.records) == 2 and len(handler.filters) == 1


def test_without_instrumentation_a_dispatch_sends_the_headers_as_they_are():
    with dispatch_span("m:f", {"a": "b"}) as headers:
        assert headers == {"a": "b"}
    with attempt_span("m:f", {}, {}):
        pass


def test_an_attempt_is_a_span_below_its_dispatch():
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
        InMemorySpanExporter,
    )

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrument(provider)
    try:
        with dispatch_span("m:f", {"a": "b"}) as headers:
            pass
        with pytest.raises(ValueError), attempt_span("m:f", headers, {"attempt": 1}):
            raise ValueError("no")
        with pytest.raises(KeyboardInterrupt), attempt_span("m:f", headers, {"attempt": 2}):
            raise KeyboardInterrupt
    finally:
        uninstrument()
    sent, failed, interrupted = exporter.get_finished_spans()
    assert headers["a"] == "b" and "traceparent" in headers
    assert sent.context is not None and failed.parent is not None and failed.parent.span_id == sent.context.span_id
    assert not failed.status.is_ok and failed.events[0].name == "exception"
    assert interrupted.events[0].name == "interrupted" and interrupted.status.is_unset
