"""What one node is to do next, and what it says about itself.

`look` decides from what is there; `change` and `finish` act. The agent calls them in turn, and asks the others for its
turn in between. Everything here blocks.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from audit_operator.controlplane.preflight import Verdict
from audit_operator.controlplane.static_pod import manifest as manifests
from audit_operator.controlplane.static_pod.audit_flags import POLICY_FILE
from audit_operator.controlplane.static_pod.change import (
    ORIGINAL,
    RECORD,
    Change,
    ChangeTiming,
    ForeignWriter,
)
from audit_operator.controlplane.static_pod.journal import UNENROLLED, Journal, NodeFailure, Phase, Record, text_digest
from audit_operator.controlplane.static_pod.report import NodeReport, NodeState, shown_policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit_operator.controlplane.os_process import ProcessIdentity
    from audit_operator.controlplane.preflight import Preflight
    from audit_operator.controlplane.static_pod.audit_flags import AuditConfiguration
    from audit_operator.controlplane.static_pod.host import Host, RunningServer
    from audit_operator.controlplane.static_pod.instructions import Instructions

_MEGABYTE = 1024 * 1024
_RETRY_AFTER = 60.0
"""Seconds until a change that failed at this node's disk, before anything happened, is tried again."""


class Obstacle(StrEnum):
    """Why a node is blocked until somebody acts."""

    NO_MANIFEST = "NoManifest"
    UNSUITABLE_MANIFEST = "UnsuitableManifest"
    ADOPTION_REQUIRED = "AdoptionRequired"
    FOREIGN_CHANGE = "ForeignChange"
    POLICY_REFUSED = "PolicyRefused"
    LOG_SPACE = "LogSpace"
    NODE_ERROR = "NodeError"


class Todo(StrEnum):
    """What the agent should call: nothing, `change` once it is this node's turn, or `finish` at once."""

    NOTHING = "Nothing"
    CHANGE = "Change"
    FINISH = "Finish"


@dataclass(slots=True)
class NodeRollout:
    """The roll-out of one node. Used by one thread at a time; `report` may be read by any.

    Attributes:
        host: the node.
        timing: of changes.
        halted: whether to stop waiting and leave the rest to the next agent.
        clock: seconds since the epoch.
        sleep: waits.
    """

    host: Host
    timing: ChangeTiming = field(default_factory=ChangeTiming)
    halted: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    report: NodeReport = field(default_factory=NodeReport)
    on_report: Callable[[], None] = lambda: None
    _change: Change = field(init=False)
    _draft: NodeReport | None = None
    _judged: tuple[str, ProcessIdentity, Preflight] | None = None
    _steady: tuple[ProcessIdentity, float] | None = None
    _versioned: ProcessIdentity | None = None
    _unready_since: float | None = None
    _not_before: float = 0.0
    _started: tuple[ProcessIdentity, datetime] | None = None

    def __post_init__(self) -> None:
        self._change = Change(self.host, self.timing, self.halted, self.clock, self.sleep)

    # Looking

    def look(self, instructions: Instructions | None, policy: str = "") -> Todo:
        """Decide. `policy` is the text that the configuration's digest names; empty while it is not known.

        What there is to say is said at the end, as a whole. The agent tells it at any time, and looking may take
        seconds: that something new is wanted, beside the state of before, would read as if it were done already.
        """
        self._draft = self.report
        try:
            return self._look(instructions, policy)
        except (OSError, ValueError) as error:
            self._block(Obstacle.NODE_ERROR, f"this node's files cannot be used: {error}")
            return Todo.NOTHING
        finally:
            said, self._draft = self._draft, None
            self._publish(said)

    def _look(self, instructions: Instructions | None, policy: str) -> Todo:
        journal = self._change.journal()
        if journal is not None and (journal.phase is not Phase.PROBATION or self._change.is_undone(journal)):
            self._say(plane=journal.plane, state=NodeState.CHANGING, **_wish(journal.configuration))
            return Todo.FINISH
        if instructions is None:
            return self._look_alone(journal)
        record = self._forgiven(instructions)
        wanted = instructions.configuration if instructions.enrolled else None
        self._say(plane=instructions.plane, failures=record.whys, foreign_policy="", **_wish(wanted))
        self._say(attempts=record.attempts.get(_id(wanted), 0))
        situation = self._situation(instructions.manifest, record, wanted)
        if isinstance(situation, _Blocked):
            self._block(situation.obstacle, situation.why)
            return Todo.NOTHING
        self._observe(situation)
        if journal is not None and (todo := self._watch_probation(journal, situation)) is Todo.FINISH:
            return todo
        return self._decide(situation, instructions, policy)

    def _look_alone(self, journal: Journal | None) -> Todo:
        """Without instructions nothing is begun or looked at, but for a change that is on probation.

        What has failed here is said all the same: other nodes are not to try it.
        """
        record = self._change.record()
        if journal is None:
            nothing = NodeReport(api_server_version=self.report.api_server_version, failures=record.whys)
            self._say(**dict(nothing))
            return Todo.NOTHING
        self._say(failures=record.whys)
        situation = self._situation(journal.manifest, record, journal.configuration)
        return Todo.NOTHING if isinstance(situation, _Blocked) else self._watch_probation(journal, situation)

    def _forgiven(self, instructions: Instructions) -> Record:
        """The record, after acting upon a new wish to try again; a node that is new here has nothing to forgive."""
        record = self._change.record()
        if record.retry == instructions.retry:
            return record
        fresh = self.host.read(RECORD) is None
        retry = instructions.retry
        record = record.model_copy(update={"retry": retry}) if fresh else record.forgiving(retry)
        self._change.save(record)
        return record

    def _situation(self, name: str, record: Record, wanted: AuditConfiguration | None) -> _Situation | _Blocked:
        text = self.host.read_manifest(name)
        if text is None:
            return _Blocked(Obstacle.NO_MANIFEST, f"there is no {name} in {self.host.places.manifests}")
        parsed, current = _read(text, str(self.host.places.policies))
        if not isinstance(parsed, manifests.Manifest):
            return _Blocked(Obstacle.UNSUITABLE_MANIFEST, f"{name}: {parsed}")
        server = self.host.server(parsed.secure_port)
        obstacle = "kube-apiserver does not run"
        if server is not None:
            obstacle = self.host.obstacle(parsed.loopback_address, parsed.secure_port)
        if server != self.host.server(parsed.secure_port):
            obstacle = "kube-apiserver is being restarted"
        return _Situation(text, parsed, server, obstacle, current, record, wanted)

    def _decide(self, now: _Situation, instructions: Instructions, policy: str) -> Todo:
        if self._settled(now, instructions):
            return Todo.NOTHING
        blocked = self._others_hands(now, instructions)
        if blocked is None and self._failed(now):
            return Todo.NOTHING
        blocked = blocked or self._unfit(now, policy)
        if blocked is not None:
            self._block(blocked.obstacle, blocked.why)
        elif now.obstacle:
            self._say(**_said(NodeState.FAILED, now.obstacle))
        elif self.clock() >= self._not_before:  # else the report goes on to say what was wrong with this node's disk
            waits_for = "the roll-out is paused" if instructions.paused else ""
            if not policy and now.wanted is not None:
                waits_for = "the policy has not been read yet"
            self._say(**_said(NodeState.WAITING, waits_for))
            return Todo.NOTHING if waits_for else Todo.CHANGE
        return Todo.NOTHING

    def _settled(self, now: _Situation, instructions: Instructions) -> bool:
        """Whether all is as wanted. Says so."""
        if now.reached:
            if now.record.written != now.current:
                self._change.save(now.record.with_success(_id(now.wanted), now.current))
            self._say(**_said(now.running_state, now.trouble))
        elif now.wanted is None and (instructions.enrolled or now.record.written is None):
            self._say(**_said(NodeState.IDLE, ""))
        else:
            return False
        return True

    def _failed(self, now: _Situation) -> bool:
        """Whether what is wanted has failed here, and is not tried again. Says so."""
        failure = now.failure
        if failure is None:
            return False
        if not failure.refused:
            self._say(**_said(NodeState.ROLLED_BACK, failure.why))
        elif self._refuses(now):
            self._block(Obstacle.POLICY_REFUSED, failure.why)
        else:
            return False  # it was another process that refused it, and this one may be newer
        return True

    def _others_hands(self, now: _Situation, instructions: Instructions) -> _Blocked | None:
        """Whether somebody else has written what we would write."""
        written = now.record.written
        if written is not None:
            if now.current == written or now.record.may_take_over:
                return None
            why = (
                f"the audit part of {instructions.manifest} was changed by somebody else; nothing is done until "
                "`audit-operator rollout resume` says to take over again, or it is as it was"
            )
            earlier = f"; and what is wanted has failed here: {now.failure.why}" if now.failure else ""
            return _Blocked(Obstacle.FOREIGN_CHANGE, why + earlier)
        if instructions.adopt or not now.parsed.audit_flags or now.current is not None:
            return None
        flags = now.parsed.audit_flags
        self._say(foreign_policy=shown_policy(self.host.running_policy(now.server)) if now.server else "")
        what = f"an audit policy of its own, {flags[POLICY_FILE]}" if POLICY_FILE in flags else "audit flags of its own"
        return _Blocked(
            Obstacle.ADOPTION_REQUIRED,
            f"the API server has {what}; set spec.adopt: true to replace it (the file is kept)",
        )

    def _unfit(self, now: _Situation, policy: str) -> _Blocked | None:
        """Whether this node could not run what is wanted."""
        if now.wanted is None:
            return None
        log = now.wanted.log
        needed = log.max_size * _MEGABYTE * (log.max_backup + 1)
        free = self.host.free_for_logs(log.path)
        if free is not None and free < needed:
            return _Blocked(
                Obstacle.LOG_SPACE,
                f"spec.log may take {needed // _MEGABYTE} MB below {log.path.rpartition('/')[0]}, and there are "
                f"{free // _MEGABYTE} MB; lower spec.log.maxSize or maxBackup, or make room",
            )
        result = self._judge(now.server, now.wanted.digest, policy) if policy else None
        if result is None or result.flawless or result.verdict is Verdict.INCONCLUSIVE:
            return None  # where the binary cannot be asked, version gates and the roll-back must do
        why = f"kube-apiserver refuses it: {'; '.join(finding.message for finding in result.findings)}"
        self._change.save(now.record.with_failure(now.wanted.id, why, refused=True))
        return _Blocked(Obstacle.POLICY_REFUSED, why)

    def _refuses(self, now: _Situation) -> bool:
        """Whether the process that runs has been asked, and has refused what is wanted."""
        if now.wanted is None or now.server is None or self._judged is None:
            return False
        digest, process, result = self._judged
        return (digest, process) == (now.wanted.digest, now.server.process) and not result.flawless

    def _judge(self, server: RunningServer | None, digest: str, policy: str) -> Preflight | None:
        """The binary is asked once for a policy, as long as it is the same process."""
        if server is None:
            return None
        if self._judged is None or self._judged[:2] != (digest, server.process):
            result = self.host.judge(server, policy)
            if result is None or result.verdict is Verdict.INCONCLUSIVE:
                return result
            self._judged = (digest, server.process, result)
        return self._judged[2]

    # The time after a change

    def _watch_probation(self, journal: Journal, now: _Situation) -> Todo:
        """Whether an API server that came up has to be given back what it had before.

        Its probation is over when one process has stayed alive for so long, not just when time has passed.
        """
        self._unready_since = (self._unready_since or self.clock()) if now.obstacle else None
        if now.server is not None:
            journal = self._change.note(now.server.process) or journal
            if self._steady is None or self._steady[0] != now.server.process:
                self._steady = (now.server.process, self.clock())
            if not now.obstacle and self.clock() - self._steady[1] > self.timing.probation:
                self._change.end_probation()
                return Todo.NOTHING
        return Todo.FINISH if self._revocable(journal) else Todo.NOTHING

    def _revocable(self, journal: Journal) -> bool:
        if len(journal.processes) > self.timing.deaths:
            return True
        return self._unready_since is not None and self.clock() - self._unready_since > journal.ready_timeout

    # Acting

    def change(self, instructions: Instructions, policy: str, may_begin: Callable[[], bool]) -> None:
        """Make the change that `look` has found, and wait for its end; see `report` for what came of it."""
        if self.look(instructions, policy) is not Todo.CHANGE:
            return
        try:
            self._begin(instructions, policy, may_begin)
        except (OSError, ValueError) as error:
            self._not_before = self.clock() + _RETRY_AFTER
            self._block(Obstacle.NODE_ERROR, f"nothing was changed: {error}")
            return
        self.finish()

    def _begin(self, instructions: Instructions, policy: str, may_begin: Callable[[], bool]) -> None:
        self._change.end_probation()
        self._unready_since = None
        record, name = self._change.record(), instructions.manifest
        before = self.host.read_manifest(name)
        if before is None:
            return
        policies = str(self.host.places.policies)
        wanted = instructions.configuration if instructions.enrolled else None
        if wanted is None:
            original = (self.host.read(ORIGINAL) or b"").decode()
            after = manifests.with_audit_part_of(before, original)
        else:
            if record.written is None:
                self.host.write(ORIGINAL, before.encode())
            self.host.store_policy(wanted.digest, policy)
            after = manifests.enrolled(before, wanted, policies)
        journal = Journal(
            plane=instructions.plane,
            manifest=name,
            before=text_digest(before),
            after=text_digest(after),
            configuration=wanted,
            configuration_before=record.written,
            ready_timeout=instructions.ready_timeout,
        )
        self._say(state=NodeState.CHANGING, blocked="", error="")
        self._change.begin(journal, before, after, may_begin)

    def finish(self) -> None:
        """Bring a change that is under way to its end, also one that an earlier agent has begun."""
        journal = self._change.journal()
        if journal is None:
            return
        self._say(state=NodeState.CHANGING, blocked="", ready=False)
        try:
            if journal.phase is Phase.PROBATION:
                self._change.revoke(f"kube-apiserver did not stay up: {self.host.last_words(journal.applied_at)}")
                self._unready_since = None
            else:
                self._change.finish()
        except ForeignWriter:
            self._block(Obstacle.FOREIGN_CHANGE, f"{journal.manifest} was changed by somebody else during a change")
        except (OSError, ValueError) as error:
            self._block(Obstacle.NODE_ERROR, f"a change is not finished yet: {error}")
        else:
            self._tidy()

    def _tidy(self) -> None:
        written = self._change.record().written
        self.host.forget_policies_except({written.digest} if written else set())

    # Saying

    def _observe(self, now: _Situation) -> None:
        server = now.server
        proved = server is not None and not now.obstacle
        if proved and server is not None and self._versioned != server.process:
            version = self.host.version(now.parsed.loopback_address, now.parsed.secure_port)
            self._say(api_server_version=version)
            self._versioned = server.process if version else None
        digest = server.policy_digest if server and proved else ""
        self._say(ready=proved, running_digest=digest, since=self._since(server) if server else None)

    def _since(self, server: RunningServer) -> datetime:
        """When the process was started; reckoned once, so that it stays the same to the second."""
        if self._started is None or self._started[0] != server.process:
            at = datetime.fromtimestamp(self.clock() - self.host.age(server), UTC).replace(microsecond=0)
            self._started = (server.process, at)
        return self._started[1]

    def _block(self, obstacle: Obstacle, why: str) -> None:
        self._say(state=NodeState.BLOCKED, blocked=obstacle.value, error=why)

    def _say(self, **news: object) -> None:
        if self._draft is not None:
            self._draft = self._draft.model_copy(update=news)
        else:
            self._publish(self.report.model_copy(update=news))

    def _publish(self, said: NodeReport) -> None:
        if said != self.report:
            self.report = said
            self.on_report()


@dataclass(frozen=True, slots=True)
class _Blocked:
    obstacle: Obstacle
    why: str


@dataclass(frozen=True, slots=True)
class _Situation:
    """What is there, and what is wanted.

    Attributes:
        text: of the manifest.
        parsed: what it says.
        server: the process behind it.
        obstacle: why that is not ready; empty if it is.
        current: the configuration that the manifest says, if it is one of ours.
        record: what became of earlier changes.
        wanted: the configuration that is wanted; None for none, or to have none.
    """

    text: str
    parsed: manifests.Manifest
    server: RunningServer | None
    obstacle: str
    current: AuditConfiguration | None
    record: Record
    wanted: AuditConfiguration | None

    @property
    def failure(self) -> NodeFailure | None:
        """Why what is wanted is not tried again; None if it has not failed."""
        return self.record.failures.get(_id(self.wanted))

    @property
    def reached(self) -> bool:
        """Whether the manifest says what is wanted."""
        return self.wanted is not None and self.current == self.wanted

    @property
    def trouble(self) -> str:
        """Why what the manifest says does not run."""
        if self.obstacle or self.server is None:
            return self.obstacle
        if self.server.audit_flags != self.parsed.audit_flags:
            return "kube-apiserver does not run as its manifest says: the kubelet has not acted on it"
        if self.wanted is not None and self.server.policy_digest != self.wanted.digest:
            return f"what kube-apiserver sees in {self.server.policy_file} has another digest"
        return ""

    @property
    def running_state(self) -> NodeState:
        """Running, or failed."""
        return NodeState.FAILED if self.trouble else NodeState.RUNNING


@lru_cache(maxsize=4)  # a manifest is looked at every few seconds, and hardly ever changes
def _read(text: str, policies: str) -> tuple[manifests.Manifest | manifests.ManifestProblem, AuditConfiguration | None]:
    """What a manifest says, and which of our configurations that is."""
    return manifests.Manifest.parse(text), manifests.read_back(text, policies)


def _wish(configuration: AuditConfiguration | None) -> dict[str, str]:
    if configuration is None:
        return {"wanted": "", "desired_digest": ""}
    return {"wanted": configuration.id, "desired_digest": configuration.digest}


def _id(wanted: AuditConfiguration | None) -> str:
    return wanted.id if wanted else UNENROLLED


def _said(state: NodeState, error: str) -> dict[str, object]:
    return {"state": state, "blocked": "", "error": error}
