"""Traces through OpenTelemetry, for those who have it: a span for each dispatch and each attempt, joined across
processes by the standard `traceparent` header of the execution.

The package does not depend on OpenTelemetry. Until `instrument` is called the functions below do nothing.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer, TracerProvider

__all__ = ["attempt_span", "dispatch_span", "instrument", "is_on", "uninstrument"]

_tracer: Tracer | None = None


def instrument(tracer_provider: TracerProvider | None = None) -> None:
    """Traces all executors of this process from now on, with the given provider or OpenTelemetry's global one.

    Raises `ImportError` when OpenTelemetry is not installed (`pip install stent[otel]`).
    """
    global _tracer
    try:
        from opentelemetry import trace
    except ImportError as error:
        raise ImportError("tracing needs OpenTelemetry: pip install stent[otel]") from error
    _tracer = trace.get_tracer("stent", tracer_provider=tracer_provider)


def uninstrument() -> None:
    """Ends the tracing of this process."""
    global _tracer
    _tracer = None


def is_on() -> bool:
    """Whether this process is traced."""
    return _tracer is not None


@contextmanager
def dispatch_span(function: str, headers: Mapping[str, Any]) -> Generator[dict[str, Any], None, None]:
    """The span of a dispatch; gives the headers to send along, with the trace's in them."""
    sent = dict(headers)
    tracer = _tracer
    if tracer is None:
        yield sent
        return
    from opentelemetry import propagate, trace

    with tracer.start_as_current_span(f"dispatch {function}", kind=trace.SpanKind.PRODUCER) as span:
        span.set_attribute("stent.function", function)
        propagate.inject(sent)
        yield sent


@contextmanager
def attempt_span(
    function: str, headers: Mapping[str, Any], facts: Mapping[str, str | int]
) -> Generator[None, None, None]:
    """The span of one attempt, below the dispatch's. An error that passes through is recorded in it; an interrupt
    (the task was suspended, cancelled or taken away) is no error of the user's and is recorded as an event."""
    tracer = _tracer
    if tracer is None:
        yield
        return
    from opentelemetry import propagate, trace

    parent = propagate.extract({name: value for name, value in headers.items() if isinstance(value, str)})
    span = tracer.start_span(f"run {function}", context=parent, kind=trace.SpanKind.CONSUMER)
    span.set_attribute("stent.function", function)
    for name, value in facts.items():
        span.set_attribute(f"stent.{name}", value)
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield
        except Exception as error:
            span.record_exception(error)
            span.set_status(trace.StatusCode.ERROR, str(error))
            raise
        except BaseException as interrupt:
            span.add_event("interrupted", {"by": type(interrupt).__name__})
            raise
