"""Durable functions: ordinary async Python that survives crashes, on SQLite or PostgreSQL."""

from __future__ import annotations

from stent._function import DurableFunction
from stent._inside import sleep
from stent._lifecycle import WorkerLifecycle
from stent._logs import install_structured_logging
from stent._records import ExecutionState
from stent._result import Result
from stent._retry import RetryPolicy
from stent._stent import Stent
from stent.errors import ExecutionCancelled, ExpiryError, NonDeterministic, UnregisteredFunctionError
from stent.metrics import MetricsRecorder
from stent.registry import registry

__version__ = "0.1.0"

__all__ = [
    "DurableFunction",
    "ExecutionCancelled",
    "ExecutionState",
    "ExpiryError",
    "MetricsRecorder",
    "NonDeterministic",
    "Result",
    "RetryPolicy",
    "Stent",
    "UnregisteredFunctionError",
    "WorkerLifecycle",
    "__version__",
    "install_structured_logging",
    "registry",
    "sleep",
]
