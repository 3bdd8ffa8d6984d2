"""The Linux side of a node: its namespaces, its cable to this machine and its cgroups. Nothing of Kubernetes.

Whatever is made here for a box carries the box's name and is gone after `Box.stop`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.node import supervisor
from tests.e2e.node.command import NODE_ENVIRONMENT, output, run
from tests.e2e.node.waiting import wait_for

NETWORKS = range(64)
_NEEDED = ("unshare", "nsenter", "pivot_root", "mount", "ip")
_NAMESPACES = ("mount", "net", "uts", "ipc", "pid", "cgroup")
# The launcher joins the cgroups before it makes the cgroup namespace, which shows them as the roots.
_JOIN_CGROUPS = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit; shift; done; shift; exec "$@"'


class MachineUnfit(Exception):  # noqa: N818  # names a state of the machine
    """A node cannot be built on this machine; the message says why."""


class MachineIncapable(MachineUnfit):
    """Nothing that could be installed would change that: this user may not, or this kernel cannot."""


@dataclass(slots=True)
class Box:
    """A process tree with namespaces of its own.

    Attributes:
        name: of its cgroups and its host name.
        root: the folder that becomes its root; the supervisor's log lies beside it.
        number: names the cable and its network, 198.19.<number>.0/30, of a range set aside for tests (RFC 2544); None
            before the first start.
        pid: of its first process, as this machine sees it; None while it is stopped.
    """

    name: str
    root: Path
    number: int | None = None
    pid: int | None = None
    _launcher: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def link(self) -> str:
        return f"audit-node{self.number}"

    @property
    def address(self) -> str:
        return f"198.19.{self.number}.2"

    def start(self, routes: list[str], *, lock: int, dies_with_caller: bool) -> None:
        """Start pid 1 and plug in the cable.

        Args:
            routes: networks that are to be reached by the cable, for what has no address of its own.
            lock: a file descriptor that the box keeps open as long as it lives.
            dies_with_caller: the box ends with this process, however that ends: it watches a pipe between them.
        """
        cgroups = _cgroups(self.name)
        for cgroup in cgroups:
            _make_cgroup(cgroup)
        program = [sys.executable, "-I", supervisor.__file__, str(self.root), self.name]
        namespaces = [f"--{name}" for name in _NAMESPACES]
        unshare = ["unshare", *namespaces, "--fork", "--kill-child", "--propagation=private", *program]
        stdin = subprocess.PIPE if dies_with_caller else subprocess.DEVNULL
        command = ["sh", "-c", _JOIN_CGROUPS, "sh", *map(str, cgroups), "--", *unshare]
        with (self.root.parent / "supervisor.log").open("ab") as log:
            self._launcher = subprocess.Popen(
                command, stdin=stdin, stdout=log, stderr=log, start_new_session=True, pass_fds=[lock]
            )
        self.pid = self._wait_for_pid(self._launcher)
        self._plug_in(routes)
        wait_for("containerd", self.path_inside(supervisor.CONTAINERD_SOCKET).exists, check=self.check)

    def stop(self) -> None:
        """Kill every process in it, and remove what the kernel still has of it; also after another process's start."""
        if self.pid is not None and self.alive():
            os.kill(self.pid, signal.SIGKILL)
            wait_for("the end of the node's processes", lambda: not self.alive())
        if self._launcher is not None:
            self._launcher.kill()
            self._launcher.communicate()
        self.pid = self._launcher = None
        if self.number is not None:
            run(["ip", "link", "delete", self.link])  # the kernel may have been quicker
        for cgroup in _cgroups(self.name):
            wait_for(f"the removal of {cgroup}", lambda cgroup=cgroup: _remove_cgroup(cgroup))

    def alive(self) -> bool:
        """Whether its first process runs, and is really its own and no later one with the same number."""
        try:
            return str(self.root) in Path(f"/proc/{self.pid}/cmdline").read_text()
        except OSError:
            return False

    def check(self) -> None:
        """Raise if it has ended by itself."""
        if not self.alive():
            log = (self.root.parent / "supervisor.log").read_text()[-2000:]
            raise MachineUnfit(f"the node's first process has ended:\n{log}")

    def path_inside(self, path: Path) -> Path:
        """Where this machine finds a file of the box, on whichever of its mounts it is."""
        return Path(f"/proc/{self.pid}/root") / path.relative_to("/")

    def command(self, argv) -> list[str]:
        """The command of this machine that runs `argv` inside, in its root folder."""
        return ["nsenter", "--target", str(self.pid), *(f"--{name}" for name in _NAMESPACES), "--", *argv]

    def run(self, argv, **options) -> subprocess.CompletedProcess[str]:
        """Run a command inside; see `Cluster.run_on_node`."""
        environment = {"PATH": supervisor.SEARCH_PATH, **NODE_ENVIRONMENT}
        return run(self.command(argv), **{"env": environment, **options})

    def _wait_for_pid(self, launcher: subprocess.Popen[bytes]) -> int:
        children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children")

        def check() -> None:
            if launcher.poll() is not None:
                log = (self.root.parent / "supervisor.log").read_text()[-2000:]
                raise MachineIncapable(f"the node's namespaces cannot be made:\n{log}")

        wait_for("the node's first process", lambda: bool(children.read_text()), check=check)
        return int(children.read_text().split()[0])

    def _plug_in(self, routes: list[str]) -> None:
        # Making a link with a given name is atomic: who has the link has the network.
        for number in NETWORKS if self.number is None else [self.number]:
            link = f"audit-node{number}"
            answer = run(["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(self.pid)])
            if answer.returncode == 0:
                self.number = number
                break
        else:
            raise MachineUnfit(f"no cable can be plugged into the node: {answer.stderr}")
        output(["ip", "address", "add", f"198.19.{self.number}.1/30", "dev", self.link])
        output(["ip", "link", "set", self.link, "up"])
        inside = ["nsenter", "--target", str(self.pid), "--net", "ip"]
        output([*inside, "address", "add", f"{self.address}/30", "dev", "eth0"])
        output([*inside, "link", "set", "eth0", "up"])
        for route in routes:
            output([*inside, "route", "add", route, "dev", "eth0"])


def check_machine() -> None:
    """Raise `MachineUnfit` with all that is missing on this machine."""
    incapable = [] if os.geteuid() == 0 else ["root's rights"]
    if not _cgroups("any"):
        incapable.append("the controllers of cgroup v1 below /sys/fs/cgroup")
    missing = [f"the program {name}" for name in _NEEDED if shutil.which(name) is None]
    if incapable or missing:
        error = MachineIncapable if incapable else MachineUnfit
        lacking = ", ".join([*incapable, *missing])
        raise error(f"a node in namespaces of this machine cannot be built. It lacks: {lacking}")


def _cgroups(name: str) -> list[Path]:
    """The cgroup called `name` in every hierarchy that `supervisor.mount_cgroups` shows."""
    return [path / name for path in supervisor.cgroup_hierarchies()]


def _make_cgroup(cgroup: Path) -> None:
    cgroup.mkdir(exist_ok=True)
    for setting in ("cpuset.cpus", "cpuset.mems"):  # empty in a new one, which then takes no process
        if (cgroup / setting).exists():
            (cgroup / setting).write_text((cgroup.parent / setting).read_text())


def _remove_cgroup(cgroup: Path) -> bool:
    """Whether it is gone, with all below it."""
    for folder, _, _ in os.walk(cgroup, topdown=False):
        with suppress(OSError):  # its last process is still ending
            Path(folder).rmdir()
    return not cgroup.exists()
