"""What is asked of the API server, and what of its answers counts."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from audit_operator.cluster.rest import ApiError, ApiUnreachableError
from audit_operator.reading.refusal import Refused
from audit_operator.reading.reviews import Caller, Existing, Reviews

USER = {"username": "jane", "uid": "1", "groups": ["g"], "extra": {"scopes": ["x"]}}
JANE = Caller("jane", "1", ("g",), (("scopes", ("x",)),))


@dataclass
class Client:
    status: object = None
    error: Exception | None = None
    asked: list = field(default_factory=list)

    async def create(self, resource, body):
        self.asked.append((resource.plural, body["spec"]))
        if self.error:
            raise self.error
        return {"status": self.status}

    async def metadata(self, _resource, *, name):
        if self.error:
            raise self.error
        return {"metadata": {"name": name, "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}}


async def test_a_token_is_that_of_whom_the_api_server_says():
    client = Client({"authenticated": True, "user": USER})
    assert await Reviews(client).who("t") == JANE
    assert client.asked == [("tokenreviews", {"token": "t"})]


@pytest.mark.parametrize(
    "status",
    [
        None,
        {},
        {"authenticated": False, "user": USER},
        {"authenticated": "true", "user": USER},
        {"authenticated": True},
        {"authenticated": True, "user": {"username": ""}},
    ],
)
async def test_whoever_is_not_authenticated_by_name_is_nobody(status):
    assert await Reviews(Client(status)).who("t") is None


@pytest.mark.parametrize(
    ("audiences", "good"),
    [(["records"], True), (["other", "records"], True), (["other"], False), ([], False), (None, False)],
)
async def test_a_token_for_another_audience_is_none(audiences, good):
    client = Client({"authenticated": True, "user": USER, "audiences": audiences})
    assert (await Reviews(client, ("records",)).who("t") is not None) == good
    assert client.asked[0][1]["audiences"] == ["records"]


@pytest.mark.parametrize(
    ("status", "allowed"),
    [({"allowed": True}, True), ({"allowed": True, "denied": True}, False), ({"allowed": "yes"}, False), ({}, False)],
)
async def test_access_is_asked_for_all_that_is_known_of_a_caller(status, allowed):
    client = Client(status)
    assert await Reviews(client).may_read(JANE, "payments") is allowed
    [(plural, spec)] = client.asked
    attributes = {"group": "audit-operator.dev", "version": "v1alpha1", "resource": "auditpolicies"}
    assert plural == "subjectaccessreviews"
    assert spec == {
        "user": "jane", "uid": "1", "groups": ["g"], "extra": {"scopes": ["x"]},
        "resourceAttributes": {**attributes, "subresource": "records", "verb": "get", "namespace": "payments"},
    }  # fmt: skip


async def test_without_a_namespace_it_is_asked_cluster_wide():
    client = Client({"allowed": True})
    await Reviews(client).may_read(JANE, "")
    assert "namespace" not in client.asked[0][1]["resourceAttributes"]


@pytest.mark.parametrize(
    "error", [ApiError(500, "InternalError", "x"), ApiError(403, "Forbidden", "x"), ApiUnreachableError("x")]
)
async def test_while_nobody_answers_nobody_may_anything(error):
    reviews = Reviews(Client(error=error))
    for question in (reviews.who("t"), reviews.may_read(JANE, "a"), reviews.existing("a")):
        with pytest.raises(Refused):
            await question


async def test_a_namespace_was_made_at_the_latest_when_the_second_that_is_told_is_over():
    existing = await Reviews(Client()).existing("a")
    assert existing == Existing("u", datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC))


async def test_while_many_tokens_are_looked_at_others_are_judged():
    client, release = Client({"allowed": True}), asyncio.Event()
    create = client.create

    async def slow(resource, body):
        if resource.plural == "tokenreviews":
            await release.wait()
        return await create(resource, body)

    client.create = slow
    reviews = Reviews(client)
    asking = [asyncio.create_task(reviews.who(f"t{number}")) for number in range(96)]
    async with asyncio.timeout(60):
        assert await reviews.may_read(JANE, "payments")
    release.set()
    await asyncio.gather(*asking)


async def test_an_api_server_that_answers_nonsense_has_not_been_asked():
    class Odd(Client):
        async def metadata(self, _resource, *, name):
            return {"name": name}

    with pytest.raises(Refused):
        await Reviews(Odd()).existing("a")


async def test_a_namespace_that_is_not_there_is_none():
    assert await Reviews(Client(error=ApiError(404, "NotFound", "x"))).existing("a") is None
