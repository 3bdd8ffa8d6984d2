"""What is wanted from an API server, and what was seen of it and of shippers: values between `plan` and the drivers.

They stand here because both sides speak them: `plan` renders a `DesiredPolicy` and judges observations, a driver in
`controlplane` delivers the one and makes the others. An observation holds facts that were read, never hopes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003  # pydantic reads the annotations where observations are sent
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit_operator.api.findings import Finding


def policy_digest(text: str) -> str:
    """SHA-256 of a policy's canonical bytes, in hex: the name by which everybody speaks of one policy."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class DesiredPolicy:
    """The policy that an API server should run: canonical `audit.k8s.io/v1` text, and its digest."""

    text: str
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", policy_digest(self.text))


class ApiServerState(StrEnum):
    """What a driver knows of one API server.

    Running: its process is there. It may run an older policy than the desired one: `last_error` says why.
    Restarting: it is being restarted, or it is up and not ready yet.
    Waiting: it runs, and is changed when it is its turn, or when the roll-out goes on; `last_error` says for what.
    Blocked: it runs, and is not changed until somebody acts; `last_error` says how.
    RolledBack: the desired policy was tried, the API server did not become ready, and the last good one runs again.
    Failed: it does not run, or it does not become ready with any policy.
    Unknown: the driver cannot see it.
    """

    RUNNING = "Running"
    RESTARTING = "Restarting"
    WAITING = "Waiting"
    BLOCKED = "Blocked"
    ROLLED_BACK = "RolledBack"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class ApiServerObservation:
    """One API server, as last seen.

    Attributes:
        name: of the API server within its control plane, for example the node's name.
        desired_digest: of the policy that the driver was last told to deliver; empty before that.
        running_digest: of the policy that the running process has loaded; empty where that cannot be proved.
        ready: whether `/readyz` answered 200.
        since: when `state` began, UTC; None where unknown.
        state: see ApiServerState.
        last_error: why the desired policy is not running, for a human; empty if there is nothing to say.
        version: of the API server when it was last seen, for example ``v1.37.2``; empty where unknown.
        version_at_least: what `version` can be at the oldest, as long as that is unknown; empty where this is, too.
        attempts: how often it was tried to bring it to the desired policy; 0 where that is not counted.
        blocked: why the state is Blocked, as one word.
        foreign_policy: the audit policy of somebody else that it runs and that awaits adoption, as text.
        notes: what else a human should know about the delivery, and what does not stand in its way.
    """

    name: str
    desired_digest: str = ""
    running_digest: str = ""
    ready: bool = False
    since: datetime | None = None
    state: ApiServerState = ApiServerState.UNKNOWN
    last_error: str = ""
    version: str = ""
    version_at_least: str = ""
    attempts: int = 0
    blocked: str = ""
    foreign_policy: str = ""
    notes: tuple[Finding, ...] = ()


LAGS = (60, 300, 900, 3600, 6 * 3600, 24 * 3600)
"""Seconds: the steps in which it is told how long records have waited. A time that grows would change all the time."""


def lag(seconds: float) -> int:
    """The largest of LAGS that is not more; 0 for less than all of them."""
    return max((each for each in LAGS if each <= seconds), default=0)


VOLUMES = tuple(int(each * 10**decade) for decade in range(8, 13) for each in (1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.4, 8))
"""Bytes: the steps in which it is told how much is written in a day, from 100 MB on."""


def volume(written: int) -> int:
    """The largest of VOLUMES that is not more; 0 for less than all of them."""
    return max((each for each in VOLUMES if each <= written), default=0)


class Flow(StrEnum):
    """What was seen of the way from a shipper to one sink.

    Nothing: nothing was given to it yet, or is on its way for the first time.
    Flowing: records were sent, and none waits for long.
    Backlog: records wait: none was sent for a while, or more come than can be sent.
    Lossy: records were given up lately, or could not be kept.
    """

    NOTHING = "Nothing"
    FLOWING = "Flowing"
    BACKLOG = "Backlog"
    LOSSY = "Lossy"


@dataclass(frozen=True, slots=True)
class ExporterFigures:
    """Records by what became of them, since `ShipperFigures.since`; the queue, in bytes, as it is now.

    Attributes:
        sent: that the store has taken.
        failed: that were given up: the store refuses them for good, or a sink BestEffort was away for too long.
        not_queued: that were refused by a queue which was full, or could not be written.
        queue: bytes that wait.
        capacity: most bytes that can wait.
        cut: that were larger than the sink takes, and go there cut; one that is read again counts again.
    """

    sent: int = 0
    failed: int = 0
    not_queued: int = 0
    queue: int = 0
    capacity: int = 0
    cut: int = 0


@dataclass(frozen=True, slots=True)
class ExporterObservation:
    """The way to one sink. Figures do not count when two are compared: they change all the time.

    Attributes:
        exporter: its id.
        flow: see Flow.
        figures: what was counted.
        stalled: for how many seconds at least none of the records that wait was sent, as one of LAGS; 0: less.
    """

    exporter: str
    flow: Flow
    figures: ExporterFigures = field(default=ExporterFigures(), compare=False)
    stalled: int = 0


EVERYWHERE = "*"
"""In place of a namespace: there are too many to name them."""


@dataclass(frozen=True, slots=True)
class UnreadableLines:
    """Lines of the API server that could not be read, or not be redacted, as a whole, for one reason.

    Attributes:
        namespace: whose they are; empty where they do not say, EVERYWHERE for the many others.
        reason: the record's attribute `quarantine`; or ``unreadable`` or ``undisclosed``, and what its attribute of
            that name says.
        lines: how many.
    """

    namespace: str
    reason: str
    lines: int


@dataclass(frozen=True, slots=True)
class ShipperFigures:
    """What a shipper has counted since `since`; what it counted last before it was killed may be missing.

    Attributes:
        received: events that were read.
        refused: that no way out had room for; they are read again.
        quarantined: lines that could not be read as an audit event, or not be redacted, as a whole.
        unreadable: these by namespace and reason, as far as that is known.
        dropped: events at level None, which nobody asked for.
        uncounted: how often what detections are about was not told apart, compared or shown, since that had no room.
        unread: bytes of the API server's files that it has not read yet; None where that cannot be seen.
        restarts: how often it has ended unasked and was started again.
        table: digest of the decision table that it has read for certain; empty where none is.
        since: when counting began.
        seen: when this was asked successfully for the last time.
        probed: events of live probes by the condition of a detection that counts them; None where nothing is counted.
    """

    received: int = 0
    refused: int = 0
    quarantined: int = 0
    unreadable: tuple[UnreadableLines, ...] = ()
    dropped: int = 0
    uncounted: int = 0
    unread: int | None = None
    restarts: int = 0
    table: str = ""
    since: datetime | None = None
    seen: datetime | None = None
    probed: tuple[tuple[str, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class ShipperObservation:
    """One shipper, as last seen. Figures do not count when two are compared: they change all the time.

    Attributes:
        node: that it runs on.
        config: digest of the configuration that it says it runs; empty where it says nothing.
        healthy: whether it runs, with that configuration, and answers.
        last_error: why not, for a human; or why it has not the configuration that it should have.
        exporters: the ways to its sinks.
        unread_for: for how many seconds at least something has waited in the API server's files, as one of LAGS.
        daily: bytes that were written into these files at least, within 24 hours since it looks, as one of VOLUMES.
        crowded: conditions of detections, each with a namespace in which events were not told apart within the last
            hour; an empty one for conditions that tell no namespaces apart, EVERYWHERE for too many.
    """

    node: str
    config: str = ""
    healthy: bool = False
    last_error: str = ""
    exporters: tuple[ExporterObservation, ...] = ()
    unread_for: int = 0
    daily: int = 0
    crowded: tuple[tuple[str, str], ...] = ()
    figures: ShipperFigures = field(default=ShipperFigures(), compare=False)

    def waiting(self, exporter: str) -> int:
        """For how many seconds at least something for an exporter has waited, as one of LAGS; 0: less, or not known."""
        stalled = next((each.stalled for each in self.exporters if each.exporter == exporter), 0)
        return max(stalled, self.unread_for)

    def flow(self, exporter: str) -> Flow:
        """What was seen of the way through an exporter."""
        return next((each.flow for each in self.exporters if each.exporter == exporter), Flow.NOTHING)
