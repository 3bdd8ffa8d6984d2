"""What must be found of a probe is what the API server and the shipper make of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_operator.api.audit import Level, Stage
from audit_operator.api.findings import ObjectRef
from audit_operator.coverage.catalogue import Sender
from audit_operator.coverage.operations import Operation
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.shipping import shipping
from audit_operator.proof.bodies import LABEL, plain_word, secrets_in
from audit_operator.proof.prediction import predict
from audit_operator.proof.requests import Aim, Marks, ProbeRequest
from audit_operator.proof.selecting import prober_in
from audit_operator.shipping.redaction.places import LAST_APPLIED
from tests.plan.objects import audit_policy, cluster_policy, control_plane, parsed

STORE = {"type": "VictoriaLogs", "victoriaLogs": {"url": "http://logs.audit:9428"}}
CENTRAL = ObjectRef("ClusterAuditSink", "central")
OWN = ObjectRef("AuditSink", "own", "payments")
ME = prober_in("audit-system")
MARKS = Marks("id", "probe-abc", "canary-abc")
READ = Operation("get", "", "secrets", in_namespace=True)
EXEC = Operation("create", "", "pods", "exec", in_namespace=True)
CREATE = Operation("create", "", "pods", in_namespace=True)
LIST_ALL = Operation("list", "", "secrets", is_across_namespaces=True)
WITHOUT_RECEIVED = {"omitStages": ["RequestReceived"]}


def snapshot(own_rules, central_rules, **own):
    return Snapshot(
        audit_policies=(audit_policy(rules=own_rules, sinkRefs=[{"kind": "AuditSink", "name": "own"}], **own),),
        cluster_audit_policies=(
            cluster_policy(rules=central_rules, sinkRefs=[{"kind": "ClusterAuditSink", "name": "central"}]),
        ),
        audit_sinks=(parsed("AuditSink", "own", STORE, "payments"),),
        cluster_audit_sinks=(parsed("ClusterAuditSink", "central", STORE),),
        control_planes=(control_plane(),),
        namespaces=(NamespaceFact("payments"), NamespaceFact("web")),
    )


def predicted(facts, operation, place, sender=Sender.PROBER, *, with_body=False):
    planned = plan(facts)
    request = ProbeRequest.of(Aim(operation, place, sender, with_body), MARKS)
    return predict(request, ME, planned.compiled["main"].policy, shipping(facts, planned, "main"))


FACTS = snapshot([{"level": "Request"}], [{"level": "Metadata"}])


def test_a_record_is_expected_at_each_stage_at_the_level_of_its_namespace():
    assert predicted(FACTS, CREATE, "payments").levels == {
        Stage.REQUEST_RECEIVED: Level.REQUEST,
        Stage.RESPONSE_COMPLETE: Level.REQUEST,
    }
    assert set(predicted(FACTS, CREATE, "web").levels.values()) == {Level.METADATA}


def test_a_record_is_expected_in_every_sink_of_its_namespace_and_in_no_other():
    assert set(predicted(FACTS, READ, "payments").sinks) == {CENTRAL, OWN}
    assert set(predicted(FACTS, READ, "web").sinks) == {CENTRAL}
    assert set(predicted(FACTS, LIST_ALL, "").sinks) == {CENTRAL}
    assert predicted(FACTS, READ, "payments").namespace == "payments"


def test_what_runs_for_long_has_a_record_of_its_beginning():
    assert set(predicted(FACTS, EXEC, "payments").levels) == {
        Stage.REQUEST_RECEIVED,
        Stage.RESPONSE_STARTED,
        Stage.RESPONSE_COMPLETE,
    }


def test_stages_that_are_omitted_are_not_expected():
    facts = snapshot([{"level": "Request", **WITHOUT_RECEIVED}], [{"level": "Metadata", **WITHOUT_RECEIVED}])
    assert set(predicted(facts, CREATE, "payments").levels) == {Stage.RESPONSE_COMPLETE}


def test_a_failed_authentication_has_one_record_of_nobody():
    prediction = predicted(FACTS, READ, "payments", Sender.BAD_TOKEN)
    assert set(prediction.levels) == {Stage.RESPONSE_STARTED}
    assert not prediction.user


def test_where_nothing_is_recorded_nothing_is_expected():
    facts = snapshot([{"level": "None"}], [{"level": "None"}])
    assert predicted(facts, READ, "payments").levels == {}


def test_an_envelope_records_more_and_the_shipper_sends_what_was_asked():
    facts = replace(FACTS, control_planes=(control_plane(precision="Envelope"),))
    assert set(predicted(facts, CREATE, "payments").levels.values()) == {Level.REQUEST}
    assert set(predicted(facts, CREATE, "web").levels.values()) == {Level.METADATA}


def test_the_canary_is_expected_to_be_gone():
    prediction = predicted(FACTS, CREATE, "payments")
    assert prediction.uri == "/api/v0probe/namespaces/payments/pods?dryRun=All&probe-token=[REDACTED]"
    assert prediction.user == ME.name


def test_a_pseudonym_cannot_be_told_from_outside():
    facts = snapshot([{"level": "Request"}], [{"level": "Metadata"}], redaction={"pseudonymize": ["Username"]})
    alone = replace(facts, cluster_audit_policies=())
    assert predicted(alone, READ, "payments").user is None
    assert not predicted(alone, READ, "payments", Sender.BAD_TOKEN).user


WRITE = Operation("update", "", "secrets", in_namespace=True)
DEPLOY = Operation("update", "apps", "deployments", in_namespace=True)
PATCH = Operation("patch", "apps", "deployments", in_namespace=True)
APPLIED, VALUE, _, ENCODED = secrets_in(MARKS.canary)


def with_body(operation, level="Request", **own):
    return predicted(snapshot([{"level": level}], [{"level": level}], **own), operation, "payments", with_body=True)


def test_a_body_is_expected_from_level_request_on_and_an_answer_above():
    assert (with_body(WRITE, "Metadata").body, with_body(WRITE, "Metadata").answered) == (None, False)
    assert with_body(WRITE).body
    assert not with_body(WRITE).answered
    assert with_body(WRITE, "RequestResponse").answered
    refused = predicted(FACTS, WRITE, "payments")
    assert (refused.body, refused.answered) == (None, False)


def test_of_a_secret_the_keys_are_expected_and_the_values_not():
    prediction = with_body(WRITE)
    assert prediction.body["data"] == {"probe": "[REDACTED]"}
    assert set(prediction.body["metadata"]["annotations"].values()) == {"[REDACTED]"}
    assert prediction.body["metadata"]["labels"] == {LABEL: plain_word(MARKS.canary)}
    assert {MARKS.canary, APPLIED, ENCODED} <= set(prediction.hidden)


@pytest.mark.parametrize("operation", [DEPLOY, PATCH])
def test_of_other_objects_all_is_expected_but_secrets(operation):
    prediction = with_body(operation)
    annotations = prediction.body["metadata"]["annotations"]
    assert annotations == {LABEL: plain_word(MARKS.canary), LAST_APPLIED: "[REDACTED]"}
    [container] = prediction.body["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "PROBE_PASSWORD", "value": "[REDACTED]"}]
    assert {APPLIED, VALUE} <= set(prediction.hidden)


def test_what_no_profile_takes_out_may_be_found():
    facts = snapshot([{"level": "Request"}], [{"level": "Request"}], redaction={"profiles": ["PII"]})
    alone = replace(facts, cluster_audit_policies=())
    prediction = predicted(alone, DEPLOY, "payments", with_body=True)
    assert VALUE not in prediction.hidden
    assert prediction.body["metadata"]["annotations"][LAST_APPLIED] == APPLIED


def test_of_a_body_that_a_pattern_of_the_users_touches_nothing_is_expected_but_that_it_is_there():
    own = {"patterns": [{"name": "words", "regex": "(probe)[A-Z_a-z-]*"}]}
    facts = snapshot([{"level": "Request"}], [{"level": "Metadata"}], redaction=own)
    alone = replace(facts, cluster_audit_policies=())
    prediction = predicted(alone, DEPLOY, "payments", with_body=True)
    assert prediction.body == {}
    assert {APPLIED, VALUE} <= set(prediction.hidden)
