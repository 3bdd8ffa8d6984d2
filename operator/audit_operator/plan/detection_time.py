"""How long the detections of a policy take to be seen, as its status has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audit_operator.api.policy_status import MAX_FINDINGS
from audit_operator.api.way_figures import MISSING, seconds_text, step_up
from audit_operator.plan.counting import resolved

if TYPE_CHECKING:
    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.detection_times import DetectionTimes


def time_to_detect(policy: AuditPolicy | ClusterAuditPolicy, times: DetectionTimes | None) -> dict[str, Any]:
    """The fields of `status.metrics` that are about it; none where nothing was measured."""
    if times is None:
        return {}
    namespaced = bool(policy.metadata.namespace)
    ids = {each.name: resolved(each, namespaced=namespaced)[1] for each in policy.spec.detections}
    known = [times.seconds[each] for each in ids.values() if each in times.seconds]
    unmeasured = sorted(name for name, each in ids.items() if each in times.unmeasured)
    mean = {"meanTimeToDetect": seconds_text(_mean(known))} if known else {}
    return {**mean, **({"unmeasuredDetections": unmeasured[:MAX_FINDINGS]} if unmeasured else {})}


def _mean(known: list[float]) -> float:
    return MISSING if MISSING in known else step_up(sum(known) / len(known))
