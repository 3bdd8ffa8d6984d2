from __future__ import annotations

import asyncio
import base64
import io
import json
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from audit_operator.cluster.rest import Listing
from audit_operator.controller.injection_webhook import PATH, InjectionWebhook
from tests.shipping.injection.pods import TEMPLATE, model, pod, policy


def stored(document, uid="u1", generation=1):
    return {**document, "metadata": {**document["metadata"], "uid": uid, "generation": generation}}


def refused(document):
    """As it was stored when there were other rules."""
    return {**document, "spec": {**document["spec"], "preset": "NoSuchPreset"}}


def review(**request):
    asked = {"uid": "r1", "namespace": "payments", "object": pod(), **request}
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked}).encode()


def webhook(client=None, **more):
    made = InjectionWebhook(client, TEMPLATE, trust=None, **more)
    made.policies.known = {"u1": model(policy())}
    return made


@asynccontextmanager
async def serving(made):
    """The port of a webhook, and whoever asks it."""
    runner = web.AppRunner(made.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield port, session
    await runner.cleanup()


async def asked(session, body):
    async with session.post(PATH, data=io.BytesIO(body)) as response:
        return response.status, await (response.json() if response.status == 200 else response.text())


async def begun(port, body):
    """A request of which all but the last byte was sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body[:-1])
    await writer.drain()
    return reader, writer


def injected_names(answer):
    operations = json.loads(base64.b64decode(answer["response"].get("patch", "W10=")))
    return [each["value"]["name"] for each in operations if each["path"].startswith("/spec/initContainers/")]


async def test_a_pod_gets_the_sidecars_of_its_namespace():
    async with serving(webhook()) as (_, session):
        status, answer = await asked(session, review())
        assert (status, answer["response"]["uid"], injected_names(answer)) == (200, "r1", ["audit-shipper-pci"])
        _, elsewhere = await asked(session, review(namespace="shop"))
        assert elsewhere["response"] == {"uid": "r1", "allowed": True}


async def test_more_reviews_than_can_be_held_are_turned_away_at_once_and_the_others_are_answered():
    made = webhook(read_seconds=600.0)
    async with serving(made) as (port, session):
        slow = [await begun(port, review()) for _ in range(8)]
        async with asyncio.timeout(30):
            while not made._turns.locked():  # noqa: ASYNC110  # a semaphore tells nobody that it is taken
                await asyncio.sleep(0.01)
        assert await asked(session, review()) == (503, "too many reviews at once")
        for reader, writer in slow:
            writer.write(b"}")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.close()
        assert (await asked(session, review()))[0] == 200


async def test_a_review_that_does_not_arrive_gives_its_place_back():
    made = webhook(read_seconds=0.05)
    async with serving(made) as (port, session):
        slow = [await begun(port, review()) for _ in range(8)]
        for reader, writer in slow:
            assert (await reader.readline()).startswith(b"HTTP/1.1 408")
            writer.close()
        made.read_seconds = 60.0
        assert (await asked(session, review()))[0] == 200


async def test_what_is_too_large_for_a_pod_is_not_read():
    async with serving(webhook()) as (_, session):
        status, _ = await asked(session, b"x" * (3 * 2**20 + 1))
        assert status == 413


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        review(object=None),
        review(object={"metadata": 1}),
        review(object={"spec": {}}),
    ],
    ids=["nothing", "a list", "no text", "nested without end", "no pod", "no metadata", "half a pod"],
)
async def test_what_is_no_review_of_a_pod_is_refused_and_said_in_one_line(body, caplog):
    async with serving(webhook()) as (_, session):
        assert await asked(session, body) == (400, "no AdmissionReview of a pod")
    assert [each.exc_info for each in caplog.records if each.name.startswith("audit_operator")] == [None]


class Client:
    """Lists one object, then watches it change."""

    def __init__(self, listed, *seen):
        self.listed, self.seen, self.done = listed, seen, asyncio.Event()

    async def list(self, _resource, convert, *, namespace=""):
        return Listing(tuple(convert(each) for each in self.listed), f"7{namespace}")

    async def watch(self, _resource, **_options):
        for type_, document in self.seen:
            yield {"type": type_, "object": document}
        self.done.set()
        await asyncio.sleep(3600)


async def followed(listed, *seen):
    client = Client(listed, *seen)
    made = webhook(client)
    made.policies.known = None
    task = asyncio.create_task(made.policies.run())
    async with asyncio.timeout(30):
        await client.done.wait()
    task.cancel()
    return made.policies.known


async def test_a_policy_that_the_models_refuse_injects_as_it_did_before():
    fine = stored(policy(podSelector={"matchLabels": {"app": "web"}}))
    broken = refused(stored(policy(), generation=2))
    known = await followed([fine], ("MODIFIED", broken))
    assert known["u1"].spec.application_logs.pod_selector.match_labels == {"app": "web"}
    assert await followed([fine], ("MODIFIED", broken), ("DELETED", broken)) == {}


async def test_a_refused_policy_that_collects_nothing_any_more_injects_nothing():
    fine, without = stored(policy()), refused(stored(policy()))
    del without["spec"]["applicationLogs"]
    assert await followed([fine], ("MODIFIED", without)) == {}


async def test_a_policy_that_was_never_accepted_and_another_of_its_name_inject_nothing():
    assert await followed([refused(stored(policy()))]) == {}
    anew = refused(stored(policy(), uid="u2"))
    assert await followed([stored(policy())], ("DELETED", stored(policy())), ("ADDED", anew)) == {}
