"""What a sidecar costs its pod: memory and CPU of the collector, at rest and with 500 lines a second."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.api.sink import AuditSinkSpec, SinkType, VictoriaLogs
from audit_operator.plan.application_logs import QUEUES_BYTES
from audit_operator.shipping.collector.configuration import QUEUES
from audit_operator.shipping.exporters import CredentialFiles, Exporter, Room, exporter
from tests.integration.shipping.sidecar import Sidecar
from tests.integration.shipping.victoria_logs import victoria_logs

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE, BYTES = 500, 600
REST, LOAD = 20.0, 60.0
"""Seconds."""
_TICK = 0.1
_MIB = 2**10
"""Of the kibibytes that the kernel counts in."""


def run() -> Iterator[str]:
    """Rows of a table."""
    yield f"One collector, default redaction, one sink (VictoriaLogs), {RATE} lines a second of {BYTES} bytes."
    yield ""
    yield "| | RSS MiB | of that, not of the binary | highest RSS MiB | CPU s | per |"
    yield "|---|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as name, victoria_logs(Path(name)) as url:
        spec = AuditSinkSpec(type=SinkType.VICTORIA_LOGS, victoria_logs=VictoriaLogs(url=url))
        room = Room(QUEUES, on_disk=QUEUES_BYTES, on_disk_of_tenant=QUEUES_BYTES, holds=True)
        sink = exporter(spec, "benchmark", CredentialFiles(), room)
        assert isinstance(sink, Exporter)
        folder = Path(name) / "pod"
        folder.mkdir()
        with Sidecar(folder, exporters=(sink,)) as sidecar:
            time.sleep(10)
            yield _row("at rest", sidecar.pid, REST, lambda: time.sleep(REST))
            yield _row(f"{RATE}/s", sidecar.pid, LOAD, lambda: _write(sidecar))
            yield _row("at rest again", sidecar.pid, REST, lambda: time.sleep(REST))


def _row(name: str, pid: int, seconds: float, do: object) -> str:
    before = _cpu(pid)
    assert callable(do)
    do()
    used = _cpu(pid) - before
    status = Path(f"/proc/{pid}/status").read_text()
    rss, anonymous, highest = (_kibibytes(status, key) / _MIB for key in ("VmRSS", "RssAnon", "VmHWM"))
    return f"| {name} | {rss:.0f} | {anonymous:.0f} | {highest:.0f} | {used:.2f} | {seconds:.0f} s |"


def _kibibytes(status: str, key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) if found else 0


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _write(sidecar: Sidecar) -> None:
    """At a steady pace, in ten files that rotate, as a busy application does."""
    start, written = time.monotonic(), 0
    while (passed := time.monotonic() - start) < LOAD:
        due = int(passed * RATE) - written
        text = "".join(_line(written + number) for number in range(due))
        sidecar.write(f"audit-{int(passed) // 6}.log", text.encode())
        written += due
        time.sleep(_TICK)


def _line(number: int) -> str:
    record = {
        "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())}.{number % 1000:03}Z",
        "user": f"user-{number % 97}@example.com",
        "action": "order.update",
        "result": "ok" if number % 10 else "denied",
        "id": str(uuid.UUID(int=number)),
        "correlationId": f"{number:032x}",
        "source": {"ip": "10.2.3.4", "userAgent": "curl/8.5.0", "path": f"/api/v2/orders/{number}"},
        "changes": [{"field": "status", "from": "open", "to": "paid"}],
    }
    missing = BYTES - len(json.dumps({**record, "note": ""})) - 1
    return json.dumps({**record, "note": "x" * missing}) + "\n"
