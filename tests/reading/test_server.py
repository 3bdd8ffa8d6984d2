"""What a caller is answered when something is not as it should be."""

import asyncio
import json
import logging
from contextlib import asynccontextmanager

import pytest
from aiohttp.test_utils import TestClient, TestServer

from audit_operator.controller.reader_metrics import ReaderMetrics
from audit_operator.reading.load import Load
from audit_operator.reading.permission import Permissions
from audit_operator.reading.refusal import Refused, Why
from audit_operator.reading.server import PATH, Limits, Reader
from audit_operator.sinks import Reason, Unsupported
from audit_operator.sinks.access import failure
from tests.reading.fakes import FakeJudge, FakeStore, record

GOOD = "token-a"
FAILED = failure(Reason.STORE_FAILED, "the store answered with HTTP status 503")


class Scene:
    def __init__(self):
        self.judge, self.store = FakeJudge(), FakeStore()
        self.reader = Reader(Permissions(self.judge), self._store, ("c",))
        self.client = None

    async def _store(self):
        return self.store

    async def ask(self, token=GOOD, **parameters):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.client.get(PATH, params={"namespace": "payments", **parameters}, headers=headers) as answer:
            return answer.status, await answer.text(), answer.headers


@asynccontextmanager
async def serving(scene):
    async with TestClient(TestServer(scene.reader.application())) as scene.client:
        yield scene


@pytest.fixture
async def scene():
    async with serving(Scene()) as made:
        yield made


def lines(text):
    return [json.loads(each) for each in text.splitlines()]


async def test_records_come_a_line_each_and_end_with_an_end(scene):
    status, text, headers = await scene.ask()
    first, second, end = lines(text)
    assert (status, headers["Content-Type"], headers["Cache-Control"]) == (200, "application/x-ndjson", "no-store")
    assert (first["auditID"], second["text"]) == ("id-1", '{"n":2}')
    assert end == {"end": {"records": 2, "copies": 0, "complete": True}}
    assert headers["Connection"] == "close"


@pytest.mark.parametrize("records", [0, 1, 3])
async def test_one_document_is_json_whatever_is_in_it(scene, records):
    scene.store.answers = [record(n) for n in range(records)]
    _, text, _ = await scene.ask(format="json")
    document = json.loads(text)
    assert len(document["records"]) == document["end"]["records"] == records


@pytest.mark.parametrize("form", ["ndjson", "json"])
async def test_an_answer_that_breaks_off_says_so_at_its_end(scene, form):
    scene.store.answers = [record(1), FAILED]
    status, text, _ = await scene.ask(format=form)
    last = lines(text)[-1] if form == "ndjson" else json.loads(text)
    assert status == 200
    assert last["error"] == {"reason": "StoreFailed", "message": FAILED.message}
    assert "end" not in last
    assert scene.reader.figures.broken == 1


@pytest.mark.parametrize("answer", [FAILED, Unsupported("it cannot")])
async def test_a_store_that_fails_at_once_is_no_success(scene, answer, caplog):
    caplog.set_level(logging.INFO)
    scene.store.answers = [answer]
    assert (await scene.ask())[0] == 502
    assert [each.reason for each in caplog.records if hasattr(each, "reason")] == ["Reading", "NotRead"]


async def test_what_a_store_cannot_be_asked_is_no_question(scene):
    scene.store.answers = [failure(Reason.QUESTION_INVALID, "too long, taken together")]
    assert (await scene.ask())[0] == 400


async def test_no_record_of_others_leaves_whatever_the_store_answers(scene):
    scene.store.answers = [record(1), record(2, "shop"), record(3)]
    _, text, _ = await scene.ask()
    assert [each.get("auditID", each.get("error", {}).get("reason")) for each in lines(text)] == [
        "id-1",
        "AnswerMalformed",
    ]


async def test_what_takes_too_long_or_is_too_large_is_ended_and_said(scene):
    scene.reader.limits = Limits(seconds=0.3)
    scene.store.delay = 60.0
    assert lines((await scene.ask())[1])[-1]["error"]["reason"] == "TimedOut"
    scene.reader.limits, scene.store.delay = Limits(bytes=300), 0.0
    assert lines((await scene.ask())[1])[-1]["error"]["reason"] == "AnswerTooLarge"
    assert scene.store.open == 0


async def test_a_caller_who_goes_away_leaves_nothing_behind(scene):
    scene.store.answers = [record(n, text="x" * 2**20) for n in range(200)]
    headers = {"Authorization": "Bearer token-a"}
    async with scene.client.get(PATH, params={"namespace": "payments", "limit": "1000"}, headers=headers) as answer:
        await answer.content.readany()
        answer.close()
    async with asyncio.timeout(60):
        while scene.reader.load.requests or scene.store.open:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.02)


async def test_a_store_that_says_nothing_in_time_is_no_success(scene):
    scene.reader.limits = Limits(seconds=0.2)
    scene.store.silence = 60.0
    status, text, _ = await scene.ask()
    assert (status, json.loads(text)["error"]["reason"]) == (504, "TimedOut")
    assert scene.reader.figures.answers[504] == 1


@pytest.mark.parametrize(
    ("answers", "status"),
    [([], 500), ([record(1)], 200)],
)
async def test_what_nobody_has_foreseen_is_said_and_counted(scene, answers, status):
    scene.store.answers, scene.store.bug = answers, OverflowError("date value out of range")
    got, text, _ = await scene.ask()
    assert (got, lines(text)[-1]["error"]["reason"]) == (status, "InternalError")
    assert "date value" not in text
    assert scene.reader.figures.answers[status] == 1
    assert scene.reader.load.requests == 0


async def test_whoever_does_not_take_an_answer_does_not_keep_a_place(scene, caplog):
    caplog.set_level(logging.INFO)
    scene.reader.limits = Limits(drain=0.3)
    scene.store.answers = [record(n, text="x" * 2**20) for n in range(100)]
    server = scene.client.server
    reader, writer = await asyncio.open_connection(server.host, server.port, limit=1024)
    writer.write(
        f"GET {PATH}?namespace=payments&limit=1000 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {GOOD}\r\n\r\n".encode()
    )
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    async with asyncio.timeout(60):
        while scene.reader.load.requests:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.02)
    assert scene.reader.load.bytes == 0
    assert [each.reason for each in caplog.records if hasattr(each, "reason")] == ["Reading", "ReadInPart"]
    writer.transport.abort()


async def test_what_all_answers_hold_together_is_bounded(scene):
    scene.reader.load = Load(most_bytes=100_000)
    scene.store.answers = [record(1, text="x" * 50_000), record(2, text="x" * 200_000)]
    status, text, _ = await scene.ask()
    assert (status, [each.get("error", {}).get("reason") for each in lines(text)]) == (200, [None, "TooManyRequests"])
    scene.store.answers = [record(1, text="x" * 200_000)]
    assert (await scene.ask())[0] == 429
    assert scene.reader.load.bytes == 0


async def test_the_end_says_from_when_on_a_namespace_is_read_if_that_is_later_than_asked(scene):
    _, text, _ = await scene.ask(since="2025-12-01T00:00:00Z")
    assert lines(text)[-1]["end"]["from"] == {"payments": "2026-01-01T00:00:00.000000Z"}


async def test_a_refusal_costs_a_namespace_and_each_allowed_one_does(scene):
    scene.store.answers = []
    scene.judge.may |= {("a", f"n{number}") for number in range(4)}
    scene.judge.namespaces |= {f"n{number}": scene.judge.namespaces["shop"] for number in range(4)}
    scene.reader.load = Load(burst=5, per_second=0)
    assert (await scene.ask(namespace="n0,n1,n2,n3"))[0] == 200
    assert (await scene.ask(namespace="n0,n1"))[0] == 429


@pytest.mark.parametrize(
    ("token", "parameters", "status"),
    [
        ("", {}, 401),
        ("token-c", {}, 401),
        ("token-b", {}, 403),
        (GOOD, {"namespace": "nothing"}, 403),
        (GOOD, {"limit": "-1"}, 400),
        (GOOD, {"contains": '"' * 700}, 400),
        (GOOD, {"clusterScoped": "true"}, 403),
    ],
)
async def test_refusals_are_json_and_quote_nothing(scene, token, parameters, status):
    got, text, headers = await scene.ask(token, **parameters)
    assert (got, headers["Content-Type"]) == (status, "application/json; charset=utf-8")
    assert json.loads(text)["error"]["message"]
    assert ("WWW-Authenticate" in headers) == (status == 401)
    assert scene.store.open == 0


async def test_while_the_api_server_cannot_be_asked_nobody_reads(scene):
    scene.judge.away = Refused(Why.UNAVAILABLE, "away")
    status, _, headers = await scene.ask()
    assert (status, headers["Retry-After"]) == (503, "1")


async def test_without_a_store_nobody_reads(scene):
    scene.store = FAILED
    assert (await scene.ask())[0] == 503


async def test_more_than_a_callers_share_is_told_to_come_again(scene):
    scene.reader.load = Load(most_of_one=2)
    scene.store.delay = 0.5
    statuses = [status for status, _, _ in await asyncio.gather(*(scene.ask() for _ in range(5)))]
    assert sorted(statuses) == [200, 200, 429, 429, 429]


async def test_whoever_sends_bad_tokens_does_not_keep_out_those_who_are_known(scene):
    assert (await scene.ask())[0] == 200
    scene.reader.load = Load(most_of_strangers=2)
    asking, answered = [], asyncio.Event()

    async def slow(token):
        asking.append(token)
        await answered.wait()

    scene.judge.who = slow
    bad = [asyncio.create_task(scene.ask(f"bad-{number}")) for number in range(5)]
    async with asyncio.timeout(60):
        while sum(each.done() for each in bad) < 3:  # noqa: ASYNC110  # the others wait
            await asyncio.sleep(0.01)
    assert (await scene.ask())[0] == 200
    answered.set()
    assert sorted([(await each)[0] for each in bad]) == [401, 401, 429, 429, 429]
    assert len(asking) == 2


async def test_who_has_read_what_is_logged_and_counted_and_no_token_is(scene, caplog):
    caplog.set_level(logging.INFO)
    await scene.ask()
    await scene.ask("token-b")
    read = next(each for each in caplog.records if getattr(each, "reason", "") == "Read")
    assert (read.user, read.object, read.records) == ("a", "payments", 2)
    begun = next(each for each in caplog.records if getattr(each, "reason", "") == "Reading")
    assert (begun.user, begun.object, begun.created <= read.created) == ("a", "payments", True)
    refused = next(each for each in caplog.records if getattr(each, "reason", "") == "Forbidden")
    assert (refused.user, refused.object) == ("b", "payments")
    assert "token-" not in caplog.text
    metrics = {
        each.name: each for each in ReaderMetrics(scene.reader, type("Listener", (), {"complaint": ""})()).collect()
    }
    assert {each.labels["status"]: each.value for each in metrics["audit_operator_reader_requests"].samples} == {
        "200": 1.0,
        "403": 1.0,
    }
    assert metrics["audit_operator_reader_records"].samples[0].value == 2.0
