"""A second collector that takes OTLP over gRPC, and writes what it gets to a file.

receiver = Receiver(tmp_path, tls={"cert_file": ..., "key_file": ...})
with receiver.running():
    receiver.records
"""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import yaml

from tests.integration.shipping.collector import Record, binary, records
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class Receiver:
    """With the receiver's own defaults, and TLS if it is given some.

    Attributes:
        address: host and port.
    """

    def __init__(
        self, folder: Path, *, tls: Mapping[str, str] | None = None, signal: str = "logs", address: str = ""
    ) -> None:
        self._folder = folder
        folder.mkdir()
        self.address = address or f"127.0.0.1:{next(free_ports())}"
        grpc: dict[str, Any] = {"endpoint": self.address, "include_metadata": True, **({"tls": tls} if tls else {})}
        told = {"key": "said", "from_context": "metadata.authorization", "action": "insert"}
        config = {
            "receivers": {"otlp": {"protocols": {"grpc": grpc}}},
            "processors": {"attributes": {"actions": [told]}},
            "exporters": {"file": {"path": str(self._file), "append": True}},
            "service": {
                "pipelines": {signal: {"receivers": ["otlp"], "processors": ["attributes"], "exporters": ["file"]}},
                "telemetry": {"metrics": {"level": "none"}},
            },
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Until the end of the block; then it is killed."""
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  # of the asset module
                [binary(), "--config", self._folder / "config.yaml"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            yield
        finally:
            ended = process.poll()
            process.kill()
            process.wait()
            assert ended is None, (self._folder / "log").read_text()

    @property
    def records(self) -> list[Record]:
        """Everything that came so far."""
        return list(records(self._file))

    @property
    def _file(self) -> Path:
        return self._folder / "received.jsonl"
