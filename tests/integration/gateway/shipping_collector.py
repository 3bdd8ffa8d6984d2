"""A collector that takes what the gateway hands on, with the configuration that is rendered for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request

from audit_operator.api.audit import Level
from audit_operator.api.sink import ClusterAuditSinkSpec
from audit_operator.policy.contribution import Contribution, Reach
from audit_operator.policy.model import Policy, Rule
from audit_operator.shipping.collector.configuration import ARGUMENTS, ENVIRONMENT, QUEUES, Endpoints, render
from audit_operator.shipping.collector.yaml_text import yaml_text
from audit_operator.shipping.enforcement.classes import classify
from audit_operator.shipping.enforcement.table import build
from audit_operator.shipping.exporters import CredentialFiles, Exporter, Room, exporter
from audit_operator.shipping.pipeline import AuditPipeline, AuditWebhook
from tests.integration.shipping.collector import binary
from tests.ports import free_ports

PATIENCE = 180.0


def victoria_logs_sink(url, **more):
    return {"type": "VictoriaLogs", "victoriaLogs": {"url": url}, **more}


class ShippingCollector:
    """From the gateway to one sink, with every event as it was recorded."""

    def __init__(self, folder, sink, *, queue=2**30, redactions=None):
        self.folder, self.process = folder, None
        folder.mkdir(exist_ok=True)
        ports = free_ports()
        self.address = f"127.0.0.1:{next(ports)}"
        self.endpoints = Endpoints(f"127.0.0.1:{next(ports)}", "127.0.0.1", next(ports), "127.0.0.1:0")
        spec = ClusterAuditSinkSpec.model_validate_json(json.dumps(sink))
        way = exporter(
            spec,
            "central",
            CredentialFiles(),
            Room(QUEUES, f"{folder}/files", on_disk=queue),
        )
        assert isinstance(way, Exporter), way
        everywhere = Reach(frozenset(), unseen_namespaces=True, cluster=True, non_resource=True)
        everything = Contribution(everywhere, Policy((Rule(Level.REQUEST_RESPONSE),)))
        table = build(classify([everything], []))
        (folder / "table.yaml").write_text(yaml_text(table.entries))
        self.pipeline = AuditPipeline(
            cluster="test",
            source=AuditWebhook(self.address),
            shape=table.shape,
            table=f"{folder}/table.yaml",
            state=f"{folder}/state",
            routes={"": (way.id,)},
            quarantine=(way.id,),
            exporters=(way,),
            redactions=redactions or {},
        )
        (folder / "config.yaml").write_text(yaml_text(render(self.pipeline, self.endpoints)))

    def start(self):
        """Returns when it is ready."""
        with (self.folder / "collector.log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603  # the binary of the asset module
                [binary(), "--config", self.folder / "config.yaml", *ARGUMENTS],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **ENVIRONMENT},
            )
        deadline = time.monotonic() + PATIENCE
        while not self.is_ready():
            assert self.process.poll() is None, self.log[-3000:]
            assert time.monotonic() < deadline, self.log[-3000:]
            time.sleep(0.02)
        return self

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://{self.endpoints.health}", timeout=5):
                return True
        except OSError:
            return False

    @property
    def log(self):
        return (self.folder / "collector.log").read_text(errors="replace")

    def cpu(self):
        """Seconds that it has used."""
        with open(f"/proc/{self.process.pid}/stat") as stat:  # noqa: PTH123  # no path of ours
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self):
        """SIGKILL: nothing is put in order."""
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(30)
