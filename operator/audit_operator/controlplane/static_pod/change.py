"""One change of a static pod's manifest, from the first file written to the API server that runs with it, or back.

What has happened is read off the disk before every step, never remembered, so that `finish` goes on after a death at
any point. Undoing renames a file that lies ready: it needs no API, no network and no free space.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.controlplane.static_pod import manifest as manifests
from audit_operator.controlplane.static_pod.audit_flags import POLICY_FILE, digest_in_name
from audit_operator.controlplane.static_pod.journal import Journal, Phase, Record, text_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from audit_operator.controlplane.os_process import ProcessIdentity
    from audit_operator.controlplane.static_pod.host import Host, RunningServer

JOURNAL = "journal.json"
RECORD = "record.json"
ORIGINAL = "original.yaml"
NEXT = ".next"
PREVIOUS = ".previous"

_UNDONE = "it was taken back, and why could not be written down: this node's disk was full"

REFUSES_POLICY = "loading audit policy file"
"""With these words kube-apiserver ends when it does not take the policy: waiting for it would be in vain."""


@dataclass(frozen=True, slots=True)
class ChangeTiming:
    """Seconds, but for `deaths`.

    Attributes:
        soak: how long the API server must stay ready, in one process, until the next node may go on.
        probation: how long after that it still gets back what it had before if it keeps dying.
        deaths: how many processes may end with a configuration before that is given up.
        poll: between two looks.
    """

    soak: float = 10.0
    probation: float = 600.0
    deaths: int = 3
    poll: float = 0.5


class Halted(Exception):  # noqa: N818  # an order, no error
    """The agent is to end; the journal says what is left to do."""


class ForeignWriter(Exception):  # noqa: N818  # a state of the node
    """Somebody else has changed the audit part of the manifest during a change; nothing more is done."""


@dataclass(slots=True)
class Change:
    """Makes changes on one node. Everything blocks; raises OSError where the node's disk fails, and Halted.

    Attributes:
        host: the node.
        timing: see ChangeTiming.
        halted: whether to stop waiting, and leave the rest to the next agent.
        clock: seconds since the epoch.
        sleep: waits.
    """

    host: Host
    timing: ChangeTiming
    halted: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    # What is on the disk

    def journal(self) -> Journal | None:
        """The change under way."""
        content = self.host.read(JOURNAL)
        return None if content is None else Journal.model_validate_json(content)

    def record(self) -> Record:
        """What became of earlier ones."""
        content = self.host.read(RECORD)
        return Record() if content is None else Record.model_validate_json(content)

    def save(self, record: Record) -> None:
        """Remember."""
        self.host.write(RECORD, record.model_dump_json().encode())

    def _enter(self, journal: Journal, phase: Phase, error: str = "") -> Journal:
        entered = journal.entering(phase, self.clock(), error)
        self.host.write(JOURNAL, entered.model_dump_json().encode())
        return entered

    # Beginning

    def begin(self, journal: Journal, before: str, after: str, may_begin: Callable[[], bool]) -> bool:
        """Put everything in place and replace the manifest; whether that was done. The policy must be stored already.

        `may_begin` is asked last of all, right before the manifest is replaced.
        """
        name = journal.manifest
        journal = self._enter(journal, Phase.PREPARED)
        try:
            self.host.stage(name, PREVIOUS, before)
            self.host.stage(name, NEXT, after)
        except OSError:
            self._drop(journal)
            raise
        if not may_begin() or self.host.read_manifest(name) != before:
            self._drop(journal)
            return False
        self.save(self.record().with_attempt(journal.id))
        self.host.swap_in(name, NEXT)
        self._enter(journal, Phase.APPLIED)
        return True

    def _drop(self, journal: Journal) -> None:
        """It is over; forget it. The journal goes last, so that nothing can be left over."""
        self.host.discard(journal.manifest, NEXT)
        self.host.discard(journal.manifest, PREVIOUS)
        self.host.remove(JOURNAL)

    # Going on, from wherever it stands

    def finish(self) -> None:
        """Bring the change under way to its end, or to its probation.

        Raises:
            ForeignWriter: somebody else has written; the change is given up as it stands.
        """
        journal = self.journal()
        if journal is not None and journal.phase is Phase.PREPARED:
            journal = self._settle(journal)
        if journal is not None and journal.phase is Phase.APPLIED:
            undone = self.is_undone(journal)
            error = _UNDONE if undone else self.come_up(journal, journal.applied_at + journal.ready_timeout)
            if not error:
                self.save(self.record().with_success(journal.id, journal.configuration))
                self._enter(journal, Phase.PROBATION)
                return
            journal = self._enter_rolling_back(journal, error)
        if journal is not None and journal.phase is Phase.ROLLING_BACK:
            self._roll_back(journal)

    def end_probation(self) -> None:
        """The API server has proved itself, or something newer is wanted."""
        journal = self.journal()
        if journal is not None and journal.phase is Phase.PROBATION:
            self._drop(journal)

    def note(self, process: ProcessIdentity) -> Journal | None:
        """Remember which processes have been seen in the probation; returns the journal, if it is one's."""
        journal = self.journal()
        if journal is None or journal.phase is not Phase.PROBATION:
            return None
        seen = (process.pid, process.start_time)
        if seen not in journal.processes:
            journal = journal.model_copy(update={"processes": (*journal.processes, seen)})
            self.host.write(JOURNAL, journal.model_dump_json().encode())
        return journal

    def revoke(self, error: str) -> None:
        """The API server does not stay up in its probation: take the change back."""
        journal = self.journal()
        if journal is not None and journal.phase is Phase.PROBATION:
            self._roll_back(self._enter_rolling_back(journal, error))

    def is_undone(self, journal: Journal) -> bool:
        """Whether the manifest is as it was before: taken back by an agent that could not write that down."""
        text = self.host.read_manifest(journal.manifest)
        return text is not None and text_digest(text) == journal.before

    def _settle(self, journal: Journal) -> Journal | None:
        """Prepared, and then the agent died: was the manifest replaced?"""
        text = self.host.read_manifest(journal.manifest)
        if text is not None and not self.is_undone(journal) and self._is_ours(text, journal):
            return self._enter(journal, Phase.APPLIED)
        self._drop(journal)
        return None

    def _is_ours(self, text: str, journal: Journal) -> bool:
        """Whether the audit part of a manifest is what the change has written."""
        if text_digest(text) == journal.after:
            return True
        policies = str(self.host.places.policies)
        return journal.configuration is not None and manifests.read_back(text, policies) == journal.configuration

    # Forward

    def come_up(self, journal: Journal, deadline: float) -> str:
        """Wait until the API server runs as its manifest says, and stays ready; why it does not, or nothing."""
        text = self.host.read_manifest(journal.manifest) or ""
        target = _Target.of(text)
        if target is None:
            return "the manifest cannot be read any more"
        wait = _Wait(self.timing, self.clock)
        while True:
            server = self.host.server(target.port)
            obstacle = self._obstacle(target, server)
            if not obstacle and self.host.server(target.port) != server:
                obstacle = "kube-apiserver is being restarted"
            wait.saw(server, runs=server is not None and server.audit_flags == target.audit_flags, obstacle=obstacle)
            if wait.proven:
                return ""
            words = self.host.last_words(journal.applied_at) if obstacle and server is None else ""
            if wait.deaths >= self.timing.deaths or (REFUSES_POLICY in words and target.policy_file in words):
                return (
                    f"kube-apiserver does not stay up: {words or self.host.last_words(journal.applied_at) or obstacle}"
                )
            if obstacle and self.clock() >= deadline:
                return "; ".join(filter(None, (f"not ready after {journal.ready_timeout:.0f} s: {obstacle}", words)))
            self._pause()

    def _obstacle(self, target: _Target, server: RunningServer | None) -> str:
        if server is None:
            return "kube-apiserver does not run"
        if server.audit_flags != target.audit_flags:
            return "kube-apiserver still runs as before: the kubelet has not acted on its manifest"
        if target.digest and server.policy_digest != target.digest:
            return f"what kube-apiserver sees in {target.policy_file} has another digest"
        return self.host.obstacle(target.address, target.port)

    def _pause(self) -> None:
        if self.halted():
            raise Halted
        self.sleep(self.timing.poll)

    # Back

    def _enter_rolling_back(self, journal: Journal, error: str) -> Journal:
        """The journal may be what there is no space for. Going back does not wait for it."""
        try:
            return self._enter(journal, Phase.ROLLING_BACK, error)
        except OSError:
            return journal.entering(Phase.ROLLING_BACK, self.clock(), error)

    def _roll_back(self, journal: Journal) -> None:
        error = journal.error
        try:
            self._restore(journal)
        except ForeignWriter:
            self._end_failed(journal, f"{error}; not taken back: somebody else has changed {journal.manifest}")
            raise
        worse = self.come_up(journal, journal.applied_at + 2 * journal.ready_timeout)
        if worse:
            error = f"{error}; and the last good configuration does not come up either: {worse}"
        self._end_failed(journal, error)

    def _end_failed(self, journal: Journal, error: str) -> None:
        record = self.record().with_failure(journal.id, error)
        self.save(record.model_copy(update={"written": journal.configuration_before}))
        self._drop(journal)

    def _restore(self, journal: Journal) -> None:
        """Give the manifest back what it had, and only that, if others have written meanwhile."""
        name, policies = journal.manifest, str(self.host.places.policies)
        text = self.host.read_manifest(name)
        previous = self.host.read_manifest(f".{name}{PREVIOUS}")
        if text is None or text_digest(text) == journal.before:
            return
        if not self._is_ours(text, journal):
            before = journal.configuration_before
            if before is not None and manifests.read_back(text, policies) == before:
                return  # undone by somebody, or by an agent that died right after it
            raise ForeignWriter
        if text_digest(text) == journal.after and previous is not None:
            self.host.swap_in(name, PREVIOUS)
            return
        source = previous or (self.host.read(ORIGINAL) or b"").decode()
        if journal.configuration_before is not None:
            mended = manifests.enrolled(text, journal.configuration_before, policies)
        else:
            mended = manifests.with_audit_part_of(text, source)
        self.host.stage(name, NEXT, mended)
        self.host.swap_in(name, NEXT)


@dataclass(frozen=True, slots=True)
class _Target:
    """What a manifest says will run; `digest` is empty for a policy file that is not ours."""

    address: str
    port: int
    audit_flags: Mapping[str, str]
    policy_file: str
    digest: str

    @classmethod
    def of(cls, text: str) -> _Target | None:
        parsed = manifests.Manifest.parse(text)
        if not isinstance(parsed, manifests.Manifest):
            return None
        flags = parsed.audit_flags
        file = flags.get(POLICY_FILE, "")
        return cls(parsed.loopback_address, parsed.secure_port, flags, file, digest_in_name(file))


class _Wait:
    """Watching one API server come up."""

    def __init__(self, timing: ChangeTiming, clock: Callable[[], float]) -> None:
        self._timing = timing
        self._clock = clock
        self._seen: set[ProcessIdentity] = set()
        self._ready: tuple[ProcessIdentity, float] | None = None
        self._alive: ProcessIdentity | None = None

    def saw(self, server: RunningServer | None, *, runs: bool, obstacle: str) -> None:
        """Take note of what is there now; `runs` says whether it was started as the manifest says."""
        self._alive = server.process if server and runs else None
        if self._alive:
            self._seen.add(self._alive)
        if self._alive is None or obstacle:
            self._ready = None
        elif self._ready is None or self._ready[0] != self._alive:
            self._ready = (self._alive, self._clock())

    @property
    def proven(self) -> bool:
        """Whether one process has been ready for long enough."""
        return self._ready is not None and self._clock() - self._ready[1] >= self._timing.soak

    @property
    def deaths(self) -> int:
        """Processes that have ended."""
        return len(self._seen - {self._alive})
