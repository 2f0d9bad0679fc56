"""Durable code on an event loop that does not show what it has ready: it takes the same way again all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import flows
import limit_flows
import pytest
from stores import AnyBackend
from worlds import World

LOOP = "uvloop"

pytest.importorskip("uvloop")


@pytest.fixture(params=[flows, limit_flows], ids=["flows", "limits"])
async def world(backend: AnyBackend, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    world = World(backend, tmp_path / "ledger", request.param)
    yield world
    await world.executor.shutdown()


@pytest.mark.parametrize(
    ("flow", "at", "result"),
    [
        ("gathered", "gathered", [10, 2, 30, 40, 50]),
        ("grouped", "grouped", [10, 2, 30]),
        ("raced", "raced", "quick"),
        ("as_they_come", "as they come", [10, 2]),
        ("counted", "counted", None),
        ("in_threads", "in threads", [10, 20]),
    ],
)
@pytest.mark.parametrize("world", [flows], indirect=True, ids=["flows"])
async def test_code_takes_the_same_way_again(world: World, flow: str, at: str, result: Any):
    execution = await world.dies_at(flow, at, loop=LOOP)
    came = await world.goes_on(execution, loop=LOOP)
    assert result is None or came == result
    assert len(set(world.passes())) <= 1, "the second pass took another way"


@pytest.mark.parametrize("kind", ["timeout", "wait"])
@pytest.mark.parametrize("world", [limit_flows], indirect=True, ids=["limits"])
async def test_limits_are_exact_again(world: World, kind: str):
    execution = await world.dies_at("too_late_beside", "beside", kind, loop=LOOP)
    assert await world.goes_on(execution, loop=LOOP) == "timeout"
    assert world.passes() == ["pass: timeout"] * 2
