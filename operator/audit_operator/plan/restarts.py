"""Which workload is restarted next so that its pods get their sidecar, and which must not be now.

A restart is what `kubectl rollout restart` does: a change of the pod template, which the workload's own strategy rolls
out. It does not ask PodDisruptionBudgets, since nobody is evicted; so they are asked here, for as many pods as the
strategy may take at once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.api.application_logs import WorkloadRestart
from audit_operator.api.findings import Finding, Severity
from audit_operator.api.selector import foreign_selector, selector_matches

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


def at_once(workload: Document) -> int:
    """How many pods the strategy of a workload that rolls may take away before it has replaced them.

    Shares are resolved as kube-controller-manager does: down for a Deployment, which takes one where nothing is left of
    both its numbers; down for a StatefulSet, one at least; up for a DaemonSet. A surge alone takes none.
    """
    spec, kind = workload["spec"], workload["kind"]
    rolling = (spec.get("updateStrategy") or spec.get("strategy") or {}).get("rollingUpdate") or {}
    if kind == "DaemonSet":
        replicas = int((workload.get("status") or {}).get("desiredNumberScheduled", 0))
    else:
        replicas = int(spec.get("replicas", 1))
    default, surges, up = _STRATEGIES[kind]
    taken = _resolved(rolling.get("maxUnavailable", default), replicas, up=up)
    if taken == 0 and not _resolved(rolling.get("maxSurge", surges), replicas, up=True):
        taken = 1
    return min(taken, replicas)


_STRATEGIES = {"Deployment": ("25%", "25%", False), "StatefulSet": (1, 0, False), "DaemonSet": (1, 0, True)}
"""Of each kind, what the API server sets for maxUnavailable and maxSurge, and whether a share is rounded up."""


def _resolved(number: int | str, of: int, *, up: bool) -> int:
    if isinstance(number, int):
        return number
    share = int(number.removesuffix("%")) * of
    return -(-share // 100) if up else share // 100


def held_back(workload: Document, pods: Iterable[Pod], budgets: Iterable[Document]) -> Finding | None:
    """Why a workload that is rolled out must not be restarted now; None if it may be.

    A restart needs room for all pods that it may take at once, and for one at least, in every PodDisruptionBudget that
    selects pods of the workload, as far as the budget knows, or of which nobody can tell whether it does. No figure
    that changes by itself is named.
    """
    what = f"{workload['kind']} {workload['metadata']['name']}"
    if not can_roll(workload):
        return _held_back(
            f"{what} is not restarted: it is paused, or does not roll by itself (its strategy is no RollingUpdate)",
            "restart its pods yourself: kubectl rollout restart, or delete them; or give it the strategy RollingUpdate",
        )
    taken = max(at_once(workload), 1)
    labels = [workload["spec"]["template"].get("metadata", {}).get("labels") or {}, *(each.labels for each in pods)]
    for budget in budgets:
        if _room(budget) < taken and _may_select(budget, labels):
            return _held_back(
                f"{what} is not restarted: its strategy may take {taken} of its pods at once, and PodDisruptionBudget "
                f"{budget['metadata']['name']} lets fewer go (status.disruptionsAllowed){_doubt(budget)}",
                f"lower {_PATHS[workload['kind']]}.rollingUpdate.maxUnavailable, or let the budget allow as many; or "
                "restart it yourself at a good time: kubectl rollout restart",
            )
    return None


def refused(owner: Owner, reason: str) -> Finding:
    """What a policy says of a workload of which the API server refuses the restart, and with which `reason`."""
    return Finding(
        REFUSED,
        Severity.WARNING,
        f"{owner.kind} {owner.name} is not restarted: the API server refuses it ({reason})",
        "try kubectl rollout restart to see what refuses it, such as an admission policy, a quota or a missing right; "
        "the operator's log has the whole answer, and it goes on trying",
        path="spec.applicationLogs.restartWorkloads",
    )


HELD_BACK, REFUSED = "restart-held-back", "restart-refused"
_PATHS = {"Deployment": "spec.strategy", "StatefulSet": "spec.updateStrategy", "DaemonSet": "spec.updateStrategy"}


def _held_back(message: str, mend: str) -> Finding:
    return Finding(HELD_BACK, Severity.WARNING, message, mend, path="spec.applicationLogs.restartWorkloads")


def _may_select(budget: Document, labels: Iterable[Mapping[str, str]]) -> bool:
    """As `policy/v1`: an empty selector selects every pod of the namespace, and none at all selects nothing.

    One that is not understood may select any.
    """
    selector = budget["spec"].get("selector")
    if selector is None:
        return False
    try:
        read = foreign_selector(selector)
    except ValueError:
        return True
    return any(selector_matches(read, each) for each in labels)


def _doubt(budget: Document) -> str:
    try:
        foreign_selector(budget["spec"]["selector"])
    except ValueError:
        return "; its selector is not understood, and may select them"
    return ""


def _room(budget: Document) -> int:
    """Pods that may go now; none where the budget was changed since its status was written."""
    status = budget.get("status") or {}
    is_fresh = status.get("observedGeneration", 0) >= budget["metadata"].get("generation", 0)
    return int(status.get("disruptionsAllowed", 0)) if is_fresh else 0
