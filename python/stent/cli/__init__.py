"""The command `stent` that comes with the package: `stent worker` runs Python workers; all other subcommands are those
of the Rust program, run by the native module in this process."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

_WORKER = """
Python:
  worker      Run workers of a Python executor: stent worker module:executor
"""

_HELP = ("-h", "--help")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that `argv` (the process's arguments by default) names; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["worker"]:
        from stent.cli import _worker

        return _worker.main(words[1:])
    from stent import _native

    code = _native.run_command([sys.executable, "-m", "stent"], ["stent", *words])
    if not words or words[0] in _HELP:
        print(_WORKER, file=sys.stdout if words else sys.stderr)
    return code
