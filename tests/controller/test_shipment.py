"""Shipping follows the control planes, and no mistake of its own gets any further."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_operator.api.findings import Finding, ObjectRef, Severity
from audit_operator.api.observations import (
    ExporterFigures,
    ExporterObservation,
    Flow,
    ShipperFigures,
    ShipperObservation,
)
from audit_operator.cluster.secrets import SecretUnreadable, SecretValues
from audit_operator.controller.credentials import SinkSecrets
from audit_operator.controller.shipment import Shipment
from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.controlplane.shipper.instructions import ShippedFiles
from audit_operator.plan import NamespaceFact, plan
from audit_operator.plan.canary import TRIED_IN_PART
from audit_operator.plan.collector_files import Places
from audit_operator.plan.shipping_status import NO_COLLECTOR, NOT_SERVED
from audit_operator.plan.status import statuses
from tests.plan.objects import audit_policy, control_plane
from tests.plan.test_shipping import CENTRAL, OWN, SNAPSHOT, STORE, sink


class RecordingShippers:
    places = Places()

    def __init__(self):
        self.delivered, self.closed, self.broken, self.numbers = [], False, False, iter(range(100))
        self.most_sinks = 100
        self.holds, self.unknown = {}, False

    async def held(self):
        if self.unknown:
            raise BoardUnavailable("away")
        return self.holds

    def fits(self, files):
        return len(files.sinks) <= self.most_sinks

    async def deliver(self, files):
        if self.broken:
            raise RuntimeError("a bug")
        self.delivered.append(files)
        return ()

    async def observe(self):
        if self.broken:
            raise RuntimeError("a bug")
        return (ShipperObservation("n1", last_error=f"look {next(self.numbers)}"),)

    async def aclose(self):
        self.closed = True


class MemorySecrets:
    def __init__(self):
        self.held = {}

    async def read(self, namespace, name):
        absent = SecretUnreadable(f"Secret {namespace}/{name} does not exist", "create it")
        return self.held.get((namespace, name), absent)


def secrets():
    return SinkSecrets(MemorySecrets(), lambda: None)


class World:
    def __init__(self):
        self.made, self.new = [], RecordingShippers
        self.shipment = Shipment(self.make, secrets())

    def make(self, plane):
        self.made.append(self.new())
        return self.made[-1] if plane.spec.driver == "Process" else None

    async def deliver(self, snapshot):
        await self.shipment.deliver(snapshot, plan(snapshot))
        return self.shipment.facts


@pytest.fixture
def world():
    return World()


async def test_what_is_planned_is_handed_over_and_what_was_seen_is_known(world):
    facts = await world.deliver(SNAPSHOT)
    [files] = world.made[0].delivered
    assert facts["main"].files is files
    assert facts["main"].shippers[0].node == "n1"


async def test_what_is_new_is_tried_unless_that_is_turned_off(world):
    await world.deliver(SNAPSHOT)
    world.shipment = Shipment(world.make, secrets(), tries=False)
    await world.deliver(SNAPSHOT)
    tried, untried = (each for one in world.made for each in one.delivered)
    assert tried.canary
    assert replace(tried, canary="") == untried


async def test_what_no_line_of_a_trial_is_about_is_said_to_the_owner_of_the_control_plane(world):
    names = [f"n{number}" for number in range(150)]
    to_own = [{"kind": "AuditSink", "name": "own"}]
    crowded = replace(
        SNAPSHOT,
        audit_policies=tuple(audit_policy(name, rules=[{"level": "Request"}], sinkRefs=to_own) for name in names),
        audit_sinks=tuple(sink("AuditSink", "own", name) for name in names),
        namespaces=tuple(map(NamespaceFact, names)),
    )
    facts = await world.deliver(SNAPSHOT)
    assert not any(each.id == TRIED_IN_PART for each in facts["main"].remarks)
    world.made[0].most_sinks = 1000
    facts = await world.deliver(crowded)
    [said] = [each for each in facts["main"].remarks if each.id == TRIED_IN_PART]
    assert said.severity is Severity.INFO
    assert "of 151 sinks" in said.message


async def test_the_same_facts_are_not_rendered_twice(world):
    await world.deliver(SNAPSHOT)
    await world.deliver(replace(SNAPSHOT, server_version="v1.37.2"))
    await world.deliver(replace(SNAPSHOT, namespaces=(*SNAPSHOT.namespaces, NamespaceFact("new"))))
    first, second, third = world.made[0].delivered
    assert first is second
    assert first.table != third.table


GUARDED = sink("AuditSink", "own", "payments", credentials={"type": "Basic", "secretRef": {"name": "login"}})
LOGIN = {"username": b"audit", "password": b"x"}


def successor(world):
    """The operator has restarted, and what it told before is known from the cluster."""
    other, told = World(), ShippedFiles.of(world.made[0].delivered[-1])

    def new():
        shippers = RecordingShippers()
        shippers.holds = told.held()
        return shippers

    other.new = new
    return other


async def test_a_restart_takes_nothing_from_shippers_while_a_secret_is_broken(world):
    held = world.shipment.secrets.secrets.held
    held["payments", "login"] = SecretValues(LOGIN, [STORE["victoriaLogs"]["url"]])
    snapshot = replace(SNAPSHOT, audit_sinks=(GUARDED,))
    await world.deliver(snapshot)
    other = successor(world)
    facts = await other.deliver(snapshot)
    before, after = world.made[0].delivered[-1], other.made[0].delivered[-1]
    assert (after.digest, after.credentials) == (before.digest, before.credentials)
    assert facts["main"].files.stale[OWN].message == "Secret payments/login does not exist"
    other.shipment.secrets.secrets.held["payments", "login"] = SecretValues(
        {**LOGIN, "password": b"new"}, [STORE["victoriaLogs"]["url"]]
    )
    renewed = (await other.deliver(snapshot))["main"].files
    assert renewed.stale == {}
    assert renewed.credentials != before.credentials


@pytest.mark.parametrize(
    "change",
    [
        {"victoriaLogs": {"url": "http://mallory.example:9428"}},
        {"credentials": {"type": "Basic", "secretRef": {"name": "b"}}},
    ],
)
async def test_what_shippers_hold_is_for_no_other_store_and_instead_of_no_other_secret(world, change):
    held = world.shipment.secrets.secrets.held
    held["payments", "login"] = SecretValues(LOGIN, [STORE["victoriaLogs"]["url"]])
    await world.deliver(replace(SNAPSHOT, audit_sinks=(GUARDED,)))
    spec = {"credentials": {"type": "Basic", "secretRef": {"name": "login"}}, **change}
    other = successor(world)
    facts = await other.deliver(replace(SNAPSHOT, audit_sinks=(sink("AuditSink", "own", "payments", **spec),)))
    assert OWN in facts["main"].files.findings
    assert facts["main"].files.credentials == {}


async def test_shippers_are_told_nothing_before_it_is_known_what_they_hold(world):
    unknown = RecordingShippers()
    unknown.unknown = True
    world.new = lambda: unknown
    facts = await world.deliver(SNAPSHOT)
    assert unknown.delivered == []
    assert facts["main"].refused[0].id == "shippers-not-told"
    assert await world.shipment.observe()  # so that it is tried again
    unknown.unknown = False
    await world.deliver(SNAPSHOT)
    assert len(unknown.delivered) == 1
    assert not await world.shipment.observe()


async def test_a_control_plane_that_no_shipper_serves_says_so_where_shipping_is_asked_for():
    refusal = Finding(NOT_SERVED, Severity.ERROR, "those of this installation serve cluster", "install it once more")
    shipment = Shipment(lambda _: refusal, secrets())
    await shipment.deliver(SNAPSHOT, plan(SNAPSHOT))
    assert shipment.facts["main"].refused == (refusal,)
    said = statuses(SNAPSHOT, plan(SNAPSHOT), {}, shipment.facts)
    [shipping] = [each for each in said[OWN]["conditions"] if each["type"] == "Shipping"]
    assert (shipping["status"], shipping["reason"]) == ("False", "ShipperDown")
    assert shipping["message"] == "those of this installation serve cluster (install it once more)"
    [plane] = SNAPSHOT.control_planes
    assert NOT_SERVED in [each["id"] for each in said[plane.ref]["findings"]]
    nobody = replace(SNAPSHOT, audit_policies=(audit_policy(),), cluster_audit_policies=())
    await shipment.deliver(nobody, plan(nobody))
    assert shipment.facts == {}


async def test_other_places_are_rendered_for(world):
    await world.deliver(SNAPSHOT)
    world.made[0].places = Places(state="/elsewhere")
    await world.deliver(SNAPSHOT)
    assert "/elsewhere" in world.made[0].delivered[1].config


async def test_where_nobody_ships_shippers_are_told_so(world):
    await world.deliver(replace(SNAPSHOT, audit_policies=(audit_policy(),), cluster_audit_policies=()))
    assert world.made[0].delivered == [None]


async def test_a_control_plane_that_has_gone_takes_its_shippers_with_it(world):
    await world.deliver(SNAPSHOT)
    assert await world.deliver(replace(SNAPSHOT, control_planes=())) == {}
    assert world.made[0].delivered[-1] is None
    assert world.made[0].closed


async def test_so_does_one_that_gets_another_driver(world):
    await world.deliver(SNAPSHOT)
    other = replace(SNAPSHOT, control_planes=(control_plane(driver="Observe", observe={"provider": "EKS"}),))
    assert await world.deliver(other) == {}
    assert world.made[0].delivered[-1] is None
    assert world.made[0].closed


async def test_a_sink_whose_secret_is_gone_is_shipped_to_with_the_former_and_says_so(world):
    held = world.shipment.secrets.secrets.held
    login = {"username": b"audit", "password": b"x"}
    held["payments", "login"] = SecretValues(login, [STORE["victoriaLogs"]["url"]])
    credentials = {"type": "Basic", "secretRef": {"name": "login"}}
    snapshot = replace(SNAPSHOT, audit_sinks=(sink("AuditSink", "own", "payments", credentials=credentials),))
    await world.deliver(snapshot)
    held.clear()
    facts = await world.deliver(snapshot)
    first, second = world.made[0].delivered
    assert (second.digest, second.credentials) == (first.digest, first.credentials)
    assert (first.stale, second.findings) == ({}, {})
    assert facts["main"].files.stale[OWN].message == "Secret payments/login does not exist"


async def test_where_not_all_fits_the_last_sinks_of_tenants_are_left_out_and_say_so(world):
    names = [f"n{number}" for number in range(8)]
    to_own = [{"kind": "AuditSink", "name": "own"}]
    snapshot = replace(
        SNAPSHOT,
        namespaces=tuple(map(NamespaceFact, names)),
        audit_policies=tuple(
            audit_policy(namespace=each, rules=[{"level": "Request"}], sinkRefs=to_own) for each in names
        ),
        audit_sinks=tuple(sink("AuditSink", "own", each) for each in names),
    )
    await world.deliver(SNAPSHOT)
    for most, kept in ((6, names[:5]), (1, []), (8, names[:7])):
        world.made[0].most_sinks = most
        world.made[0].places = Places(state=f"/{most}")
        files = (await world.deliver(snapshot))["main"].files
        assert set(files.sinks) == {CENTRAL, *(ObjectRef("AuditSink", "own", each) for each in kept)}
        assert {each.namespace for each in files.findings} == {*names} - {*kept}
        assert all("what shippers are told" in each.message for each in files.findings.values())


async def test_where_not_even_the_platforms_sinks_fit_shippers_may_say_so(world):
    await world.deliver(SNAPSHOT)
    world.made[0].most_sinks = 0
    world.made[0].places = Places(state="/elsewhere")
    files = (await world.deliver(SNAPSHOT))["main"].files
    assert set(files.sinks) == {CENTRAL, OWN}


async def test_the_end_of_the_operator_leaves_shippers_running(world):
    await world.deliver(SNAPSHOT)
    await world.shipment.aclose()
    assert world.made[0].delivered[-1] is not None
    assert world.made[0].closed


async def test_a_bug_in_shipping_is_a_finding_and_work_begins_anew(world):
    await world.deliver(SNAPSHOT)
    world.made[0].broken = True
    facts = await world.deliver(SNAPSHOT)
    assert facts["main"].refused[0].id == "shipping-failed"
    assert not (await world.deliver(SNAPSHOT))["main"].refused
    assert len(world.made) == 2
    world.made[1].broken = True
    await world.shipment.observe()
    assert world.shipment.facts["main"].refused[0].id == "shipping-failed"


async def test_figures_are_looked_at_between_deliveries(world):
    before = (await world.deliver(SNAPSHOT))["main"].shippers[0].last_error
    await world.shipment.observe()
    assert world.shipment.facts["main"].shippers[0].last_error != before


async def test_that_a_collector_is_lacking_is_said_only_where_something_is_to_be_shipped():
    shipment = Shipment(lambda _plane: None, secrets())
    await shipment.deliver(SNAPSHOT, plan(SNAPSHOT))
    assert shipment.facts["main"].refused[0].id == NO_COLLECTOR
    silent = replace(SNAPSHOT, audit_policies=(audit_policy(),), cluster_audit_policies=())
    await shipment.deliver(silent, plan(silent))
    assert shipment.facts == {}


async def test_a_loss_is_news_when_it_reaches_another_step(world):
    await world.deliver(SNAPSHOT)
    counted = iter([4, 5, 9, 10])

    async def observe():
        way = ExporterObservation("otlp_http/x", Flow.LOSSY, ExporterFigures(failed=next(counted)))
        return (ShipperObservation("n1", exporters=(way,)),)

    world.made[0].observe = observe
    assert [await world.shipment.observe() for _ in range(4)] == [True, True, False, True]


async def test_records_that_were_cut_are_news_when_they_reach_another_step(world):
    await world.deliver(SNAPSHOT)
    counted = iter([0, 1, 1, 2])

    async def observe():
        way = ExporterObservation("otlp_http/x", Flow.FLOWING, ExporterFigures(cut=next(counted)))
        return (ShipperObservation("n1", exporters=(way,)),)

    world.made[0].observe = observe
    assert [await world.shipment.observe() for _ in range(4)] == [False, True, False, True]


async def test_lines_that_are_no_event_are_news_when_they_reach_another_step(world):
    await world.deliver(SNAPSHOT)
    counted = iter([0, 1, 1, 2])

    async def observe():
        return (ShipperObservation("n1", figures=ShipperFigures(quarantined=next(counted))),)

    world.made[0].observe = observe
    assert [await world.shipment.observe() for _ in range(4)] == [False, True, False, True]


async def test_a_sink_whose_secret_cannot_be_read_is_left_out_and_said(world):
    guarded = sink("AuditSink", "own", "payments", credentials={"type": "Bearer", "secretRef": {"name": "token"}})
    files = (await world.deliver(replace(SNAPSHOT, audit_sinks=(guarded,))))["main"].files
    assert files.findings[OWN].message == "Secret payments/token does not exist"
    assert set(files.sinks) == {CENTRAL}


async def test_what_a_secret_holds_is_handed_over_and_so_is_what_it_holds_next(world):
    guarded = sink("AuditSink", "own", "payments", credentials={"type": "Bearer", "secretRef": {"name": "token"}})
    snapshot = replace(SNAPSHOT, audit_sinks=(guarded,))
    digests = []
    for token in (b"one", b"one", b"two"):
        held = SecretValues({"token": token}, [STORE["victoriaLogs"]["url"]])
        world.shipment.secrets.secrets.held["payments", "token"] = held
        files = (await world.deliver(snapshot))["main"].files
        assert list(files.credentials.values()) == [b"Bearer " + token]
        digests.append(files.digest)
    assert digests[0] == digests[1] != digests[2]


async def test_shippers_of_another_log_are_made_anew_and_nothing_is_ended(world):
    await world.deliver(SNAPSHOT)
    other = control_plane(log={"maxBackup": 7})
    await world.deliver(replace(SNAPSHOT, control_planes=(other,)))
    assert [made.closed for made in world.made] == [True, False]
    assert None not in world.made[0].delivered
