"""The loop: when it acts, and when it does not."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import replace

import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.api.observations import ApiServerObservation, ApiServerState
from audit_operator.cluster.backoff import Backoff
from audit_operator.cluster.facts import FactStore
from audit_operator.cluster.lease import LeadershipLostError
from audit_operator.cluster.resources import AUDIT_CONTROL_PLANE, AUDIT_POLICY, CLUSTER_AUDIT_POLICY, WATCHED
from audit_operator.cluster.rest import ApiUnreachableError, Listing
from audit_operator.controller import reconciler, shipment
from audit_operator.controller.content import decode
from audit_operator.controller.credentials import SinkSecrets
from audit_operator.controller.delivery import Delivery
from audit_operator.controller.metrics import Metrics
from audit_operator.controller.reconciler import Dirty, Reconciler
from audit_operator.controller.shipment import Shipment
from audit_operator.plan.collector_files import Places


class Writer:
    """Remembers what it was given."""

    def __init__(self):
        self.submitted, self.said = [], {}

    def submit(self, statuses, basis):
        self.submitted.append((statuses, basis))
        self.said = dict(statuses)

    def amend(self, statuses, _basis):
        self.said |= statuses


class RecordingDriver:
    """Runs whatever it is told to run, at once."""

    def __init__(self):
        self.delivered = []
        self.failures = 0
        self.closed = False

    async def deliver(self, desired):
        if self.failures:
            self.failures -= 1
            raise OSError("injected")
        self.delivered.append(desired.digest)
        return ()

    async def hold(self):
        pass

    async def observe(self):
        digest = self.delivered[-1] if self.delivered else ""
        return (ApiServerObservation("local", digest, digest, ready=True, state=ApiServerState.RUNNING),)

    async def aclose(self):
        self.closed = True


class World:
    def __init__(self, fence=lambda: None):
        self.dirty = Dirty(quiet=0.02, at_most=0.2)
        self.store = FactStore(WATCHED, decode, on_content=self.dirty.mark)
        self.driver, self.writer = RecordingDriver(), Writer()
        self.reconciler = Reconciler(
            self.store,
            Delivery(lambda _plane: self.driver),
            Shipment(lambda _plane: None, SinkSecrets(None, lambda: None)),
            self.writer,
            Metrics(),
            self.dirty,
            server_version=lambda: "v1.37.2",
            fence=fence,
            status_of=self.status_of,
            backoff=Backoff(base=0.01, cap=0.02),
        )
        self._version, self.status, self.unreachable = 1, {}, False

    async def status_of(self, _plane):
        if self.unreachable:
            raise ApiUnreachableError("injected")
        return self.status

    def put(self, resource, name, spec, namespace=""):
        self._version += 1
        metadata = {"name": name, "namespace": namespace, "uid": name, "generation": self._version}
        self.store.observe(resource, {"metadata": {**metadata, "resourceVersion": str(self._version)}, "spec": spec})

    def list_everything(self):
        for resource in WATCHED:
            began = self.store.begin_list()
            listed = list(self.store.facts(resource))
            self.store.replace(resource, began, Listing(tuple(listed), str(self._version)))

    def metric(self, name):
        return self.reconciler.metrics.registry.get_sample_value(name)

    async def until(self, condition):
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110  # conditions of tests have no event
                await asyncio.sleep(0.01)


@pytest.fixture
async def world():
    each = World()
    task = asyncio.create_task(each.reconciler.run())
    yield each
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def set_up(world):
    world.put(AUDIT_CONTROL_PLANE, "main", {"default": True, "driver": "Process"})
    world.put(AUDIT_POLICY, "pci", {"rules": [{"level": "Request"}]}, "payments")


async def test_nothing_happens_before_every_kind_has_been_listed(world):
    set_up(world)
    await asyncio.sleep(0.3)
    assert world.driver.delivered == []
    assert world.writer.submitted == []
    world.list_everything()
    await world.until(lambda: world.driver.delivered)


async def test_a_burst_of_changes_is_acted_on_once_or_a_few_times(world):
    set_up(world)
    world.list_everything()
    await world.until(lambda: world.writer.submitted)
    before = len(world.writer.submitted)
    for number in range(1000):
        world.put(AUDIT_POLICY, f"p{number}", {"rules": [{"level": "Metadata", "verbs": ["get"]}]}, "web")
    await world.until(lambda: len(world.writer.submitted[-1][0]) == 1002)
    assert len(world.writer.submitted) - before <= 5


async def test_a_failed_delivery_is_tried_again(world):
    world.driver.failures = 2
    set_up(world)
    world.list_everything()
    await world.until(lambda: world.driver.delivered)


async def test_unchanged_facts_are_not_acted_on(world):
    set_up(world)
    world.list_everything()
    await world.until(lambda: world.writer.submitted)
    before = len(world.writer.submitted)
    world.list_everything()
    await asyncio.sleep(0.3)
    assert len(world.writer.submitted) == before


async def test_without_any_policy_nothing_is_delivered(world):
    world.put(AUDIT_CONTROL_PLANE, "main", {"default": True, "driver": "Process"})
    world.list_everything()
    await world.until(lambda: world.writer.submitted)
    assert world.driver.delivered == []


async def test_a_control_plane_that_goes_takes_its_driver_with_it(world):
    set_up(world)
    world.list_everything()
    await world.until(lambda: world.driver.delivered)
    metadata = {"name": "main", "resourceVersion": "9999"}
    world.store.forget(AUDIT_CONTROL_PLANE, {"metadata": metadata})
    await world.until(lambda: world.driver.closed)


async def test_whoever_has_lost_the_lease_acts_no_more():
    def fence():
        raise LeadershipLostError("lost")

    world = World(fence)
    set_up(world)
    world.list_everything()
    with pytest.raises(LeadershipLostError):
        await world.reconciler.run()
    assert world.driver.delivered == []


@pytest.mark.parametrize(("busy", "waited"), [(0, 5), (7, 12), (100, 20)])
async def test_a_change_waits_for_others_to_follow_but_not_for_ever(busy, waited):
    """Changes follow each other every second, for so many seconds; then it is quiet."""
    now = 1000

    async def sleep(seconds):
        nonlocal now
        for _ in range(round(seconds)):
            now += 1
            if now <= 1000 + busy:
                dirty.mark()

    dirty = Dirty(quiet=5, at_most=20, clock=lambda: now, sleep=sleep)
    assert dirty.age() == 0
    dirty.mark()
    await dirty.settled()
    assert now == 1000 + waited
    assert dirty.age() == 0


class DriverOfAnOldApiServer(RecordingDriver):
    """Reads the policies that it is given, and says a version as soon as it is asked."""

    def __init__(self):
        super().__init__()
        self.texts = []
        self.version = "v1.35.4"

    async def deliver(self, desired):
        self.texts.append(desired.text)
        return await super().deliver(desired)

    async def observe(self):
        return tuple(replace(each, version=self.version) for each in await super().observe())


async def test_no_policy_is_made_before_the_versions_of_the_api_servers_are_known(world):
    world.driver = DriverOfAnOldApiServer()
    world.put(AUDIT_CONTROL_PLANE, "main", {"default": True, "driver": "Process"})
    world.put(AUDIT_POLICY, "pci", {"rules": [{"level": "Request", "resources": [{"group": "*"}], "verbs": ["get"]},
              {"level": "Metadata", "resources": [{"group": "*", "resources": ["pods"]}]}]}, "payments")  # fmt: skip
    world.list_everything()
    await world.until(lambda: world.writer.submitted)
    assert not any('"*"' in text for text in world.driver.texts)
    world.driver.version = "v1.37.2"
    world.dirty.mark()
    await world.until(lambda: '"*"' in world.driver.texts[-1])


PLANTED = "planted"


@pytest.fixture
def defective(monkeypatch):
    """A defect that policies bring out which are named for it, at one of the places where plans are made."""

    def plant(place):
        original = getattr(reconciler, place)

        def failing(snapshot, *args, **kwargs):
            if any(PLANTED in str(each.spec) for each in snapshot.audit_policies):
                raise RuntimeError("a defect")
            return original(snapshot, *args, **kwargs)

        monkeypatch.setattr(reconciler, place, failing)

    return plant


def put_defective(world, name="bad", namespace="mallory"):
    world.put(AUDIT_POLICY, name, {"rules": [{"level": "Request", "users": [PLANTED]}]}, namespace)


def condition(world, ref, type_):
    status = json.loads(world.writer.said[ref].text) if ref in world.writer.said else {"conditions": []}
    return next((each for each in status["conditions"] if each["type"] == type_), {"reason": "", "status": ""})


BAD, PLANE = ObjectRef("AuditPolicy", "bad", "mallory"), ObjectRef("AuditControlPlane", "main")


@pytest.mark.parametrize("place", ["plan", "statuses"])
async def test_an_object_that_brings_out_a_defect_is_set_aside_and_the_others_are_reconciled(world, defective, place):
    defective(place)
    set_up(world)
    put_defective(world)
    for number in range(20):
        world.put(AUDIT_POLICY, f"p{number}", {"rules": [{"level": "Metadata"}]}, f"web{number}")
    world.list_everything()
    await world.until(lambda: BAD in world.writer.said)
    assert condition(world, BAD, "Accepted")["reason"] == "InternalError"
    assert "takes no part" in condition(world, BAD, "Accepted")["message"]
    assert condition(world, BAD, "Stalled")["status"] == "True"
    assert condition(world, ObjectRef("AuditPolicy", "p7", "web7"), "Accepted")["status"] == "True"
    assert world.driver.delivered
    assert world.metric("audit_operator_defects_total") == 1
    world.put(AUDIT_POLICY, "p7", {"rules": [{"level": "Request"}]}, "web7")
    delivered = len(world.driver.delivered)
    await world.until(lambda: len(world.driver.delivered) > delivered)
    assert world.metric("audit_operator_defects_total") == 1  # it is not tried again before it changes
    world.put(AUDIT_POLICY, "bad", {"rules": [{"level": "Metadata"}]}, "mallory")
    await world.until(lambda: condition(world, BAD, "Accepted")["status"] == "True")


async def test_the_version_before_the_one_that_brings_out_a_defect_stays_in_force(world, defective):
    defective("plan")
    set_up(world)
    world.put(AUDIT_POLICY, "bad", {"rules": [{"level": "RequestResponse"}]}, "mallory")
    world.list_everything()
    await world.until(lambda: world.driver.delivered)
    before = world.driver.delivered[-1]
    put_defective(world)
    await world.until(lambda: condition(world, BAD, "Accepted")["reason"] == "InternalError")
    assert "stays in force" in condition(world, BAD, "Accepted")["message"]
    assert world.driver.delivered[-1] == before


async def test_a_defect_that_no_single_object_brings_out_leaves_the_last_plan_in_force_and_is_said(world, monkeypatch):
    set_up(world)
    world.list_everything()
    await world.until(lambda: world.writer.submitted)
    before, original = len(world.driver.delivered), reconciler.plan
    monkeypatch.setattr(reconciler, "plan", lambda _: {}["defect"])
    world.put(AUDIT_POLICY, "new", {"rules": [{"level": "Metadata"}]}, "web")
    await world.until(lambda: condition(world, PLANE, "Stalled")["status"])
    assert condition(world, PLANE, "Stalled")["reason"] == "InternalError"
    assert condition(world, PLANE, "Ready")["status"] == condition(world, PLANE, "Programmed")["status"] == "Unknown"
    assert "KeyError" in condition(world, PLANE, "Ready")["message"]
    assert json.loads(world.writer.said[PLANE].text)["policies"] == 1
    assert len(world.driver.delivered) == before
    assert world.metric("audit_operator_defects_total") >= 1
    monkeypatch.setattr(reconciler, "plan", original)
    await world.until(lambda: condition(world, PLANE, "Programmed")["status"] == "True")
    assert not condition(world, PLANE, "Stalled")["status"]


async def test_a_new_leader_that_cannot_plan_keeps_what_the_former_has_said(world, monkeypatch):
    shipping = {"type": "Shipping", "status": "True", "reason": "Shipping", "message": "", "observedGeneration": 1}
    ready = {**shipping, "type": "Ready", "reason": "Ready"}
    world.status, world.unreachable = {"policies": 7, "conditions": [shipping, ready]}, True
    monkeypatch.setattr(reconciler, "plan", lambda _: {}["defect"])
    set_up(world)
    world.list_everything()
    await world.until(lambda: world.metric("audit_operator_defects_total") >= 2)
    assert PLANE not in world.writer.said, "what cannot be read is not replaced"
    world.unreachable = False
    await world.until(lambda: PLANE in world.writer.said)
    said = json.loads(world.writer.said[PLANE].text)
    assert said["policies"] == 7
    assert shipping in said["conditions"]
    assert condition(world, PLANE, "Ready")["status"] == "Unknown"
    assert condition(world, PLANE, "Stalled")["reason"] == "InternalError"


async def test_a_cluster_wide_object_is_not_left_out_for_a_defect(world, monkeypatch):
    original = reconciler.plan
    monkeypatch.setattr(
        reconciler, "plan", lambda each: {}["defect"] if each.cluster_audit_policies else original(each)
    )
    set_up(world)
    world.put(CLUSTER_AUDIT_POLICY, "limits", {"limits": [{"level": "Metadata"}]})
    world.list_everything()
    await world.until(lambda: world.metric("audit_operator_defects_total") >= 2)
    assert world.driver.delivered == []


async def test_a_defect_in_what_shippers_are_told_is_isolated_too(world, defective, monkeypatch):
    defective("shipping")
    monkeypatch.setattr(shipment, "shipping", lambda *args: reconciler.shipping(*args))  # noqa: PLW0108 - as it is patched then
    world.reconciler.shipment.make = lambda _plane: ShippersOfTests()
    set_up(world)
    put_defective(world)
    world.list_everything()
    await world.until(lambda: condition(world, BAD, "Accepted")["status"] == "False")
    await world.until(lambda: not world.reconciler.shipment.failed)


class ShippersOfTests:
    places = Places()

    async def held(self):
        return {}

    def fits(self, _files):
        return True

    async def deliver(self, _files):
        return ()

    async def observe(self):
        return ()

    async def aclose(self):
        pass


async def test_a_reconciliation_that_hangs_is_seen_from_outside(world, monkeypatch):
    assert world.reconciler.busy() == 0
    hung = asyncio.Event()
    monkeypatch.setattr(Delivery, "follow", lambda *_: hung.wait())
    set_up(world)
    world.list_everything()
    await world.until(lambda: world.reconciler.busy() > 0.05)
    hung.set()
    await world.until(lambda: world.reconciler.busy() == 0)


async def test_looking_at_api_servers_goes_on_after_a_defect(world, monkeypatch):
    looks = []

    async def observe(_):
        looks.append(None)
        raise RuntimeError("a defect")

    monkeypatch.setattr(Delivery, "observe", observe)
    world.reconciler.observe_every = 0.001
    task = asyncio.create_task(world.reconciler.watch_api_servers())
    await world.until(lambda: len(looks) > 2)
    task.cancel()
    assert world.metric("audit_operator_defects_total") >= 2


class Defective:
    """Follows nothing."""

    def __init__(self):
        self.observations, self.results = {}, {}

    def follow(self, *_):
        raise KeyError("a defect")


@pytest.mark.parametrize("which", ["permissions", "sinks", "retention", "metrics"])
async def test_a_defect_beside_delivery_and_status_costs_neither(world, monkeypatch, which):
    if which == "metrics":
        monkeypatch.setattr(Metrics, "show", Defective.follow)
    else:
        setattr(world.reconciler, which, Defective())
    set_up(world)
    world.list_everything()
    await world.until(lambda: world.writer.submitted)
    assert world.driver.delivered
    assert world.metric("audit_operator_defects_total") >= 1
    assert world.metric("audit_operator_reconcile_failures_total") == 0
