"""What a worker is to do: the options of `serve`, looked at already and the same for every kind of executor."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any


@dataclass(frozen=True)
class Work:
    """The options of one worker. `None` for what is left to the engine, and for all queues and tags."""

    worker_id: str | None
    queues: list[str] | None
    tags: list[str] | None
    max_concurrency: int
    lease: timedelta
    beat: timedelta
    pauses: tuple[float, float, float]
    cleanup_us: int
    retention_us: int | None
    grace_us: int
    park_us: int | None

    def options(self, worker_id: str) -> bytes:
        """As the engine reads them."""
        shortest, longest, factor = self.pauses
        options: dict[str, Any] = {
            "worker_id": worker_id,
            "concurrency": self.max_concurrency,
            "queues": self.queues,
            "tags": self.tags,
            "poll_us": round(shortest * 1_000_000),
            "poll_max_us": round(longest * 1_000_000),
            "poll_factor": factor,
            "claim_timeout_us": self.lease // timedelta(microseconds=1),
            "cleanup_us": self.cleanup_us,
            "retention_us": self.retention_us,
            "keep_forever": self.retention_us is None,
            "grace_us": self.grace_us,
            "park_us": self.park_us,
        }
        return json.dumps(options).encode()
