"""`status.shipping`: a line for each sink of a policy, and a loss told so that it is seldom written."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_operator.api.observations import ExporterFigures, ExporterObservation, Flow, ShipperObservation, lag
from audit_operator.api.parsing import parse_object
from audit_operator.plan import plan
from audit_operator.plan.shipping_status import ShippingFacts
from audit_operator.plan.sink_shipping import lag_text, losses, step
from audit_operator.plan.status import statuses
from tests.plan.objects import audit_policy
from tests.plan.test_shipping import CENTRAL, OWN, SNAPSHOT, TO_CENTRAL, TO_OWN
from tests.plan.test_shipping_status import PCI, files

MISSING = [{"kind": "AuditSink", "name": "nowhere"}]
THREE = replace(
    SNAPSHOT,
    audit_policies=(audit_policy(rules=[{"level": "Request"}], sinkRefs=[*MISSING, *TO_OWN, *TO_CENTRAL]),),
)


def shipping_of(snapshot, by_sink, **more):
    made = files(snapshot)
    seen = tuple(ExporterObservation(made.sinks[sink], *what) for sink, what in by_sink.items())
    shipper = ShipperObservation("n1", made.digest, healthy=True, exporters=seen, **more)
    facts = {"main": ShippingFacts(made, shippers=(shipper,))}
    return statuses(snapshot, plan(snapshot), {}, facts)[PCI]["shipping"]


def test_each_sink_that_a_policy_names_has_a_line_in_its_order():
    flowing, behind = (Flow.FLOWING,), (Flow.BACKLOG,)
    said = shipping_of(THREE, by_sink={OWN: behind, CENTRAL: flowing})
    assert [(each["sink"]["kind"], each["sink"]["name"], each["state"]) for each in said] == [
        ("AuditSink", "nowhere", "Failing"),
        ("AuditSink", "own", "Lagging"),
        ("ClusterAuditSink", "central", "Delivering"),
    ]
    assert "there is no AuditSink payments/nowhere" in said[0]["message"]
    assert "records wait" in said[1]["message"]


def test_what_is_not_known_is_not_there():
    [_, own, central] = shipping_of(THREE, by_sink={OWN: (Flow.FLOWING,)})
    assert central["state"] == "Unknown"
    assert not {"lost", "lag", "quarantined"} & (own.keys() | central.keys())


def test_how_long_records_have_waited_is_told_in_steps_at_the_sink_that_they_are_for():
    stalled = (Flow.BACKLOG, ExporterFigures(queue=10), lag(400.0))
    [_, own, central] = shipping_of(THREE, by_sink={OWN: stalled, CENTRAL: (Flow.FLOWING,)})
    assert (own["state"], own["lag"]) == ("Lagging", "5m")
    assert "for 5m or longer" in own["message"]
    assert "lag" not in central


def test_events_that_a_shipper_has_not_read_wait_for_every_sink():
    flowing = (Flow.FLOWING,)
    said = shipping_of(THREE, by_sink={OWN: flowing, CENTRAL: flowing}, unread_for=lag(7200.0))
    assert [(each["state"], each["lag"]) for each in said[1:]] == [("Lagging", "1h")] * 2
    assert "shipper n1: events wait in the API server's log for 1h or longer" in said[1]["message"]


@pytest.mark.parametrize(("seconds", "text"), [(0.0, ""), (59.9, ""), (60.0, "1m"), (3599.0, "15m"), (10**9, "24h")])
def test_a_lag_has_few_steps(seconds, text):
    assert lag_text(lag(seconds)) == text


def test_a_loss_is_told_in_steps_at_the_sink_where_it_was():
    lossy = (Flow.LOSSY, ExporterFigures(failed=612, not_queued=100))
    [_, own, central] = shipping_of(THREE, by_sink={OWN: lossy, CENTRAL: (Flow.FLOWING,)})
    assert (own["state"], own["lost"]) == ("Failing", 500)
    assert "lost" not in central


def test_what_was_too_large_is_told_at_the_sink_that_does_not_take_it_and_is_no_failure():
    flowing = (Flow.FLOWING, ExporterFigures(sent=90, cut=7))
    [_, own, central] = shipping_of(THREE, by_sink={OWN: flowing, CENTRAL: (Flow.FLOWING,)})
    assert (own["state"], own["cut"]) == ("Delivering", 5)
    assert not {"lost", "cut"} & central.keys()


def test_the_api_takes_what_is_said():
    said = shipping_of(THREE, by_sink={OWN: (Flow.LOSSY, ExporterFigures(failed=5, cut=2)), CENTRAL: (Flow.FLOWING,)})
    document = {
        "apiVersion": "audit-operator.dev/v1alpha1",
        "kind": "AuditPolicy",
        "metadata": {"name": "pci", "namespace": "payments"},
        "spec": {"rules": [{"level": "Request"}]},
        "status": {"shipping": said},
    }
    parsed = parse_object(document)
    assert (parsed.status.shipping[1].lost, parsed.status.shipping[1].cut) == (5, 2)


def test_a_policy_that_names_no_sink_has_no_lines():
    bare = replace(SNAPSHOT, audit_policies=(audit_policy(),))
    assert "shipping" not in statuses(bare, plan(bare), {})[PCI]


def test_losses_of_all_shippers_count():
    seen = [
        ShipperObservation(
            name, exporters=(ExporterObservation("otlp_http/x", Flow.LOSSY, ExporterFigures(failed=3, not_queued=1)),)
        )
        for name in ("n1", "n2")
    ]
    assert losses(seen) == {"otlp_http/x": 5}


@pytest.mark.parametrize(
    ("count", "wanted"), [(0, 0), (-1, 0), (1, 1), (4, 2), (5, 5), (9, 5), (10, 10), (199, 100), (10**18, 10**18)]
)
def test_steps_are_one_two_and_five_of_each_power(count, wanted):
    assert step(count) == wanted


@given(st.integers(0, 10**18), st.integers(0, 10**18))
def test_steps_never_claim_more_and_never_fall(first, second):
    low, high = sorted((first, second))
    assert step(low) <= step(high) <= high
    assert step(high) * 5 >= high * 2
