"""Ports on loopback that stay free: below the range from which the kernel takes ports for outgoing connections.

A port of that range may be taken while an API server is being restarted. Nothing is reserved here: whoever listens may
still find the port taken, and must then try the next one.
"""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_RANGE = range(20000, 32000)

ADDRESS_IN_USE = "address already in use"
"""What Go programs say when they find a port taken."""


def free_ports() -> Iterator[int]:
    """Ports that nobody listens on now, in random order."""
    for port in random.sample(_RANGE, len(_RANGE)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port
