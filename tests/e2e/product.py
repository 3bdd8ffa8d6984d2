"""audit-operator as it was installed on a node, and what tests ask about it."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.controlplane.assets.cache import CACHE_VARIABLE, cache_folder
from tests.e2e.availability import Availability
from tests.e2e.node.command import CommandFailed, output, run
from tests.e2e.readme import ROOT

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.e2e.node.provider import Cluster

NAMESPACE = "audit-operator"
AGENTS = "audit-operator-agent"
PLANE = "cluster"
MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
FOLDER = "/etc/kubernetes/audit-operator"
AUDIT_LOG = "/var/log/kubernetes/audit/audit.log"
IMAGE = ROOT / "build" / "audit-operator-image.tar"
PATIENCE = 300.0


@dataclass
class Product:
    """The product, on a cluster; installed or about to be."""

    cluster: Cluster
    kubectl_binary: Path
    helm_binary: Path
    folder: Path
    report: Callable[[str], None]

    # Commands

    def shell(self, command: str) -> str:
        """Run a command line as a user would, in the checkout."""
        return output(["bash", "-euo", "pipefail", "-c", command], cwd=ROOT, env=self.environment(), timeout=900)

    def environment(self) -> dict[str, str]:
        """Of a user's shell: with the cluster, and what is to be typed on the path."""
        home = {"HOME": str(self.folder), "KUBECONFIG": str(self.cluster.kubeconfig)}
        home[CACHE_VARIABLE] = str(cache_folder(os.environ))  # the collector takes minutes to build
        path = ":".join(
            map(str, [ROOT / ".venv/bin", self.kubectl_binary.parent, self.helm_binary.parent, os.environ["PATH"]])
        )
        return {**os.environ, **home, "PATH": path}

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """kubectl, tried again while the API server is away or is only just coming up."""
        command = [str(self.kubectl_binary), "--kubeconfig", str(self.cluster.kubeconfig), *arguments]
        return self.eventually(lambda: _answer(run(command, input=stdin)), " ".join(arguments), patience=90.0)

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects."""
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(document))

    def get(self, *what: str) -> Any:
        """Objects as data."""
        return json.loads(self.kubectl("get", *what, "-o", "json"))

    def on_node(self, *argv: str, **options: Any) -> str:
        """Run a command on the node."""
        done = self.cluster.run_on_node(list(argv), **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    # State

    def plane(self) -> dict[str, Any]:
        """Status of the AuditControlPlane, if it speaks of the present generation."""
        found = self.get("auditcontrolplane", PLANE)
        status: dict[str, Any] = found.get("status", {})
        return status if status.get("observedGeneration") == found["metadata"]["generation"] else {}

    def programmed(self) -> tuple[str, str]:
        """Status and reason of its condition Programmed."""
        conditions = self.plane().get("conditions", [])
        return next(((each["status"], each["reason"]) for each in conditions if each["type"] == "Programmed"), ("", ""))

    def node(self) -> dict[str, Any]:
        """What its status says of the node."""
        return next(iter(self.plane().get("apiServers", [])), {})

    def until(self, status: str, reason: str) -> None:
        """Wait for a status and reason of Programmed."""
        self.eventually(lambda: self.programmed() == (status, reason), f"Programmed {status}/{reason}")

    def running_pods(self, namespace: str) -> list[str]:
        """Names of the pods that have not ended."""
        pods = self.get("-n", namespace, "pods")["items"]
        return [pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] != "Succeeded"]

    def agent_report(self) -> dict[str, Any]:
        """What the node's agent says."""
        lease = self.get("-n", NAMESPACE, "lease", f"audit-agent-{self.cluster.node_name}")
        report: dict[str, Any] = json.loads(lease["metadata"]["annotations"]["audit-operator.dev/report"])
        return report

    def manifest(self) -> str:
        """The API server's manifest."""
        return self.on_node("cat", MANIFEST)

    def api_server_started(self) -> str:
        """When the API server's process was started; changes with each restart."""
        return self.on_node("sh", "-c", "for p in $(pidof kube-apiserver); do cut -d' ' -f22 /proc/$p/stat; done")

    def events(self, audit_log: str = AUDIT_LOG) -> Iterator[dict[str, Any]]:
        """All events in the node's audit log."""
        for line in self.on_node("cat", audit_log).splitlines():
            yield json.loads(line)

    def change_policy(self, marker: str) -> None:
        """Ask for what makes another compiled policy, each marker for another one; returns when it is said."""
        before = self.plane().get("digest")
        spec = {"preset": "Baseline", "rules": [{"level": "Request", "users": [marker]}]}
        metadata = {"name": "baseline"}
        kind = {"apiVersion": "audit-operator.dev/v1alpha1", "kind": "ClusterAuditPolicy"}
        self.apply({**kind, "metadata": metadata, "spec": spec})
        self.eventually(lambda: self.plane().get("digest", before) != before, "another policy")

    def availability(self) -> Availability:
        """Measures how long the API server is away."""
        return Availability(self.cluster.kubeconfig, self.folder)

    def eventually(
        self, condition: Callable[[], Any], what: str, patience: float = PATIENCE, pause: float = 0.5
    ) -> Any:
        """The first true result; the API server may be away in between."""
        deadline = time.monotonic() + patience
        said = ""
        while time.monotonic() < deadline:
            try:
                if result := condition():
                    return result
            except (CommandFailed, OSError) as error:
                said = str(error)
            time.sleep(pause)
        raise AssertionError(f"in vain, for {patience:.0f} s: {what} {said}")


def _answer(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode:
        raise CommandFailed(done.stderr)
    return done.stdout or " "
