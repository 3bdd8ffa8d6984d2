"""The etcd of a local control plane: one process, without fsync, for data that nobody needs tomorrow."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from audit_operator.controlplane import os_process
from audit_operator.controlplane.files import write_atomically
from audit_operator.controlplane.os_process import ProcessIdentity

if TYPE_CHECKING:
    from pathlib import Path

_STOP_GRACE = 5.0
_READY_TIMEOUT = 60.0
_REQUEST_TIMEOUT = 2.0
_POLL = 0.02


class EtcdFailed(Exception):  # noqa: N818  # a state of etcd
    """etcd has ended or does not answer; the message has what it said last."""


class Etcd:
    """The etcd that a folder describes; its process is recorded in etcd.json."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "etcd.log"
        self._data = folder / "etcd"
        self._record = folder / "etcd.json"

    def start(self, binary: Path, client_port: int, peer_port: int) -> str:
        """Start it and wait until it is healthy; returns its address for clients.

        Raises:
            EtcdFailed: it has ended, for example since a port is taken, or is not healthy in time.
        """
        client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
        process = os_process.spawn(
            [
                binary,
                f"--data-dir={self._data}",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
            self.log,
        )
        write_atomically(self._record, json.dumps(asdict(process)).encode())
        deadline = time.monotonic() + _READY_TIMEOUT
        while not _is_healthy(client_port) or not os_process.is_alive(process):
            if not os_process.is_alive(process) or time.monotonic() >= deadline:
                self.stop()
                raise EtcdFailed(f"etcd does not become healthy: {self.log.read_text(errors='replace')[-1000:]}")
            time.sleep(_POLL)
        return client

    def process(self) -> ProcessIdentity | None:
        """Its process; None if it does not run."""
        try:
            process = ProcessIdentity(**json.loads(self._record.read_bytes()))
        except OSError:
            return None
        return process if os_process.is_alive(process) else None

    def stop(self) -> None:
        """End it. Blocks."""
        process = self.process()
        if process is not None:
            os_process.end(process, _STOP_GRACE)


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_REQUEST_TIMEOUT)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
