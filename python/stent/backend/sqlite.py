"""The backend on SQLite: one file, or memory."""

from __future__ import annotations

import os
from typing import Any

from stent.backend._over_records import RecordsBackend

__all__ = ["SQLiteBackend"]


class SQLiteBackend(RecordsBackend):
    """`SQLiteBackend("workflow.db")`: a file by its relative or absolute path, made where it is missing;
    `":memory:"`: a database that ends with the process. Nothing is opened before `init_db()`.

    Other processes may read the file with any SQLite. In this process use `query`: two copies of the library in one
    process drop each other's locks.
    """

    def __init__(self, path: str | os.PathLike[str], *, codec: str = "json") -> None:
        self.path = os.fspath(path)
        if "?" in self.path or "#" in self.path:
            raise ValueError(f'the path "{self.path}" holds a "?" or "#": choose another name')
        super().__init__("sqlite::memory:" if self.path == ":memory:" else f"sqlite://{self.path}", codec=codec)

    def __repr__(self) -> str:
        return f"SQLiteBackend({self.path!r})"

    @property
    def _signal_sql(self) -> str:
        return (
            "SELECT payload, created_at, consumed, position FROM signals WHERE execution_id = ?1 AND name = ?2 "
            "ORDER BY consumed, position"
        )

    def _id(self, text: str) -> Any:
        from uuid import UUID

        return UUID(text).bytes
