"""The seeds: documents by whoever asked for this package. Tests take the code that stands in them, word for word."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SEEDS = ROOT / "testing" / "seeds"


@dataclass(frozen=True)
class Block:
    """A block of code of a seed: the headings it stands under, and its place among the blocks of the seed."""

    seed: str
    number: int
    heading: str
    code: str

    def __str__(self) -> str:
        return f"{self.seed}-{self.number:02}-{re.sub('[^a-z0-9]+', '-', self.heading.lower()).strip('-')}"


def text(seed: str) -> str:
    """All of a seed."""
    (found,) = SEEDS.glob(f"{seed}_*.txt")
    return found.read_text()


def blocks(seed: str, language: str = "python") -> list[Block]:
    """The blocks of one language, in order; indented ones (in lists) without their indentation."""
    found: list[Block] = []
    heading, indent, is_wanted = "", 0, False
    code: list[str] | None = None
    for line in text(seed).splitlines():
        fence = re.match(r"( *)```(\w*)", line)
        if code is not None and fence:
            if is_wanted:
                found.append(Block(seed, len(found) + 1, heading, "\n".join(code) + "\n"))
            code = None
        elif code is not None:
            code.append(line[indent:])
        elif fence:
            code, indent, is_wanted = [], len(fence[1]), fence[2] == language
        elif line.startswith("#"):
            heading = line.lstrip("# ")
    return found
