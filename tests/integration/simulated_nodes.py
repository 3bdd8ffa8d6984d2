"""Several control-plane nodes on one machine: real API servers and agents over one etcd; only the kubelet is simulated.

A node is a folder with a manifest, a kubelet that runs the API server which the manifest describes, and an agent. Each
API server sees a /var/log of its own. `Balancer` stands before all of them.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from audit_operator.controlplane import os_process
from audit_operator.controlplane.static_pod.loopback import Loopback
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.integration.control_plane import RunningControlPlane

CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"
SERVER_NAME = "kubernetes.default.svc"
_KUBELET_POLL = 0.1
_CHECK = 0.1
_STOP_GRACE = 5.0
_BACK_OFF = 1.0


@dataclass
class SimulatedKubelet:
    """Runs what one manifest says, as a kubelet does: a changed manifest is a new process, one that ends comes back."""

    manifest: Path
    binary: Path
    folder: Path
    restarts: int = 0
    process: os_process.ProcessIdentity | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self):
        self._thread = threading.Thread(target=self._run, name=f"kubelet {self.folder.name}", daemon=True)
        self._thread.start()

    def stop(self):
        self._stop.set()
        self._thread.join(30)
        if self.process is not None:
            os_process.end(self.process, 0)

    def _run(self):
        running, ended_at = "", 0.0
        while not self._stop.wait(_KUBELET_POLL):
            text = self.manifest.read_text()
            if self.process is not None and not os_process.is_alive(self.process):
                self.process, ended_at = None, time.monotonic()
            if text != running:
                if self.process is not None:
                    os_process.end(self.process, _STOP_GRACE)
                running, self.process, ended_at = text, None, 0.0
            if self.process is None and time.monotonic() - ended_at >= _BACK_OFF:
                ended_at = time.monotonic()
                with contextlib.suppress(OSError):  # a hostPath that cannot be made: the container is not started
                    self._start(text)

    def _start(self, text):
        command = yaml.safe_load(text)["spec"]["containers"][0]["command"]
        logs = self.folder / "log" / "pods" / f"kube-system_kube-apiserver-{self.folder.name}_uid" / "kube-apiserver"
        logs.mkdir(parents=True, exist_ok=True)
        flags = [flag for flag in command[1:] if flag.startswith("--audit-log-path=")]
        for flag in flags:
            own = self.folder / "log" / Path(flag.partition("=")[2]).relative_to("/var/log").parent
            own.mkdir(parents=True, exist_ok=True)
        wrapper = [
            "/usr/bin/unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), "/bin/sh", "-c",
            'mount --bind "$0" /var/log && exec "$@"', str(self.folder / "log"), str(self.binary), *command[1:],
        ]  # fmt: skip
        self.process = os_process.spawn(wrapper, logs / "0.log")
        self.restarts += 1


@dataclass
class SimulatedControlPlaneNode:
    name: str
    folder: Path
    port: int
    binary: Path
    kubelet: SimulatedKubelet
    agent: subprocess.Popen | None = None

    @property
    def manifest(self) -> Path:
        return self.folder / "manifests" / "kube-apiserver.yaml"

    @property
    def agent_folder(self) -> Path:
        return self.folder / "agent"

    @property
    def audit_log(self) -> Path:
        return self.folder / "log" / "kubernetes" / "audit" / "audit.log"

    def start_agent(self, kubeconfig, namespace, **settings):
        environment = {
            "KUBECONFIG": str(kubeconfig),
            "NODE": self.name,
            "NAMESPACE": namespace,
            "AGENT_FOLDER": str(self.agent_folder),
            "AGENT_MANIFESTS": str(self.folder / "manifests"),
            "AGENT_LOGS": str(self.folder / "log"),
            "AGENT_POLL_SECONDS": "0.5",
            "AGENT_SOAK_SECONDS": "2",
            "LISTEN_HOST": "127.0.0.1",
            "LISTEN_PORT": "0",
            **settings,
        }
        variables = {f"AUDIT_OPERATOR_{name}": value for name, value in environment.items()}
        with (self.folder / "agent.log").open("ab") as log:
            self.agent = subprocess.Popen(
                [sys.executable, "-m", "audit_operator", "agent"], env={**os.environ, **variables}, stderr=log
            )

    def stop_agent(self):
        if self.agent is not None and self.agent.poll() is None:
            self.agent.terminate()
            self.agent.wait(60)

    def arguments(self):
        process = self.kubelet.process
        return os_process.arguments(process) if process else ()


class SimulatedNodes:
    """Nodes over the etcd of a control plane; that one's own API server stays out of it, and is for tests to look."""

    def __init__(self, control_plane: RunningControlPlane, count: int, folder: Path, binaries: Iterable[Path] = ()):
        self.control_plane = control_plane
        ports = free_ports()
        chosen = list(binaries) or [control_plane.assets.kube_apiserver] * count
        self.nodes = [self._node(f"cp-{n}", folder / f"cp-{n}", next(ports), chosen[n]) for n in range(count)]
        self.balancer = Balancer(next(ports), [node.port for node in self.nodes], control_plane.plane.ca_file)

    def __enter__(self):
        for node in self.nodes:
            node.kubelet.start()
        self.balancer.start()
        for node in self.nodes:
            metadata = {"name": node.name, "labels": {CONTROL_PLANE_LABEL: ""}}
            self.control_plane.apply({"apiVersion": "v1", "kind": "Node", "metadata": metadata})
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            node.stop_agent()
        self.balancer.stop()
        for node in self.nodes:
            node.kubelet.stop()

    def kubeconfig(self, user="admin"):
        """Of a user who comes through the balancer."""
        document = json.loads(self.control_plane.kubeconfig(user).read_text())
        document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{self.balancer.port}"
        path = self.control_plane.plane.folder / f"kubeconfig-{user}-balanced"
        path.write_text(json.dumps(document))
        return path

    def ready(self, node):
        return not self.balancer.probe.obstacle("127.0.0.1", node.port)

    def _node(self, name, folder, port, binary):
        launch = self.control_plane.plane.api_server.launch()
        ours = ("--secure-port=", "--audit-")
        flags = [flag for flag in launch.arguments if not flag.startswith(ours)]
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "kube-apiserver", "namespace": "kube-system"},
            "spec": {
                "containers": [
                    {
                        "name": "kube-apiserver",
                        "image": "localhost/kube-apiserver",
                        "command": ["kube-apiserver", *flags, f"--secure-port={port}"],
                        "volumeMounts": [{"name": "certs", "mountPath": "/etc/certs", "readOnly": True}],
                    }
                ],
                "hostNetwork": True,
                "volumes": [{"name": "certs", "hostPath": {"path": "/etc/certs"}}],
            },
        }
        (folder / "manifests").mkdir(parents=True)
        (folder / "log").mkdir()
        path = folder / "manifests" / "kube-apiserver.yaml"
        path.write_text(yaml.safe_dump(manifest))
        return SimulatedControlPlaneNode(name, folder, port, binary, SimulatedKubelet(path, binary, folder))


class Balancer:
    """A balancer as simple as they come: it checks /readyz, and hands connections to those that were ready last."""

    def __init__(self, port, backends, ca_file):
        self.port = port
        self.backends = backends
        self.probe = Loopback(ca_file, None, SERVER_NAME)
        self.samples = []  # (time, the ports that were ready)
        self._ready = []
        self._turn = 0
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port))

    def start(self):
        for work in (self._watch, self._accept):
            threading.Thread(target=work, daemon=True).start()

    def stop(self):
        self._stop.set()
        self._listener.close()

    def least_ready(self, since):
        """The smallest number of backends that were ready at once."""
        return min(len(ready) for at, ready in self.samples if at >= since)

    def _watch(self):
        while not self._stop.wait(_CHECK):
            self._ready = [port for port in self.backends if not self.probe.obstacle("127.0.0.1", port)]
            self.samples.append((time.monotonic(), tuple(self._ready)))

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        for _ in range(len(self.backends)):
            self._turn += 1
            candidates = self._ready or self.backends
            try:
                backend = socket.create_connection(("127.0.0.1", candidates[self._turn % len(candidates)]), timeout=2)
            except OSError:
                continue
            backend.settimeout(None)
            with client, backend:
                back = threading.Thread(target=_pump, args=(backend, client), daemon=True)
                back.start()
                _pump(client, backend)
                back.join()
            return
        client.close()


def _pump(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
