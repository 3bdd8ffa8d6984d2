"""pid 1 of a node: puts the node's file system together, then keeps containerd and the kubelet running.

Run by `Box` as a program, in new mount, network, PID, IPC, UTS and cgroup namespaces, with the node's root folder and
name as its arguments. Nothing that it does is seen outside of them. It stands in for systemd: it starts the kubelet as
soon as `kubeadm` has written its configuration, starts again what ends, and reaps what is orphaned.

Only the standard library, and nothing imported late: once the root has changed, the interpreter's files are gone.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

# Where this file is, the kubelet is not to run; `Cluster.stop_kubelet` puts it there, and a reboot takes it away.
KUBELET_STOPPED = Path("/run/kubelet-stopped")
CONTAINERD_SOCKET = Path("/run/containerd/containerd.sock")
KUBELET_CONFIG = Path("/var/lib/kubelet/config.yaml")
KUBEADM_FLAGS = Path("/var/lib/kubelet/kubeadm-flags.env")
SEARCH_PATH = "/opt/node/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The kubelet ends if it cannot set these, and they are this machine's, not the node's: it is shown files instead.
# The values: k8s.io/component-helpers/node/util/sysctl.
SYSCTLS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
RESTART_DELAY = 1.0
POLL = 0.1


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def enter(root: Path) -> None:
    """Make `root` the root: this machine's programs, the kernel's file systems, and all else the node's own."""
    mount("--bind", root, root)
    for link in (path for path in Path("/").iterdir() if path.is_symlink()):  # /bin and its like
        if not (root / link.name).is_symlink():
            (root / link.name).symlink_to(link.readlink())
    layers = {"lowerdir": "/usr", "upperdir": root.parent / "usr.upper", "workdir": root.parent / "usr.work"}
    for path in (root / "usr", layers["upperdir"], layers["workdir"]):
        Path(path).mkdir(exist_ok=True)
    mount("-t", "overlay", "-o", ",".join(f"{key}={value}" for key, value in layers.items()), "overlay", root / "usr")
    for name in ("proc", "sys", "dev", "run", "old"):
        (root / name).mkdir(exist_ok=True)
    mount("-t", "proc", "proc", root / "proc")
    mount("-t", "sysfs", "sysfs", root / "sys")
    mount("--rbind", "/dev", root / "dev")
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", root / "run")
    mount_cgroups(root / "sys/fs/cgroup")
    for name, value in SYSCTLS.items():
        kernel, shown = root / "proc/sys" / name, root / "run/sysctl" / name
        if kernel.exists() and kernel.read_text().strip() != value:
            shown.parent.mkdir(parents=True, exist_ok=True)
            shown.write_text(f"{value}\n")
            mount("--bind", shown, kernel)
    os.chdir(root)
    subprocess.run(["pivot_root", ".", "old"], check=True)
    os.chdir("/")
    subprocess.run(["umount", "--lazy", "/old"], check=True)
    Path("/old").rmdir()
    mount("--make-rshared", "/")  # volumes with mount propagation need it


def cgroup_hierarchies() -> list[Path]:
    """Where this machine mounts the controllers of cgroup v1."""
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    paths = [Path(fields[4]) for fields in lines if fields[fields.index("-") + 1] == "cgroup"]
    return [path for path in paths if path.parent == Path("/sys/fs/cgroup")]


def mount_cgroups(target: Path) -> None:
    """The same hierarchies, of which the cgroup namespace shows the node's part as the whole."""
    hierarchies = cgroup_hierarchies()
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", target)
    for path in hierarchies:
        (target / path.name).mkdir()
        options = "none,name=systemd" if path.name == "systemd" else path.name
        mount("-t", "cgroup", "-o", options, "cgroup", target / path.name)


def set_up_network(name: str) -> None:
    """What does not need the other end of the cable; then wait for it: `Box` sets the routes last."""
    socket.sethostname(name)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")
    while "eth0" not in Path("/proc/net/route").read_text():
        pause()


def containerd_command() -> list[str] | None:
    return ["containerd", "--config", "/etc/containerd/config.toml"]


def kubelet_command() -> list[str] | None:
    """The kubelet as kubeadm's own systemd unit starts it; None while it is not to run."""
    if KUBELET_STOPPED.exists() or not CONTAINERD_SOCKET.exists() or not KUBELET_CONFIG.exists():
        return None
    flags = KUBEADM_FLAGS.read_text().split("=", 1)[1].strip().strip('"') if KUBEADM_FLAGS.exists() else ""
    return [
        "kubelet",
        "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf",
        "--kubeconfig=/etc/kubernetes/kubelet.conf",
        f"--config={KUBELET_CONFIG}",
        *shlex.split(flags),
    ]


def pause() -> None:
    """Wait a moment; end, and the node with it, where standard input is a pipe whose other end has gone."""
    watched = [0] if stat.S_ISFIFO(os.fstat(0).st_mode) else []
    if select.select(watched, [], [], POLL)[0]:
        sys.exit("the process that started this node has ended")


def start(name: str, command: list[str]) -> int:
    """Start a service with a log of its own; returns its pid."""
    environment = {"PATH": SEARCH_PATH, "HOME": "/root"}
    if name == "containerd":  # and so its shims and runc, whose libraries may be the packages'
        environment["LD_LIBRARY_PATH"] = "/opt/node/lib"
    with Path(f"/var/log/{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    process.returncode = 0  # this program waits for all its children at once; the object is not to
    return process.pid


def reap() -> set[int]:
    """Wait for whatever has ended; the pids."""
    ended = set()
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended.add(pid)


def supervise() -> None:
    """For ever."""
    commands = {"containerd": containerd_command, "kubelet": kubelet_command}
    running: dict[str, int] = {}
    not_before = dict.fromkeys(commands, 0.0)
    while True:
        ended = reap()
        now = time.monotonic()
        for name, command_of in commands.items():
            if running.get(name) in ended:
                del running[name]
                not_before[name] = now + RESTART_DELAY
            command = command_of()
            if command is not None and name not in running and now >= not_before[name]:
                running[name] = start(name, command)
            elif command is None and name in running:
                os.kill(running[name], signal.SIGTERM)
        pause()


def main() -> None:
    root, name = sys.argv[1:]
    enter(Path(root))
    set_up_network(name)
    supervise()


if __name__ == "__main__":
    main()
