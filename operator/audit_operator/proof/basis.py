"""What probes of one control plane are held against: the policy that verdicts are reached on, and what shippers do.

There is none in the middle of a roll-out: what would be found then cannot be predicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.control_plane import Driver
from audit_operator.coverage.restriction import Restrictions
from audit_operator.plan.covering import catalogue_for
from audit_operator.plan.shipping import shipping
from audit_operator.proof.prediction import Prediction, predict
from audit_operator.proof.selecting import Selector
from audit_operator.shipping.enforcement.table import REDACTION, ROUTE, namespace_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit_operator.api.control_plane import AuditControlPlane
    from audit_operator.plan import Plan, Snapshot
    from audit_operator.plan.shipping import Shipping
    from audit_operator.policy.model import Policy, User
    from audit_operator.proof.requests import ProbeRequest


@dataclass(frozen=True, slots=True)
class Basis:
    """Of one control plane; `places` has every namespace, and ``""``."""

    plane: str
    policy: Policy
    selector: Selector
    shipping: Shipping
    places: tuple[str, ...]

    def predict(self, request: ProbeRequest) -> Prediction:
        """What must be found of a request."""
        return predict(request, self.selector.prober, self.policy, self.shipping)

    def treatments(self) -> Iterator[tuple[str, object]]:
        """Each place with what changes if, most likely, something else is to be predicted there; cheap to compare."""
        restrictions, entries = Restrictions(self.policy), self.shipping.table.entries
        for place in self.places:
            treatment = entries.get(namespace_key(place), {})
            sinks = self.shipping.routes.get(str(treatment.get(ROUTE, "")), ())
            policy = restrictions.to(place).policy if place else self.policy
            yield place, (policy, sinks, treatment.get(REDACTION), self.selector.excluded)


def bases(snapshot: Snapshot, planned: Plan, prober: User) -> dict[str, Basis]:
    """Of each control plane that is to be probed now."""
    found = {}
    for plane in snapshot.control_planes:
        name, probes = plane.metadata.name, plane.spec.probes
        if probes is None or not probes.enabled:
            continue
        policy, shipped = policy_to_prove(plane, snapshot, planned), shipping(snapshot, planned, name)
        if policy is not None and shipped is not None:
            selector = Selector.of(policy, catalogue_for(plane, snapshot)[0], prober, probes.exclude)
            places = ("", *sorted(each.name for each in snapshot.namespaces))
            found[name] = Basis(name, policy, selector, shipped, places)
    return found


def policy_to_prove(plane: AuditControlPlane, snapshot: Snapshot, planned: Plan) -> Policy | None:
    """The policy that verdicts are reached on; None while API servers are on their way to another.

    One that stays with another policy than that, because a roll-out is paused or somebody has changed it by hand, is
    no reason to wait: the verdicts in status are not true of it, and that is what probes are for.
    """
    name = plane.metadata.name
    if name in planned.given:
        return planned.given[name].policy
    servers = snapshot.observations.get(name, ())
    running = {server.running_digest for server in servers}
    settled = len(running) == 1 and all(server.ready for server in servers)
    return planned.compiled[name].policy if settled or plane.spec.driver is Driver.CONFIG_MAP else None
