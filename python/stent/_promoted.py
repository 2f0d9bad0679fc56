"""`asyncio.sleep` as a durable sleep, for executors that ask for it (`promote_sleep=True`). Nothing is replaced before
one does, and code outside of their durable functions sleeps as ever.
"""

from __future__ import annotations

import asyncio
from functools import wraps
from typing import Any

from stent import _inside
from stent._attempt import current, in_step

LEAST_S = 1.0
"""What is shorter is no wait worth a record."""


def promote() -> None:
    """Replaces `asyncio.sleep`, once in the life of the process."""
    plain = asyncio.sleep
    if getattr(plain, "_stent_promoted", False):
        return

    @wraps(plain)
    async def sleep(delay: float, result: Any = None) -> Any:
        attempt = current.get()
        if attempt is None or not attempt.bridge.promote_sleep or in_step.get() is not None or not delay >= LEAST_S:
            return await plain(delay, result)
        await _inside.sleep(float(delay))
        return result

    vars(sleep)["_stent_promoted"] = True
    asyncio.sleep = sleep  # pyright: ignore[reportAttributeAccessIssue]
