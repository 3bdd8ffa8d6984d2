"""What is answered where a list costs more than its bytes. The collector, and threads, are fakes for their faults."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from http import HTTPStatus

import aiohttp
import pytest
from aiohttp import web

from audit_operator.gateway.event_list import MOST_ITEMS
from audit_operator.gateway.load import EVENT, Load
from audit_operator.gateway.receiver import PATH, Limits, Receiver
from tests.gateway.lists import list_of

LARGE = list_of(*[b'{"a":"%s"}' % (b"x" * 1000)] * 100)


class Collector:
    """Takes everything, and sees how much is worked on meanwhile."""

    def __init__(self):
        self.receiver, self.seen = None, 0

    async def deliver(self, events):
        self.taken, self.seen = events, self.receiver.load.bytes


class Busy(Executor):
    """Threads that never come to it."""

    def __init__(self):
        self.asked = []

    def submit(self, *_):
        self.asked.append(Future())
        return self.asked[-1]


@pytest.fixture
async def post():
    async def post(receiver, body):
        receiver.handover.receiver = receiver
        runner = web.AppRunner(receiver.application(), auto_decompress=False)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"
        try:
            async with aiohttp.ClientSession() as session, session.post(url, data=body) as answer:
                return answer.status, await answer.text()
        finally:
            await runner.cleanup()

    return post


async def test_a_list_with_too_many_items_is_too_large(post):
    status, text = await post(Receiver(Collector()), list_of(*[b"1"] * (MOST_ITEMS + 1)))
    assert status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert f"more than {MOST_ITEMS} items" in text


@pytest.mark.parametrize("body", [list_of(*[b"{}"] * 100), LARGE])
async def test_events_take_room_besides_their_bytes(post, body):
    receiver = Receiver(Collector())
    assert (await post(receiver, body))[0] == HTTPStatus.OK
    assert receiver.handover.seen == len(body) + 100 * EVENT
    assert receiver.load.bytes == 0
    full = Receiver(Collector(), load=Load(most_bytes=len(body) + 99 * EVENT))
    assert (await post(full, body))[0] == HTTPStatus.TOO_MANY_REQUESTS
    assert full.load.bytes == 0


async def test_a_list_that_waits_for_a_thread_waits_no_longer_than_for_the_collector(post):
    threads = Busy()
    receiver = Receiver(Collector(), limits=Limits(answer_seconds=0.05), _threads=threads)
    assert (await post(receiver, LARGE))[0] == HTTPStatus.SERVICE_UNAVAILABLE
    # Nobody needs it any more when a thread would come to it.
    [asked] = threads.asked
    assert asked.cancelled()
