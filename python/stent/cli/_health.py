"""How the worker processes fare, over HTTP: `/live` answers 200 while the supervisor lives, `/ready` 200 when all
processes serve and 503 otherwise. Both say more as JSON. It answers nothing else and reads no more than a request line.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import asdict, dataclass
from typing import Any

_PATIENCE_S = 5.0
"""How long somebody may take to ask."""

_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


@dataclass(frozen=True)
class Health:
    """How all processes fare at one moment."""

    ready: bool
    draining: bool
    workers: list[dict[str, Any]]


def answer(request_line: str, health: Health) -> tuple[int, dict[str, Any]]:
    """What a request comes to: the status, and what is said."""
    method, _, rest = request_line.partition(" ")
    path = rest.split(" ", 1)[0].split("?", 1)[0]
    if method not in ("GET", "HEAD"):
        return 405, {"error": "only GET and HEAD are answered"}
    match path:
        case "/live":
            return 200, asdict(health)
        case "/ready" | "/":
            return (200 if health.ready else 503), asdict(health)
        case _:
            return 404, {"error": "ask for /live or /ready"}


@contextlib.asynccontextmanager
async def serve(place: tuple[str, int], health: Callable[[], Health]) -> AsyncGenerator[str, None]:
    """Answers at this place; gives the address, whose port is a free one where 0 was asked for."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                line = (await reader.readline()).decode("latin-1").strip()
                while (await reader.readline()).strip():
                    pass
                status, said = answer(line, health())
                body = json.dumps(said).encode()
                head = (
                    f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                )
                writer.write(head.encode() + (b"" if line.startswith("HEAD ") else body))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(one, *place)
    host, port = server.sockets[0].getsockname()[:2]
    async with server:
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
