"""The operator as tests run it: a process of its own, against a control plane of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.control_plane import RunningControlPlane

API_VERSION = "audit-operator.dev/v1alpha1"
NAMESPACE = "audit-operator"
USER = "operator"
GROUP = "/apis/audit-operator.dev/v1alpha1"
PATIENCE = 300.0


def thing(kind: str, name: str, spec: dict[str, Any], namespace: str = "") -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


MAIN = thing("AuditControlPlane", "main", {"default": True, "driver": "Process"})
BASELINE = thing("ClusterAuditPolicy", "baseline", {"rules": [{"level": "Metadata"}]})


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """The first true result; fails if there is none in time.

    In between, the API server may be away, and a status, or a part of it, not written yet.
    """
    deadline, why = time.monotonic() + PATIENCE, ""
    while True:
        try:
            if result := condition():
                return result
            why = ""
        except (OSError, AssertionError, LookupError) as error:
            why = f": {error!r}"
        assert time.monotonic() < deadline, f"in vain: {what}{why}"
        time.sleep(0.3)


@dataclass
class OperatorProcess:
    """Starts, stops and kills operators, and reads what they say in status."""

    control_plane: RunningControlPlane
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, **settings: str) -> subprocess.Popen[bytes]:
        environment = {
            "AUDIT_OPERATOR_KUBECONFIG": str(self.control_plane.kubeconfig(USER)),
            "AUDIT_OPERATOR_PROCESS_FOLDER": str(self.control_plane.plane.folder),
            "AUDIT_OPERATOR_LISTEN_HOST": "127.0.0.1",
            "AUDIT_OPERATOR_LISTEN_PORT": "0",
            # Longer than a restart of the only API server takes.
            "AUDIT_OPERATOR_LEASE_SECONDS": "60",
            "AUDIT_OPERATOR_OBSERVE_SECONDS": "1",
            "AUDIT_OPERATOR_LOCAL_SINKS": "true",  # stores of tests listen on loopback
            **{f"AUDIT_OPERATOR_{name.upper()}": value for name, value in settings.items()},
        }
        command = [sys.executable, "-m", "audit_operator", "run"]
        with (self.control_plane.plane.folder / f"operator-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=log)  # noqa: S603 - ourselves
        self.processes.append(process)
        return process

    def stop_all(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            process.wait(60)

    def status(self, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
        """The status that speaks of the present generation; empty if there is none yet."""
        scope = f"/namespaces/{namespace}" if namespace else ""
        found = self.control_plane.get(f"{GROUP}{scope}/{kind}/{name}")
        status: dict[str, Any] = found.get("status", {})
        return status if status.get("observedGeneration") == found["metadata"]["generation"] else {}

    def condition(self, type_: str, kind: str, name: str, namespace: str = "") -> tuple[str, str]:
        """Status and reason of a condition; two empty strings where it is not there."""
        conditions = self.status(kind, name, namespace).get("conditions", [])
        return next(((each["status"], each["reason"]) for each in conditions if each["type"] == type_), ("", ""))

    def until(self, type_: str, expected: tuple[str, str], kind: str, name: str, namespace: str = "") -> None:
        where = f"{kind} {namespace}/{name}"
        eventually(
            lambda: self.condition(type_, kind, name, namespace) == expected, f"{type_} of {where} to be {expected}"
        )

    def running_policy(self) -> str:
        """The text that the running API server process was started with, found by its arguments."""
        folder = self.control_plane.plane.folder
        server = eventually(
            lambda: self.status("auditcontrolplanes", "main")["apiServers"][0], "an API server to be seen"
        )
        digest = server["runningDigest"]
        [file] = folder.rglob(f"policy-{digest}.yaml")
        return file.read_text()

    def writes(self, since: int) -> Iterator[dict[str, Any]]:
        """What operators have written since a position of the audit log, but for their Lease."""
        for event in self.control_plane.audit_events(since=since):
            wrote = event["verb"] not in ("get", "list", "watch")
            if event["user"].get("username") == USER and wrote and event["objectRef"]["resource"] != "leases":
                yield event
