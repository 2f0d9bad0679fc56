"""What all tests share."""

from stores import backend, fresh_backend

# What an installed package brings by its entry point.
pytest_plugins = ["stent.testing.plugin"]

__all__ = ["backend", "fresh_backend"]
