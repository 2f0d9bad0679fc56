"""One worker process of a run, in Python: what `worker.rs` is in Rust. Serves until its input ends or a signal takes
it, and says on its output when it serves. It judges nothing: the supervisor and the checker are the same for both.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import flows
from ledger import Ledger
from stent import Stent
from stent.errors import StoreError

T = TypeVar("T")

REST_S = 0.1
"""Between two tries to reach a store that may be away."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--life", type=int, required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--workload", choices=["steps"], required=True)
    parser.add_argument("--patience-ms", type=int, required=True)
    return parser.parse_args()


async def with_patience(seconds: float, call: Callable[[], Awaitable[T]]) -> T:
    """What the call gives, tried again while the store cannot be reached and the time lasts."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        try:
            return await call()
        except StoreError:
            if loop.time() - began >= seconds:
                raise
            await asyncio.sleep(REST_S)


async def serve(args: argparse.Namespace) -> None:
    flows.opened.append(Ledger(args.dir / "ledger", args.life))
    store = Stent.backends.SQLiteBackend if args.url.startswith("sqlite://") else Stent.backends.PostgresBackend
    executor = Stent(store(args.url.removeprefix("sqlite://")), function_registry=flows.registry)
    await with_patience(args.patience_ms / 1000, executor.backend.init_db)
    lifecycle = executor.create_worker_lifecycle()
    serving = asyncio.create_task(executor.serve(max_concurrency=args.concurrency, lifecycle=lifecycle))
    ready = asyncio.create_task(lifecycle.wait_until_ready())
    await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        await serving
    print("up", flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)
    lifecycle.request_drain()
    await serving
    await executor.shutdown()
    await executor.backend.close()


if __name__ == "__main__":
    asyncio.run(serve(arguments()))
