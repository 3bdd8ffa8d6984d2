"""What is predicted of probes is what a real API server records of them, and nothing comes of them but the records."""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from dataclasses import dataclass

import pytest

from audit_operator.api.audit import Level
from audit_operator.cluster.connection import connect
from audit_operator.cluster.probing import USER_AGENT, ProbeSender
from audit_operator.cluster.rest import RestClient
from audit_operator.coverage.catalogue import Sender
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.shipping import shipping
from audit_operator.policy.model import Policy, Rule
from audit_operator.proof.comparison import Outcome, compare
from audit_operator.proof.prediction import predict
from audit_operator.proof.requests import Aim, Marks, ProbeRequest
from audit_operator.proof.selecting import PROBER, Selector, prober_in
from tests.plan.objects import cluster_policy, parsed
from tests.plan.objects import control_plane as plane_object

CATALOGUE = builtin_catalogue()
STORE = {"type": "VictoriaLogs", "victoriaLogs": {"url": "http://logs.audit:9428"}}
EVERYTHING = Policy((Rule(Level.REQUEST_RESPONSE),))
TEXT = json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "RequestResponse"}]})


def shipped(namespace):
    refs = [{"kind": "ClusterAuditSink", "name": "central"}]
    snapshot = Snapshot(
        cluster_audit_policies=(cluster_policy(rules=[{"level": "RequestResponse"}], sinkRefs=refs),),
        cluster_audit_sinks=(parsed("ClusterAuditSink", "central", STORE),),
        control_planes=(plane_object(),),
        namespaces=(NamespaceFact(namespace),),
    )
    return shipping(snapshot, plan(snapshot), "main")


def every_aim(namespace):
    """All requests of all actions at all places, which is far more than is ever sent."""
    for place in (namespace, "kube-system", ""):
        selector = Selector.of(EVERYTHING, CATALOGUE, prober_in(namespace))
        for action in CATALOGUE.actions:
            yield from selector.every(action, place)


@dataclass
class Sent:
    request: ProbeRequest
    unsent: object


@pytest.fixture
async def sender(control_plane, namespace):
    control_plane.kubectl("create", "serviceaccount", PROBER, "-n", namespace)
    connection = await connect(control_plane.kubeconfig())
    client = RestClient(connection.session())
    yield ProbeSender(client, connection.bare_session(), namespace, PROBER)
    await connection.aclose()


def recorded(control_plane):
    """All records by Audit-ID."""
    found = defaultdict(list)
    for event in control_plane.audit_events():
        found[event["auditID"]].append(event)
    return found


def redacted(events, marks):
    """The records as a shipper would have left them."""
    return [json.dumps(event).replace(marks.canary, "[REDACTED]") for event in events]


async def test_every_probe_of_the_catalogue_is_recorded_as_predicted_and_refused(control_plane, namespace, sender):
    prober, way = prober_in(namespace), shipped(namespace)
    sent = []
    with control_plane.audit_policy(TEXT):
        for number, aim in enumerate(dict.fromkeys(every_aim(namespace))):
            marks = Marks(str(uuid.uuid4()), "probe-abcdef", f"canary-{number}")
            request = ProbeRequest.of(aim, marks)
            sent.append(Sent(request, await sender.send(request)))
    assert len(sent) > 250
    # This API server takes no anonymous requests, as the CIS benchmark wants it; a probe must find that out.
    anonymous = [each for each in sent if each.request.aim.sender is Sender.ANONYMOUS]
    assert {each.unsent.message for each in anonymous} == {"the API server takes no anonymous requests"}
    others = [each for each in sent if each not in anonymous]
    assert [(each.request.uri, each.unsent) for each in others if each.unsent is not None] == []
    wrong, records = [], recorded(control_plane)
    for each in others:
        marks = each.request.marks
        prediction = predict(each.request, prober, EVERYTHING, way)
        compared = compare(prediction, marks, redacted(records[marks.audit_id], marks), over=True)
        if compared.outcome is not Outcome.VERIFIED or compared.strangers:
            wrong.append((each.request.method, each.request.uri, compared))
    assert wrong == []
    ids = {each.request.marks.audit_id for each in sent}
    bodies = [event for audit_id in ids for event in records[audit_id] if "requestObject" in event]
    assert bodies == []  # a refused request has none in its record, whatever the level
    answered = [event for audit_id in ids for event in records[audit_id] if "responseStatus" in event]
    assert {event["userAgent"] for event in answered} == {USER_AGENT}
    # Everybody may read /openapi/v3, and ask about himself, but not in a version that there is not.
    allowed = [each for each in answered if each["responseStatus"]["code"] not in (401, 403)]
    assert {
        (each["responseStatus"]["code"], each["requestURI"].split("/")[2].partition("?")[0]) for each in allowed
    } == {
        (200, "v3"),
        (404, "authorization.k8s.io"),
        (404, "authentication.k8s.io"),
    }


async def test_not_even_an_admin_does_anything_with_a_probe(control_plane, namespace, sender):
    control_plane.kubectl(
        "create", "clusterrolebinding", f"{namespace}-all", "--clusterrole=cluster-admin",
        f"--serviceaccount={namespace}:{PROBER}",
    )  # fmt: skip
    control_plane.kubectl("create", "configmap", "kept", "-n", namespace)
    try:
        sent = []
        for aim in dict.fromkeys(every_aim(namespace)):
            if aim.place in (namespace, "") and aim.sender is Sender.PROBER and not aim.operation.path:
                marks = Marks(str(uuid.uuid4()), "probe-abcdef", "canary")
                sent.append(marks.audit_id)
                assert await sender.send(ProbeRequest.of(aim, marks)) is None
    finally:
        control_plane.kubectl("delete", "clusterrolebinding", f"{namespace}-all")
    codes = {
        event["responseStatus"]["code"]
        for event in control_plane.audit_events()
        if event["auditID"] in set(sent) and event["stage"] == "ResponseComplete"
    }
    assert codes == {404}
    assert control_plane.get(f"/api/v1/namespaces/{namespace}")["status"]["phase"] == "Active"
    assert control_plane.get(f"/api/v1/namespaces/{namespace}/configmaps/kept")["metadata"]["name"] == "kept"


async def test_without_a_service_account_nothing_is_sent(control_plane, namespace):
    connection = await connect(control_plane.kubeconfig())
    sender = ProbeSender(RestClient(connection.session()), connection.bare_session(), namespace, PROBER)
    operation = next(iter(every_aim(namespace))).operation
    request = ProbeRequest.of(Aim(operation, namespace, Sender.PROBER), Marks(str(uuid.uuid4()), "probe-a", "c"))
    unsent = await sender.send(request)
    await connection.aclose()
    assert f"no token for ServiceAccount {namespace}/{PROBER}" in unsent.message
    assert control_plane.audit_events(request.marks.audit_id) == []
