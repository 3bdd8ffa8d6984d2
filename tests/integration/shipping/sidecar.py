"""A sidecar's collector, as it runs in an application's pod, that writes what it would ship into a file.

async-free: with Sidecar(tmp_path, ["audit.log"]) as sidecar:
    sidecar.write("audit.log", b'{"time": ...}\\n')
    [record] = sidecar.await_records(1)
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from audit_operator.api.application_logs import FieldMapping, TimeFormat
from audit_operator.shipping.application.configuration import (
    ENVIRONMENT,
    POD_UID_VARIABLE,
    POD_VARIABLE,
    quarantine_counter,
    render,
)
from audit_operator.shipping.application.pipeline import ApplicationPipeline, LogFiles
from audit_operator.shipping.application.standard import LONGEST_LINE
from audit_operator.shipping.collector.configuration import ARGUMENTS, Endpoints
from audit_operator.shipping.collector.yaml_text import yaml_text
from audit_operator.shipping.exporters import Exporter
from audit_operator.shipping.redaction.demand import RedactionDemand
from audit_operator.shipping.redaction.rendering import PSEUDONYM_VARIABLE
from tests.integration.shipping.collector import Record, binary, records
from tests.ports import free_ports

if TYPE_CHECKING:
    from pathlib import Path

KEY = "0123456789abcdef" * 4
POD, UID = "shop-7d9f-x2x", "5b1e8f0e-6d0d-4f6e-9a4f-0c6a0e6f7a11"
VOLUME = "logs"
_STEP = 0.05


@dataclass
class Sidecar:
    """One collector with its folders below `folder`; `paths` are entries of a policy's files in one volume."""

    folder: Path
    paths: tuple[str, ...] = ("*.log",)
    fields: FieldMapping = field(default_factory=FieldMapping)
    time_format: TimeFormat = TimeFormat.RFC3339
    redaction: RedactionDemand = field(default_factory=RedactionDemand)
    longest_line: int = LONGEST_LINE
    key: str = KEY
    exporters: tuple[Exporter, ...] = ()
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        ports = free_ports()
        self.health, self.metrics = next(ports), next(ports)

    @property
    def logs(self) -> Path:
        return self.folder / "mounted" / VOLUME

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def pipeline(self) -> ApplicationPipeline:
        written = {"path": str(self.folder / "out.jsonl"), "flush_interval": "50ms", "append": True}
        out = Exporter("file", written, detached=False)
        exporters = self.exporters or (out,)
        ids = tuple(each.id for each in exporters)
        return ApplicationPipeline(
            cluster="prod",
            namespace="shop",
            policy="orders",
            files=tuple(LogFiles(VOLUME, each, str(self.logs)) for each in self.paths),
            redaction=self.redaction,
            exporters=exporters,
            standard=ids,
            quarantine=ids,
            state=str(self.folder / "state"),
            fields=self.fields,
            time_format=self.time_format,
            longest_line=self.longest_line,
        )

    def configuration(self) -> dict[str, Any]:
        return render(self.pipeline(), Endpoints(f"127.0.0.1:{self.health}", "127.0.0.1", self.metrics))

    def __enter__(self) -> Self:
        config = self.folder / "config.yaml"
        config.write_text(yaml_text(self.configuration()))
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the binary of the asset module
                [binary(), "--config", config, *ARGUMENTS],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment()},
            )
        return self

    def environment(self) -> dict[str, str]:
        return {**ENVIRONMENT, POD_VARIABLE: POD, POD_UID_VARIABLE: UID, PSEUDONYM_VARIABLE: self.key}

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        assert self._process is not None
        self._process.send_signal(how)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def write(self, name: str, content: bytes) -> None:
        path = self.logs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(content)

    def records(self) -> list[Record]:
        return list(records(self.folder / "out.jsonl"))

    def await_records(self, count: int, patience: float = 180.0) -> list[Record]:
        """The records, once there are so many.

        Raises:
            AssertionError: there are not, within `patience` seconds; or there are more.
        """
        deadline = time.monotonic() + patience
        while len(found := self.records()) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} records:\n{self.log()[-4000:]}"
            assert self._process is None or self._process.poll() is None, self.log()[-4000:]
            time.sleep(_STEP)
        assert len(found) == count, f"{len(found)} records in place of {count}"
        return found

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def await_up(self, patience: float = 180.0) -> None:
        """Wait until it shows its metrics. Raises URLError where it does not within `patience` seconds."""
        deadline = time.monotonic() + patience
        while True:
            try:
                self.metric("process_uptime")
            except urllib.error.URLError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_STEP)
            else:
                return

    def quarantined(self, path: str) -> int:
        """What the collector has counted for an entry of the policy's files."""
        return self.metric("processor_incoming_items", f'processor="{quarantine_counter(f"{VOLUME}/{path}")}"')

    def metric(self, name: str, label: str = "") -> int:
        """The sum of one of the collector's metrics, of those that have a label."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        pattern = rf"^otelcol_{name}(?:_total)?\{{[^}}]*{re.escape(label)}[^}}]*\}} (\S+)$"
        return int(sum(map(float, re.findall(pattern, text, re.MULTILINE))))
