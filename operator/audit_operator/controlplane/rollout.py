"""Bringing one API server on this machine to a policy, and back to the last good one where that fails.

`converge` looks at what is there, takes one step, and says when it wants to be called again; there is no other state
machine. What it finds decides, never what an earlier call has wished, so that an operator may be killed at any moment:
the next one finds a process, its policy and the record of failures, and goes on. Everything here blocks.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from audit_operator.api.findings import Finding, Severity
from audit_operator.api.observations import ApiServerObservation, ApiServerState
from audit_operator.controlplane.api_server import STOP_GRACE, ControlPlaneGone, NotReady
from audit_operator.controlplane.files import exclusive, write_atomically
from audit_operator.controlplane.preflight import REFUSED, Preflight, Verdict, preflight
from audit_operator.controlplane.rollout_record import FailureKind, RolloutRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from audit_operator.api.observations import DesiredPolicy
    from audit_operator.controlplane.api_server import Launch
    from audit_operator.controlplane.os_process import ProcessIdentity

CHECK_INTERVAL = 10.0

_LOCK_RETRY = 1.0
_LONGEST_BACKOFF = 60.0
_DEATHS_ALLOWED = 2
"""A policy whose API server dies before it is proven gets further chances: something else may have killed it."""


class Server(Protocol):
    """What a rollout needs of `ApiServer`, which describes each method; tests put faults in its place."""

    folder: Path

    def launch(self) -> Launch: ...  # noqa: D102  # see ApiServer
    def process(self) -> ProcessIdentity | None: ...  # noqa: D102
    def running_digest(self) -> str: ...  # noqa: D102
    def last_started_digest(self) -> str: ...  # noqa: D102
    def last_words(self) -> str: ...  # noqa: D102
    def started_at(self) -> datetime | None: ...  # noqa: D102
    def age(self, process: ProcessIdentity) -> float: ...  # noqa: D102
    def obstacle(self) -> str: ...  # noqa: D102
    def version(self) -> str: ...  # noqa: D102
    def store_policy(self, policy: DesiredPolicy) -> None: ...  # noqa: D102
    def forget_policies_except(self, digests: set[str]) -> None: ...  # noqa: D102
    def restart(self, digest: str, grace: float) -> ProcessIdentity: ...  # noqa: D102
    def wait_ready(  # noqa: D102
        self, process: ProcessIdentity, timeout: float, halted: Callable[[], bool]
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class RolloutSettings:
    """Times in seconds.

    Attributes:
        ready_timeout: how long an API server may take to become ready before it gets its last good policy.
        soak: how long it must stay alive with a policy until that is proven, and no longer blamed when it dies.
        stop_grace: how long it may take to end before it is killed.
        retry_after: how long a policy that has failed is not tried again, even if somebody asks for it.
    """

    ready_timeout: float = 60.0
    soak: float = 15.0
    stop_grace: float = STOP_GRACE
    retry_after: float = 60.0


class Rollout:
    """The rollouts of one API server. `converge` is called by one thread at a time, everything else by any."""

    def __init__(  # noqa: PLR0913  # all but the server has a default
        self,
        server: Server,
        *,
        name: str = "local",
        settings: RolloutSettings = RolloutSettings(),  # frozen
        judge: Callable[[Path, str], Preflight] = preflight,
        changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Does nothing yet.

        Args:
            server: the API server.
            name: in observations.
            settings: times.
            judge: preflight of a policy's text by a binary.
            changed: is called when a restart begins, from the thread that calls `converge`.
            clock: seconds since the epoch.
        """
        self._server = server
        self._name = name
        self._settings = settings
        self._judge = judge
        self._changed = changed
        self._clock = clock
        self._record_file = server.folder / "rollout.json"
        self._record = self._load()
        self._restarting = False
        self._problem = ""
        self._accepted = ""
        self._starts = _Starts(clock)
        self._version: tuple[ProcessIdentity | None, str] = (None, "")

    # Taking a step

    def converge(
        self, desired: DesiredPolicy | None, halted: Callable[[], bool] = lambda: False, *, retry: bool = False
    ) -> float:
        """Bring the API server a step nearer to the desired policy; no step is needed where it runs and is ready.

        Args:
            desired: None before somebody has said what is wanted: then only what has been good is kept running.
            halted: True ends waiting early; the API server is then left to whoever comes next.
            retry: whether to try a desired policy again although it has failed, if that is long enough ago.

        Returns:
            Seconds after which, at the latest, it wants to be called again.
        """
        try:
            with exclusive(self._server.folder / "rollout.lock", wait=False):
                return self._converge(desired, halted, retry=retry)
        except BlockingIOError:
            self._problem = "another process is changing this API server"
            return _LOCK_RETRY
        except (ControlPlaneGone, OSError) as error:
            self._problem = str(error)
            return CHECK_INTERVAL

    def _converge(self, desired: DesiredPolicy | None, halted: Callable[[], bool], *, retry: bool) -> float:
        self._problem = ""
        self._record = self._load()
        self._starts.wanted(desired.digest if desired else "")
        if desired and retry:
            self._forgive(desired.digest)
        process = self._server.process()
        running = self._server.running_digest() if process else ""
        if running and not self._record.good and not self._server.obstacle():
            self._save(self._record.with_good(running))  # what somebody else has started, and works
        target = self._target(desired, running)
        if desired and target == desired.digest:
            self._server.store_policy(desired)
        if not target:
            self._problem = self._problem or "no policy is known with which it could be started"
            return CHECK_INTERVAL
        if process and running == target:
            return self._confirm(process, target, halted)
        delay = self._starts.delay()
        if delay > 0:
            return delay
        if process is None and self._server.last_started_digest() == target != self._record.proven:
            target = self._after_death(target)
        return self._start(target, halted)

    def _target(self, desired: DesiredPolicy | None, running: str) -> str:
        """Digest of the policy that should run: the desired one unless it has failed, else the last good one."""
        if desired is None or desired.digest in self._record.failures:
            return self._record.last_good
        if desired.digest in {running, self._accepted, *self._record.good}:
            return desired.digest
        result = self._judge(self._server.launch().binary, desired.text)
        if result.flawless:
            self._accepted = desired.digest
            return desired.digest
        said = "; ".join(finding.message for finding in result.findings)
        if result.verdict is Verdict.INCONCLUSIVE:
            self._problem = said
        else:
            self._save(self._record.with_failure(desired.digest, FailureKind.REFUSED, said, self._clock()))
        return self._record.last_good

    def _confirm(self, process: ProcessIdentity, target: str, halted: Callable[[], bool]) -> float:
        """The right policy runs: is it ready, and is it proven?"""
        age = self._server.age(process)
        obstacle = self._server.obstacle()
        if obstacle and age < self._settings.ready_timeout:
            error = self._wait_ready(process, target, self._settings.ready_timeout - age, halted)
            return self._roll_back(target, error, halted) if error else self._settings.soak
        if obstacle:
            self._problem = obstacle
            return CHECK_INTERVAL
        if target != self._record.last_good:
            self._save(self._record.with_good(target))
        if age < self._settings.soak:
            return self._settings.soak - age
        self._starts.forget()
        if target != self._record.proven:
            self._save(self._record.with_proof(target))
            self._server.forget_policies_except(set(self._record.good))
        return CHECK_INTERVAL

    def _after_death(self, target: str) -> str:
        """What to start after the API server has died with a policy that was not proven yet."""
        self._save(self._record.with_death(target))
        alternatives = set(self._record.good) - {target}
        if self._record.deaths[target] <= _DEATHS_ALLOWED or not alternatives:
            return target
        error = f"kube-apiserver dies again and again with it: {self._server.last_words()}"
        self._save(self._record.with_failure(target, FailureKind.NOT_READY, error, self._clock()))
        return self._record.last_good

    def _start(self, target: str, halted: Callable[[], bool]) -> float:
        error = self._bring_up(target, halted)
        return self._roll_back(target, error, halted) if error else self._settings.soak

    def _roll_back(self, failed: str, error: str, halted: Callable[[], bool]) -> float:
        if halted():
            return 0
        back_to = self._record.last_good
        if back_to in {failed, ""}:
            self._problem = f"it does not come up: {error}"
            return self._starts.delay()
        # Before anything else: an operator that is killed from here on must not try it again.
        self._save(self._record.with_failure(failed, FailureKind.NOT_READY, error, self._clock()))
        worse = self._bring_up(back_to, halted)
        if worse and not halted():
            # What has worked before does not come up either: it is not the policy that is to blame.
            self._save(self._record.without_failure(failed))
            self._problem = f"it does not come up, and not with the last good policy either: {worse}"
            return self._starts.delay()
        return self._settings.soak

    def _bring_up(self, target: str, halted: Callable[[], bool]) -> str:
        """Restart with a policy, and say what came of it: empty if the API server is ready."""
        self._restarting = True
        self._starts.note()
        self._changed()
        try:
            process = self._server.restart(target, self._settings.stop_grace)
            return self._wait_ready(process, target, self._settings.ready_timeout, halted)
        finally:
            self._restarting = False

    def _wait_ready(self, process: ProcessIdentity, target: str, timeout: float, halted: Callable[[], bool]) -> str:
        try:
            self._server.wait_ready(process, timeout, halted)
        except NotReady as failure:
            return str(failure)
        self._save(self._record.with_good(target))
        return ""

    def _forgive(self, digest: str) -> None:
        failure = self._record.failures.get(digest)
        if failure is not None and self._clock() - failure.at >= self._settings.retry_after:
            self._save(self._record.without_failure(digest))

    def _load(self) -> RolloutRecord:
        try:
            return RolloutRecord.from_json(self._record_file.read_bytes())
        except FileNotFoundError:
            return RolloutRecord()

    def _save(self, record: RolloutRecord) -> None:
        write_atomically(self._record_file, record.to_json())
        self._record = record

    # Saying what is there

    def refusal(self, digest: str) -> tuple[Finding, ...]:
        """Why the API server would not take a policy, if that is known."""
        failure = self._record.failures.get(digest)
        if failure is None or failure.kind is not FailureKind.REFUSED:
            return ()
        return (Finding(id=REFUSED, severity=Severity.ERROR, message=f"kube-apiserver refuses it: {failure.error}"),)

    def observe(self, desired: DesiredPolicy | None) -> ApiServerObservation:
        """What runs now."""
        wanted = desired.digest if desired else ""
        process = self._server.process()
        running = self._server.running_digest() if process else ""
        obstacle = self._server.obstacle() if process else "kube-apiserver does not run"
        version = self._version_of(process) if process and not obstacle else ""
        if process != self._server.process():  # replaced while we looked: what was seen belongs to two of them
            running, obstacle = "", "kube-apiserver is being restarted"
        failure = self._record.failures.get(wanted)
        rolled_back = failure is not None and failure.kind is FailureKind.NOT_READY
        state = self._state(process, obstacle, rolled_back=rolled_back)
        reached = bool(wanted) and running == wanted and not obstacle
        return ApiServerObservation(
            name=self._name,
            desired_digest=wanted,
            running_digest=running,
            ready=not obstacle,
            since=self._server.started_at() if process else None,
            state=state,
            last_error="" if reached else (failure.error if failure else self._problem),
            version=version,
        )

    def _version_of(self, process: ProcessIdentity) -> str:
        """Asked once per process, since it cannot change."""
        if process != self._version[0]:
            self._version = (process, self._server.version())
        return self._version[1]

    def _state(self, process: ProcessIdentity | None, obstacle: str, *, rolled_back: bool) -> ApiServerState:
        if self._restarting:
            return ApiServerState.RESTARTING
        if process is None:
            return ApiServerState.FAILED
        if obstacle:
            young = self._server.age(process) < self._settings.ready_timeout
            return ApiServerState.RESTARTING if young else ApiServerState.FAILED
        return ApiServerState.ROLLED_BACK if rolled_back else ApiServerState.RUNNING


class _Starts:
    """Spacing of starts for the same wish: what dies again and again must not take the machine with it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wish = ""
        self._count = 0
        self._last = 0.0

    def wanted(self, digest: str) -> None:
        """A new wish need not wait."""
        if digest != self._wish:
            self._wish, self._count = digest, 0

    def note(self) -> None:
        """It is being started now."""
        self._count += 1
        self._last = self._clock()

    def forget(self) -> None:
        """It stays alive."""
        self._count = 0

    def delay(self) -> float:
        """Seconds until it may be started again; 0 for at once."""
        if self._count == 0:
            return 0
        return max(0.0, self._last + min(_LONGEST_BACKOFF, 2.0 ** (self._count - 1)) - self._clock())
