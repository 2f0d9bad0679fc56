"""A process that ends while the engine is just handing an answer over ends in order."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

ENDS_MEANWHILE = """
import sys, threading, time
from stent import _native

handing_over = threading.Event()

def done(kind, answer):
    handing_over.set()
    time.sleep(0.3)  # gives the interpreter's lock away, and needs it again when the main thread has ended
    print("taken", flush=True)

records = _native.Records.open("sqlite://" + sys.argv[1])
records.call("close", b"null", done)
handing_over.wait()
"""


async def test_the_end_of_the_interpreter_waits_for_an_answer_that_is_handed_over(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        ENDS_MEANWHILE,
        str(tmp_path / "stent.db"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await process.communicate()
    assert (process.returncode, said, complained) == (0, b"taken\n", b"")
