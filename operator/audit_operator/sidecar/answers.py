"""What the collector has counted, told to whoever asks: the pod has no token, so it can write it nowhere.

The listener shares its ports and its CPU with an application, and anybody who reaches the pod can connect. So it has a
thread of its own that the collector never waits for, takes one connection at a time and few a second, and tells numbers
alone. Where it listens is computed from the pod, so that the operator knows it, and so that no port is taken from an
application in all of its pods.
"""

from __future__ import annotations

import binascii
import json
import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

from audit_operator.sidecar.counted import condensed
from audit_operator.sidecar.saying import say

TYPE_CHECKING = False  # as typing has it; to import that costs half a megabyte
if TYPE_CHECKING:
    from audit_operator.sidecar.collector import Collector

# The operator says the same in shipping.injection.figures; a test compares them.
FIRST_PORT, PORTS, CANDIDATES = 19000, 1000, 4
PATH = "/figures"

_REQUEST = f"GET {PATH} HTTP/1.".encode()
_MOST_OF_A_REQUEST = 2048
_PATIENCE = 1.0
_PAUSE = 0.05
"""Between two connections: whoever floods the port costs the application no CPU."""
_FRESH = 1.0
"""Seconds for which one answer of the collector is good for all who ask."""


def ports(pod: str, policy: str) -> list[int]:
    """Where the sidecar of a policy may listen in a pod (its UID), the first that is free."""
    found = [FIRST_PORT + binascii.crc32(f"{pod}/{policy}/{n}".encode()) % PORTS for n in range(CANDIDATES)]
    return list(dict.fromkeys(found))


@dataclass(slots=True)
class Answers:
    """Listens on the pod's address for as long as the operator wants it, and never on that of a node."""

    collector: Collector
    _policy: str = ""
    _listener: socket.socket | None = None
    _answer: bytes = b""
    _answered_at: float = float("-inf")

    def want(self, text: str) -> None:
        """Take note of what the operator has written: whose figures it will ask for; empty if it does not ask."""
        policy = ""
        with suppress(ValueError, AttributeError):
            policy = str(json.loads(text or "{}").get("policy", ""))
        if policy == self._policy:
            return
        self.close()
        self._policy = policy
        if policy:
            self._listen(policy)

    def close(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for a connection
            self._listener.close()
        self._listener = None

    def _listen(self, policy: str) -> None:
        address = os.environ.get("AUDIT_SHIPPER_POD_IP", "")
        if not address or address == os.environ.get("AUDIT_SHIPPER_HOST_IP"):
            return  # the network of the node: its ports are everybody's
        pod = os.environ.get("AUDIT_SHIPPER_POD_UID", "")
        for port in ports(pod, policy):
            listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
            try:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((address, port))
                listener.listen(8)
            except OSError:
                listener.close()
                continue
            self._listener = listener
            try:
                threading.Thread(target=self._serve, args=(listener, pod, policy), daemon=True).start()
            except RuntimeError:  # the pod may have no thread more
                self.close()
                break
            return
        say("WARNING", "tells nobody what is counted: no port, or no thread, is free")

    def _serve(self, listener: socket.socket, pod: str, policy: str) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                if listener.fileno() < 0 or listener is not self._listener:
                    return
                time.sleep(_PAUSE)
                continue
            with connection, suppress(OSError):
                connection.settimeout(_PATIENCE)
                connection.sendall(self._answer_to(_request(connection), pod, policy))
            time.sleep(_PAUSE)

    def _answer_to(self, request: bytes, pod: str, policy: str) -> bytes:
        if not request.startswith(_REQUEST):
            return b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        now = time.monotonic()
        if now - self._answered_at >= _FRESH:
            lines = self.collector.metrics()
            told = {"pod": pod, "policy": policy, "runs": lines is not None, **condensed(lines or [])}
            self._answer, self._answered_at = json.dumps(told).encode(), now
        head = f"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(self._answer)}\r\n\r\n"
        return head.encode() + self._answer


def _request(connection: socket.socket) -> bytes:
    """All of a request: what is left unread when a connection is closed takes the answer with it."""
    deadline, read = time.monotonic() + _PATIENCE, b""
    while b"\r\n\r\n" not in read and len(read) < _MOST_OF_A_REQUEST and time.monotonic() < deadline:
        part = connection.recv(_MOST_OF_A_REQUEST)
        if not part:
            break
        read += part
    return read
