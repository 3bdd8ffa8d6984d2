"""What must be found in each sink of one request: which records, at which levels, of whom, with what taken out.

The API server's policy says what is recorded, and the shipper's table what of it is sent where. Both are asked here as
the API server and the shipper ask them, about the very request that is sent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audit_operator.api.audit import Level, Stage
from audit_operator.api.redaction import PseudonymizedField
from audit_operator.coverage.catalogue import Sender
from audit_operator.policy.evaluate import evaluate
from audit_operator.proof.bodies import secrets_in
from audit_operator.proof.requests import sent_by
from audit_operator.shipping.enforcement.table import LEVEL, REDACTION, ROUTE, URL_KEY, decide, namespace_key
from audit_operator.shipping.redaction import interpreter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit_operator.api.findings import ObjectRef
    from audit_operator.plan.shipping import Shipping
    from audit_operator.policy.model import Policy, Request, User
    from audit_operator.proof.requests import ProbeRequest
    from audit_operator.shipping.redaction.demand import RedactionDemand

_STREAMED = frozenset({"attach", "exec", "log", "portforward", "proxy"})
"""Subresources of requests that may run for long: what kube-apiserver is built to take for such."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Of one request, in every one of `sinks`.

    Attributes:
        levels: of each record, by stage; empty where nothing may be found.
        namespace: what the records are about; empty for requests without one.
        verb: of the request.
        uri: its URI as redaction leaves it.
        user: whose name the records have; empty for nobody, None where it is a pseudonym.
        hidden: what must stand nowhere in a record.
        body: what `requestObject` of the last record must hold at least, as redaction leaves it; None where there must
            be none. The API server may have added defaults.
        answered: whether the last record has a Status as its `responseObject` that says that nothing was found; of
            refused requests another one may be there, from the same level on.
    """

    levels: Mapping[Stage, Level]
    namespace: str
    verb: str
    uri: str
    user: str | None
    sinks: tuple[ObjectRef, ...]
    hidden: tuple[str, ...] = ()
    body: dict[str, Any] | None = None
    answered: bool = False


def predict(request: ProbeRequest, prober: User, policy: Policy, shipping: Shipping) -> Prediction:
    """What is found of a request, with API servers that run `policy` and shippers that do as planned."""
    user = sent_by(request.aim.sender, prober)
    seen = request.attributes(user)
    key = namespace_key(seen.namespace) if seen.resource_request else URL_KEY
    treatment = shipping.table.entries.get(key, {})
    demand = shipping.redactions.get(str(treatment.get(REDACTION, "")), shipping.redactions[""])
    pseudonym = PseudonymizedField.USERNAME in demand.pseudonymize
    levels = _levels(seen, request.aim.sender, policy, shipping)
    last = levels.get(Stage.RESPONSE_COMPLETE, Level.NONE)
    has_body = request.aim.with_body and last.rank >= Level.REQUEST.rank
    event, body = _redacted(request, seen, demand, has_body=has_body)
    marks = request.marks
    return Prediction(
        levels,
        seen.namespace,
        seen.verb,
        event["requestURI"],
        None if pseudonym and user is not None else user.name if user else "",
        shipping.routes.get(str(treatment.get(ROUTE, "")), shipping.routes[""]),
        (marks.canary, *(each for each in secrets_in(marks.canary) if each not in json.dumps(event))),
        body,
        request.aim.with_body and last is Level.REQUEST_RESPONSE,
    )


def _redacted(
    request: ProbeRequest, seen: Request, demand: RedactionDemand, *, has_body: bool
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The record after what profiles take out of it, and what its body must hold.

    Patterns of the user's own run over the body as the API server writes it, with defaults that are not known here, and
    are never run here. So where there are any, nothing but the body's being there is foretold.
    """
    about = {"resource": seen.resource, "subresource": seen.subresource, "namespace": seen.namespace, "name": seen.name}
    event: dict[str, Any] = {
        "kind": "Event",
        "requestURI": request.uri,
        "objectRef": {name: value for name, value in about.items() if value},
        **({"requestObject": json.loads(request.body)} if has_body else {}),
    }
    profiles = interpreter.apply(event, demand.built_in, namespace=seen.namespace).event
    if not has_body:
        return profiles, None
    body = profiles["requestObject"]
    return profiles, body if isinstance(body, dict) and not demand.own else {}


def _levels(request: Request, sender: Sender, policy: Policy, shipping: Shipping) -> dict[Stage, Level]:
    decision, levels = evaluate(policy, request), dict[Stage, Level]()
    for stage in stages_of(request, sender):
        if stage not in decision.omit_stages:
            asked = decide(shipping.table, request, stage).get(LEVEL)
            shipped = decision.level if asked is None else min(decision.level, Level(str(asked)), key=lambda x: x.rank)
            if shipped is not Level.NONE:
                levels[stage] = shipped
    return levels


def stages_of(request: Request, sender: Sender) -> tuple[Stage, ...]:
    """The stages that a refused request goes through.

    Source: `pkg/endpoints/filters/audit.go`, `authn_audit.go` of kubernetes/apiserver; which requests run for long says
    `cmd/kube-apiserver/app/options` with `BasicLongRunningRequestCheck` in `pkg/server/filters/longrunning.go`.
    """
    if sender is Sender.BAD_TOKEN:
        return (Stage.RESPONSE_STARTED,)
    streamed = (
        request.verb in ("watch", "proxy") or request.subresource in _STREAMED
        if request.resource_request
        else request.path.startswith("/debug/pprof/")
    )
    if streamed:
        return Stage.REQUEST_RECEIVED, Stage.RESPONSE_STARTED, Stage.RESPONSE_COMPLETE
    return Stage.REQUEST_RECEIVED, Stage.RESPONSE_COMPLETE
