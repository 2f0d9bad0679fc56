"""The native module: what Python asks of the engine."""

from collections.abc import Callable
from typing import Any, final

__all__ = ["Records", "parse_duration", "run_command"]

def parse_duration(text: str) -> int: ...
def run_command(host: list[str], argv: list[str]) -> int: ...

@final
class Records:
    @staticmethod
    def open(url: str) -> Records: ...
    def call(self, name: str, request: bytes, done: Callable[[str | None, Any], object]) -> None: ...
