"""What the seeds ask for in words, where no executor is needed for it; and that docs/seeds.md says where it is held."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import seeds
from stent import executor
from stent.backend import postgres, sqlite
from stent.backend.base import Backend
from stent.backend.sqlite import SQLiteBackend
from stent.core import RetryPolicy, compute_retry_delay
from stent.utils.time import as_utc, now_utc
from stores import AnyBackend
from test_backend_records import (
    claimed,
    claimed_copy,
    create,
    execution,
    replace_kept,
    root_of,
)

NOT_PYTHON_AS_PRINTED = {
    # A call of three dots among its parameters, and a listing of signatures with three dots in them.
    "fetch_user_and_send_email_and_update_stats(...)",
    "async def claim_next_task(...) -> TaskRecord | None: ...",
}


def test_every_python_block_of_the_seeds_is_found_and_all_but_two_are_python():
    counted = {seed: len(seeds.blocks(seed)) for seed in ("000", "001", "003")}
    assert all(count > 0 for count in counted.values())
    printed = {seed: len(re.findall(r"(?m)^ *```python$", seeds.text(seed))) for seed in counted}
    assert counted == printed
    broken: list[str] = []
    for block in (block for seed in counted for block in seeds.blocks(seed)):
        try:
            compile(block.code, str(block), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        except SyntaxError:
            broken.append(block.code)
    assert len(broken) == len(NOT_PYTHON_AS_PRINTED)
    for code, words in zip(sorted(broken), sorted(NOT_PYTHON_AS_PRINTED, reverse=True), strict=True):
        assert words in code


def test_the_protocol_has_every_method_that_the_listing_names():
    (listing,) = [block.code for block in seeds.blocks("003") if "class Backend(Protocol)" in block.code]
    names = set(re.findall(r"async def (\w+)\(", listing))
    assert len(names) > 30 and names <= set(vars(Backend))
    (own,) = [block.code for block in seeds.blocks("003") if "class MyCustomBackend:" in block.code]
    # The listing leaves the parameters of two methods out; the class below it has those of one.
    printed = [listing.replace("(...)", "(self)"), own]
    methods = [node for code in printed for node in ast.walk(ast.parse(code)) if isinstance(node, ast.AsyncFunctionDef)]
    for method in methods:
        ours = inspect.signature(getattr(Backend, method.name)).parameters
        by_place = [one.arg for one in method.args.args]
        assert list(ours)[: len(by_place)] == by_place, method.name
        assert {one.arg for one in method.args.kwonlyargs} <= set(ours), method.name


async def test_the_tables_that_seed_003_names_are_there(backend: AnyBackend):
    named = re.findall(r"(?m)^\| `(\w+)` \|", seeds.text("003"))[:8]
    assert "executions" in named and "execution_state" in named
    for table in named:
        assert await backend.query(f"SELECT count(*) AS n FROM {table}") == [{"n": 0}]


async def test_a_relative_and_an_absolute_path_are_files_and_memory_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for path in ("workflow.db", str(tmp_path / "other.db"), ":memory:"):
        backend = SQLiteBackend(path)
        await backend.init_db()
        await create(backend)
        await backend.close()
    assert {file.name for file in tmp_path.iterdir() if file.suffix == ".db"} == {"workflow.db", "other.db"}


async def test_a_copy_of_the_file_after_the_close_has_everything(tmp_path: Path):
    backend = SQLiteBackend(tmp_path / "workflow.db")
    await backend.init_db()
    one = await create(backend)
    await backend.close()
    (tmp_path / "workflow.db.backup").write_bytes((tmp_path / "workflow.db").read_bytes())
    copy = SQLiteBackend(tmp_path / "workflow.db.backup")
    await copy.init_db()
    assert await copy.get_execution(one) is not None
    await copy.close()


# Seed 004, on records. What needs a running executor is tested beside it.


async def test_p0_1_a_retry_is_claimable_no_earlier_than_the_computed_delay(backend: AnyBackend):
    # Longer than it takes to ask what is claimable meanwhile.
    policy = RetryPolicy(initial_delay=2.0, jitter=0.0)
    one = await create(backend, task={"retry_policy": policy})
    task = await claimed(backend)
    delay = compute_retry_delay(policy, 1)
    assert delay == 2.0
    at = now_utc() + timedelta(seconds=delay)
    await backend.update_task(replace_kept(task, state="pending", scheduled_for=at, retries=task.retries + 1))
    waiting = await claimed_copy(backend, one)
    assert waiting.state == "pending" and waiting.worker_id is None and waiting.lease_expires_at is None
    assert waiting.started_at is None and waiting.scheduled_for is not None and waiting.scheduled_for >= at
    assert await backend.claim_next_task(worker_id="w") is None
    async with asyncio.timeout(20):
        while (again := await backend.claim_next_task(worker_id="w")) is None:
            await asyncio.sleep(0.02)
    assert now_utc() >= at and (again.id, again.retries) == (one, 1)


@pytest.mark.parametrize("falsey", [b"0", b"false", b'""', b"[]", b"{}", b"null"])
async def test_p0_2_a_falsey_result_is_a_hit_of_the_key_and_its_body_runs_once(backend: AnyBackend, falsey: bytes):
    await create(backend, task={"idempotency_key": "k"})
    await backend.update_task(replace_kept(await claimed(backend), state="completed", result=falsey))
    assert await backend.get_idempotency_result("k") == falsey
    second = await backend.get_execution(await create(backend, task={"idempotency_key": "k"}))
    assert second is not None and (second.state, second.result) == ("completed", falsey)
    assert await backend.claim_next_task(worker_id="w") is None


async def test_p1_1_workers_with_disjoint_tags_claim_their_own_and_whatever_has_none(backend: AnyBackend):
    cpu = {await create(backend, tags=["cpu"]) for _ in range(2)}
    gpu = {await create(backend, tags=["gpu", "big"]) for _ in range(2)}
    plain = {await create(backend) for _ in range(2)}
    taken: dict[str, set[str]] = {"cpu": set(), "gpu": set()}

    async def work(tag: str) -> None:
        while task := await backend.claim_next_task(worker_id=tag, tags=[tag]):
            taken[tag].add(task.id)

    await asyncio.gather(work("cpu"), work("gpu"))
    assert taken["cpu"] - plain == cpu and taken["gpu"] - plain == gpu
    assert taken["cpu"] | taken["gpu"] == cpu | gpu | plain and not taken["cpu"] & taken["gpu"]


async def test_p1_3_stats_of_the_command_line_are_the_counts_on_both_stores(backend: AnyBackend):
    for state in ("pending", "pending", "completed", "failed", "cancelled"):
        await create(backend, state=state)
    await claimed(backend)
    url = f"sqlite://{backend.path}" if isinstance(backend, SQLiteBackend) else backend.dsn
    command = [sys.executable, "-m", "stent", "--json", "--db", url, "stats"]
    told = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    stats = json.loads(told.stdout)
    for state in ("pending", "running", "completed", "failed", "cancelled"):
        assert stats["executions"][state] == await backend.count_executions(state) == 1, state
    assert await backend.count_executions() == 5
    assert stats["dead_letters"] == await backend.count_dead_tasks() == 1


async def test_p1_2_a_command_leaves_the_database_as_it_should_lie_while_nobody_uses_it(backend: AnyBackend):
    one = await create(backend)
    await backend.close()
    url = f"sqlite://{backend.path}" if isinstance(backend, SQLiteBackend) else backend.dsn
    # A cancel writes, so that there is something to leave behind.
    for words, code in ((["list"], 0), (["cancel", one], 0), (["cancel", one], 4), (["show", execution().id], 3)):
        command = [sys.executable, "-m", "stent", "--db", url, *words]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True)
        assert done.returncode == code, done.stderr
        if isinstance(backend, SQLiteBackend):
            log = Path(f"{backend.path}-wal")
            assert not log.exists() or log.stat().st_size == 0, words
    if not isinstance(backend, SQLiteBackend):
        # A process that only died would leave its committers' rows.
        await backend.init_db()
        assert await backend.query("SELECT count(*) AS n FROM committers") == [{"n": 0}]


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process whose local time is no UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "EAST-5:30")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_from_utc")
def test_p2_1_a_moment_is_utc_and_says_so():
    assert datetime.now().astimezone().utcoffset() == timedelta(hours=5.5)
    assert now_utc().tzinfo is not None and now_utc().utcoffset() == timedelta(0)
    assert abs(now_utc().timestamp() - time.time()) < 5
    naive = datetime(2024, 7, 1, 12)
    assert as_utc(naive) == datetime(2024, 7, 1, 6, 30, tzinfo=UTC) and as_utc(naive).utcoffset() == timedelta(0)
    assert "UTC" in (now_utc.__doc__ or "") and "UTC" in (as_utc.__doc__ or "")


def test_p2_2_type_checkers_are_no_dependency_of_the_package():
    project = tomllib.loads((seeds.ROOT / "pyproject.toml").read_text())["project"]
    runtime = " ".join(project.get("dependencies", []))
    assert not any(tool in runtime for tool in ("pyrefly", "pyright", "mypy", "ruff"))
    extras = {
        extra for extra, wanted in project["optional-dependencies"].items() if any("pyrefly" in one for one in wanted)
    }
    assert extras == {"dev"}


def test_p2_2_the_type_checkers_judge_the_whole_package_and_few_lines_are_spared():
    tools = tomllib.loads((seeds.ROOT / "pyproject.toml").read_text())["tool"]
    assert "python/stent" in tools["pyright"]["include"] and tools["pyright"]["typeCheckingMode"] == "strict"
    assert "python/stent" in tools["pyrefly"]["project-includes"]
    lines = [line for file in (seeds.ROOT / "python" / "stent").rglob("*.py") for line in file.read_text().splitlines()]
    spared = [line for line in lines if re.search(r"#\s*(type|pyright|pyrefly|mypy)\s*:", line)]
    assert len(lines) > 3000 and len(spared) <= 8
    assert all("[" in line for line in spared), "each says which rule is meant"


def test_p2_3_the_executor_is_many_files_behind_one_interface():
    package = seeds.ROOT / "python" / "stent"
    parts = (
        "_function",
        "_attempt",
        "_inside",
        "_steps",
        "_runner",
        "_lifecycle",
        "_serving",
        "_states",
        "_schedules",
        "_news",
    )
    assert all((package / f"{part}.py").exists() for part in parts)
    assert max(len(file.read_text().splitlines()) for file in package.rglob("*.py")) <= 600
    assert {"Stent", "WorkerLifecycle", "DurableFunction", "ExpiryError"} <= set(executor.__all__)
    assert executor.Stent.__module__ == "stent._stent" and executor.WorkerLifecycle.__module__ == "stent._lifecycle"


def test_p2_4_the_backends_share_everything_but_their_addresses_and_their_sql():
    for cls in (sqlite.SQLiteBackend, postgres.PostgresBackend):
        own: dict[str, Any] = {
            name: one for name, one in vars(cls).items() if callable(one) or isinstance(one, property)
        }
        assert set(own) == {"__init__", "__repr__", "_signal_sql", "_id"}


async def test_all_or_nothing_of_an_execution_with_its_root_task(backend: AnyBackend):
    record = execution()
    with pytest.raises(ValueError, match="1,024 bytes"):
        await backend.create_execution_with_root_task(record, root_of(record, idempotency_key="k" * 2000))
    assert await backend.get_execution(record.id) is None and await backend.count_tasks() == 0


def test_docs_name_tests_that_exist():
    page = (seeds.ROOT / "docs" / "seeds.md").read_text()
    sections = re.split(r"(?m)^## ", page)
    ours = [section for section in sections if section.startswith("Python: ")]
    assert ours, "docs/seeds.md has sections of its own for Python"
    named = {name for section in ours for name in re.findall(r"`(test_\w+)`", section)}
    there = {
        name
        for file in (seeds.ROOT / "python" / "tests").glob("test_*.py")
        for name in re.findall(r"(?m)^(?:async )?def (test_\w+)", file.read_text())
    }
    assert named and named <= there, named - there
