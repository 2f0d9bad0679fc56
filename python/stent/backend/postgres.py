"""The backend on PostgreSQL, for many processes on many hosts."""

from __future__ import annotations

from typing import Any

from stent.backend._over_records import RecordsBackend

__all__ = ["PostgresBackend"]


class PostgresBackend(RecordsBackend):
    """`PostgresBackend("postgresql://user:password@host:5432/stent?sslmode=require&min_size=5&max_size=20")`. What the
    DSN leaves out comes from libpq's environment variables. Nothing is opened before `init_db()`.
    """

    def __init__(self, dsn: str, *, codec: str = "json") -> None:
        if not dsn.startswith(("postgres://", "postgresql://")):
            raise ValueError("a DSN begins with postgresql:// or postgres://")
        self.dsn = dsn
        super().__init__(dsn, codec=codec)

    def __repr__(self) -> str:
        from urllib.parse import urlsplit, urlunsplit

        parts = urlsplit(self.dsn)
        # Never the password: a repr ends up in logs.
        where = parts.netloc.rpartition("@")[2]
        return f"PostgresBackend({urlunsplit((parts.scheme, where, parts.path, '', ''))!r})"

    @property
    def _signal_sql(self) -> str:
        return (
            "SELECT payload, created_at, consumed, position FROM signals WHERE execution_id = $1 AND name = $2 "
            "ORDER BY consumed, position"
        )

    def _id(self, text: str) -> Any:
        from uuid import UUID

        return str(UUID(text))
