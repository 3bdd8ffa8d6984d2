"""What must be found of a probe is what the API server and the shipper make of it."""

from __future__ import annotations

from dataclasses import replace

from audit_operator.api.audit import Level, Stage
from audit_operator.api.findings import ObjectRef
from audit_operator.coverage.catalogue import Sender
from audit_operator.coverage.operations import Operation
from audit_operator.plan import NamespaceFact, Snapshot, plan
from audit_operator.plan.shipping import shipping
from audit_operator.proof.prediction import predict
from audit_operator.proof.requests import Aim, Marks, ProbeRequest
from audit_operator.proof.selecting import prober_in
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


def predicted(facts, operation, place, sender=Sender.PROBER):
    planned = plan(facts)
    request = ProbeRequest.of(Aim(operation, place, sender), MARKS)
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
