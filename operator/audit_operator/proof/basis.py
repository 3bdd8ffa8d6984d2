"""What probes of one control plane are held against: the policy that verdicts are reached on, and what shippers do.

In the middle of a roll-out nothing is sent: what would be found then cannot be predicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit_operator.api.control_plane import Driver
from audit_operator.plan.covering import catalogue_for
from audit_operator.plan.shipping import shipping
from audit_operator.plan.sinks import Sinks
from audit_operator.proof.prediction import Prediction, predict
from audit_operator.proof.selecting import Selector
from audit_operator.proof.treatment import Treatments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from audit_operator.api.findings import ObjectRef
    from audit_operator.api.observations import ApiServerObservation
    from audit_operator.plan import Plan, Snapshot
    from audit_operator.plan.shipping import Shipping
    from audit_operator.plan.sinks import Sink
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
    sinks: Mapping[ObjectRef, Sink]

    def predict(self, request: ProbeRequest) -> Prediction:
        """What must be found of a request."""
        return predict(request, self.selector.prober, self.policy, self.shipping)

    def treatments(self) -> dict[str, str]:
        """Each place with a digest that changes if something else is to be predicted there; cheap to compare."""
        made = Treatments(self.policy, self.selector, self.shipping, self.sinks)
        return {place: made.of(place) for place in self.places}


def bases(snapshot: Snapshot, planned: Plan, prober: User) -> dict[str, Basis]:
    """Of each control plane that is to be probed, once its API servers run what is planned."""
    found, existing = {}, Sinks.of(snapshot).existing
    for plane in snapshot.control_planes:
        name, probes = plane.metadata.name, plane.spec.probes
        if probes is None or not probes.enabled:
            continue
        policy = judged_policy(name, planned)
        shipped = shipping(snapshot, planned, name)
        if policy is not None and shipped is not None:
            selector = Selector.of(
                policy, catalogue_for(plane, snapshot)[0], prober, probes.exclude, bodies=probes.bodies
            )
            places = ("", *sorted(each.name for each in snapshot.namespaces))
            found[name] = Basis(name, policy, selector, shipped, places, existing)
    return found


def settled(snapshot: Snapshot, planned: Plan) -> frozenset[str]:
    """Control planes whose API servers are not on their way to another policy.

    One that stays with another policy than that which verdicts are reached on, because a roll-out is paused or somebody
    has changed it by hand, is no reason to wait: the verdicts are not true of it, and that is what probes are for.
    """
    return frozenset(
        plane.metadata.name
        for plane in snapshot.control_planes
        if plane.metadata.name in planned.given
        or plane.spec.driver is Driver.CONFIG_MAP
        or _alike(snapshot.observations.get(plane.metadata.name, ()))
    )


def _alike(servers: Sequence[ApiServerObservation]) -> bool:
    return len({server.running_digest for server in servers}) == 1 and all(server.ready for server in servers)


def judged_policy(plane: str, planned: Plan) -> Policy | None:
    """The policy that verdicts are reached on, wherever it runs; None if that of somebody else is not known."""
    return planned.given[plane].policy if plane in planned.given else planned.compiled[plane].policy
