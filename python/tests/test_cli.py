"""The command line: what it says, what it runs, and what becomes of worker processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stent import Stent
from stent.backend.sqlite import SQLiteBackend
from stent.cli import _health, _reload, _supervisor, _target, _worker, main
from stent.registry import FunctionRegistry
from test_backend_records import create

# An executor whose worker writes down what becomes of it. What `stent worker` needs of one is all that it has.
EXECUTOR = """
    import asyncio, json, os

    def note(what, **facts):
        with open("ledger", "a") as ledger:
            ledger.write(json.dumps({"what": what, "pid": os.getpid(), **facts}) + "\\n")

    class Lifecycle:
        def __init__(self):
            self.ready, self.drain = asyncio.Event(), asyncio.Event()

        async def wait_until_ready(self):
            await self.ready.wait()

        def request_drain(self):
            self.drain.set()

    class Backend:
        async def init_db(self):
            note("opened")

        async def close(self):
            note("closed")

    class Executor:
        backend = Backend()

        def create_worker_lifecycle(self, name=None):
            return Lifecycle()

        async def serve(self, *, lifecycle, **options):
            note("serves", **options)
            lifecycle.ready.set()
            try:
                await lifecycle.drain.wait()
                if os.path.exists("stuck"):
                    await asyncio.sleep(3600)
                note("drained")
            except asyncio.CancelledError:
                note("cancelled")
                raise

        async def shutdown(self):
            note("shut down")

    executor = Executor()

    async def make():
        return executor

    nothing = 7
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "myapp").mkdir()
    (tmp_path / "myapp" / "__init__.py").write_text("")
    (tmp_path / "myapp" / "tasks.py").write_text(textwrap.dedent(EXECUTOR))
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Running:
    """A `stent worker` under test."""

    def __init__(self, project: Path, *arguments: str) -> None:
        self.project = project
        self.said = project / "said"
        with self.said.open("w") as said:
            command = [sys.executable, "-m", "stent", "worker", *arguments]
            self.process = subprocess.Popen(command, cwd=project, stderr=said, stdout=said)

    def noted(self, what: str) -> list[dict[str, Any]]:
        ledger = self.project / "ledger"
        lines = ledger.read_text().splitlines() if ledger.exists() else []
        return [one for one in map(json.loads, lines) if one["what"] == what]

    def until(self, holds: Callable[[], Any], patience_s: float = 30) -> Any:
        end = time.monotonic() + patience_s
        while not (found := holds()):
            assert time.monotonic() < end, self.said.read_text()
            time.sleep(0.02)
        return found

    def end(self) -> int:
        return self.process.wait(30)


@pytest.fixture
def start(project: Path) -> Iterator[Callable[..., Running]]:
    all_started: list[Running] = []

    def started(*arguments: str) -> Running:
        all_started.append(Running(project, *arguments))
        return all_started[-1]

    yield started
    for running in all_started:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


def test_worker_processes_serve_with_the_options_that_were_given_and_drain_on_sigterm(start: Callable[..., Running]):
    options = [
        "--processes",
        "2",
        "--queues",
        "a,b",
        "--tags",
        "x",
        "--concurrency",
        "3",
        "--grace",
        "20s",
        "--name",
        "w",
    ]
    running = start("myapp.tasks:executor", *options)
    serving = running.until(lambda: len(found := running.noted("serves")) == 2 and found)
    assert len({one["pid"] for one in serving}) == 2
    wanted = {"worker_id": "w", "queues": ["a", "b"], "tags": ["x"], "max_concurrency": 3, "grace": 20.0}
    assert all({name: one[name] for name in wanted} == wanted for one in serving)
    running.until(lambda: running.said.read_text().count("is ready") == 2)
    running.process.send_signal(signal.SIGTERM)
    assert running.end() == 0
    for what in ("opened", "drained", "shut down", "closed"):
        assert len(running.noted(what)) == 2, what
    assert running.noted("cancelled") == []


def test_what_does_not_end_within_the_grace_is_cancelled(start: Callable[..., Running], project: Path):
    (project / "stuck").touch()
    running = start("myapp.tasks:make", "--grace", "0.2")
    running.until(lambda: running.noted("serves"))
    running.process.send_signal(signal.SIGINT)
    assert running.end() == 0
    assert len(running.noted("cancelled")) == 1 and len(running.noted("closed")) == 1


def test_a_process_that_dies_is_started_again(start: Callable[..., Running]):
    running = start("myapp.tasks:executor")
    first = running.until(lambda: running.noted("serves"))[0]["pid"]
    os.kill(first, signal.SIGKILL)
    second = running.until(lambda: running.noted("serves")[1:])[0]["pid"]
    assert first != second and "SIGKILL" in running.said.read_text()
    running.process.send_signal(signal.SIGTERM)
    assert running.end() == 0


def test_the_processes_end_with_a_supervisor_that_is_killed(start: Callable[..., Running]):
    running = start("myapp.tasks:executor", "--processes", "2")
    running.until(lambda: len(running.noted("serves")) == 2)
    running.process.kill()
    running.process.wait()
    running.until(lambda: len(running.noted("drained")) == 2 and len(running.noted("closed")) == 2)


def test_a_change_of_the_code_starts_the_processes_anew(start: Callable[..., Running], project: Path):
    running = start("myapp.tasks:executor", "--reload")
    running.until(lambda: "is ready" in running.said.read_text())
    module = project / "myapp" / "tasks.py"
    module.write_text(module.read_text().replace('note("serves"', 'note("serves", version=2'))
    again = running.until(lambda: running.noted("serves")[1:])[0]
    assert again["version"] == 2 and len(running.noted("drained")) == 1
    assert "myapp/tasks.py has changed" in running.said.read_text()
    running.process.send_signal(signal.SIGTERM)
    assert running.end() == 0


def fetch(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_health_says_whether_all_processes_serve(start: Callable[..., Running], project: Path):
    (project / "stuck").touch()
    running = start("myapp.tasks:executor", "--health", "0", "--grace", "60")
    running.until(lambda: "is ready" in running.said.read_text())
    said_at_start = running.said.read_text().splitlines()
    where = next(line.split()[-1] for line in said_at_start if "health at" in line)
    status, said = fetch(where)
    pid = running.noted("serves")[0]["pid"]
    assert status == 200 and said == {
        "ready": True,
        "draining": False,
        "workers": [{"pid": pid, "state": "ready", "restarts": 0}],
    }
    assert fetch(where.replace("/ready", "/live"))[0] == 200 and fetch(where + "/nothing")[0] == 404
    running.process.send_signal(signal.SIGTERM)
    running.until(lambda: "is draining" in running.said.read_text())
    status, said = fetch(where)
    assert status == 503 and said["draining"] and said["workers"][0]["state"] == "draining"
    assert fetch(where.replace("/ready", "/live"))[0] == 200
    running.process.send_signal(signal.SIGTERM)
    assert running.end() == 0, "a second signal ends at once"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("myapp.tasks", "must read module:executor"),
        ("myapp.nothing:executor", 'there is no module "myapp.nothing"'),
        ("myapp.tasks:missing", 'has no "missing"'),
        ("myapp.tasks:nothing", "is a int, not an executor"),
    ],
)
def test_a_target_that_cannot_be_served_ends_the_command_and_is_named(
    start: Callable[..., Running], target: str, words: str
):
    running = start(target)
    assert running.end() == 2
    assert words in running.said.read_text()


async def test_a_module_that_the_users_own_code_misses_is_shown_as_it_is(project: Path):
    (project / "broken_app.py").write_text("import no_such_module_at_all")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        await _target.executor("broken_app:executor")


@pytest.mark.parametrize(
    "words", ["--processes 0", "--processes two", "--queues a,,b", "--grace soon", "--health 99999", "--nonsense"]
)
def test_arguments_that_cannot_be_used_are_named_and_end_with_the_code_of_all_subcommands(
    words: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        _worker.parse(["m:e", *words.split()])
    assert ended.value.code == 2
    assert words.split()[0].lstrip("-") in capsys.readouterr().err


def test_the_arguments_read_as_they_are_meant():
    arguments = _worker.parse(["m:e", "--grace", "1m30s", "--health", "[::1]:80", "--queues", "a,b"])
    assert (arguments.grace_s, arguments.health, arguments.queues) == (90.0, ("::1", 80), ["a", "b"])
    plain = _worker.parse(["m:e"])
    assert (plain.processes, plain.concurrency, plain.queues, plain.tags, plain.health) == (1, 10, None, None, None)


def test_a_process_that_keeps_dying_is_started_again_ever_later_and_a_steady_one_at_once():
    worker = _supervisor.Worker(0)
    pauses = [worker.pause(0.1) for _ in range(8)]
    assert pauses[:2] == [1.0, 2.0] and pauses == sorted(pauses) and pauses[-1] == 30.0
    assert worker.pause(3600) == 0.0


def test_health_answers_reads_of_its_two_paths_and_nothing_else():
    well = _health.Health(ready=True, draining=False, workers=[])
    ill = _health.Health(ready=False, draining=False, workers=[])
    assert _health.answer("GET /ready?x=1 HTTP/1.1", well)[0] == 200
    assert _health.answer("HEAD /ready HTTP/1.1", ill)[0] == 503
    assert _health.answer("GET /live HTTP/1.1", ill)[0] == 200
    assert _health.answer("POST /ready HTTP/1.1", well)[0] == 405
    assert _health.answer("GET /etc/passwd HTTP/1.1", well)[0] == 404


def test_python_files_alone_are_watched_and_hidden_folders_are_not(tmp_path: Path):
    for name in ("a.py", "b.txt", ".git/c.py", "__pycache__/d.py", "sub/e.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    before = _reload.look(str(tmp_path))
    assert {os.path.relpath(path, tmp_path) for path in before} == {"a.py", "sub/e.py"}
    assert _reload.difference(before, dict(before)) is None
    (tmp_path / "new.py").write_text("")
    assert _reload.difference(before, _reload.look(str(tmp_path))) == str(tmp_path / "new.py")


def stent(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "stent", *arguments], capture_output=True, text=True, **more)


async def test_the_other_subcommands_are_those_of_the_engine(tmp_path: Path):
    path = tmp_path / "stent.db"
    backend = SQLiteBackend(path)
    await backend.init_db()
    one = await create(backend)
    await backend.close()
    listed = stent("--json", "--db", f"sqlite://{path}", "list")
    assert listed.returncode == 0, listed.stderr
    assert one in listed.stdout and "shop:order" in listed.stdout
    counted = stent("--json", "--db", f"sqlite://{path}", "stats")
    assert json.loads(counted.stdout)["executions"]["pending"] == 1
    assert stent("--db", f"sqlite://{tmp_path}/none.db", "list").returncode == 5
    assert stent("no-such-command").returncode == 2
    assert main(["--version"]) == 0


def test_help_tells_of_the_workers_too():
    shown = stent("--help")
    assert shown.returncode == 0 and "stent worker module:executor" in shown.stdout and "dlq" in shown.stdout
    assert "--processes" in stent("worker", "--help").stdout


def test_the_demo_finds_its_own_program_inside_of_an_interpreter(tmp_path: Path):
    help_text = stent("demo", "--help").stdout
    assert help_text
    shown = stent("demo", cwd=tmp_path, timeout=120)
    assert shown.returncode == 0, shown.stdout + shown.stderr


REAL = """
    from stent import Stent

    @Stent.durable
    async def double(n: int) -> int:
        return 2 * n

    executor = Stent(backend=Stent.backends.SQLiteBackend("stent.db"))
"""


async def test_a_worker_command_runs_what_another_process_dispatches(start: Callable[..., Running], project: Path):
    (project / "real.py").write_text(textwrap.dedent(REAL))
    running = start("real:executor", "--processes", "2")
    running.until(lambda: running.said.read_text().count("is ready") == 2)
    executor = Stent(backend=SQLiteBackend(project / "stent.db"), function_registry=FunctionRegistry())
    ids = [await executor.dispatch("real:double", number) for number in range(10)]
    results = [(await executor.wait_for(one, 30)).unwrap() for one in ids]
    await executor.shutdown()
    running.process.send_signal(signal.SIGTERM)
    assert running.end() == 0
    assert results == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
