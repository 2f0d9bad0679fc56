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


SKIPS_TIME = """
import asyncio
from stent import Stent
from stent.testing import skip_time

@Stent.durable
async def naps(number):
    await Stent.sleep(5)
    return number

async def main():
    async with skip_time():
        await naps.map(range(20))

asyncio.run(main())
"""


async def ends_in_order() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SKIPS_TIME, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, complained = await process.communicate()
    assert (process.returncode, said, complained) == (0, b"", b"")


async def test_programs_that_skip_time_end_in_order():
    # One in twenty did not: its world's thread was just in the interpreter as that ended. Several at once, since this
    # takes a busy machine.
    for _ in range(3):
        await asyncio.gather(*(ends_in_order() for _ in range(8)))
