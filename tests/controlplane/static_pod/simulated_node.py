"""A node in memory: files, a kubelet that acts on the manifest, and API servers that behave as their policy says.

Time only passes in `sleep`. Every change to a disk is an effect; `die_before` ends the agent right before one of them,
as a power cut would, so that a test can try all of them.
"""

# ruff: noqa: ARG002  # it has the methods of a host, whatever it does with their arguments
from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from audit_operator.controlplane.os_process import ProcessIdentity
from audit_operator.controlplane.static_pod.host import Places, RunningServer
from audit_operator.controlplane.static_pod.manifest import Manifest

PLACES = Places(Path("/agent"), Path("/manifests"), Path("/var/log"))
KUBELET_TAKES = 15.0
STARTUP_TAKES = 3.0
BACK_OFF = 10.0


class Behaviour(Enum):
    GOOD = "becomes ready"
    REFUSED = "ends at once, because it does not take its policy"
    NEVER_READY = "stays up and is never ready"
    CRASHING = "becomes ready, and dies 5 s later, again and again"
    DIES_LATE = "becomes ready, and dies 30 s later, again and again"


class Death(BaseException):
    """The agent's process ends."""


@dataclass
class Process:
    identity: ProcessIdentity
    flags: dict
    behaviour: Behaviour
    started: float


@dataclass
class SimulatedNode:
    manifest: str
    behaviours: dict[str, Behaviour] = field(default_factory=dict)  # by policy digest
    now: float = 1_000_000.0
    files: dict[str, bytes] = field(default_factory=dict)
    staged: dict[str, str] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)
    die_before: int | None = None
    effects: list[str] = field(default_factory=list)
    kubelet_runs: bool = True
    disk_full: bool = False
    api_elsewhere_down: bool = False
    verdict: object = None
    free: int | None = None
    gitversion: str = "v1.37.2"
    places: Places = PLACES
    unready: float = 0.0  # seconds without a ready API server
    events: dict[float, object] = field(default_factory=dict)  # what happens at a time
    _process: Process | None = None
    _acted_on: str = ""
    _restart_at: float | None = None
    _pids: int = 100
    _words: str = ""
    _words_at: float = 0.0
    _failures: int = 0

    def __post_init__(self):
        self._acted_on = self.manifest
        self._start()
        self._process.started -= 1000

    # Files

    def read_manifest(self, name):
        if name.startswith("."):
            return self.staged.get(name)
        return self.manifest

    def stage(self, name, suffix, text):
        self._effect(f"stage {suffix}", needs_space=True)
        self.staged[f".{name}{suffix}"] = text

    def swap_in(self, name, suffix):
        self._effect(f"swap in {suffix}")
        self.manifest = self.staged.pop(f".{name}{suffix}")

    def discard(self, name, suffix):
        self._effect(f"discard {suffix}")
        self.staged.pop(f".{name}{suffix}", None)

    def read(self, name):
        return self.files.get(name)

    def write(self, name, content):
        self._effect(f"write {name}", needs_space=True)
        self.files[name] = content

    def remove(self, name):
        self._effect(f"remove {name}")
        self.files.pop(name, None)

    def store_policy(self, digest, text):
        self._effect("store policy", needs_space=True)
        self.policies[digest] = text

    def forget_policies_except(self, digests):
        self._effect("forget policies")

    def _effect(self, what, *, needs_space=False):
        if self.die_before is not None and len(self.effects) == self.die_before:
            raise Death(what)
        self.effects.append(what)
        if needs_space and self.disk_full:
            raise OSError(28, "No space left on device")

    # The API server

    def server(self, port):
        if self._process is None:
            return None
        audit = {name: value for name, value in self._process.flags.items() if name.startswith("--audit-")}
        return RunningServer(self._process.identity, audit, self._digest(self._process.flags))

    def age(self, server):
        return self.now - self._process.started

    def obstacle(self, address, port):
        return "" if self.is_ready() else "/readyz answers 500"

    def is_ready(self):
        process = self._process
        if process is None or process.behaviour in {Behaviour.NEVER_READY, Behaviour.REFUSED}:
            return False
        return self.now - process.started >= STARTUP_TAKES

    def version(self, address, port):
        return self.gitversion

    def last_words(self, since):
        return self._words if self._words_at >= since else ""

    def judge(self, server, policy):
        return self.verdict

    def running_policy(self, server):
        return "the policy of somebody else"

    def free_for_logs(self, log_path):
        return self.free

    # Time

    def clock(self):
        return self.now

    def sleep(self, seconds):
        for _ in range(max(1, round(seconds / 0.5))):
            self.now += 0.5
            for at in [at for at in self.events if at <= self.now]:
                self.events.pop(at)()
            self._kubelet()
            self._live()
            self.unready += 0.0 if self.is_ready() else 0.5

    def after(self, seconds, event):
        self.events[self.now + seconds] = event

    def reboot(self):
        self._process, self._restart_at, self._acted_on = None, self.now + KUBELET_TAKES, self.manifest

    def _kubelet(self):
        if not self.kubelet_runs:
            return
        if self.manifest != self._acted_on:
            self._acted_on, self._failures = self.manifest, 0
            self._process, self._restart_at = None, self.now + KUBELET_TAKES
        if self._restart_at is not None and self.now >= self._restart_at:
            self._restart_at = None
            self._start()

    def _start(self):
        flags = dict(Manifest.parse(self.manifest).flags)
        behaviour = self.behaviours.get(self._digest(flags), Behaviour.GOOD)
        self._pids += 1
        if behaviour is Behaviour.REFUSED:
            self._words = f"loading audit policy file: unknown: from file {flags['--audit-policy-file']}"
            self._die()
            return
        self._process = Process(ProcessIdentity(self._pids, int(self.now)), flags, behaviour, self.now)

    def _live(self):
        process = self._process
        if process is None:
            return
        limit = {Behaviour.CRASHING: 8.0, Behaviour.DIES_LATE: 33.0}.get(process.behaviour)
        if limit is not None and self.now - process.started >= limit:
            self._words = "panic"
            self._die()

    def _die(self):
        self._words_at = self.now
        self._process = None
        self._restart_at = self.now + BACK_OFF * 2**self._failures
        self._failures += 1

    @staticmethod
    def _digest(flags):
        return flags.get("--audit-policy-file", "").rpartition("policy-")[2].removesuffix(".yaml")
