"""When objects are searched for what keeps something from working, and when not again."""

from __future__ import annotations

import pytest

from audit_operator.controller.quarantine import Quarantine
from audit_operator.plan.snapshot import Snapshot
from tests.plan.objects import audit_policy

GUILTY = audit_policy(name="guilty")
SNAPSHOT = Snapshot(audit_policies=(audit_policy(), GUILTY))


class World:
    """Work that takes a while, at which one object or any is at fault."""

    def __init__(self):
        self.now, self.takes, self.tried, self.never = 0.0, 0.0, 0, False
        self.quarantine = Quarantine(patience=100.0, clock=lambda: self.now)

    def work(self, snapshot):
        self.tried += 1
        self.now += self.takes
        if self.never or GUILTY in snapshot.audit_policies:
            raise KeyError("a defect")

    async def search(self, what="plan"):
        """Whether something was found, and how often the work was tried for that."""
        before = self.tried
        found = await self.quarantine.search(SNAPSHOT, what, self.work)
        return found, self.tried - before


@pytest.fixture
def world():
    return World()


async def test_a_search_without_enough_time_is_not_in_vain_and_is_begun_again_after_a_growing_pause(world):
    world.takes = 99.0
    for pause in (100.0, 200.0, 400.0):
        found, tried = await world.search()
        assert not found
        assert tried
        world.now += pause - 1.0
        assert await world.search() == (False, 0)
        world.now += 1.0
    world.takes = 0.0
    found, _ = await world.search()
    assert found
    assert GUILTY not in world.quarantine.without(SNAPSHOT).audit_policies


async def test_the_pause_has_a_bound_and_ends_with_the_defect(world):
    world.takes = 99.0
    for _ in range(12):
        assert (await world.search())[1]
        world.now += 3600.0
    await world.search()
    world.quarantine.approve(Snapshot())
    assert (await world.search())[1]


async def test_searches_for_one_thing_do_not_make_those_for_another_begin_anew(world):
    world.never = True
    for what in ("plan", "shipping of main"):
        assert (await world.search(what))[1]
    for what in ("plan", "shipping of main", "plan"):
        assert await world.search(what) == (False, 0)
