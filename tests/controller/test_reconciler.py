"""The loop: when it acts, and when it does not."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from audit_operator.api.observations import ApiServerObservation, ApiServerState
from audit_operator.cluster.backoff import Backoff
from audit_operator.cluster.facts import FactStore
from audit_operator.cluster.lease import LeadershipLostError
from audit_operator.cluster.resources import AUDIT_CONTROL_PLANE, AUDIT_POLICY, WATCHED
from audit_operator.cluster.rest import Listing
from audit_operator.controller.content import decode
from audit_operator.controller.credentials import SinkSecrets
from audit_operator.controller.delivery import Delivery
from audit_operator.controller.metrics import Metrics
from audit_operator.controller.reconciler import Dirty, Reconciler
from audit_operator.controller.shipment import Shipment


class Writer:
    """Remembers what it was given."""

    def __init__(self):
        self.submitted = []

    def submit(self, statuses, basis):
        self.submitted.append((statuses, basis))


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
            backoff=Backoff(base=0.01, cap=0.02),
        )
        self._version = 1

    def put(self, resource, name, spec, namespace=""):
        self._version += 1
        metadata = {"name": name, "namespace": namespace, "uid": name, "generation": self._version}
        self.store.observe(resource, {"metadata": {**metadata, "resourceVersion": str(self._version)}, "spec": spec})

    def list_everything(self):
        for resource in WATCHED:
            began = self.store.begin_list()
            listed = list(self.store.facts(resource))
            self.store.replace(resource, began, Listing(tuple(listed), str(self._version)))

    async def until(self, condition):
        async with asyncio.timeout(10):
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


async def test_a_change_waits_for_others_to_follow_but_not_for_ever():
    dirty = Dirty(quiet=0.05, at_most=0.2)
    assert dirty.age() == 0
    dirty.mark()
    started = time.monotonic()

    async def keep_marking():
        while True:
            await asyncio.sleep(0.01)
            dirty.mark()

    task = asyncio.create_task(keep_marking())
    await asyncio.wait_for(dirty.settled(), 5)
    task.cancel()
    assert time.monotonic() - started >= 0.2


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
