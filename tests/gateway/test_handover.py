"""What is handed to a collector, and what counts as its yes. The collector here is a fake, for its faults."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web

from audit_operator.gateway.handover import BATCH, Handover, NotTaken, batches
from audit_operator.shipping import otlp
from audit_operator.shipping.pipeline import LARGEST_LINE


class Collector:
    """Answers with what it is told to."""

    def __init__(self):
        self.status, self.body, self.posted, self.address = 200, b"", [], ""

    async def answer(self, request):
        self.posted.append(await request.read())
        return web.Response(status=self.status, body=self.body, headers={"Location": "/elsewhere"})


@pytest.fixture
async def collector():
    made = Collector()
    application = web.Application(client_max_size=2**26)
    application.router.add_post("/v1/logs", made.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.address = f"127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


async def deliver(collector, *events):
    async with aiohttp.ClientSession() as session:
        await Handover(session, lambda: collector.address).deliver(events)


@pytest.mark.parametrize("body", sorted(otlp.ALL_TAKEN))
async def test_events_are_taken_once_the_collector_says_so(collector, body):
    collector.body = body
    await deliver(collector, b"one", b"two")
    assert len(collector.posted) == 1
    assert b"one" in collector.posted[0]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, b""),
        (500, b""),
        (400, b""),
        (429, b""),
        (301, b""),
        (202, b""),
        (200, b"\x0a\x02\x08\x01"),
        (200, b"x" * 99),
    ],
)
async def test_any_other_answer_means_that_they_are_not_taken(collector, status, body):
    collector.status, collector.body = status, body
    with pytest.raises(NotTaken):
        await deliver(collector, b"one")


async def test_a_collector_that_is_away_has_not_taken_them(collector):
    collector.address = "127.0.0.1:9"
    with pytest.raises(NotTaken, match="does not answer"):
        await deliver(collector, b"one")


async def test_nothing_is_posted_for_an_empty_list(collector):
    await deliver(collector)
    assert collector.posted == []


def test_batches_are_bounded_and_keep_the_order():
    events = [b"x" * (BATCH // 3)] * 7 + [b"y" * (BATCH + 1), b"z"]
    found = list(batches(events))
    assert [each for batch in found for each in batch] == events
    assert [len(batch) for batch in found] == [3, 3, 1, 1, 1]


def test_what_is_longer_than_a_collector_reads_is_cut():
    [[text]] = batches([b"x" * (LARGEST_LINE + 1)])
    assert len(text) == LARGEST_LINE


def test_bytes_that_are_no_utf_8_are_replaced_and_all_others_stay():
    [[text, other]] = batches([b'{"a":"\xff\xc3"}', "ünï".encode()])
    assert text.decode() == '{"a":"\ufffd\ufffd"}'
    assert other.decode() == "ünï"
