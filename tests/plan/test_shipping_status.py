"""Shipping is true only where it was seen that records arrive."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_operator.api.findings import Finding, Severity
from audit_operator.api.observations import (
    ExporterFigures,
    ExporterObservation,
    Flow,
    ShipperFigures,
    ShipperObservation,
)
from audit_operator.plan import plan
from audit_operator.plan.collector_files import Places, collector_files
from audit_operator.plan.shipping import shipping
from audit_operator.plan.shipping_status import NO_COLLECTOR, ShippingFacts, remarks_for_owner
from audit_operator.plan.status import statuses
from tests.plan.objects import audit_policy, cluster_policy, control_plane, parsed
from tests.plan.test_shipping import CENTRAL, OWN, SNAPSHOT, TO_CENTRAL, TO_OWN, sink

PCI = SNAPSHOT.audit_policies[0].ref
BASELINE = SNAPSHOT.cluster_audit_policies[0].ref
PLANE = SNAPSHOT.control_planes[0].ref
WITHOUT_PORT = {"type": "OTLP", "victoriaLogs": None, "otlp": {"endpoint": "http://collector", "protocol": "GRPC"}}


def files(snapshot=SNAPSHOT, places=Places()):  # noqa: B008  # frozen
    return collector_files(shipping(snapshot, plan(snapshot), "main"), snapshot, "main", places)


def shipper(node="n1", flows=None, **fields):
    flows = {OWN: Flow.FLOWING, CENTRAL: Flow.FLOWING} if flows is None else flows
    exporters = tuple(ExporterObservation(files().sinks[sink], flow) for sink, flow in flows.items())
    return ShipperObservation(node, **{"config": files().digest, "healthy": True, "exporters": exporters, **fields})


def facts(*shippers, **fields):
    return ShippingFacts(**{"files": files(), "shippers": shippers, **fields})


def conditions(ref, known, snapshot=SNAPSHOT):
    shipped = {} if known is None else {"main": known}
    status = statuses(snapshot, plan(snapshot), {}, shipped)[ref]
    return {each["type"]: (each["status"], each["reason"], each["message"]) for each in status["conditions"]}


def said(ref, known, snapshot=SNAPSHOT):
    return conditions(ref, known, snapshot)["Shipping"]


def test_records_that_were_seen_to_arrive_are_shipped():
    for ref in (PCI, BASELINE, OWN, CENTRAL):
        assert said(ref, facts(shipper()))[:2] == ("True", "Shipping")
    assert conditions(OWN, facts(shipper()))["Ready"][:2] == ("True", "Ready")


def test_nothing_is_claimed_before_anything_was_sent():
    idle = facts(shipper(flows={OWN: Flow.NOTHING, CENTRAL: Flow.FLOWING}))
    assert said(PCI, idle)[:2] == ("Unknown", "NothingYet")
    assert said(BASELINE, idle)[:2] == ("True", "Shipping")
    assert conditions(OWN, idle)["Ready"][:2] == ("Unknown", "NothingYet")


def test_a_sink_that_a_shipper_does_not_mention_is_not_said_to_be_shipped_to():
    assert said(PCI, facts(shipper(flows={})))[:2] == ("Unknown", "NothingYet")


def test_one_node_that_ships_is_enough_where_the_others_have_nothing_yet():
    idle = shipper("n2", flows={})
    assert said(PCI, facts(idle, shipper()))[:2] == ("True", "Shipping")


@pytest.mark.parametrize(("flow", "reason"), [(Flow.BACKLOG, "Backlog"), (Flow.LOSSY, "Lossy")])
def test_trouble_of_one_sink_is_said_of_those_who_ship_there_and_of_no_other(flow, reason):
    known = facts(shipper("n1"), shipper("n2", flows={OWN: flow, CENTRAL: Flow.FLOWING}))
    status, why, message = said(PCI, known)
    assert (status, why) == ("False", reason)
    assert str(OWN) in message
    assert "n2" in message
    assert said(OWN, known)[:2] == ("False", reason)
    assert said(BASELINE, known)[:2] == ("True", "Shipping")


def test_what_waits_is_said_with_the_command_to_look_with_and_the_fields_to_change():
    message = said(PCI, facts(shipper("n2", flows={OWN: Flow.BACKLOG})))[2]
    for each in ("`audit-operator sinks check payments/own --write-read`", "shipper n2", "networkPolicy.sinkEgress"):
        assert each in message


@pytest.mark.parametrize(
    ("figures", "told", "untold"),
    [
        (ExporterFigures(failed=3), "failed: ", "not_queued: "),
        (ExporterFigures(not_queued=3), "not_queued: ", "failed: "),
        (ExporterFigures(), "failed: ", "nothing"),
    ],
)
def test_what_was_given_up_is_said_with_what_may_be_the_cause_and_without_a_count(figures, told, untold):
    seen = shipper("n2", flows={OWN: Flow.LOSSY})
    exporters = tuple(replace(each, figures=figures) for each in seen.exporters)
    message = said(PCI, facts(replace(seen, exporters=exporters)))[2]
    assert told in message
    assert untold not in message
    assert "audit_operator_sink_records_total" in message
    assert "3" not in message


def test_loss_is_worse_than_waiting():
    both = audit_policy(rules=[{"level": "Request"}], sinkRefs=[*TO_OWN, *TO_CENTRAL])
    snapshot = replace(SNAPSHOT, audit_policies=(both,))
    known = facts(shipper(flows={OWN: Flow.BACKLOG, CENTRAL: Flow.LOSSY}), files=files(snapshot))
    known = replace(known, shippers=(replace(known.shippers[0], config=files(snapshot).digest),))
    assert said(PCI, known, snapshot)[:2] == ("False", "Lossy")


def test_a_sink_that_is_written_to_with_former_credentials_is_not_said_to_be_well():
    stale = {ref: Finding("sink-not-usable", Severity.ERROR, "Secret a/b is gone", "make it") for ref in (OWN, CENTRAL)}
    known = facts(shipper(), files=replace(files(), stale=stale))
    status, reason, message = said(PCI, known)
    assert (status, reason) == ("False", "SinkNotUsable")
    assert "Secret a/b is gone (make it)" in message
    assert "with what its Secrets held before" in message
    status, reason, message = said(BASELINE, known)
    assert (status, reason) == ("False", "SinkNotUsable")
    assert "with what its Secrets held before" in message
    assert "a/b" not in message
    assert said(PCI, replace(known, shippers=(shipper(flows={OWN: Flow.LOSSY}),)))[1] == "Lossy"


def test_events_that_go_to_no_sink_that_keeps_them_are_said_of_policies_and_control_plane():
    unusable = sink("ClusterAuditSink", "central", **WITHOUT_PORT)
    snapshot = replace(SNAPSHOT, cluster_audit_sinks=(unusable,))
    made = files(snapshot)
    assert made.unkept == (CENTRAL,)
    known = facts(shipper(config=made.digest, flows={}), files=made)
    assert said(BASELINE, known, snapshot)[:2] == ("False", "SinkNotUsable")
    [finding] = [each for each in remarks_for_owner(known) if each.id == "events-not-shipped"]
    assert "ClusterAuditSink central" in finding.message


def test_lines_that_are_no_event_are_said_of_the_control_plane_by_node_and_in_steps():
    seen = replace(shipper(flows={}), figures=ShipperFigures(quarantined=47, refused=3, dropped=1000))
    [finding] = [each for each in remarks_for_owner(facts(seen)) if each.id == "lines-quarantined"]
    assert seen.node in finding.message
    assert "20 lines or more" in finding.message
    assert finding.severity is Severity.WARNING
    assert not [each for each in remarks_for_owner(facts(shipper(flows={}))) if each.id == "lines-quarantined"]


def test_what_is_not_counted_for_detections_is_said_of_the_control_plane():
    seen = replace(shipper(flows={}), figures=ShipperFigures(uncounted=3))
    [finding] = [each for each in remarks_for_owner(facts(seen)) if each.id == "detections-uncounted"]
    assert f"{seen.node}: 2 times or more" in finding.message
    assert not [each for each in remarks_for_owner(facts(shipper(flows={}))) if each.id == "detections-uncounted"]


@pytest.mark.parametrize(
    "sinks",
    [{"other": {}, "central": WITHOUT_PORT}, {"central": {**WITHOUT_PORT, "delivery": {"guarantee": "BestEffort"}}}],
)
def test_nothing_of_the_kind_is_said_where_another_sink_keeps_them_or_none_was_to(sinks):
    wanted = [{"kind": "ClusterAuditSink", "name": name} for name in sinks]
    snapshot = replace(
        SNAPSHOT,
        cluster_audit_policies=(cluster_policy(rules=[{"level": "Metadata"}], sinkRefs=wanted),),
        cluster_audit_sinks=tuple(sink("ClusterAuditSink", name, **spec) for name, spec in sinks.items()),
    )
    assert files(snapshot).unkept == ()
    assert CENTRAL in files(snapshot).findings


def test_a_shipper_that_does_not_run_ships_nothing_whatever_it_has_sent():
    down = shipper("n2", healthy=False, last_error="it has ended: no memory")
    status, reason, message = said(PCI, facts(shipper("n1"), down))
    assert (status, reason) == ("False", "ShipperDown")
    assert "n2" in message
    assert "AuditControlPlane main" in message


def test_no_shipper_is_one_that_is_down():
    assert said(PCI, facts())[:2] == ("False", "ShipperDown")


def test_without_a_collector_the_setting_is_named():
    lacking = Finding(NO_COLLECTOR, Severity.WARNING, "no collector", "set AUDIT_OPERATOR_COLLECTOR")
    known = ShippingFacts(refused=(lacking,))
    status, reason, message = said(PCI, known)
    assert (status, reason) == ("False", "ShipperDown")
    assert "AUDIT_OPERATOR_COLLECTOR" in message
    found = statuses(SNAPSHOT, plan(SNAPSHOT), {}, {"main": known})[PLANE]["findings"]
    assert NO_COLLECTOR in [each["id"] for each in found]


def test_a_shipper_with_another_configuration_is_outdated():
    assert said(PCI, facts(shipper(config="0" * 64)))[:2] == ("False", "ShipperOutdated")


def test_the_secrets_of_a_platforms_sink_are_named_there_alone():
    made = files(SNAPSHOT)
    lacking = {
        CENTRAL: Finding("sink-not-usable", Severity.ERROR, "Secret vault/token has no key token", "put it there")
    }
    known = facts(shipper(config=made.digest), files=replace(made, findings=lacking))
    documents = statuses(SNAPSHOT, plan(SNAPSHOT), {}, {"main": known})
    assert "vault/token" in str(documents.pop(CENTRAL))
    assert "vault" not in str(documents)
    assert said(BASELINE, known)[:2] == ("False", "SinkNotUsable")


def test_what_a_collector_says_is_told_to_the_owner_of_the_control_plane_alone():
    theirs = "auditsink.other-tenant.secret-name"
    refusal = Finding("shipper-configuration-refused", Severity.ERROR, f"bad exporter {theirs}", "correct the sink")
    troubled = (
        facts(shipper(config="0" * 64), refused=(refusal,)),
        facts(shipper(config="0" * 64, last_error=theirs)),
        facts(shipper(healthy=False, last_error=theirs)),
    )
    for known in troubled:
        documents = statuses(SNAPSHOT, plan(SNAPSHOT), {}, {"main": known})
        assert theirs in str(documents.pop(PLANE)["findings"])
        assert theirs not in str(documents)
        status, reason, message = said(PCI, known)
        assert (status, reason in {"ShipperOutdated", "ShipperDown"}) == ("False", True)
        assert "see AuditControlPlane main" in message


def test_a_sink_that_cannot_be_written_to_concerns_those_alone_who_name_it():
    own = parsed("AuditSink", "own", {"type": "S3", "s3": {"bucket": "audit-logs"}}, "payments")
    snapshot = replace(SNAPSHOT, audit_sinks=(own,))
    made = files(snapshot)
    known = facts(shipper(flows={CENTRAL: Flow.FLOWING}, config=made.digest), files=made)
    assert said(PCI, known, snapshot)[:2] == ("False", "SinkNotUsable")
    assert conditions(OWN, known, snapshot)["Ready"][:2] == ("False", "SinkNotUsable")
    assert said(BASELINE, known, snapshot)[:2] == ("True", "Shipping")


def test_a_shipper_without_secrets_says_so_at_the_sinks_that_need_some():
    guarded = sink("AuditSink", "own", "payments", credentials={"type": "Bearer", "secretRef": {"name": "token"}})
    snapshot = replace(SNAPSHOT, audit_sinks=(guarded,))
    made = files(snapshot, Places(credentials=""))
    known = facts(shipper(config=made.digest), files=made)
    status, reason, message = said(PCI, known, snapshot)
    assert (status, reason) == ("False", "SinkNotUsable")
    assert "no Secrets" in message
    assert "/authorization" not in made.config


@pytest.mark.parametrize("driver", ["Observe", "StaticPod"])
def test_where_no_shipper_of_ours_runs_nothing_is_claimed_and_the_way_by_hand_is_named(driver):
    specs = {"Observe": {"observe": {"provider": "EKS"}}, "StaticPod": {}}
    snapshot = replace(SNAPSHOT, control_planes=(control_plane(driver=driver, **specs[driver]),))
    status, reason, message = said(PCI, None, snapshot)
    assert (status, reason) == ("Unknown", "NotImplemented")
    assert "audit-operator shipper render" in message
    assert driver in message


def test_a_policy_without_sinks_asks_for_nothing():
    snapshot = replace(SNAPSHOT, audit_policies=(audit_policy(rules=[{"level": "Request"}]),))
    assert said(PCI, facts(shipper()), snapshot)[:2] == ("Unknown", "NotRequested")
    assert said(OWN, facts(shipper()), snapshot)[:2] == ("Unknown", "NotRequested")


def test_a_policy_none_of_whose_sinks_may_be_used_ships_nothing():
    missing = audit_policy(rules=[{"level": "Request"}], sinkRefs=[{"kind": "AuditSink", "name": "gone"}])
    snapshot = replace(SNAPSHOT, audit_policies=(missing,))
    assert said(PCI, facts(shipper()), snapshot)[:2] == ("False", "SinkNotUsable")


def test_a_policy_of_no_control_plane_ships_nothing_that_is_known():
    lost = cluster_policy(rules=[{"level": "Metadata"}], sinkRefs=TO_CENTRAL, controlPlaneRef={"name": "gone"})
    snapshot = replace(SNAPSHOT, cluster_audit_policies=(lost,))
    assert said(BASELINE, facts(shipper()), snapshot)[:2] == ("Unknown", "Pending")


def test_a_sink_counts_the_policies_that_ship_there():
    many = tuple(audit_policy(name=f"p{number}", rules=[{"level": "Request"}], sinkRefs=TO_OWN) for number in range(3))
    snapshot = replace(SNAPSHOT, audit_policies=many)
    assert statuses(snapshot, plan(snapshot), {}, {})[OWN]["policies"] == 3


def test_figures_change_no_status():
    def with_figures(number):
        way = ExporterObservation(files().sinks[OWN], Flow.FLOWING, ExporterFigures(sent=number, queue=number))
        return facts(shipper(exporters=(way,), figures=ShipperFigures(received=number)))

    first, second = (statuses(SNAPSHOT, plan(SNAPSHOT), {}, {"main": with_figures(number)}) for number in (1, 2))
    assert first == second
    assert with_figures(1).shippers == with_figures(2).shippers


def test_a_status_stays_small_whatever_a_shipper_says():
    known = facts(shipper(healthy=False, last_error="x" * 100_000))
    assert len(said(PCI, known)[2]) <= 1024
