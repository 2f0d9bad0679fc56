"""`stent worker`: the arguments, and which of the two processes this is.

The supervisor starts the worker processes, hears from them over a pipe and ends them; it imports nothing of the user's.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn, cast

from stent.utils.time import parse_duration

UNUSABLE = 2
"""The exit code for arguments that cannot be used, as in the other subcommands."""

REPORTS = "STENT_WORKER_REPORTS"
"""Names the pipe that a worker process reports on; its absence says that this is the supervisor."""


@dataclass(frozen=True)
class WorkerArguments:
    """What `stent worker` was asked for."""

    target: str
    processes: int
    queues: list[str] | None
    tags: list[str] | None
    concurrency: int
    grace_s: float
    reload: bool
    health: tuple[str, int] | None
    name: str | None


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    arguments = parse(argv)
    reports = os.environ.pop(REPORTS, None)
    if reports is not None:
        from stent.cli import _process

        return _process.main(arguments, int(reports))
    from stent.cli import _supervisor

    return _supervisor.main(arguments, argv)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(UNUSABLE, f"error: {message}\n\nFor more information, try '--help'.\n")


def parse(argv: Sequence[str]) -> WorkerArguments:
    """The arguments; ends the process where they cannot be used."""
    parser = _Parser(
        prog="stent worker",
        description="Runs worker processes of a Python executor. SIGTERM and SIGINT drain: what runs may end in the "
        "grace, the rest is given back; a second one ends at once. A process that dies is started again.",
    )
    parser.add_argument("target", metavar="MODULE:EXECUTOR", help="the executor, or a function that makes it")
    parser.add_argument("--processes", type=_count, default=1, metavar="N", help="how many processes [default: 1]")
    parser.add_argument("--queues", type=_words, metavar="A,B", help="serve only these queues [default: all]")
    parser.add_argument("--tags", type=_words, metavar="A,B", help="only untagged tasks and those with one of these")
    parser.add_argument("--concurrency", type=_count, default=10, metavar="N", help="tasks at once in each [10]")
    parser.add_argument("--grace", type=_seconds, default=30.0, metavar="TIME", help="30, 90s or 5m [default: 30]")
    parser.add_argument("--reload", action="store_true", help="start anew when a Python file here changes")
    parser.add_argument("--health", type=_place, metavar="[HOST:]PORT", help="answer /live and /ready over HTTP there")
    parser.add_argument("--name", help="what the workers are called in lists")
    found = parser.parse_args(list(argv))
    return WorkerArguments(
        target=found.target,
        processes=found.processes,
        queues=found.queues,
        tags=found.tags,
        concurrency=found.concurrency,
        grace_s=found.grace,
        reload=found.reload,
        health=cast("tuple[str, int] | None", found.health),
        name=found.name,
    )


def _count(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is no number of 1 or more')
    return number


def _words(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise argparse.ArgumentTypeError(f'"{text}" must read a,b,c')
    return words


def _seconds(text: str) -> float:
    try:
        return float(text) if text.replace(".", "", 1).isdecimal() else parse_duration(text).total_seconds()
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _place(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f'"{text}" must read PORT or HOST:PORT')
    return host.strip("[]") or "127.0.0.1", int(port)


def say(words: str) -> None:
    """Tells people what happens, on standard error."""
    print(f"stent worker: {words}", file=sys.stderr, flush=True)
