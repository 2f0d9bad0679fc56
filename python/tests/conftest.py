"""What all tests share."""

from stores import backend, fresh_backend

__all__ = ["backend", "fresh_backend"]
