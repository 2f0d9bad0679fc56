"""The executor and what goes with it, under one name."""

from __future__ import annotations

from stent._function import DurableFunction
from stent._lifecycle import WorkerLifecycle
from stent._stent import Backends, Stent
from stent.errors import (
    ExecutionCancelled,
    ExpiryError,
    LeaseLost,
    NonDeterministic,
    UnregisteredFunctionError,
)

__all__ = [
    "Backends",
    "DurableFunction",
    "ExecutionCancelled",
    "ExpiryError",
    "LeaseLost",
    "NonDeterministic",
    "Stent",
    "UnregisteredFunctionError",
    "WorkerLifecycle",
]
