"""Looks at what is stored, and does a task by hand: for tools and tests. Run: python examples/python/records.py"""

import asyncio
from datetime import timedelta

from stent.backend.sqlite import SQLiteBackend
from stent.core import ExecutionRecord, new_id
from stent.utils.time import now_utc


async def main() -> None:
    backend = SQLiteBackend(":memory:")
    await backend.init_db()
    order = ExecutionRecord(
        id=new_id(),
        root_function="shop:pack",
        state="pending",
        args=b'["tea"]',
        kwargs=b"{}",
        retries=0,
        created_at=now_utc(),
        started_at=None,
        completed_at=None,
        expiry_at=None,
        progress=[],
        tags=[],
        priority=0,
        queue="packing",
    )
    await backend.create_execution(order)
    print("pending:", await backend.count_executions("pending"))

    task = await backend.claim_next_task(worker_id="ann", queues=["packing"], lease_duration=timedelta(minutes=5))
    assert task is not None
    print(f"{task.worker_id} has {task.step_name} with {task.args.decode()}")
    task.state = "completed"
    task.result = b'"packed"'
    await backend.update_task(task)

    done = await backend.get_execution(order.id)
    assert done is not None and done.result is not None
    print(done.state, done.result.decode())
    for row in await backend.query("SELECT count(*) AS n FROM tasks"):
        print("tasks:", row["n"])
    await backend.close()


asyncio.run(main())
