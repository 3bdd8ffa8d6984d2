"""How much is worked on at once: what comes on top is told to come again, before it takes memory."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


EVENT = 128
"""Bytes that an event takes besides its text, once it is cut out of its list."""


class Overloaded(Exception):  # noqa: N818  # a state of the gateway
    """There is no room for more just now."""


@dataclass(slots=True)
class Load:
    """What is worked on, and how much may be.

    Attributes:
        most_requests: that are read or handed on at once.
        most_bytes: of their bodies, unpacked, and `EVENT` for each event in them. The process needs about three times
            as much memory.
        requests: that are worked on now.
        bytes: the same, now.
    """

    most_requests: int = 64
    most_bytes: int = 128 * 2**20
    requests: int = 0
    bytes: int = 0

    @contextmanager
    def request(self) -> Iterator[Share]:
        """The share of one request, given back at the end.

        Raises:
            Overloaded: see there.
        """
        if self.requests >= self.most_requests:
            raise Overloaded("too many requests at once")
        self.requests += 1
        share = Share(self)
        try:
            yield share
        finally:
            self.requests -= 1
            self.bytes -= share.bytes


@dataclass(slots=True)
class Share:
    """What one request has taken of the load."""

    load: Load
    bytes: int = 0

    def take(self, number: int) -> None:
        """Take room for so many bytes more.

        Raises:
            Overloaded: see there.
        """
        if self.load.bytes + number > self.load.most_bytes:
            raise Overloaded("too many bytes at once")
        self.load.bytes += number
        self.bytes += number
