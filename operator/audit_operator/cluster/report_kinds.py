"""The kinds of report objects, whoever has installed them: openreports.io, or the group that it has come from.

Clusters have one, the other, both or neither, and that changes while the operator runs: it is asked for, and no kind
here is ever watched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.cluster.resources import Resource

if TYPE_CHECKING:
    from audit_operator.cluster.rest import RestClient

WRITTEN_BY_LABEL = "audit-operator.dev/written-by"
"""Of every report object that the operator itself writes."""
WRITTEN_BY = "operator"
REPORT_NAME = "audit-operator"
"""Of every such object, in its namespace or in the cluster."""


@dataclass(frozen=True, slots=True)
class ReportKinds:
    """The two kinds of one API group: of a namespace, and of the cluster.

    Attributes:
        sourced: whether a report as a whole has a source and a configuration; else each result has its source.
    """

    namespaced: Resource
    cluster: Resource
    sourced: bool

    def of(self, place: str) -> Resource:
        """The kind for a namespace, or for ``""``."""
        return self.namespaced if place else self.cluster


def _kinds(group: str, version: str, kind: str, *, sourced: bool) -> ReportKinds:
    selector = f"{WRITTEN_BY_LABEL}={WRITTEN_BY}"

    def resource(kind: str, *, namespaced: bool) -> Resource:
        return Resource(
            kind,
            f"{kind.lower()}s",
            group,
            version,
            namespaced=namespaced,
            label_selector=selector,
            # Whoever may create reports can put our label on as many as a quota allows, each as large as etcd takes.
            field_selector=f"metadata.name={REPORT_NAME}",
        )

    return ReportKinds(resource(kind, namespaced=True), resource(f"Cluster{kind}", namespaced=False), sourced)


KNOWN = (
    _kinds("openreports.io", "v1alpha1", "Report", sourced=True),
    _kinds("wgpolicyk8s.io", "v1alpha2", "PolicyReport", sourced=False),
    _kinds("wgpolicyk8s.io", "v1beta1", "PolicyReport", sourced=True),
)
"""The first that is served is written. Source: the CRDs of openreports/reports-api and wg-policy-prototypes."""


async def served(client: RestClient) -> tuple[ReportKinds, ...]:
    """Those of KNOWN that the cluster has both kinds of, one of each group: two versions have the same objects.

    Raises ApiError, ApiUnreachableError.
    """
    found = dict[str, ReportKinds]()
    for each in KNOWN:
        if each.cluster.group in found:
            continue
        names = await client.resources(each.cluster)
        if {each.namespaced.plural, each.cluster.plural} <= names:
            found[each.cluster.group] = each
    return tuple(found.values())
