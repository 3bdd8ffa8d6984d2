"""What one object adds to the audit policy, and to which requests.

The compiler knows nothing of kinds, selectors or presets: whoever calls it has resolved them into contributions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit_operator.policy.model import Policy, Request, Rule

CLUSTER_SCOPE = ""
"""The namespace of requests that have none: cluster-scoped objects, and reads across all namespaces."""


@dataclass(frozen=True, slots=True)
class Reach:
    """The requests that a contribution applies to.

    Attributes:
        namespaces: names of the namespaces whose requests it takes in.
        unseen_namespaces: whether it takes in requests in namespaces that are not known to exist.
        cluster: whether it takes in resource requests without a namespace.
        non_resource: whether it takes in non-resource requests.
    """

    namespaces: frozenset[str] = frozenset()
    unseen_namespaces: bool = False
    cluster: bool = False
    non_resource: bool = False

    def includes(self, request: Request, known: frozenset[str]) -> bool:
        """Whether the contribution applies to a request, given the namespaces known to exist."""
        if not request.resource_request:
            return self.non_resource
        if request.namespace == CLUSTER_SCOPE:
            return self.cluster
        if request.namespace in known:
            return request.namespace in self.namespaces
        return self.unseen_namespaces


@dataclass(frozen=True, slots=True)
class Contribution:
    """Rules that ask for records, and limits that forbid them, where `reach` says.

    A limit's level is the most that may be recorded; requests that no limit matches are not limited.
    """

    reach: Reach
    policy: Policy | None = None
    limits: tuple[Rule, ...] = ()
