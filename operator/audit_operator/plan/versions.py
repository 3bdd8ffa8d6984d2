"""Which Kubernetes minor a control plane's policy must suit, and what that costs those who wrote it.

In the middle of an upgrade the API servers of one control plane differ. All run the same policy, so that it may say
only what the oldest reads: an API server that is given more does not start. Nothing is assumed of an API server that
has not been seen but what Kubernetes itself promises (https://kubernetes.io/releases/version-skew-policy/): a kubelet
is never newer than its API server, and two API servers are never more than one minor apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit_operator.api.control_plane import Driver
from audit_operator.api.findings import Finding, Severity
from audit_operator.policy.gates import GROUP_WILDCARD, Version
from audit_operator.policy.predicate import ANY_GROUP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.api.audit_policy import AuditPolicy
    from audit_operator.api.cluster_audit_policy import ClusterAuditPolicy
    from audit_operator.api.control_plane import AuditControlPlane
    from audit_operator.api.observations import ApiServerObservation
    from audit_operator.plan.snapshot import Snapshot

OLDEST_SUPPORTED = Version(1, 29)
"""Assumed where nothing better is known: whatever suits it suits all newer ones."""

_SHOWN = 3


def oldest_version(plane: AuditControlPlane, snapshot: Snapshot) -> Version:
    """The oldest minor that an API server of a control plane can have: as declared, else as far as it is known."""
    if plane.spec.kubernetes_version:
        return _parsed(plane.spec.kubernetes_version)
    seen = snapshot.observations.get(plane.metadata.name, ())
    match plane.spec.driver:
        case Driver.STATIC_POD:
            return min(map(_oldest_of, seen), default=OLDEST_SUPPORTED)
        case Driver.CONFIG_MAP:
            # Whoever delivers the policy may hand it to an API server next to the one that we talk to.
            major, minor = _parsed(snapshot.server_version)
            return max(Version(major, minor - 1), OLDEST_SUPPORTED)
        case _:
            versions = [each.version for each in seen if each.version]
            return min(map(_parsed, versions or [snapshot.server_version]))


def version_findings(plane: AuditControlPlane, snapshot: Snapshot) -> Iterator[Finding]:
    """What those who run a control plane should know about the versions of its API servers."""
    servers = snapshot.observations.get(plane.metadata.name, ())
    by_minor: dict[Version, list[str]] = {}
    for server in servers:
        if server.version:
            by_minor.setdefault(_parsed(server.version), []).append(server.name)
    oldest = oldest_version(plane, snapshot)
    older = [name for version, names in by_minor.items() if version < oldest for name in names]
    unseen = [each.name for each in servers if not each.version and _oldest_of(each) == oldest]
    if older:
        yield Finding(
            id="declared-version-too-new",
            severity=Severity.WARNING,
            message=f"Kubernetes {oldest} is declared as the oldest, and {_names(older)} is older: it may refuse the "
            "policy, and then keeps the one that it has",
            mend="correct spec.kubernetesVersion, or leave it out",
            path="spec.kubernetesVersion",
        )
    elif len(by_minor) > 1:
        said = ", ".join(f"{version} ({_names(names)})" for version, names in sorted(by_minor.items()))
        yield Finding(
            id="mixed-versions",
            severity=Severity.INFO,
            message=f"API servers run Kubernetes {said}: the policy says only what {oldest} reads",
            mend="finish the upgrade; the policy follows by itself",
        )
    if plane.spec.driver is Driver.STATIC_POD and unseen and min(by_minor, default=oldest) > oldest:
        yield Finding(
            id="version-not-seen",
            severity=Severity.INFO,
            message=f"the API server of {_names(unseen)} has not been seen: it may be as old as {oldest}, and the "
            "policy says only what that reads",
            mend="see why its node agent does not report; delete the Node if it is gone for good",
        )


def newer_rules(policy: AuditPolicy | ClusterAuditPolicy, version: Version) -> Iterator[Finding]:
    """A finding for each rule and limit that says what API servers of this minor cannot read."""
    if version >= GROUP_WILDCARD.since:
        return
    lists = {"rules": policy.spec.rules, "limits": getattr(policy.spec, "limits", ())}
    for name, rules in lists.items():
        for index, rule in enumerate(rules):
            entry = next((place for place, each in enumerate(rule.resources) if each.group == ANY_GROUP), None)
            if entry is not None:
                yield Finding(
                    id="newer-than-api-servers",
                    severity=Severity.INFO,
                    message=f"Kubernetes {version}, the oldest among the API servers, knows no {GROUP_WILDCARD.what}: "
                    "the groups that are built in are named in its place, and requests about all others are recorded "
                    "as this asks for, or more",
                    mend=f"name the groups that you mean, or wait until all API servers have {GROUP_WILDCARD.since}",
                    path=f"spec.{name}[{index}].resources[{entry}].group",
                    rule=index,
                )


def _oldest_of(server: ApiServerObservation) -> Version:
    return _parsed(server.version or server.version_at_least)


def _parsed(text: str) -> Version:
    return Version.parse(text) or OLDEST_SUPPORTED


def _names(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
