"""What a sidecar costs its pod: memory and CPU of the collector and its keeper, at rest and with 500 lines a second."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator import sidecar as keeper
from audit_operator.api.sink import AuditSinkSpec, SinkType, VictoriaLogs
from audit_operator.controller.sidecars import PLACES
from audit_operator.plan.application_logs import QUEUES_BYTES
from audit_operator.shipping.application.configuration import POD_UID_VARIABLE, POD_VARIABLE, render
from audit_operator.shipping.collector.configuration import QUEUES
from audit_operator.shipping.collector.yaml_text import yaml_text
from audit_operator.shipping.exporters import CredentialFiles, Exporter, Room, exporter
from audit_operator.shipping.injection.names import COMMAND
from tests.benchmarks.memory_cgroup import memory_cgroup
from tests.integration.shipping.collector import binary
from tests.integration.shipping.sidecar import Sidecar
from tests.integration.shipping.victoria_logs import victoria_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.benchmarks.memory_cgroup import MemoryCgroup

RATE, BYTES = 500, 600
REST, LOAD = 20.0, 60.0
"""Seconds."""
MEMORY_LIMIT = 160 * 2**20
"""Of the container, as the chart has it."""
_TICK = 0.1
_MIB = 2**10
"""Of the kibibytes that the kernel counts in."""


def run() -> Iterator[str]:
    """Rows of a table."""
    yield f"As injected; default redaction, VictoriaLogs, {RATE} lines a second of {BYTES} bytes. MiB."
    yield "The working set is what the kubelet counts of the container; the rest is resident memory. Needs root."
    yield ""
    yield "| | working set | collector | its highest | keeper | both | CPU s | per |"
    yield "|---|---|---|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as name, victoria_logs(Path(name)) as url, memory_cgroup() as cgroup:
        spec = AuditSinkSpec(type=SinkType.VICTORIA_LOGS, victoria_logs=VictoriaLogs(url=url))
        room = Room(QUEUES, on_disk=QUEUES_BYTES, on_disk_of_tenant=QUEUES_BYTES, holds=True)
        sink = exporter(spec, "benchmark", CredentialFiles(), room)
        assert isinstance(sink, Exporter)
        folder = Path(name) / "pod"
        folder.mkdir()
        sidecar = Sidecar(folder, exporters=(sink,))
        with _injected(sidecar, cgroup) as pids:
            for what, seconds, do in (
                ("at rest", REST, lambda: time.sleep(REST)),
                (f"{RATE}/s", LOAD, lambda: _write(sidecar)),
                ("at rest again", REST, lambda: time.sleep(REST)),
            ):
                resident = _resident(pids, seconds, do)
                yield f"| {what} | {cgroup.working_set() / 2**20:.0f} | {resident}"


@contextmanager
def _injected(sidecar: Sidecar, cgroup: MemoryCgroup) -> Iterator[tuple[int, int]]:
    """Run what an injected container runs; gives the processes of its keeper and of the collector."""
    folders = {each: sidecar.folder / each.lower() for each in ("CONFIG", "SECRET", "CREDENTIALS", "STATE")}
    for each in folders.values():
        each.mkdir()
    (folders["CONFIG"] / "config.yaml").write_text(yaml_text(render(sidecar.pipeline(), PLACES.endpoints)))
    secret = {"files": {}, "environment": sidecar.environment()}
    (folders["SECRET"] / "sidecar.json").write_text(json.dumps(secret))
    environment = {
        **os.environ,
        **{f"AUDIT_SHIPPER_{each}_FOLDER": str(path) for each, path in folders.items()},
        "AUDIT_SHIPPER_MESSAGE": str(sidecar.folder / "message"),
        "AUDIT_SHIPPER_COLLECTOR": str(binary()),
        "AUDIT_SHIPPER_MEMORY_LIMIT": str(MEMORY_LIMIT),
        POD_VARIABLE: "pod",
        POD_UID_VARIABLE: "uid",
    }
    # Isolated, as there; so the project must be put on the path by hand.
    main = f"import sys; sys.path.insert(0, {str(Path(keeper.__file__).parents[2])!r})\nimport {COMMAND[-1]}.__main__"
    with (sidecar.folder / "log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - Python
            cgroup.inside([*COMMAND[:-2], "-c", main]), env=environment, stdout=log, stderr=log
        )
        try:
            time.sleep(10)
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            yield process.pid, int(children[0])
        finally:
            process.terminate()
            process.wait(60)


def _resident(pids: tuple[int, int], seconds: float, do: Callable[[], None]) -> str:
    before = sum(map(_cpu, pids))
    do()
    used = sum(map(_cpu, pids)) - before
    keeps, collects = (Path(f"/proc/{pid}/status").read_text() for pid in pids)
    kept, rss, highest = (
        _kibibytes(*each) / _MIB for each in ((keeps, "VmHWM"), (collects, "VmRSS"), (collects, "VmHWM"))
    )
    return f"{rss:.0f} | {highest:.0f} | {kept:.0f} | {rss + kept:.0f} | {used:.2f} | {seconds:.0f} s |"


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
        text = "".join(line(written + number) for number in range(due))
        sidecar.write(f"audit-{int(passed) // 6}.log", text.encode())
        written += due
        time.sleep(_TICK)


def line(number: int) -> str:
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
