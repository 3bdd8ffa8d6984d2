"""Who probes are sent as, and which answers mean that their records are not to be expected."""

from __future__ import annotations

from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from audit_operator.cluster.probing import USER_AGENT, ProbeSender
from audit_operator.cluster.rest import RestClient
from audit_operator.coverage.catalogue import Sender
from audit_operator.coverage.operations import Operation
from audit_operator.permissions.rbac import NOTHING
from audit_operator.proof.requests import Aim, Marks, ProbeRequest

MARKS = Marks("0b7c", "probe-abc", "canary")


class ApiServer:
    """Answers every probe with `status` and `answer`, and gives tokens that differ."""

    def __init__(self):
        self.status, self.tokens, self.seen, self.answer = 403, 0, [], None

    async def handle(self, request):
        if request.path.endswith("/serviceaccounts/prober/token"):
            self.tokens += 1
            return web.json_response({"status": {"token": f"token-{self.tokens}"}})
        self.seen.append((request, await request.text()))
        if self.answer is None:
            return web.Response(status=self.status)
        return web.json_response(self.answer, status=self.status)


def probe(sender, verb="get"):
    return ProbeRequest.of(Aim(Operation(verb, "", "secrets", in_namespace=True), "payments", sender), MARKS)


@pytest.fixture
async def world():
    async with serving(ApiServer()) as made:
        yield made


@asynccontextmanager
async def serving(api):
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/")) as session:
        yield api, ProbeSender(RestClient(session), session, "audit-operator", "prober")


async def test_a_probe_carries_its_id_and_who_sends_it_and_is_sent_as_it_was_predicted(world):
    api, sender = world
    assert await sender.send(probe(Sender.PROBER, "create")) is None
    [(request, body)] = api.seen
    assert (request.method, str(request.rel_url)) == ("POST", probe(Sender.PROBER, "create").uri)
    assert request.headers["Audit-ID"] == MARKS.audit_id
    assert request.headers["User-Agent"] == USER_AGENT
    assert (request.headers["Authorization"], body) == ("Bearer token-1", "{}")
    assert "Impersonate-User" not in request.headers


async def test_an_impersonation_is_the_probers(world):
    api, sender = world
    assert await sender.send(probe(Sender.IMPERSONATING)) is None
    [(request, _)] = api.seen
    assert request.headers["Authorization"] == "Bearer token-1"
    assert request.headers["Impersonate-User"]


async def test_nobody_has_no_credentials_and_a_bad_token_is_no_token_of_ours(world):
    api, sender = world
    assert await sender.send(probe(Sender.ANONYMOUS)) is None
    api.status = 401
    assert await sender.send(probe(Sender.BAD_TOKEN)) is None
    [(anonymous, _), (bad, _)] = api.seen
    assert "Authorization" not in anonymous.headers
    assert "token-" not in bad.headers["Authorization"]
    assert api.tokens == 0


async def test_one_token_is_good_for_many_probes_and_replaced_when_it_is_refused(world):
    api, sender = world
    for _ in range(3):
        await sender.send(probe(Sender.PROBER))
    assert api.tokens == 1
    api.status = 401
    refused = await sender.send(probe(Sender.PROBER))
    assert refused.message == "the API server does not accept the prober's token"
    api.status = 403
    assert await sender.send(probe(Sender.PROBER)) is None
    assert api.tokens == 2


@pytest.mark.parametrize(
    ("sender", "status", "said"),
    [
        (Sender.ANONYMOUS, 401, "takes no anonymous requests"),
        (Sender.BAD_TOKEN, 403, "authenticates otherwise"),
        (Sender.BAD_TOKEN, 200, "authenticates otherwise"),
    ],
)
async def test_who_is_taken_for_somebody_else_is_recorded_as_somebody_else(world, sender, status, said):
    api, prober = world
    api.status = status
    assert said in (await prober.send(probe(sender))).message


@pytest.mark.parametrize("status", [200, 404])
async def test_any_other_answer_comes_after_the_policy(world, status):
    api, sender = world
    api.status = status
    assert await sender.send(probe(Sender.PROBER)) is None


@pytest.mark.parametrize(("status", "again"), [(429, True), (503, True), (500, False), (504, False)])
@pytest.mark.parametrize("request_", [probe(sender) for sender in Sender], ids=list(Sender))
async def test_whether_an_api_server_that_ends_or_breaks_has_recorded_nobody_knows(world, request_, status, again):
    api, sender = world
    api.status = status
    unsent = await sender.send(request_)
    assert f"answered with {status}" in unsent.message
    assert unsent.again is again


async def test_an_api_server_that_does_not_answer_says_nothing():
    async with serving(ApiServer()) as (_, sender):
        sender.session = aiohttp.ClientSession("http://127.0.0.1:1")
        unsent = await sender.send(probe(Sender.ANONYMOUS))
        await sender.session.close()
    assert "did not answer" in unsent.message
    assert unsent.again, "it has not left"


WITH_BODY = ProbeRequest.of(
    Aim(Operation("update", "", "secrets", in_namespace=True), "payments", Sender.PROBER, with_body=True), MARKS
)
NO_RIGHT = f'secrets "{NOTHING}" is forbidden: User "prober" cannot update resource "secrets" in API group ""'


async def test_a_probe_with_a_body_is_sent_with_it(world):
    api, sender = world
    api.status, api.answer = 404, {"kind": "Status", "details": {"name": NOTHING, "kind": "secrets"}}
    assert await sender.send(WITH_BODY) is None
    [(request, body)] = api.seen
    assert (request.method, request.content_type, body) == ("PUT", "application/json", WITH_BODY.body)
    assert "payments" in body


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (403, {"message": NO_RIGHT}, "no right to it, which the chart gives it with probes.bodies.enabled"),
        (403, {"message": "admission webhook denied it"}, f"there is one called {NOTHING}"),
        (404, {"kind": "Status", "details": {}}, "does not serve /api/v1"),
        (404, None, "does not serve /api/v1"),
        (200, {"kind": "Secret"}, f"there is one called {NOTHING}"),
        (409, {}, "answered with 409 instead of 404"),
        (401, {}, "does not accept the prober's token"),
    ],
)
async def test_of_a_probe_with_a_body_any_answer_but_that_nothing_was_found_says_why(world, status, answer, said):
    api, sender = world
    api.status, api.answer = status, answer
    assert said in (await sender.send(WITH_BODY)).message
