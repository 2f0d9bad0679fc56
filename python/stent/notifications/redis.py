"""Notifications over Redis. It is the engine that speaks to it: this is the address.

Whoever commits something that others wait for says so on a channel, and whoever hears it looks at once instead of with
the next poll. With Redis gone, silent or slow, waits take longer and still end as the database says.
"""

from __future__ import annotations

__all__ = ["RedisBackend"]


class RedisBackend:
    """`Stent(backend, notification_backend=RedisBackend("redis://localhost:6379"))`: `redis://USER:PASSWORD@HOST:PORT/DB`,
    or `redis+unix:///PATH` for a socket. All who share a database name the same `channel`. Nothing is connected before
    the executor is used; what is no address is a `ValueError` then.
    """

    def __init__(self, url: str, *, channel: str = "stent") -> None:
        if not channel:
            raise ValueError("the channel needs a name")
        self.url = url
        self.channel = channel

    @property
    def address(self) -> str:
        """The address as the engine reads it."""
        from urllib.parse import quote

        if "channel=" in self.url:
            return self.url
        return f"{self.url}{'&' if '?' in self.url else '?'}channel={quote(self.channel)}"

    def __repr__(self) -> str:
        from urllib.parse import urlsplit

        place = urlsplit(self.url)
        return f"RedisBackend({place.scheme}://{place.hostname or place.path}:{place.port or ''})"
