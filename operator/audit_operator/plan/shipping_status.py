"""Whether records arrive where they are to go, from what was planned for shippers and what was seen of them.

Every sink of a control plane is judged once; a policy is as well off as its worst sink. No figure stands in a message:
figures change all the time, and a status that changes with them would be written all the time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from audit_operator.api.conditions import ConditionStatus, ConditionType, Reason
from audit_operator.api.findings import Finding, Severity
from audit_operator.api.observations import Flow
from audit_operator.plan.claim import Claim, false, true, unknown
from audit_operator.plan.counting import NOT_COUNTED
from audit_operator.plan.flow_trouble import trouble
from audit_operator.plan.sink_shipping import cuts, lag_text, losses, quarantined, uncounted
from audit_operator.plan.sink_status import with_store
from audit_operator.plan.unreadable_lines import Unreadable, in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.control_plane import AuditControlPlane
    from audit_operator.api.findings import ObjectRef
    from audit_operator.api.observations import ShipperObservation
    from audit_operator.api.store_observations import StoreObservation
    from audit_operator.plan.collector_files import CollectorFiles

NO_COLLECTOR = "no-collector"
NOT_SERVED = "no-shippers-for-control-plane"
UNKEPT, QUARANTINED, UNCOUNTED = "events-not-shipped", "lines-quarantined", "detections-uncounted"
_TYPE = ConditionType.SHIPPING
_OTHERS = (
    "the operator would need the setting AUDIT_OPERATOR_SHIPPERS; `audit-operator shipper render` gives the "
    "configuration to run a collector with by hand, of which nothing is seen here"
)
_STALE = "shippers write to it with what its Secrets held before"


@dataclass(frozen=True, slots=True)
class ShippingFacts:
    """What is known of the shippers of one control plane.

    Attributes:
        files: what they are to run with; None where no policy ships anywhere.
        refused: why they are not brought to it.
        remarks: what cannot be done as policies ask.
        shippers: what was seen of them.
    """

    files: CollectorFiles | None = None
    refused: tuple[Finding, ...] = ()
    remarks: tuple[Finding, ...] = ()
    shippers: tuple[ShipperObservation, ...] = ()


@dataclass(slots=True)
class ShippingOfPlane:
    """Judges the sinks of one control plane; `facts` is None where no shipper of ours runs.

    `stores` has what was found of the stores that the operator asks itself.
    """

    plane: AuditControlPlane
    facts: ShippingFacts | None
    stores: Mapping[ObjectRef, StoreObservation] = field(default_factory=dict)
    _judged: dict[ObjectRef, Claim] = field(default_factory=dict)
    _losses: Mapping[str, int] = field(init=False)
    _cuts: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        shippers = self.facts.shippers if self.facts else ()
        self._losses, self._cuts = losses(shippers), cuts(shippers)

    def of_policy(self, sinks: Iterable[ObjectRef]) -> Claim:
        """Whether the records of a policy with these usable sinks arrive in all of them."""
        return worst([self.of_way(each) for each in sinks])

    def of_way(self, sink: ObjectRef) -> Claim:
        """Whether records arrive in a sink, as it may be said to whoever ships there."""
        claim = self.of_sink(sink)
        if claim.reason is Reason.SINK_NOT_USABLE and not sink.namespace:
            # Its Secrets are the platform's: their names are nobody else's business.
            files = self.facts.files if self.facts else None
            said = _STALE if files is not None and sink in files.stale else "shippers cannot write to it as it is"
            return replace(claim, message=f"{sink}: {said} (its owner sees why there)")
        return claim

    def of_sink(self, sink: ObjectRef) -> Claim:
        """Whether records arrive in a sink."""
        if sink not in self._judged:
            self._judged[sink] = with_store(self._judge(sink), sink, self.stores.get(sink))
        return self._judged[sink]

    def lost(self, sink: ObjectRef) -> int:
        """The step that the losses on the way to a sink have reached, of all policies together; 0: none is known."""
        return self._of_exporter(sink, self._losses)

    def cut(self, sink: ObjectRef) -> int:
        """The step that records have reached, of all policies together, that were too large for a sink; 0: none was."""
        return self._of_exporter(sink, self._cuts)

    def _of_exporter(self, sink: ObjectRef, steps: Mapping[str, int]) -> int:
        files = self.facts.files if self.facts else None
        return steps.get(files.sinks.get(sink, ""), 0) if files else 0

    def lag(self, sink: ObjectRef) -> int:
        """Seconds for which at least something for a sink has waited, as one of `observations.LAGS`; 0: not known."""
        exporter = self.facts.files.sinks.get(sink) if self.facts and self.facts.files else None
        if self.facts is None or exporter is None:
            return 0
        return max((each.waiting(exporter) for each in self.facts.shippers), default=0)

    def unseen_counts(self, policy: AuditPolicy | ClusterAuditPolicy) -> Iterator[Finding]:
        """That nobody knows here whether anything is counted of a policy's detections."""
        if self.facts is None and policy.spec.detections:
            said = f"whether the events that its detections are about are counted is not known: {self._none_of_ours()}"
            yield Finding(NOT_COUNTED, Severity.INFO, said, _OTHERS, path="spec.detections")

    def _none_of_ours(self) -> str:
        return f"no shipper of ours runs for driver {self.plane.spec.driver}"

    def _judge(self, sink: ObjectRef) -> Claim:
        facts = self.facts
        if facts is None:
            return unknown(_TYPE, Reason.NOT_IMPLEMENTED, f"{self._none_of_ours()}: {_OTHERS}")
        absent = next((each for each in facts.refused if each.id in (NO_COLLECTOR, NOT_SERVED)), None)
        if absent is not None:
            return false(_TYPE, Reason.SHIPPER_DOWN, _said(absent))
        if facts.files is not None and (unusable := facts.files.findings.get(sink)) is not None:
            return false(_TYPE, Reason.SINK_NOT_USABLE, f"{sink}: {_said(unusable)}")
        shipped = _of_shippers(facts, self.plane.metadata.name) or _of_flow(sink, facts)
        if facts.files is None or (stale := facts.files.stale.get(sink)) is None:
            return shipped
        return worst([shipped, false(_TYPE, Reason.SINK_NOT_USABLE, f"{sink}: {_said(stale)}; {_STALE}")])


def remarks_for_owner(facts: ShippingFacts) -> tuple[Finding, ...]:
    """What the owner of the control plane should know of its shippers, in the words of those who found it.

    Tenants get none of these words: a collector that refuses its configuration quotes what it stumbles over, and that
    may be another tenant's.
    """
    said = (
        Finding("shipper-trouble", Severity.WARNING, f"shipper {each.node}: {each.last_error}", "see its log")
        for each in facts.shippers
        if each.last_error
    )
    return (*facts.refused, *facts.remarks, *_unkept(facts), *said, *_quarantined(facts), *_uncounted(facts))


def _quarantined(facts: ShippingFacts) -> Iterator[Finding]:
    """Lines that cannot be read: they are shipped, but whoever looks for the event does not find all of it."""
    reasons = {each.node: Unreadable.of([each]).reasons() for each in facts.shippers}
    for node, lines in quarantined(facts.shippers).items():
        yield Finding(
            QUARANTINED,
            Severity.WARNING,
            f"shipper {node}: {lines} lines or more of the API server's log could not be read as audit events, or not "
            f"be redacted, as a whole{in_words(reasons.get(node, {}))}; they are shipped without what may be secret, "
            "and their field `quarantine`, `unreadable` or `undisclosed` says why",
            "find them in the store, and see who sends such bodies; half a line is normal where an API server was "
            "killed, and nothing else is",
        )


def _uncounted(facts: ShippingFacts) -> Iterator[Finding]:
    """Detections that may be blind for some users, sources or objects: there was no room, or an event is too large."""
    for node, times in uncounted(facts.shippers).items():
        yield Finding(
            UNCOUNTED,
            Severity.WARNING,
            f"shipper {node}: {times} times or more, events were not counted as detections ask for it: what these tell "
            "apart takes all series that there are for one condition, so that the rest counts together, by namespace; "
            "or they ask for what is in bodies, or in lists, that are too large to be compared, or cannot be read; or "
            "there is more than 64 MiB to show, and none of it is",
            "see which detections have the most series, and tell apart less, or more narrowly; have "
            "AUDIT_OPERATOR_DETECTION_SERIES raised; or have them ask for less of bodies",
        )


def _unkept(facts: ShippingFacts) -> Iterator[Finding]:
    """Events that shippers read past; unless they are not brought to that, which is said already."""
    if facts.files is not None and facts.files.unkept and not facts.refused:
        sinks = ", ".join(map(str, facts.files.unkept))
        said = f"{sinks}: nothing can be written there; events stay in the API servers' files, and are not sent later"
        yield Finding(UNKEPT, Severity.ERROR, said, "see the conditions of that sink")


def _of_shippers(facts: ShippingFacts, plane: str) -> Claim | None:
    """What is wrong with the shippers, whatever the sink."""
    seen_there = f"see AuditControlPlane {plane}"
    if not facts.shippers:
        return false(_TYPE, Reason.SHIPPER_DOWN, f"no shipper has been seen yet ({seen_there}; {_PODS})")
    for shipper in facts.shippers:
        if not shipper.healthy:
            said = f"shipper {shipper.node} does not run, or does not answer ({seen_there}; {_PODS}, and its log)"
            return false(_TYPE, Reason.SHIPPER_DOWN, said)
    if facts.refused:
        said = f"the shippers are not brought to what was planned; what they ran stays in force ({seen_there})"
        return false(_TYPE, Reason.SHIPPER_OUTDATED, said)
    for shipper in facts.shippers:
        if facts.files is None or shipper.config != facts.files.digest:
            said = f"has not the new configuration ({seen_there})" if shipper.last_error else "is being told"
            return false(_TYPE, Reason.SHIPPER_OUTDATED, f"shipper {shipper.node} {said}")
    return None


def _of_flow(sink: ObjectRef, facts: ShippingFacts) -> Claim:
    exporter = facts.files.sinks.get(sink, "") if facts.files else ""
    if (troubled := trouble(sink, exporter, facts.shippers)) is not None:
        return troubled
    behind = max(facts.shippers, key=lambda each: each.unread_for, default=None)
    if behind is not None and behind.unread_for:
        said = f"shipper {behind.node}: events wait in the API server's log for {lag_text(behind.unread_for)} or longer"
        return false(_TYPE, Reason.BACKLOG, f"{said}, since it reads fewer than are written ({_READS_FASTER})")
    if any(each.flow(exporter) is Flow.FLOWING for each in facts.shippers):
        return true(_TYPE, Reason.SHIPPING, "all sinks take what is sent to them")
    return unknown(_TYPE, Reason.NOTHING_YET, f"{sink}: nothing was sent yet")


_PODS = "where it has pods: kubectl get pods -A -o wide -l 'app.kubernetes.io/component in (shipper,gateway)'"
_READS_FASTER = (
    "give it more CPU: shipper.resources of the chart; or let policies record less: audit-operator replay --suggest"
)
# The worst first.
_ORDER = (
    Reason.LOSSY,
    Reason.SHIPPER_DOWN,
    Reason.SINK_NOT_USABLE,
    Reason.SINK_REFUSING,
    Reason.SINK_UNAUTHENTICATED,
    Reason.SHIPPER_OUTDATED,
    Reason.BACKLOG,
    Reason.SINK_UNREACHABLE,
    Reason.NOTHING_YET,
    Reason.NOT_IMPLEMENTED,
    Reason.SHIPPING,
)


def worst(claims: Iterable[Claim]) -> Claim:
    """The claim of several that a person should read first; of none, that nothing was asked for."""
    found = sorted(claims, key=lambda each: _ORDER.index(each.reason))
    return found[0] if found else unknown(_TYPE, Reason.NOT_REQUESTED, "the spec does not ask for it")


def unresolved(findings: Iterable[Finding]) -> Claim:
    """For a policy that names sinks of which none may be used."""
    return false(_TYPE, Reason.SINK_NOT_USABLE, "; ".join(map(_said, findings)))


def ready(shipping: Claim) -> Claim:
    """Ready, for a sink: it has nothing to do but to take what is sent."""
    reason = Reason.READY if shipping.status is ConditionStatus.TRUE else shipping.reason
    return replace(shipping, type=ConditionType.READY, reason=reason)


def _said(finding: Finding) -> str:
    return f"{finding.message} ({finding.mend})" if finding.mend else finding.message
