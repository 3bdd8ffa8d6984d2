"""Ports for what tests start, that nothing else of a test run gets: until somebody listens on a port that is merely
free, the next who looks takes it too, and two suites of many processes look often.

Other than those of the product, so that what it starts, which looks for free ones itself, never takes one either; and
other than those of sidecars.
"""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_RANGE = range(10000, 19000)
_CLAIMS: list[socket.socket] = []
"""Of this process, until it ends."""


def free_ports() -> Iterator[int]:
    """Ports on loopback in random order, each given out once to one process."""
    for port in random.sample(_RANGE, len(_RANGE)):
        if _claimed(port) and _unused(port):
            yield port


def _claimed(port: int) -> bool:
    """Said by a name that only one process can have, and that goes with it."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0audit-operator-test-port-{port}")
    except OSError:
        claim.close()
        return False
    _CLAIMS.append(claim)
    return True


def _unused(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
