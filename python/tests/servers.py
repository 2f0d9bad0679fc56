"""A PostgreSQL for the tests: the one that `STENT_TEST_POSTGRES` names (as `cargo xtask test` sets it), else one of
their own in a new folder, which ends with them. Each test gets a database of its own; nothing is started by hand."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHARED = "STENT_TEST_POSTGRES"


@functools.cache
def _programs() -> Path:
    found = [Path(initdb) for initdb in (shutil.which("initdb"),) if initdb]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert found, "the tests need PostgreSQL: apt-get install postgresql"
    return found[-1].parent


def _as_nobody(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]


@functools.cache
def server() -> tuple[str, int]:
    """Where the server of this run listens: the folder of its socket, and its port."""
    named = os.environ.get(SHARED)
    if named:
        words = dict(word.split("=", 1) for word in named.split())
        return words["host"], int(words["port"])
    folder = Path(tempfile.mkdtemp(prefix="stent-python-"))
    folder.chmod(0o777)
    port = free_port()
    run = functools.partial(subprocess.run, check=True, stdout=subprocess.DEVNULL, cwd="/")
    cluster = str(folder / "cluster")
    run(
        _as_nobody(
            [str(_programs() / "initdb"), "-D", cluster, "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8"]
        )
    )
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    control = _as_nobody([str(_programs() / "pg_ctl"), "-D", cluster])
    run([*control, "-w", "-l", str(folder / "log"), "-o", options, "start"])

    def end() -> None:
        run([*control, "-m", "immediate", "stop"])
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return str(folder), port


def psql(database: str, sql: str) -> str:
    """What psql prints for a statement."""
    host, port = server()
    command = [
        str(_programs() / "psql"),
        "-h",
        host,
        "-p",
        str(port),
        "-U",
        "postgres",
        "-qAt",
        "-d",
        database,
        "-c",
        sql,
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def database() -> Iterator[str]:
    """The URL of a new empty database, dropped afterwards with whatever is connected to it."""
    name = f"python_{uuid.uuid4().hex}"
    psql("postgres", f"CREATE DATABASE {name} TEMPLATE template0")
    try:
        yield f"postgresql://postgres@127.0.0.1:{server()[1]}/{name}"
    finally:
        psql("postgres", f"DROP DATABASE {name} WITH (FORCE)")


def free_port() -> int:
    """A port on which nothing listens, below those that the kernel gives to outgoing connections: one of these could
    take it while its server is down."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Redis:
    """A Redis of a test's own, which keeps nothing on the disk."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, at the same address each time, and returns once it answers."""
        program = shutil.which("redis-server")
        assert program, "the tests need Redis: apt-get install redis-server"
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, cwd="/")
        deadline = time.monotonic() + 20
        while True:
            try:
                assert self.command("PING") == ["+PONG"]
                return
            except OSError:
                assert time.monotonic() < deadline and self._process.poll() is None, "Redis does not start"
                time.sleep(0.02)

    def kill(self) -> None:
        """Ends it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def command(self, *words: str) -> list[str]:
        """The lines of the answer to a command."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as line:
            line.sendall(" ".join(words).encode() + b"\r\nQUIT\r\n")
            answer = b""
            while part := line.recv(4096):
                answer += part
        return answer.decode().split("\r\n")[:-2]

    def subscribers(self, channel: str) -> int:
        """How many listen on a channel."""
        return int(self.command("PUBSUB", "NUMSUB", channel)[-1].removeprefix(":"))


@contextmanager
def redis() -> Iterator[Redis]:
    """A Redis that runs, and ends with the test."""
    server = Redis()
    server.start()
    try:
        yield server
    finally:
        server.kill()
