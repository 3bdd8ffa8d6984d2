"""A node made of this machine: a real kubelet, containerd and kubeadm control plane in namespaces of their own.

It needs root and Linux, and no container engine, no virtual machine and no image from anywhere.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.controlplane.assets import ETCD_VERSION, KUBERNETES_VERSION
from audit_operator.controlplane.assets.cache import cache_folder
from audit_operator.controlplane.assets.progress import to_stderr
from tests.e2e.node import kubeadm, supervisor
from tests.e2e.node.binaries import node_binaries
from tests.e2e.node.box import Box, MachineUnfit, check_machine
from tests.e2e.node.command import CommandFailed
from tests.e2e.node.debian import unpacked_packages
from tests.e2e.node.images import PAUSE, node_images
from tests.e2e.node.oci import write_archive
from tests.e2e.node.waiting import wait_for

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.e2e.node.debian import UnpackedPackages

_INIT_TIMEOUT = 240.0
_ROUTES = [kubeadm.SERVICE_SUBNET]  # so that the node's own processes reach Services
_STATE = "node.json"
_LOCK = "lock"
# What programs look for in /etc. The rest of it is no business of the node.
_ETC = (
    *("alternatives", "ca-certificates", "group", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime"),
    *("nsswitch.conf", "os-release", "passwd", "protocols", "services", "ssl"),
)
_CONTAINERD_CONFIG = f"""\
version = 3

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '{PAUSE}'

[plugins.'io.containerd.cri.v1.runtime']
# A machine may lack CAP_SYS_RESOURCE, without which no process gets a lower score than its parent has.
restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ['/opt/cni/bin']
conf_dir = '/etc/cni/net.d'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = '/opt/node/bin/runc'
SystemdCgroup = false
"""
# Every pod on a cable of its own: all traffic between pods passes the node's nftables, as on most real networks.
_CNI_CONFIG = {
    "cniVersion": "0.4.0",
    "name": "node",
    "plugins": [
        {
            "type": "ptp",
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": kubeadm.NODE_POD_SUBNET}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
    ],
}


@dataclass(slots=True)
class Nodebox:
    """A `Cluster` of one node; see `start` and `attach`.

    Attributes:
        folder: everything that the node writes, and what is needed to find it again.
        lock: a descriptor of the lock that this process and the node share: it is free when both have ended.
        dies_with_caller: see `Box.start`.
    """

    folder: Path
    box: Box
    lock: int
    dies_with_caller: bool

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "root/etc/kubernetes/admin.conf"

    @property
    def node_name(self) -> str:
        return self.box.name

    def run_on_node(self, argv, **options) -> subprocess.CompletedProcess[str]:
        return self.box.run(argv, **options)

    def load_image(self, archive: Path) -> None:
        with archive.open("rb") as content:
            answer = self.run_on_node(
                ["ctr", "--namespace", "k8s.io", "images", "import", "--local", "-"], stdin=content, capture_output=True
            )
        if answer.returncode:
            raise CommandFailed(f"{archive} cannot be imported: {answer.stderr}")

    def restart_node(self) -> None:
        self.box.stop()
        self._boot()

    def stop_kubelet(self) -> None:
        self.box.path_inside(supervisor.KUBELET_STOPPED).touch()
        wait_for("the kubelet's end", lambda: not self._kubelet_runs())

    def start_kubelet(self) -> None:
        self.box.path_inside(supervisor.KUBELET_STOPPED).unlink(missing_ok=True)
        wait_for("the kubelet's start", self._kubelet_runs)

    def close(self) -> None:
        self.box.stop()
        shutil.rmtree(self.folder)
        os.close(self.lock)

    def _kubelet_runs(self) -> bool:
        return self.run_on_node(["pgrep", "-x", "kubelet"]).returncode == 0

    def _boot(self) -> None:
        fcntl.flock(self.lock, fcntl.LOCK_EX)  # its own, once those that had it before the restart are gone
        self._note()  # before anything is there that would have to be removed
        self.box.start(_ROUTES, lock=self.lock, dies_with_caller=self.dies_with_caller)
        self._note()

    def _note(self) -> None:
        state = {"name": self.box.name, "number": self.box.number, "pid": self.box.pid}
        (self.folder / _STATE).write_text(json.dumps(state))


def start(
    name: str, *, keep: bool = False, api_server_grace: int = kubeadm.API_SERVER_GRACE, report=to_stderr
) -> Nodebox:
    """Build a node and wait until it is Ready; takes about 25 seconds, and minutes where there are no binaries yet.

    Args:
        name: of the node and of its folder in the cache.
        keep: the node goes on when this process ends.
        api_server_grace: `terminationGracePeriodSeconds` of kube-apiserver.
        report: prints a line.

    Raises:
        MachineUnfit: it cannot be built here.
    """
    check_machine()
    binaries, packages = node_binaries(report), unpacked_packages(report)
    with _timed("containerd", report):
        node = boot(name, binaries, packages, keep=keep, report=report)
    try:
        with _timed("images", report):
            _load_images(node, binaries, packages)
        with _timed("kubeadm init", report):
            _init(node, api_server_grace)
        with _timed("everything ready", report):
            _wait_until_ready(node)
    except BaseException:
        node.close()
        raise
    return node


def boot(name: str, binaries: dict[str, Path], packages: UnpackedPackages, *, keep: bool, report) -> Nodebox:
    """A node on which containerd runs, and nothing of Kubernetes yet; half a second."""
    _remove_leftovers(report)
    folder = nodes_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    node = Nodebox(folder, Box(name, folder / "root"), _take_lock(folder), dies_with_caller=not keep)
    try:
        _write_root(folder / "root", binaries, packages)
        node._boot()
    except BaseException:
        node.close()
        raise
    return node


def attach(name: str) -> Nodebox | None:
    """A node that another process has started, or what is left of it; None if there is nothing of that name."""
    folder = nodes_folder() / name
    try:
        state = json.loads((folder / _STATE).read_text())
        lock = os.open(folder / _LOCK, os.O_RDWR)
    except OSError:
        return None
    box = Box(state["name"], folder / "root", state["number"], state["pid"])
    return Nodebox(folder, box, lock, dies_with_caller=False)


def nodes_folder() -> Path:
    return cache_folder(os.environ) / "nodes"


def _take_lock(folder: Path) -> int:
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise MachineUnfit(f"the node {folder.name} is running already") from None
    return lock


def _remove_leftovers(report) -> None:
    """What a process left that was killed together with its node: folders whose lock is free."""
    for folder in nodes_folder().glob("*"):
        node = attach(folder.name)
        if node is None:
            continue
        try:
            fcntl.flock(node.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(node.lock)
        else:
            if folder.exists():  # no other start was quicker
                report(f"removing what is left of the node {folder.name}")
                node.close()
            else:
                os.close(node.lock)


def _write_root(root: Path, binaries: dict[str, Path], packages: UnpackedPackages) -> None:
    for place in ("etc/containerd", "etc/cni/net.d", "etc/kubernetes/manifests", "opt/cni/bin", "opt/node/bin"):
        (root / place).mkdir(parents=True)
    for place in ("opt/node/lib", "root", "tmp", "var/lib", "var/log", "var/tmp", "etc/kubeadm/patches"):
        (root / place).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "var/run").symlink_to("/run")
    for name in _ETC:
        source, target = Path("/etc", name), root / "etc" / name
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        elif source.exists():
            shutil.copy(source, target, follow_symlinks=False)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    (root / "etc/resolv.conf").touch()
    (root / "etc/machine-id").write_text(f"{os.urandom(16).hex()}\n")
    for name, path in [*binaries.items(), ("runc", packages.runc)]:
        _link(path, root / "opt/node/bin" / name)
    for path in packages.libraries:
        _link(path, root / "opt/node/lib" / path.name)
    for path in packages.cni_plugins.iterdir():
        _link(path, root / "opt/cni/bin" / path.name)
    (root / "etc/containerd/config.toml").write_text(_CONTAINERD_CONFIG)
    (root / "etc/cni/net.d/10-node.conflist").write_text(json.dumps(_CNI_CONFIG))


def _link(source: Path, target: Path) -> None:
    """The same file without its bytes once more, where the file system can."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copy(source, target)


def _load_images(node: Nodebox, binaries: dict[str, Path], packages: UnpackedPackages) -> None:
    archive = node.folder / "image.tar"
    for image in node_images(binaries, packages, KUBERNETES_VERSION, ETCD_VERSION):
        write_archive(image, archive)
        node.load_image(archive)
    archive.unlink()


def _init(node: Nodebox, grace: int) -> None:
    settings = kubeadm.Settings(node.node_name, node.box.address, KUBERNETES_VERSION, ETCD_VERSION)
    folder = node.folder / "root/etc/kubeadm"
    (folder / "config.yaml").write_text(kubeadm.configuration(settings))
    (folder / "patches" / kubeadm.API_SERVER_PATCH_FILE).write_text(kubeadm.api_server_patch(grace))
    answer = node.run_on_node(["kubeadm", "init", "--config", "/etc/kubeadm/config.yaml"], timeout=_INIT_TIMEOUT)
    (node.folder / "kubeadm.log").write_text(answer.stdout + answer.stderr)
    if answer.returncode:
        raise CommandFailed(f"kubeadm init has failed:\n{answer.stdout[-3000:]}\n{answer.stderr[-3000:]}")


def _wait_until_ready(node: Nodebox) -> None:
    static_pods = [f"pod/{name}-{node.node_name}" for name in kubeadm.STATIC_PODS]
    conditions = (
        [f"node/{node.node_name}"],
        ["--namespace=kube-system", *static_pods],
        ["--namespace=kube-system", "pod", "--selector=k8s-app=kube-proxy"],
    )

    def ready() -> bool:
        commands = [["kubectl", "wait", "--timeout=1s", "--for=condition=Ready", *what] for what in conditions]
        commands.append(["kubectl", "get", "serviceaccount", "default"])
        return all(node.run_on_node(command).returncode == 0 for command in commands)

    wait_for("the node to be ready", ready, check=node.box.check)


@contextmanager
def _timed(what: str, report) -> Iterator[None]:
    began = time.monotonic()
    yield
    report(f"node: {what}: {time.monotonic() - began:.1f} s")
