"""A real OpenTelemetry Collector over a file of lines: what comes out of a pipeline, and what it said meanwhile.

    run = run_collector({"processors": {"transform": {...}}}, [b'{"kind":"Event"}'], tmp_path)
    assert run.records[0].body == '{"kind":"Event"}'
    assert "failed to execute" not in run.log

`config` is a configuration of the collector. What it does not say is filled in: a `file_log` receiver that reads the
lines, a `file` exporter, and one pipeline through all processors in their order. The receiver's `include` and the
exporter's `path` are always those of this run. A configuration with several pipelines names `file_log` and `file` where
the lines come in and the records are wanted; other exporters are its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from audit_operator.controlplane.assets import OTELCOL_VERSION, Asset, Tool, provide_one
from audit_operator.shipping.collector.configuration import Endpoints, render
from audit_operator.shipping.collector.yaml_text import yaml_text
from audit_operator.shipping.exporters import Exporter
from audit_operator.shipping.pipeline import AuditFiles, AuditPipeline
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from audit_operator.shipping.enforcement.table import Table

_TAKEN_IN = re.compile(
    r"^otelcol_receiver_(?:accepted|refused|failed)_log_records(?:_total)?\{[^}]*\} (\S+)$", re.MULTILINE
)
_QUEUED = re.compile(r"^otelcol_exporter_queue_size\{[^}]*\} (\S+)$", re.MULTILINE)
_STEP = 0.05


@dataclass(frozen=True, slots=True)
class Record:
    """One log record as the exporter wrote it; its time is in nanoseconds since 1970, 0 for none."""

    body: Any
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    time: int = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """From the start of a collector until its last line is through.

    Attributes:
        cpu: seconds, of user and system.
        seconds: by the clock.
        resident: MiB, at the highest.
    """

    cpu: float
    seconds: float
    resident: float


@dataclass(frozen=True, slots=True)
class CollectorRun:
    """What came out, what the collector wrote to its log, and what it took to get there."""

    records: tuple[Record, ...]
    log: str
    cost: Cost


def complaints(log: str) -> list[str]:
    """Lines in which the collector warns, or speaks of an error."""
    return [line for line in log.splitlines() if "\twarn\t" in line or "\terror\t" in line]


class CollectorFailed(AssertionError):  # noqa: N818  # names what happened
    """The collector did not start, ended, or did not take in all lines; the message has the end of its log."""


@cache
def binary() -> Path:
    return provide_one(Asset(Tool.OTELCOL, OTELCOL_VERSION))


def run_collector(  # noqa: PLR0913  # two of them say what to run, the others how
    config: Mapping[str, Any],
    lines: Iterable[bytes],
    tmp_path: Path,
    *,
    environ: Mapping[str, str] | None = None,
    arguments: Iterable[str] = (),
    patience: float = 120.0,
    then: Callable[[], None] = lambda: None,
    telemetry: int = 0,
) -> CollectorRun:
    """Send lines through a pipeline, do what comes `then`, and stop; empty lines are no records.

    `telemetry` is the port where the collector tells of itself; any free one, if there is none.

    Raises:
        CollectorFailed: see there.
    """
    folder = tmp_path / f"collector-{time.monotonic_ns()}"
    folder.mkdir()
    wanted = [line for line in lines if line.strip()]
    (folder / "in.log").write_bytes(b"".join(line.rstrip(b"\n") + b"\n" for line in wanted))
    port = telemetry or next(free_ports())
    written = folder / "config.yaml"
    written.write_text(yaml.safe_dump(complete(config, folder, port), sort_keys=False, allow_unicode=True, width=10**9))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # the binary of the asset module
            [binary(), "--config", written, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **(environ or {})},
        )
        try:
            cost = _await(process, port, len(wanted), folder, patience)
            then()
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    return CollectorRun(tuple(records(folder / "out.jsonl")), _log(folder), cost)


def ship(  # noqa: PLR0913  # three of them say what to run, the others how
    table: Table,
    lines: Iterable[bytes],
    folder: Path,
    *,
    detections: str = "127.0.0.1:0",
    then: Callable[[], None] = lambda: None,
    telemetry: int = 0,
    change: Callable[[dict[str, Any]], dict[str, Any]] = lambda config: config,
    **changes: Any,
) -> CollectorRun:
    """What becomes of lines in the whole configuration of a shipper with this decision table.

    `detections` is where it shows what it has counted, and `then` is done before it ends; `changes` are fields of its
    `AuditPipeline`, and `change` is made to what is rendered.

    Raises:
        CollectorFailed: see there.
    """
    (folder / "table.yaml").write_text(yaml_text(table.entries))
    pipeline = AuditPipeline(
        cluster="test",
        source=AuditFiles((f"{folder}/in.log",)),
        shape=table.shape,
        table=f"{folder}/table.yaml",
        state=f"{folder}/state",
        routes={"": ("file",)},
        quarantine=("file",),
        exporters=(Exporter("file", {}, detached=False),),
        redactions={},
    )
    endpoints = Endpoints(health=f"127.0.0.1:{next(free_ports())}", detections=detections)
    config = change(render(replace(pipeline, **changes), endpoints))
    return run_collector(config, lines, folder, then=then, telemetry=telemetry)


def complete(config: Mapping[str, Any], folder: Path, port: int) -> dict[str, Any]:
    """The configuration with what this run fills in."""
    receivers, exporters = config.get("receivers") or {}, config.get("exporters") or {}
    reader = {"start_at": "beginning", "max_log_size": "16MiB", "include_file_name": False}
    pipeline = {"receivers": ["file_log"], "processors": list(config.get("processors") or {}), "exporters": ["file"]}
    service = dict(config.get("service") or {})
    service.setdefault("pipelines", {"logs": pipeline})
    scraped = {"exporter": {"prometheus": {"host": "127.0.0.1", "port": port}}}
    service["telemetry"] = {"logs": {"level": "info"}, "metrics": {"level": "normal", "readers": [{"pull": scraped}]}}
    return {
        **config,
        "receivers": {
            **receivers,
            "file_log": {**reader, **(receivers.get("file_log") or {}), "include": [str(folder / "in.log")]},
        },
        "exporters": {**exporters, "file": {**(exporters.get("file") or {}), "path": str(folder / "out.jsonl")}},
        "service": service,
    }


def _await(process: subprocess.Popen[bytes], port: int, lines: int, folder: Path, patience: float) -> Cost:
    """Wait until every line is through: the receiver counts a batch when it has been exported, or is in a queue."""
    seen, began = 0.0, time.monotonic()
    for _ in range(int(patience / _STEP)):
        if process.poll() is not None:
            raise CollectorFailed(f"the collector ended with {process.returncode}:\n{_log(folder)[-6000:]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                said = answer.read().decode()
            seen = sum(map(float, _TAKEN_IN.findall(said)))
        except (urllib.error.URLError, OSError):
            pass  # not up yet
        else:
            if seen >= lines and not any(map(float, _QUEUED.findall(said))):
                return Cost(_cpu(process.pid), time.monotonic() - began, _resident(process.pid))
        time.sleep(_STEP)
    raise CollectorFailed(f"{seen:.0f} of {lines} lines after {patience} s:\n{_log(folder)[-6000:]}")


def _cpu(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  # no path of ours
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    with open(f"/proc/{pid}/status") as status:  # noqa: PTH123  # no path of ours
        fields = dict(line.split(":", 1) for line in status)
    return int(fields["VmHWM"].split()[0]) / 1024


def _log(folder: Path) -> str:
    return (folder / "log").read_text(errors="replace")


def records(path: Path) -> Iterator[Record]:
    """What a `file` exporter has written so far; a batch that it is just writing is left out."""
    if not path.exists():
        return
    with path.open("rb") as batches:
        for batch in batches:
            if not batch.endswith(b"\n"):
                return
            for resource in json.loads(batch).get("resourceLogs", []):
                about = _mapping(resource.get("resource", {}).get("attributes", []))
                for scope in resource.get("scopeLogs", []):
                    for record in scope.get("logRecords", []):
                        yield Record(
                            _value(record.get("body")),
                            _mapping(record.get("attributes", [])),
                            about,
                            int(record.get("timeUnixNano", 0)),
                        )


def _mapping(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    return {pair["key"]: _value(pair.get("value")) for pair in pairs}


def _value(value: Mapping[str, Any] | None) -> Any:
    """A value of OTLP in JSON; integers are written as strings there."""
    match dict(value or {}):
        case {"intValue": number}:
            return int(number)
        case {"kvlistValue": pairs}:
            return _mapping(pairs.get("values", []))
        case {"arrayValue": items}:
            return [_value(item) for item in items.get("values", [])]
        case {"stringValue": plain} | {"boolValue": plain} | {"doubleValue": plain} | {"bytesValue": plain}:
            return plain
        case _:
            return None
