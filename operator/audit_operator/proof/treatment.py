"""What decides what is to be found of probes at a place, as a digest: proof of one treatment is no proof of another.

It is cheap, so that all places can be looked at whenever anything changes, and the same in every process that reads
policies and sinks alike, so that proof can outlive the operator. What is predicted of each request, which is dear, is
compared besides, at every visit.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit_operator.coverage.restriction import Restrictions
from audit_operator.plan.credentials import identity
from audit_operator.policy.render import render
from audit_operator.shipping.enforcement.meaning import Meanings
from audit_operator.shipping.enforcement.table import REDACTION, ROUTE, URL_KEY, namespace_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.findings import ObjectRef
    from audit_operator.plan.shipping import Shipping
    from audit_operator.plan.sinks import Sink
    from audit_operator.policy.model import Policy
    from audit_operator.proof.selecting import Selector

DIGITS = 24
_NOT_OF_THE_WAY = {"delivery", "retention_enforcement", "allowed_namespaces", "seals"}


def digest(*said: object) -> str:
    """Of what `repr` writes the same in every process: strings, enums, tuples, dataclasses of these, but no sets."""
    return hashlib.sha256("\n".join(map(repr, said)).encode()).hexdigest()[:DIGITS]


@dataclass(slots=True)
class Treatments:
    """Of the places of one control plane; what many have in common is worked out once."""

    policy: Policy
    selector: Selector
    shipping: Shipping
    sinks: Mapping[ObjectRef, Sink]
    _restrictions: Restrictions = field(init=False)
    _meanings: Meanings = field(init=False)
    _asked: str = field(init=False)
    _policies: dict[int, tuple[Policy, str]] = field(default_factory=dict)
    _routes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._restrictions = Restrictions(self.policy)
        self._meanings = Meanings.of(self.shipping.table)
        selector = self.selector
        catalogue = selector.catalogue.model_dump_json()
        self._asked = digest(selector.prober.name, tuple(sorted(selector.excluded)), selector.bodies, catalogue)

    def of(self, place: str) -> str:
        """Of a namespace, or of requests without one."""
        entry = self.shipping.table.entries.get(namespace_key(place), {})
        policy = self._restrictions.to(place).policy if place else self.policy
        levels = self._meanings.levels(namespace_key(place))
        urls = "" if place else self._meanings.levels(URL_KEY)
        route, redaction = str(entry.get(ROUTE, "")), str(entry.get(REDACTION, ""))
        demand = self.shipping.redactions.get(redaction, self.shipping.redactions[""]).id
        return digest(self._asked, self._policy(policy), levels, urls, self._route(route), demand)

    def _policy(self, policy: Policy) -> str:
        # The policy is kept beside: an id names nothing once its object is gone.
        if id(policy) not in self._policies:
            self._policies[id(policy)] = policy, digest(render(policy))
        return self._policies[id(policy)][1]

    def _route(self, route: str) -> str:
        if route not in self._routes:
            sinks = self.shipping.routes.get(route, self.shipping.routes[""])
            self._routes[route] = digest(*((str(sink), _store(self.sinks.get(sink))) for sink in sinks))
        return self._routes[route]


def _store(sink: Sink | None) -> str:
    """Which store it is, and how it is reached; what is asked of it besides makes no proof untrue."""
    return "" if sink is None else identity(sink) + sink.spec.model_dump_json(exclude=_NOT_OF_THE_WAY)
