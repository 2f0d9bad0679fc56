"""Fixtures of the tests: a backend on each store, in a database that is new for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import servers
from stent.backend.postgres import PostgresBackend
from stent.backend.sqlite import SQLiteBackend

AnyBackend = SQLiteBackend | PostgresBackend


@pytest.fixture(params=["sqlite", "postgres"])
def fresh_backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyBackend]:
    """A backend that is not open yet."""
    if request.param == "sqlite":
        yield SQLiteBackend(tmp_path / "stent.db")
        return
    with servers.database() as url:
        yield PostgresBackend(url)


@pytest.fixture
async def backend(fresh_backend: AnyBackend) -> AsyncIterator[AnyBackend]:
    """A backend in use."""
    await fresh_backend.init_db()
    yield fresh_backend
    await fresh_backend.close()
