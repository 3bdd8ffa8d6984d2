"""A report by hand: of everything something, with names that nobody would wish for."""

from __future__ import annotations

from audit_operator.api.audit import Level
from audit_operator.api.compliance import Framework
from audit_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from audit_operator.api.findings import Severity
from audit_operator.api.policy_status import (
    FrameworkResult,
    Metrics,
    Proof,
    ProofFinding,
    ProofOutcome,
    RetentionState,
    ShippingState,
    SinkRetention,
    SinkShipping,
    Verdict,
)
from audit_operator.api.references import SinkKind, SinkRef
from audit_operator.compliance.facts import LiveProof, Standing
from audit_operator.compliance.judgement import Outcome
from audit_operator.coverage.catalogue import ActionSeverity
from audit_operator.report.model import (
    Change,
    Counts,
    FigureChange,
    Group,
    Measure,
    Report,
    ReportedAction,
    ReportedBlindSpot,
    ReportedControl,
    ReportedEvidence,
    ReportedFinding,
    ReportedPolicy,
    ReportedRemark,
    ReportedRetention,
    Trend,
)

HOSTILE = (
    "</script><script>alert(1)</script>",
    "\"' onfocus=alert(1) x='",
    "<img src=x onerror=alert(1)>",
    "a\u202egnp.exe",
    "bell\x07esc\x1b[31mred",
    "line\nbreak | `code` **bold** [link](http://example.test) &lt;",
    "-->",
    "]]>",
)

ACTIONS = (
    ReportedAction(id="secret-read", title="Read Secrets", severity=ActionSeverity.CRITICAL),
    ReportedAction(id="pod-exec", title="Exec into a pod", severity=ActionSeverity.CRITICAL),
    ReportedAction(id="rbac-change", title="Change roles", severity=ActionSeverity.HIGH),
    ReportedAction(id="events-delete", title="Delete events", severity=ActionSeverity.LOW),
)


def _condition(type_: ConditionType, status: ConditionStatus, reason: Reason, message: str) -> Condition:
    return Condition(
        type=type_, status=status, reason=reason, message=message, last_transition_time="2026-11-27T08:00:00Z"
    )


def _controls(text: str) -> tuple[ReportedControl, ...]:
    said = f"pod-exec is Covered: Metadata at ResponseComplete; but a live probe contradicts it: {text}"
    covered = "secret-read is Covered: all is recorded; proved live"
    return (
        ReportedControl(
            framework=Framework.PCI_DSS_4,
            id="10.2.1.2",
            title="what administrators do is recorded",
            verdict=Outcome.FAIL,
            reason=said,
            read_in="requirement 10 as somebody publishes it",
            proof=LiveProof.CONTRADICTED,
            evidence=(
                ReportedEvidence(
                    standing=Standing.FAILS, said=said, source="coverage/pod-exec", proof=LiveProof.CONTRADICTED
                ),
                ReportedEvidence(
                    standing=Standing.HOLDS,
                    said=covered,
                    source="coverage/secret-read",
                    seen="2026-11-27",
                    proof=LiveProof.VERIFIED,
                ),
            ),
            left_out=3,
        ),
        ReportedControl(
            framework=Framework.PCI_DSS_4,
            id="10.4.1",
            title="records are looked through",
            verdict=Outcome.CANNOT_BE_JUDGED,
            reason="who looks is not seen here",
            beyond="Everything.",
        ),
    )


def sample(text: str = "the store answers 503") -> Report:
    """A report in which `text` stands wherever a stranger can write."""
    sink = SinkRef(kind=SinkKind.CLUSTER_AUDIT_SINK, name="central")
    covered, partial, gap, leak = Verdict.COVERED, Verdict.PARTIAL, Verdict.GAP, Verdict.LEAK
    groups = (
        Group(
            cluster=True,
            verdicts={"secret-read": covered, "pod-exec": covered, "rbac-change": gap, "events-delete": partial},
        ),
        Group(namespaces=("payments",), verdicts={"secret-read": leak, "pod-exec": covered, "events-delete": covered}),
        Group(
            namespaces=("dev", "shop", "stage"),
            verdicts={"secret-read": covered, "pod-exec": gap, "events-delete": covered},
        ),
    )
    mend = '- level: Metadata\n  verbs: [create]\n  resources:\n  - group: ""\n    resources: [pods/exec]\n'
    findings = (
        ReportedFinding(
            action="secret-read",
            verdict=leak,
            level=Level.REQUEST_RESPONSE,
            wanted=Level.METADATA,
            reason=f"get secrets in a namespace by {text}",
            rule=f"RequestResponse: users {text}",
            mend=f"{mend}# ``` {text}\n",
            groups=(1,),
        ),
        ReportedFinding(
            action="pod-exec", verdict=gap, level=Level.NONE, wanted=Level.METADATA,
            reason="create pods/exec in a namespace by a person is not recorded (no rule matches)",
            mend=mend, groups=(2,),
        ),
        ReportedFinding(
            action="rbac-change", verdict=gap, level=Level.METADATA, wanted=Level.REQUEST,
            reason="create clusterroles is recorded at Metadata only", groups=(0,),
        ),
        ReportedFinding(
            action="events-delete", verdict=partial, level=Level.NONE, wanted=Level.METADATA,
            reason="3 of 7 requests are recorded as needed", groups=(0,),
        ),
    )  # fmt: skip
    policies = (
        ReportedPolicy(kind="ClusterAuditPolicy", name="baseline"),
        ReportedPolicy(
            kind="AuditPolicy",
            namespace="payments",
            name="pci",
            observed=True,
            conditions=(
                _condition(ConditionType.PROGRAMMED, ConditionStatus.TRUE, Reason.PROGRAMMED, "all run with it"),
                _condition(ConditionType.SHIPPING, ConditionStatus.FALSE, Reason.SINK_UNREACHABLE, text),
            ),
            judged=38,
            verified=31,
            proof=Proof(
                contradicted=1,
                unproved=2,
                oldest="2026-11-27",
                verified_actions=("events-delete", "secret-read"),
                contradicted_actions=("pod-exec",),
                findings=(
                    ProofFinding(
                        action="pod-exec", outcome=ProofOutcome.CONTRADICTED, sink="central", message=text[:1024]
                    ),
                    ProofFinding(action="events-delete", outcome=ProofOutcome.UNPROVED),
                ),
            ),
            shipping=(SinkShipping(sink=sink, state=ShippingState.LAGGING, lag="15m", lost=20, message=text[:1024]),),
            retention=(
                ReportedRetention(
                    status=SinkRetention(
                        sink=sink,
                        retention_class="min365d-max730d",
                        desired="at least 365d, at most 730d",
                        effective="deletes after 400d",
                        state=RetentionState.DRIFTED,
                        oldest="2026-03-01T00:00:00Z",
                        reason=text[:1024],
                    ),
                    minimum_hours=365 * 24,
                    maximum_hours=730 * 24,
                    oldest_hours=272 * 24,
                ),
            ),
            compliance=(
                FrameworkResult(
                    framework=Framework.PCI_DSS_4, passed=7, failed=2, not_judged=4, failing=("10.2.1.2", "10.5.1")
                ),
            ),
            controls=_controls(text),
            metrics=Metrics(logging_error_rate="0.02%", compliance_passing_rate="77%"),
        ),
    )
    return Report(
        made="2026-11-28T20:00:00Z",
        by="audit-operator 0.1.0",
        control_plane="default",
        digest="0123456789abcdef" * 4,
        counts=Counts(covered=10, partial=1, gaps=4, leaks=1),
        actions=ACTIONS,
        groups=groups,
        findings=findings,
        not_auditable=(ReportedBlindSpot(id="etcd", title="Reads of etcd itself", mitigate="audit etcd's clients"),),
        policies=policies,
        remarks=(
            ReportedRemark(
                id="unknown-key", severity=Severity.ERROR, object="AuditPolicy shop/x", message=text, mend="spell it"
            ),
        ),
        trend=Trend(
            since="2026-10-28T20:00:00Z",
            before=Counts(covered=11, partial=1, gaps=2, leaks=0),
            after=Counts(covered=8, partial=1, gaps=4, leaks=1),
            changes=(
                Change(action="secret-read", before=covered, after=leak, namespaces=("payments",)),
                Change(action="pod-exec", before=gap, after=covered, cluster=True),
            ),
            figures=(
                FigureChange(measure=Measure.COMPLIANCE, before="88%", after="77%", worse=True),
                FigureChange(
                    policy="AuditPolicy payments/pci", measure=Measure.LAG, sink="central", before="1m", after="15m",
                    worse=True,
                ),
                FigureChange(policy="AuditPolicy payments/pci", measure=Measure.ERROR_RATE, after="0.02%"),
            ),
            added=("stage",),
            removed=("old",),
        ),
    )  # fmt: skip
