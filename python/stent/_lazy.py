"""Modules that are imported with their first use, for those that `import stent` imports. asyncio alone takes longer
than all of this package, and a program that only declares durable functions, or shows its help, makes no use of it.

Types in signatures that are read through one of them (`records.ExecutionState`) are there for `typing.get_type_hints`.

What runs durable code imports asyncio as usual, and comes in itself with the first bridge.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["asyncio", "records", "rows", "traceback", "uuid"]

if TYPE_CHECKING:
    import asyncio
    import traceback
    import uuid

    from stent import _records as records
    from stent.backend import _rows as rows
else:

    class _Lazy:
        def __init__(self, name: str) -> None:
            self._name = name
            self._module = None

        def __getattr__(self, name: str) -> Any:
            # Looked up each time: what a program puts in a name's place, or takes away again, counts here too.
            if self._module is None:
                self._module = import_module(self._name)
            return getattr(self._module, name)

    asyncio = _Lazy("asyncio")
    traceback = _Lazy("traceback")
    uuid = _Lazy("uuid")
    records = _Lazy("stent._records")
    rows = _Lazy("stent.backend._rows")
