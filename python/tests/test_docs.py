"""The guide's Python is run as it stands, and each example prints what it should."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import seeds

GUIDES = sorted((seeds.ROOT / "docs" / "guide").glob("python*.md"))
EXAMPLES = seeds.ROOT / "examples" / "python"

PRINTED = {
    "hello.py": "['Hello, Ann!', 'Hello, Bob!']\n",
    "records.py": 'pending: 1\nann has shop:pack with ["tea"]\ncompleted "packed"\ntasks: 1\n',
    "typed.py": "1 2 3\n",
}


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
async def test_a_guide_runs_from_top_to_bottom(guide: Path):
    names: dict[str, Any] = {"__name__": "guide"}
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```", guide.read_text())
    assert len(blocks) >= 2
    for block in blocks:
        code = compile(block, str(guide), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, names)
        if inspect.isawaitable(result):
            await result


def test_every_example_prints_what_it_should():
    there = {file.name for file in EXAMPLES.glob("*.py")}
    assert there == set(PRINTED)
    for name, printed in PRINTED.items():
        done = subprocess.run([sys.executable, str(EXAMPLES / name)], capture_output=True, text=True, timeout=60)
        assert (done.stdout, done.stderr, done.returncode) == (printed, "", 0)


def test_the_stub_tells_of_all_that_the_native_module_has():
    from stent import _native

    stub = ast.parse((Path(seeds.ROOT) / "python" / "stent" / "_native.pyi").read_text())
    told = {node.name for node in stub.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    told |= {node.target.id for node in stub.body if isinstance(node, ast.AnnAssign)}
    assert told == set(_native.__all__)
