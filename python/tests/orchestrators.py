"""Durable functions for tests that kill the process which runs them: `python orchestrators.py BACKEND ADDRESS LEDGER`
serves them until it is killed. Every body that runs leaves a line in the ledger, outside of the database."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from stent import Stent

LEDGER = "STENT_TEST_LEDGER"


def note(line: str) -> None:
    """Writes a line down, for good."""
    with open(os.environ[LEDGER], "a") as ledger:
        ledger.write(line + "\n")
        ledger.flush()
        os.fsync(ledger.fileno())


def lines() -> list[str]:
    """What was written down."""
    with open(os.environ[LEDGER]) as ledger:
        return ledger.read().split("\n")[:-1]


@Stent.durable(name="tests:part")
async def part(n: int) -> int:
    note(f"part {n}")
    return n * n


@Stent.durable(name="tests:whole")
async def whole(parts: int, dies_after: int) -> list[int]:
    """Calls parts one by one; the first process that has heard of so many dies on the spot."""
    done: list[int] = []
    for n in range(parts):
        done.append(await part(n))
        if len(done) == dies_after and "died" not in lines():
            note("died")
            os.kill(os.getpid(), signal.SIGKILL)
    return done


def backend(kind: str, address: str) -> object:
    """The backend that the arguments name."""
    return Stent.backends.SQLiteBackend(address) if kind == "sqlite" else Stent.backends.PostgresBackend(address)


async def serve(kind: str, address: str) -> None:
    """Serves until it is killed."""
    store = backend(kind, address)
    await store.init_db()  # type: ignore[attr-defined]
    await Stent(store).serve(worker_id=f"pid {os.getpid()}")


if __name__ == "__main__":
    os.environ[LEDGER] = sys.argv[3]
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
