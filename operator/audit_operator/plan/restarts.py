"""Which workload is restarted next so that its pods get their sidecar, and which must not be now.

A restart is what `kubectl rollout restart` does: a change of the pod template, which the workload's own strategy rolls
out. It does not ask PodDisruptionBudgets, since nobody is evicted; so they are asked here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.api.application_logs import WorkloadRestart
from audit_operator.api.selector import LabelSelector, selector_matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.plan.sidecars import SidecarCount
    from audit_operator.shipping.injection.pod import Owner, Pod
    from audit_operator.shipping.injection.template import SidecarTemplate

    Document = Mapping[str, Any]

RESTARTED = "restart.audit-operator.dev/"
"""Prefix of the annotations of a pod template that say, by policy, for what it was restarted."""
NEVER = frozenset({"kube-system"})
_RESTARTABLE = frozenset({"ReplicaSet", "StatefulSet", "DaemonSet"})


@dataclass(frozen=True, slots=True)
class Wish:
    """A controller whose pods lack the sidecar of a policy.

    Attributes:
        goal: what it is restarted for. Once is enough: pods that lack it afterwards are not helped by another restart.
        pods: those of its pods that lack it.
    """

    policy: str
    namespace: str
    owner: Owner
    goal: str
    pods: tuple[Pod, ...]


def wishes(policy: AuditPolicy, counted: SidecarCount, template: SidecarTemplate) -> tuple[Wish, ...]:
    """The controllers to restart, in a fixed order; none unless the policy asks for it. Jobs run to their end."""
    logs, namespace = policy.spec.application_logs, policy.metadata.namespace
    if logs is None or logs.restart_workloads is not WorkloadRestart.ROLLING or namespace in NEVER:
        return ()
    by_owner: dict[Owner, list[Pod]] = {}
    for why, pods in counted.lacking.items():
        for pod in pods if why.is_mended_by_restart else ():
            if pod.owner is not None and pod.owner.kind in _RESTARTABLE:
                by_owner.setdefault(pod.owner, []).append(pod)
    wanted = goal(policy, template)
    ordered = sorted(by_owner.items(), key=lambda each: (each[0].kind, each[0].name))
    return tuple(Wish(policy.metadata.name, namespace, owner, wanted, tuple(pods)) for owner, pods in ordered)


def goal(policy: AuditPolicy, template: SidecarTemplate) -> str:
    """What the pods of a policy should carry, as a word."""
    logs = policy.spec.application_logs
    volumes = sorted({each.volume for each in logs.files}) if logs else []
    selector = logs.pod_selector.model_dump(mode="json") if logs and logs.pod_selector else None
    text = json.dumps([policy.metadata.uid, template.revision, volumes, selector], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def was_restarted(workload: Document, wish: Wish) -> bool:
    """Whether a workload was restarted for this already."""
    annotations = workload["spec"]["template"].get("metadata", {}).get("annotations") or {}
    return bool(annotations.get(RESTARTED + wish.policy) == wish.goal)


def is_rolled_out(workload: Document) -> bool:
    """Whether a Deployment, StatefulSet or DaemonSet runs its present template with all replicas, all available."""
    spec, status = workload["spec"], workload.get("status") or {}
    if status.get("observedGeneration", 0) < workload["metadata"]["generation"]:
        return False
    counts: tuple[str, ...]
    if workload["kind"] == "DaemonSet":
        wanted, counts = status.get("desiredNumberScheduled", 0), ("updatedNumberScheduled", "numberAvailable")
    else:
        wanted, counts = spec.get("replicas", 1), ("updatedReplicas", "availableReplicas", "replicas")
    return all(status.get(each, 0) == wanted for each in counts)


def can_roll(workload: Document) -> bool:
    """Whether a change of the template reaches the pods by itself."""
    spec = workload["spec"]
    strategy = spec.get("updateStrategy") or spec.get("strategy") or {}
    return not spec.get("paused") and strategy.get("type", "RollingUpdate") == "RollingUpdate"


def is_allowed(pods: Iterable[Pod], budgets: Iterable[Document]) -> bool:
    """Whether every PodDisruptionBudget that selects one of the pods could lose a pod now, as far as it knows."""
    labels = [each.labels for each in pods]
    return all(_has_room(each) for each in budgets if any(_selects(each, one) for one in labels))


def _selects(budget: Document, labels: Mapping[str, str]) -> bool:
    """As `policy/v1`: an empty selector selects every pod of the namespace, and none at all selects nothing."""
    selector = budget["spec"].get("selector")
    if selector is None:
        return False
    return selector_matches(LabelSelector.model_validate_json(json.dumps(selector)), labels)


def _has_room(budget: Document) -> bool:
    status = budget.get("status") or {}
    is_fresh = status.get("observedGeneration", 0) >= budget["metadata"].get("generation", 0)
    return bool(is_fresh and status.get("disruptionsAllowed", 0) > 0)
