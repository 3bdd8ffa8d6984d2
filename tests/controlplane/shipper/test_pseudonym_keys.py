"""The keys that shippers are told are those that are kept, however old they get and whoever writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from audit_operator.controlplane.board import BoardUnavailable
from audit_operator.controlplane.shipper.pseudonym_keys import KeyAges, PseudonymKeys
from audit_operator.shipping.redaction.keyring import Epoch, Keyring
from tests.controlplane.shipper.memory_board import MemoryBoard


class World:
    def __init__(self):
        self.board, self.now = MemoryBoard(), datetime(2026, 11, 28, tzinfo=UTC)

    def operator(self, rotated=0, forgotten=0):
        return PseudonymKeys("main", self.board, KeyAges.of_days(rotated, forgotten), lambda: self.now)

    @property
    def ring(self):
        return Keyring.decoded(self.board.ring.content)


async def test_keys_are_made_once_and_read_only_where_they_have_changed():
    world = World()
    first, second = world.operator(), world.operator()
    told = await first.present()
    assert told == await second.present() == await first.present()
    assert told == world.ring.present.encoded()
    assert world.board.calls.count("keep_keyring") == 1
    assert world.board.calls.count("keyring") == 2


async def test_keys_are_rotated_by_age_and_forgotten_later():
    world = World()
    keys = world.operator(rotated=90, forgotten=100)
    first = await keys.present()
    world.now += timedelta(days=89)
    assert await keys.present() == first
    world.now += timedelta(days=1)
    second = await keys.present()
    assert Epoch.decoded(second).present("shop") != Epoch.decoded(first).present("shop")
    assert len(world.ring.kept("shop")) == 2
    world.now += timedelta(days=89)
    await keys.present()
    assert len(world.ring.epochs) == 2
    world.now += timedelta(days=12)
    await keys.present()
    assert Epoch.decoded(first).present("shop") not in world.ring.kept("shop")


async def test_keys_that_are_never_to_be_rotated_stay():
    world = World()
    first = await world.operator().present()
    world.now += timedelta(days=9999)
    assert await world.operator().present() == first


async def test_of_two_that_make_keys_one_wins():
    world = World()
    keys, there = world.operator(), World()
    await there.operator().present()

    async def as_if_none(_plane):
        return ""

    world.board.keyring_revision = as_if_none
    world.board.ring = there.board.ring
    with pytest.raises(BoardUnavailable):
        await keys.present()
    assert world.board.ring == there.board.ring
