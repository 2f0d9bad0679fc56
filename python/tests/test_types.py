"""Type checkers see durable functions as they were written. pyright and pyrefly look at the examples with all else;
here mypy does."""

from __future__ import annotations

import os
import subprocess
import sys

import seeds


def test_mypy_sees_what_durable_functions_take_and_give():
    checks = ["--strict", "--follow-imports=silent", "--warn-unused-ignores", "--cache-dir", os.devnull]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *checks, "examples/python/typed.py"],
        cwd=seeds.ROOT,
        env={**os.environ, "MYPYPATH": str(seeds.ROOT / "python")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
