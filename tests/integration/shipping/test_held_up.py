"""Whether a collector that is told or ended in order would lose what it holds, as the real one says it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.integration.shipping.delivery import NAMESPACES, delivering, event
from tests.integration.shipping.victoria_logs import victoria_logs

FEW, QUEUE = 2000, 300_000


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with victoria_logs(tmp_path_factory.mktemp("store")) as url:
        yield url


def with_little_room(it):
    """Its configuration, with small queues."""
    files = it.files()
    config = re.sub(r'("queue_size": )[0-9]+', rf"\g<1>{QUEUE}", files.config)
    return replace(files, config=config)


async def test_tenants_queues_that_are_full_hold_up_nobody_and_a_reload_kills_nothing(tmp_path, store):
    async with delivering(tmp_path / "tenants", store, 1) as it:
        it.with_tenants = True
        await it.start(with_little_room(it))
        it.door.status = 503
        async with it.writing(map(event, range(FEW))):
            pass

        async def all_is_read():
            said = await it.said()
            return said is not None and said.received == FEW

        await it.until(all_is_read, "all lines to be read")
        said = await it.said()
        assert len(said.exporters) == len(NAMESPACES)
        assert all(each.not_queued for each in said.exporters.values())
        assert not said.waits_for
        assert not said.held_up
        before = it.pid
        await it.reload()
        assert it.pid == before


async def test_a_queue_that_all_wait_for_holds_up_as_long_as_it_is_full(tmp_path, store):
    async with delivering(tmp_path / "central", store, 2) as it:
        await it.start(with_little_room(it))
        assert not (await it.said()).held_up
        it.door.status = 503
        async with it.writing(map(event, range(FEW))):
            pass

        async def waits():
            said = await it.said()
            return said is not None and said.waits

        await it.until(waits, "a collector that waits")
        assert (await it.said()).held_up
        it.door.status = 0
        await it.until_caught_up()

        async def goes_on():
            said = await it.said()
            return said is not None and not said.held_up

        await it.until(goes_on, "a collector that goes on")
