"""The frame around a node's shipper: one at a time in a folder, in order when told to stop, loud when a bug ends it."""

from __future__ import annotations

import asyncio

import pytest

from audit_operator.api.observations import ShipperObservation
from audit_operator.controller import lifetime
from audit_operator.controlplane.files import exclusive
from audit_operator.settings import Settings
from audit_operator.shipper_application import Shipper


class StandIn:
    """Works until it is cancelled, or ends as it is told."""

    def __init__(self, error=None):
        self.error, self.started = error, asyncio.Event()

    async def run(self):
        self.started.set()
        if self.error:
            raise self.error
        await asyncio.Event().wait()


class Kept:
    def __init__(self):
        self.closed, self.answer = False, None

    def seen(self):
        return self.answer

    async def aclose(self):
        self.closed = True


class Connection:
    def session(self):
        return None


class World:
    def __init__(self, folder, error=None):
        self.shipper = Shipper(Settings(node="cp-1", shipper_folder=folder), Connection())
        self.node, self.kept, self.stop = StandIn(error), Kept(), asyncio.Event()
        self.shipper._node, self.shipper._kept = self.node, self.kept
        self.lock = folder / "lock"

    def start(self):
        return asyncio.create_task(self.shipper.run(self.stop))


async def test_it_stops_when_it_is_told_and_so_does_its_collector(tmp_path):
    world = World(tmp_path)
    working = world.start()
    await world.node.started.wait()
    world.stop.set()
    assert await asyncio.wait_for(working, 20) == 0
    assert world.kept.closed
    with exclusive(world.lock, wait=False):
        pass


async def test_a_bug_ends_the_process(tmp_path):
    world = World(tmp_path, KeyError("a bug"))
    with pytest.raises(KeyError):
        await asyncio.wait_for(world.start(), 20)
    assert world.kept.closed


async def test_it_waits_for_the_one_before_it_and_can_be_stopped_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr(lifetime, "_LOCK_RETRY", 0.001)
    world = World(tmp_path)
    with exclusive(world.lock):
        working = world.start()
        await asyncio.sleep(0.01)
        assert not world.node.started.is_set()
        world.stop.set()
        assert await asyncio.wait_for(working, 20) == 0


async def test_it_works_once_the_one_before_it_has_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(lifetime, "_LOCK_RETRY", 0.001)
    world = World(tmp_path)
    with exclusive(world.lock):
        working = world.start()
        await asyncio.sleep(0.01)
    await asyncio.wait_for(world.node.started.wait(), 20)
    world.stop.set()
    assert await asyncio.wait_for(working, 20) == 0


async def test_it_is_ready_where_its_collector_answers_or_there_is_nothing_to_do(tmp_path):
    world = World(tmp_path)
    assert world.shipper.unready() == ""
    world.kept.answer = ShipperObservation("cp-1", last_error="it has ended: no memory")
    assert world.shipper.unready() == "it has ended: no memory"
    world.kept.answer = ShipperObservation("cp-1", healthy=True)
    assert world.shipper.unready() == ""
