"""What `import stent` brings in: what declares durable functions, and nothing of what runs them. How long that takes is
held by `cargo xtask wheel`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
import stent

DECLARES = """
import json, sys
before = set(sys.modules)
from datetime import timedelta
from stent import Result, RetryPolicy, Stent

@Stent.durable(cached=timedelta(days=1), retry_policy=RetryPolicy(max_attempts=5), tags=["mail"])
async def send(to: str) -> Result[str]:
    await Stent.sleep("1h")
    return Result.Ok(to)

print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_a_program_that_only_declares_imports_nothing_of_what_runs_it():
    said = subprocess.run([sys.executable, "-c", DECLARES], check=True, capture_output=True, text=True).stdout
    imported: set[str] = set(json.loads(said))
    assert "stent._function" in imported
    late = {"asyncio", "logging", "pickle", "random", "socket", "ssl", "traceback", "urllib", "uuid"}
    runs = {
        f"stent.{name}" for name in ("_attempt", "_bridge", "_loops", "_runner", "_records", "backend._rows", "cli")
    }
    assert imported & (late | runs) == set()


HINTS = """
import inspect, typing
import stent

for name in stent.__all__:
    public = getattr(stent, name)
    if inspect.isclass(public):
        typing.get_type_hints(public)
    for of in [public] if inspect.isfunction(public) else vars(public).values() if inspect.isclass(public) else []:
        of = getattr(of, "__func__", of)
        # What takes an attempt is the package's own.
        if inspect.isfunction(of) and of.__name__[0] != "_" and "attempt" not in of.__annotations__:
            typing.get_type_hints(of)
"""


def test_the_types_of_all_that_is_public_can_be_asked_for():
    subprocess.run([sys.executable, "-c", HINTS], check=True)


def test_names_that_are_imported_late_are_names_of_the_package():
    assert set(stent.__all__) <= set(dir(stent))
    named: dict[str, Any] = {}
    exec("from stent import *", named)
    assert set(stent.__all__) <= set(named)
    with pytest.raises(AttributeError, match="module 'stent' has no attribute 'Sent'"):
        getattr(stent, "Sent")  # noqa: B009 - a type checker would refuse the name
