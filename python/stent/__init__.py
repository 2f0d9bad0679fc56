"""Durable functions: ordinary async Python that survives crashes, on SQLite or PostgreSQL."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from stent._function import DurableFunction
from stent._inside import sleep
from stent._lifecycle import WorkerLifecycle
from stent._result import Result
from stent._retry import RetryPolicy
from stent._stent import Stent
from stent.errors import ExecutionCancelled, ExpiryError, NonDeterministic, UnregisteredFunctionError
from stent.metrics import MetricsRecorder
from stent.registry import registry

if TYPE_CHECKING:
    from stent._logs import install_structured_logging
    from stent._records import ExecutionState

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

_LATER = {"ExecutionState": "stent._records", "install_structured_logging": "stent._logs"}
"""What few programs name, by the module that it is imported from with its first use."""


if not TYPE_CHECKING:  # for whom any name would be one of the package's

    def __getattr__(name: str) -> Any:
        home = _LATER.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        named = globals()[name] = getattr(import_module(home), name)
        return named


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
