"""A collector from lines in a file to exporters that we render, and nothing in between."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import subprocess

import aiohttp
import yaml

from audit_operator.api.sink import ClusterAuditSinkSpec
from audit_operator.shipping.exporters import RETRIED_REFUSALS, CredentialFiles, Exporter, Room, exporter
from tests.integration.shipping.collector import binary
from tests.ports import free_ports

STORAGE = "file_storage/state"
_TIME = {"type": "time_parser", "parse_from": "attributes.time", "layout_type": "gotime", "layout": "2006-01-02T15:04"}
_READY = "Everything is ready"


def made(spec, folder, authorization="", *, name="central", kind=ClusterAuditSinkSpec, **room):
    tls = ("/tmp/ca", "/tmp/crt", "/tmp/key") if "tls" in spec else ("", "", "")  # noqa: S108 - not read
    files = CredentialFiles(authorization, *tls, f"{folder}/keys" if "s3" in spec else "")
    result = exporter(
        kind.model_validate_json(json.dumps(spec)),
        name,
        files,
        Room(STORAGE, f"{folder}/files", **room),
    )
    assert isinstance(result, Exporter), result
    return result


class Shipper:
    """A collector from lines in a file to exporters."""

    def __init__(self, folder, *exporters, environ=None):
        self.folder = folder
        self.environ = environ or {}
        self.metrics = next(free_ports())
        self.process = None
        scraped = {"exporter": {"prometheus": {"host": "127.0.0.1", "port": self.metrics}}}
        config = {
            "extensions": {
                STORAGE: {"directory": f"{folder}/state", "create_directory": True, "fsync": True},
                RETRIED_REFUSALS: {},
            },
            "receivers": {
                "file_log": {
                    "include": [f"{folder}/audit*.log"],
                    "start_at": "beginning",
                    "storage": STORAGE,
                    "poll_interval": "50ms",
                    "max_log_size": "16MiB",
                    "include_file_name": False,
                    "retry_on_failure": {"enabled": True, "max_elapsed_time": "0s"},
                    "operators": [
                        {"type": "json_parser"},
                        {"type": "remove", "field": "attributes.filler"},
                        {**_TIME, "if": "attributes.time != nil"},
                    ],
                }
            },
            "processors": {"detach": {}},
            "exporters": {each.id: dict(each.config) for each in exporters},
            "service": {
                "extensions": [STORAGE, RETRIED_REFUSALS],
                "pipelines": {
                    f"logs/{number}": {
                        "receivers": ["file_log"],
                        "processors": ["detach"] * each.detached,
                        "exporters": [each.id],
                    }
                    for number, each in enumerate(exporters)
                },
                "telemetry": {"metrics": {"readers": [{"pull": scraped}]}},
            },
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    async def start(self):
        """Returns when it is up: killed before, it can lose what its queue had handed out (docs/sinks.md)."""
        ready = self.log.count(_READY)
        with (self.folder / "collector.log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: ASYNC220, S603  # returns at once; the binary of the asset module
                [binary(), "--config", self.folder / "config.yaml"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environ},
            )
        await until(lambda: self.log.count(_READY) > ready, "a collector that is ready")

    def stop(self):
        """Kill it, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def append(self, first, last, size=1000, **more):
        """Events by number, to the file that is read; `more` are attributes of theirs, of which `time` is when."""
        with (self.folder / "audit.log").open("a", encoding="utf-8") as file:
            for number in range(first, last):
                event = {"auditID": f"id-{number}", "stage": "ResponseComplete", **more, "filler": "x" * size}
                file.write(json.dumps(event, ensure_ascii=False) + "\n")

    @property
    def log(self):
        file = self.folder / "collector.log"
        return file.read_text() if file.exists() else ""

    async def count(self, metric):
        """Sum of a counter of the collector's; 0 before it is up."""
        text = await self.metrics_text()
        return sum(
            float(value) for value in re.findall(rf"^{metric}(?:_total)?\{{[^}}]*\}} (\S+)$", text, re.MULTILINE)
        )

    async def metrics_text(self):
        """All that it counts; nothing before it is up."""
        url = f"http://127.0.0.1:{self.metrics}/metrics"
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as got:
                return await got.text()
        except aiohttp.ClientError:
            return ""


async def until(condition, what):
    for _ in range(6000):
        if await condition() if inspect.iscoroutinefunction(condition) else condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"waited in vain for {what}")
