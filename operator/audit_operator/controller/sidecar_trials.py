"""Tries what sidecars are to be told before it is written, since their pods have no room for a second collector.

Trials run one at a time, and one is good for all policies that differ in their names and stores alone. Nobody waits for
long, whoever writes how many policies: few may wait, of one namespace fewer still, and what finds no room is used
without. What could not be tried to its end for lack of time is tried again while it is used, with more of it.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections import OrderedDict, deque
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from audit_operator.api.findings import Finding, Severity
from audit_operator.controlplane.shipper.canary import try_application
from audit_operator.controlplane.shipper.retrying import ATTEMPTS, PAUSE, words
from audit_operator.controlplane.shipper.trial import Outcome, Trial, TrialTimes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from audit_operator.api.findings import ObjectRef
    from audit_operator.shipping.canary.application_rehearsed import ApplicationRehearsal

_LOG = logging.getLogger(__name__)

MOST_WAITING, MOST_OF_NAMESPACE = 32, 4
_REMEMBERED = 1024
REFUSED, UNTRIED = "sidecar-configuration-refused", "sidecar-configuration-untried"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a configuration.

    Attributes:
        waits: it is being tried, so that what is there stays.
        refused: why it must not be used.
        remark: why it is used without having been tried to the end.
    """

    waits: bool = False
    refused: Finding | None = None
    remark: Finding | None = None


@dataclass(frozen=True, slots=True)
class TrialPauses:
    """Seconds.

    Attributes:
        trial: of each one.
        refused: until what was refused is tried again: the machine may have been to blame.
        unfinished: until what was short of time is tried again; twice as long each time, and with twice the time.
        attempts: after so many, it is left as it is.
    """

    trial: TrialTimes = TrialTimes()  # noqa: RUF009  # frozen
    refused: float = 300.0
    unfinished: float = PAUSE
    attempts: int = ATTEMPTS


@dataclass(slots=True)
class _Known:
    trial: Trial
    attempts: int
    at: float


@dataclass(slots=True)
class SidecarTrials:
    """Answers at once, and calls `on_change` when another answer is known.

    `binary` is None without a collector. In `folder`, what was left by whoever was killed in a trial is found; without
    one, each trial has a temporary one.
    """

    binary: Path | None
    on_change: Callable[[], None]
    folder: Path | None = None
    pauses: TrialPauses = TrialPauses()
    _known: OrderedDict[str, _Known] = field(default_factory=OrderedDict)
    _waiting: deque[tuple[str, str, ApplicationRehearsal]] = field(default_factory=deque)
    _work: asyncio.Task[None] | None = None
    _timers: list[asyncio.TimerHandle] = field(default_factory=list)
    _closing: bool = False

    def verdict(self, policy: ObjectRef, wanted: ApplicationRehearsal, *, used: bool) -> Verdict:
        """What is known of a policy's configuration; `used` says that its sidecars have it already.

        What they have since before this process began is not tried: it was, or could not be.
        """
        if self.binary is None:
            return Verdict(remark=_NO_COLLECTOR)
        digest = wanted.digest
        known = self._known.get(digest)
        if known is None and used:
            return Verdict()
        if known is None or self._is_due(known):
            room = self._ask(policy.namespace, digest, wanted)
            if known is None and room:
                return Verdict(waits=True)
            known = known or self._note(digest, _Known(_NO_ROOM, 0, time.monotonic()))
        self._known.move_to_end(digest)
        return _verdict(known.trial)

    async def aclose(self) -> None:
        """Let the trial that goes on end, and begin none."""
        self._closing = True
        for each in self._timers:
            each.cancel()
        if self._work is not None:
            await self._work

    def _halted(self) -> bool:
        return self._closing

    def _is_due(self, known: _Known) -> bool:
        age = time.monotonic() - known.at
        if known.trial.outcome is Outcome.FAILED:
            return age >= self.pauses.refused
        return self._is_to_be_repeated(known) and age >= self._pause(known)

    def _is_to_be_repeated(self, known: _Known) -> bool:
        return known.trial.short_of_time and known.attempts < self.pauses.attempts

    def _pause(self, known: _Known) -> float:
        return self.pauses.unfinished * 2.0 ** (known.attempts - 1)

    def _ask(self, namespace: str, digest: str, wanted: ApplicationRehearsal) -> bool:
        """Have it tried; whether there is room for that, or it waits already."""
        if any(each == digest for _, each, _ in self._waiting):
            return True
        of_namespace = sum(each == namespace for each, _, _ in self._waiting)
        if len(self._waiting) >= MOST_WAITING or of_namespace >= MOST_OF_NAMESPACE:
            return False
        self._waiting.append((namespace, digest, wanted))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._try_all(), name="sidecar-trials")
        return True

    async def _try_all(self) -> None:
        while self._waiting and not self._halted():
            _, digest, wanted = self._waiting[0]
            before = self._known.get(digest)
            attempts = before.attempts if before else 0
            trial = await asyncio.to_thread(self._try, wanted, attempts)
            self._waiting.popleft()
            if self._halted():
                return
            # The records are megabytes, and a thousand trials are remembered.
            told = replace(trial, said=(words(trial),), arrived={})
            self._note(digest, _Known(told, attempts + 1, time.monotonic()))
            self.on_change()

    def _try(self, wanted: ApplicationRehearsal, attempts: int) -> Trial:
        if self.binary is None:
            return Trial(Outcome.UNFINISHED)
        times = self.pauses.trial.grown(attempts)
        try:
            with self._place() as folder:
                return try_application(folder, self.binary, wanted, self._halted, times)
        except Exception as error:  # noqa: BLE001 - a defect of ours must not keep sidecars from being configured
            _LOG.error("A trial failed", exc_info=error, extra={"reason": type(error).__name__})
            return Trial(Outcome.UNFINISHED, (f"it could not be tried: {type(error).__name__}",))

    @contextmanager
    def _place(self) -> Iterator[Path]:
        if self.folder is not None:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            yield self.folder
            return
        with tempfile.TemporaryDirectory(prefix="audit-operator-") as folder:
            yield Path(folder)

    def _note(self, digest: str, known: _Known) -> _Known:
        self._known[digest] = known
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        if known.trial.outcome is not Outcome.PASSED:
            said = words(known.trial)
            extra = {"reason": f"Canary{known.trial.outcome}", "digest": digest}
            _LOG.warning("Trial of a sidecar's configuration: %s", said, extra=extra)
        if self._is_to_be_repeated(known):
            # What is short of time is no change of anything that is watched.
            loop = asyncio.get_running_loop()
            self._timers = [each for each in self._timers if each.when() > loop.time()]
            self._timers.append(loop.call_later(self._pause(known), self.on_change))
        return known


def _verdict(trial: Trial) -> Verdict:
    said = words(trial)
    if trial.outcome is Outcome.FAILED:
        return Verdict(refused=_refused(said))
    return Verdict(remark=_untried(said)) if trial.outcome is Outcome.UNFINISHED else Verdict()


def _refused(said: str) -> Finding:
    return Finding(
        REFUSED,
        Severity.ERROR,
        f"with what sidecars are to read, lines that are known do not become what they must: {said}",
        "what sidecars had before stays; report this as a defect, and see AUDIT_OPERATOR_SHIPPER_CANARY",
        path="spec.applicationLogs",
    )


def _untried(said: str) -> Finding:
    return Finding(
        UNTRIED,
        Severity.WARNING,
        f"what sidecars read is used, but was not tried to the end: {said}",
        "see the log of the operator; where only time was lacking, it is tried again a few times",
        path="spec.applicationLogs",
    )


_NO_ROOM = Trial(Outcome.UNFINISHED, ("too many others wait for their trial",), short_of_time=True)
_NO_COLLECTOR = Finding(
    UNTRIED,
    Severity.INFO,
    "what sidecars read is used without having been tried: this operator has no collector",
    "set AUDIT_OPERATOR_COLLECTOR; the chart does",
    path="spec.applicationLogs",
)
