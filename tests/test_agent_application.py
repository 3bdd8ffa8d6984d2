"""The frame around an agent: one at a time on a node, in peace when told to stop, and loud when a bug ends it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from audit_operator import agent_application
from audit_operator.controller import lifetime
from audit_operator.controlplane.files import exclusive


class StandIn:
    """Works until it is cancelled, or ends as it is told."""

    def __init__(self, error=None):
        self.error = error
        self.started = asyncio.Event()
        self.go_on = asyncio.Event()
        self.at_work = asyncio.Lock()

    async def run(self):
        self.started.set()
        async with self.at_work:
            await self.go_on.wait()
        if self.error:
            raise self.error
        await asyncio.Event().wait()

    async def stopped(self):
        await self.at_work.acquire()


class World:
    def __init__(self, folder, error=None):
        self.agent, self.lock = StandIn(error), folder / "lock"
        self.stop, self.halted = asyncio.Event(), threading.Event()

    def start(self):
        return asyncio.create_task(agent_application._work(self.agent, self.lock, self.stop, self.halted))


async def test_a_bug_ends_the_process(tmp_path):
    world = World(tmp_path, KeyError("a bug"))
    world.agent.go_on.set()
    with pytest.raises(KeyError):
        await asyncio.wait_for(world.start(), 20)
    assert world.halted.is_set()


async def test_a_bug_while_it_is_told_to_stop_is_not_swallowed(tmp_path):
    world = World(tmp_path, KeyError("a bug"))
    working = world.start()
    await world.agent.started.wait()
    world.agent.go_on.set()
    world.stop.set()
    with pytest.raises(KeyError):
        await asyncio.wait_for(working, 20)


async def test_it_keeps_its_lock_until_whatever_is_under_way_has_stopped(tmp_path):
    world = World(tmp_path)
    working = world.start()
    await world.agent.started.wait()
    world.stop.set()
    while not world.halted.is_set():  # noqa: ASYNC110  # an event of threads
        await asyncio.sleep(0)
    with pytest.raises(BlockingIOError), exclusive(world.lock, wait=False):
        pass
    world.agent.go_on.set()
    assert await asyncio.wait_for(working, 20) == 0
    with exclusive(world.lock, wait=False):
        pass


async def test_it_waits_for_an_agent_before_it_and_can_be_stopped_meanwhile(tmp_path):
    world = World(tmp_path)
    with exclusive(world.lock):
        working = world.start()
        await asyncio.sleep(0)
        assert not world.agent.started.is_set()
        world.stop.set()
        assert await asyncio.wait_for(working, 20) == 0


async def test_it_works_once_the_agent_before_it_has_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(lifetime, "_LOCK_RETRY", 0.001)
    world = World(tmp_path)
    with exclusive(world.lock):
        working = world.start()
        await asyncio.sleep(0.01)
    await asyncio.wait_for(world.agent.started.wait(), 20)
    world.agent.go_on.set()
    world.stop.set()
    assert await asyncio.wait_for(working, 20) == 0
