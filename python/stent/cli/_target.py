"""What `module:executor` names: an executor, or a function that makes one."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from typing import Any


class UnusableTarget(Exception):
    """The words name nothing that can be served; the message says why."""


def find(words: str) -> Any:
    """The object that is named, imported from the present folder or wherever Python looks."""
    module_name, colon, path = words.partition(":")
    if not (colon and module_name and path):
        raise UnusableTarget(f'"{words}" must read module:executor, myapp.tasks:executor say')
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # A module that is missing inside of the user's own is the user's to see.
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise
        raise UnusableTarget(f'there is no module "{error.name}" here') from None
    for part in path.split("."):
        if not hasattr(found, part):
            raise UnusableTarget(f'"{module_name}" has no "{path}"')
        found = getattr(found, part)
    return found


async def executor(words: str) -> Any:
    """The executor that is named; a function without arguments is called, and awaited where it is async."""
    found = find(words)
    if not hasattr(found, "serve") and callable(found):
        found = found()
        if inspect.isawaitable(found):
            found = await found
    if not hasattr(found, "serve"):
        raise UnusableTarget(f'"{words}" is a {type(found).__name__}, not an executor: it has no serve()')
    return found
