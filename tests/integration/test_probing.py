"""What is predicted of probes is what a real API server records of them, and nothing comes of them but the records."""

from __future__ import annotations

import json
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass

import pytest

from audit_operator.api.audit import Level
from audit_operator.cluster.connection import connect
from audit_operator.cluster.probing import ProbeSender
from audit_operator.cluster.rest import RestClient
from audit_operator.controller.config_maps import ConfigMaps
from audit_operator.controller.live_probes import new_marks
from audit_operator.controller.proof_memory import ProofMemory
from audit_operator.coverage.catalogue import Sender
from audit_operator.coverage.loading import builtin_catalogue
from audit_operator.detections.condition import evaluate
from audit_operator.detections.own import preset_detections
from audit_operator.permissions.rbac import NOTHING
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.shipping import shipping
from audit_operator.policy.model import Policy, Rule
from audit_operator.proof.basis import bases
from audit_operator.proof.bodies import WRITTEN
from audit_operator.proof.comparison import Outcome, compare
from audit_operator.proof.detecting import AskedDetection, trials
from audit_operator.proof.memory import RememberedPlane
from audit_operator.proof.prediction import predict
from audit_operator.proof.requests import USER_AGENT, Aim, Marks, ProbeRequest
from audit_operator.proof.selecting import PROBER, Selector, prober_in
from audit_operator.shipping.redaction import interpreter
from audit_operator.shipping.redaction.demand import RedactionDemand
from tests.integration.prober_rights import grant_bodies
from tests.plan.objects import cluster_policy, parsed
from tests.plan.objects import control_plane as plane_object
from tests.proof.test_detecting import asked
from tests.proof.test_memory import place as remembered

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


def redacted(events):
    """The records as a shipper would have left them."""
    return [json.dumps(interpreter.apply(event, RedactionDemand()).event) for event in events]


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
        compared = compare(prediction, redacted(records[marks.audit_id]), over=True)
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


@pytest.fixture
def bodies(control_plane, namespace):
    grant_bodies(control_plane, namespace)
    yield
    for kind in ("clusterrolebinding", "clusterrole"):
        control_plane.kubectl("delete", kind, f"{namespace}-prober")


@pytest.mark.usefixtures("bodies")
async def test_every_body_is_recorded_as_predicted_and_nothing_comes_of_it(control_plane, namespace, sender):
    prober, way = prober_in(namespace), shipped(namespace)
    aims = dict.fromkeys(
        aim
        for place in (namespace, "")
        for action in CATALOGUE.actions
        for aim in Selector.every_with_body(action, place)
    )
    sent = []
    with control_plane.audit_policy(TEXT):
        for aim in aims:
            request = ProbeRequest.of(aim, Marks(str(uuid.uuid4()), "probe-abcdef", uuid.uuid4().hex))
            sent.append(Sent(request, await sender.send(request)))
    assert {aim.operation.resource for aim in aims} == {each.resource.partition("/")[0] for each in WRITTEN}
    assert [(each.request.uri, each.unsent) for each in sent if each.unsent is not None] == []
    records, wrong = recorded(control_plane), []
    for each in sent:
        prediction = predict(each.request, prober, EVERYTHING, way)
        compared = compare(prediction, redacted(records[each.request.marks.audit_id]), over=True)
        if compared.outcome is not Outcome.VERIFIED or prediction.body is None or not prediction.answered:
            wrong.append((each.request.method, each.request.uri, compared))
        # It is the shipper that has to take the secrets out: the API server has written them down.
        clear = [json.dumps(event) for event in records[each.request.marks.audit_id]]
        assert compare(prediction, clear, over=True).field == "redaction"
    assert wrong == []


@pytest.mark.usefixtures("bodies")
async def test_whoever_has_a_token_of_the_prober_can_change_nothing(control_plane, namespace, sender):
    """Of a role that somebody has made under that name it can take rights away, and give none."""
    token = control_plane.kubectl("create", "token", PROBER, "-n", namespace).stdout.strip()
    made = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": NOTHING}}
    everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    roles = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles"
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NOTHING}}
    config_maps = f"/api/v1/namespaces/{namespace}/configmaps"

    def tried(method, path, body, content="application/json"):
        answer = control_plane.request(method, path, body, user=None, token=token, headers={"Content-Type": content})
        return answer.status

    applied = "?fieldManager=probe&force=true"
    assert control_plane.request("POST", config_maps, config_map).status == 422  # nobody can, whatever their rights
    assert tried("POST", config_maps, config_map) == 403
    assert tried("PATCH", f"{config_maps}/{NOTHING}{applied}", config_map, "application/apply-patch+yaml") == 422
    assert tried("POST", roles, made) == 403
    assert tried("PATCH", f"{roles}/{NOTHING}{applied}", {**made, "rules": []}, "application/apply-patch+yaml") == 403
    assert tried("PUT", f"{roles}/{NOTHING}", {**made, "rules": []}) == 403
    assert tried("GET", f"{roles}/{NOTHING}", None) == 403

    [change] = [
        aim
        for aim in Selector.every_with_body(CATALOGUE.action("rbac-roles-change"), namespace)
        if aim.operation.resource == "roles"
    ]
    for rules in ([], [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]):
        control_plane.apply({**made, "metadata": {"name": NOTHING, "namespace": namespace}, "rules": rules})
        unsent = await sender.send(ProbeRequest.of(change, Marks(str(uuid.uuid4()), "probe-a", "c")))
        assert f"there is one called {NOTHING}" in unsent.message
    assert tried("PATCH", f"{roles}/{NOTHING}", {"rules": everything}, "application/merge-patch+json") == 403
    found = control_plane.get(f"{roles}/{NOTHING}")
    assert (found["rules"], "labels" in found["metadata"]) == (rules, False)
    assert tried("PATCH", f"{roles}/{NOTHING}", {"rules": []}, "application/merge-patch+json") == 200


async def test_a_prober_without_the_rights_says_which_value_of_the_chart_gives_them(namespace, sender):
    [aim, *_] = Selector.every_with_body(CATALOGUE.action("secrets-write"), namespace)
    unsent = await sender.send(ProbeRequest.of(aim, Marks(str(uuid.uuid4()), "probe-a", "c")))
    assert "probes.bodies.enabled" in unsent.message


SELECTIONS = (
    {"resources": [{"group": "", "resources": ["pods/exec"]}]},
    {"verbs": ["list"], "resources": [{"group": "apps", "resources": ["deployments"]}], "statusCodes": [403]},
    {"verbs": ["deletecollection"], "stages": ["RequestReceived"]},
    {"fields": [{"path": "annotations.authorization.k8s.io/decision", "values": ["forbid"]}]},
)


async def test_what_a_detection_is_measured_by_is_recorded_as_its_condition_says(control_plane, namespace, sender):
    refs = [{"kind": "ClusterAuditSink", "name": "central"}]
    snapshot = Snapshot(
        cluster_audit_policies=(cluster_policy(rules=[{"level": "Metadata"}], sinkRefs=refs),),
        cluster_audit_sinks=(parsed("ClusterAuditSink", "central", STORE),),
        control_planes=(plane_object(probes={"enabled": True}),),
        namespaces=(NamespaceFact(namespace),),
    )
    basis = bases(snapshot, plan(snapshot), prober_in(namespace))["main"]
    wanted = [AskedDetection(each.name, each.condition) for each in preset_detections()]
    wanted += [AskedDetection(str(number), asked(**each).condition) for number, each in enumerate(SELECTIONS)]
    found = trials(wanted, basis, new_marks)
    measured = {name for each in found for name in each.ids}
    assert measured == {"forbidden-burst", "secret-enumeration", "0", "1", "2", "3"}
    with control_plane.audit_policy(plan(snapshot).compiled["main"].desired.text):
        unsent = [await sender.send(each.request) for each in found]
    assert set(unsent) == {None}
    conditions = {each.id: each.condition for each in wanted}
    for trial in found:
        events = control_plane.audit_events(trial.request.marks.audit_id)
        for name, condition in conditions.items():
            holds = any(evaluate(condition, event) is True for event in events)
            assert holds == (name in trial.ids), (name, trial.request.uri)


async def test_proof_of_ten_thousand_namespaces_is_remembered_by_an_api_server(control_plane, namespace):
    connection = await connect(control_plane.kubeconfig())
    memory = ProofMemory(ConfigMaps(RestClient(connection.session()), "audit-operator"), namespace, "proof")
    assert await memory.read() == {}
    now = float(int(time.time()))
    names = {number: f"a-namespace-of-some-length-{number}" for number in range(10_000)}
    places = {name: remembered(number, now - number % 100) for number, name in names.items()}
    assert await memory.write({"main": RememberedPlane(places)})
    assert await memory.read() == {"main": RememberedPlane(places)}
    few = RememberedPlane({"web": places["a-namespace-of-some-length-7"]})
    assert await memory.write({"other": few})
    assert await memory.read() == {"other": few}
    await connection.aclose()
