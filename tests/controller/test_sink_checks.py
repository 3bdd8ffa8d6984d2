"""Stores are asked again and again, each on its own account: none waits for a stranger's."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest

from audit_operator.api.findings import ObjectRef
from audit_operator.api.store_observations import Drop, StoreState
from audit_operator.cluster.secrets import SecretUnreadable, SecretValues
from audit_operator.controller.sink_access import Stores
from audit_operator.controller.sink_checks import CheckTimes, SinkChecks
from audit_operator.sinks.network import Network
from audit_operator.sinks.store import Reason
from tests.plan.objects import parsed
from tests.sinks.fake_store import serving

OWN = ObjectRef("AuditSink", "own", "payments")
CENTRAL = ObjectRef("ClusterAuditSink", "central")
TIMES = CheckTimes(every=0.02, patience=30.0, again=0.01, longest=0.05)
IMPATIENT = replace(TIMES, patience=0.5)
DROPPED = 'vl_rows_dropped_total{reason="too_small_timestamp"} %d\n'


def sink(url, kind="AuditSink", name="own", namespace="payments", **spec):
    content = {"type": "VictoriaLogs", "victoriaLogs": {"url": url}, **spec}
    return parsed(kind, name, content, namespace if kind == "AuditSink" else "")


class Secrets:
    def __init__(self):
        self.held, self.asked = {}, []

    async def read(self, namespace, name):
        self.asked.append((namespace, name))
        held = self.held.get((namespace, name))
        return SecretUnreadable(f"no Secret {namespace}/{name}", "make it") if held is None else held


class World:
    def __init__(self, times=TIMES):
        self.secrets, self.changes = Secrets(), 0
        # Test stores are on this machine, so that the tenants' way must lead there.
        stores = Stores(self.secrets, Network(), Network())
        self.checks = SinkChecks(stores, self.changed, times)

    def changed(self):
        self.changes += 1

    def state(self, ref):
        seen = self.checks.observations.get(ref)
        return seen and seen.state

    async def until(self, condition):
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110  # conditions of tests have no event to wait for
                await asyncio.sleep(0.005)


@pytest.fixture
async def world():
    made = World()
    yield made
    await made.checks.aclose()


@pytest.fixture
async def store():
    async with serving() as server:
        yield server


async def test_a_store_is_asked_again_and_again_and_only_news_is_told(world, store):
    world.checks.follow([sink(store.url)])
    await world.until(lambda: len(store.asked) > 9)
    assert world.state(OWN) is StoreState.TAKING
    assert world.checks.observations[OWN].figures.up
    assert world.changes == 1
    store.status = 401
    await world.until(lambda: world.state(OWN) is StoreState.UNAUTHENTICATED)
    assert world.changes == 2


async def test_what_a_store_throws_away_is_news_once_and_a_figure_always(world, store):
    store.answers["/metrics"] = (200, (DROPPED % 1).encode())
    world.checks.follow([sink(store.url)])
    await world.until(lambda: OWN in world.checks.observations)
    for number in (3, 9):
        store.answers["/metrics"] = (200, (DROPPED % number).encode())
        await world.until(lambda n=number: world.checks.observations[OWN].figures.dropped[Drop.TOO_OLD] == n - 1)
    assert world.checks.observations[OWN].drops == (Drop.TOO_OLD,)
    assert world.changes == 2


async def test_a_sink_that_nobody_uses_any_longer_is_forgotten(world, store):
    world.checks.follow([sink(store.url)])
    await world.until(lambda: OWN in world.checks.observations)
    world.checks.follow([])
    await asyncio.sleep(0)
    assert not world.checks.observations
    asked = len(store.asked)
    await asyncio.sleep(0.1)
    assert len(store.asked) <= asked + 1


async def test_another_address_is_another_store(world, store):
    world.checks.follow([sink("http://127.0.0.1:1")])
    await world.until(lambda: world.state(OWN) is StoreState.UNREACHABLE)
    world.checks.follow([sink(store.url)])
    assert world.state(OWN) is None
    await world.until(lambda: world.state(OWN) is StoreState.TAKING)


async def test_the_same_sinks_are_not_begun_anew(world, store):
    world.checks.follow([sink(store.url)])
    await world.until(lambda: OWN in world.checks.observations)
    world.checks.follow([sink(store.url)])
    assert world.state(OWN) is StoreState.TAKING


async def test_stores_that_never_answer_hold_up_nobody_else(world, store):
    world.checks.times = IMPATIENT
    async with serving() as silent:
        silent.delay = 60.0
        hostile = [sink(silent.url, name=f"s{number}", namespace=f"n{number % 40}") for number in range(200)]
        world.checks.follow(hostile)
        await world.until(lambda: len(world.checks.observations) > 5)
        world.checks.follow(
            [*hostile, sink(store.url, "ClusterAuditSink", "central"), sink(store.url, namespace="payments")]
        )
        await world.until(lambda: world.state(CENTRAL) is StoreState.TAKING)
        await world.until(lambda: world.state(OWN) is StoreState.TAKING)
        asked = len(silent.asked)
        await world.until(lambda: len(silent.asked) > asked)


async def test_no_more_are_asked_at_a_time_than_there_is_room_for(world):
    async with serving() as silent:
        silent.delay = 60.0
        world.checks.follow([sink(silent.url, name=f"s{number}", namespace=f"n{number}") for number in range(100)])
        await world.until(lambda: silent.asked)
        await asyncio.sleep(0.2)
        assert len(silent.asked) <= 3


async def test_sinks_of_one_namespace_wait_for_each_other(world):
    async with serving() as silent:
        silent.delay = 60.0
        world.checks.follow([sink(silent.url, name=f"s{number}") for number in range(20)])
        await world.until(lambda: silent.asked)
        await asyncio.sleep(0.2)
        assert len(silent.asked) == 1


async def test_credentials_are_read_from_the_sinks_namespace_and_renewed_ones_used(world, store):
    world.secrets.held["payments", "token"] = SecretValues({"token": b"one"}, [store.url])
    world.checks.follow([sink(store.url, credentials={"type": "Bearer", "secretRef": {"name": "token"}})])
    await world.until(lambda: store.asked)
    assert store.asked[0].headers["Authorization"] == "Bearer one"
    world.secrets.held["payments", "token"] = SecretValues({"token": b"two"}, [store.url])
    await world.until(lambda: store.asked[-1].headers["Authorization"] == "Bearer two")
    assert {namespace for namespace, _ in world.secrets.asked} == {"payments"}


async def test_a_secret_that_does_not_name_the_address_is_not_sent_there(world, store):
    world.secrets.held["payments", "token"] = SecretValues({"token": b"one"}, ["https://elsewhere.example"])
    world.checks.follow([sink(store.url, credentials={"type": "Bearer", "secretRef": {"name": "token"}})])
    await world.until(lambda: OWN in world.checks.observations and world.checks.observations[OWN].message)
    assert "does not say that it may be sent to" in world.checks.observations[OWN].message
    assert not store.asked


async def test_a_secret_that_cannot_be_read_is_said_to_the_tenant_whose_it_is(world, store):
    world.checks.follow([sink(store.url, credentials={"type": "Bearer", "secretRef": {"name": "token"}})])
    await world.until(lambda: world.state(OWN) is StoreState.UNREACHABLE)
    assert world.checks.observations[OWN].message == "no Secret payments/token"
    assert not store.asked


async def test_a_platforms_secret_is_named_in_the_log_alone(world, store, caplog):
    caplog.set_level(logging.WARNING)
    secret = {"namespace": "vault", "name": "token"}
    world.checks.follow(
        [sink(store.url, "ClusterAuditSink", "central", credentials={"type": "Bearer", "secretRef": secret})]
    )
    await world.until(lambda: world.state(CENTRAL) is StoreState.UNREACHABLE)
    assert "vault" not in str(world.checks.observations[CENTRAL])
    assert "no Secret vault/token" in caplog.text


async def test_a_bug_is_logged_without_what_it_says_and_ends_nothing(world, store, caplog, monkeypatch):
    broken = True
    real = world.checks.stores.open

    async def opened(_, sink, known=None):
        if broken:
            raise RuntimeError("Bearer s3cret")
        return await real(sink, known)

    monkeypatch.setattr(Stores, "open", opened)
    world.checks.follow([sink(store.url)])
    await world.until(lambda: "RuntimeError" in str([each.__dict__ for each in caplog.records]))
    assert "s3cret" not in caplog.text
    broken = False
    await world.until(lambda: world.state(OWN) is StoreState.TAKING)


async def test_a_tenants_bucket_is_not_asked(world):
    bucket = parsed("AuditSink", "own", {"type": "S3", "s3": {"bucket": "logs"}}, "payments")
    world.checks.follow([bucket])
    await world.until(lambda: OWN in world.checks.observations)
    assert world.state(OWN) is StoreState.NOT_ASKED


def test_pauses_grow_with_failures_and_have_an_end():
    times = CheckTimes(every=60, again=5, longest=300)
    assert [times.pause(number) for number in (0, 1, 2, 3, 4, 5, 10_000)] == [60, 5, 60, 120, 240, 300, 300]


async def test_an_access_key_is_taken_from_the_secret_that_the_sink_names(world):
    keys = {"accessKeyID": b"me", "secretAccessKey": b"s3cret\n"}
    world.secrets.held = {("vault", "s3"): SecretValues(keys), ("elsewhere", "s3"): SecretValues({"ca.crt": b"x"})}
    bucket = parsed(
        "ClusterAuditSink",
        "central",
        {
            "type": "S3",
            "s3": {"bucket": "logs"},
            "credentials": {"type": "AccessKey", "secretRef": {"namespace": "vault", "name": "s3"}},
            "tls": {"caSecretRef": {"namespace": "elsewhere", "name": "s3"}},
        },
    )
    access = await world.checks.stores.access(bucket)
    assert (access.access_key_id, access.secret_access_key) == ("me", "s3cret")
    assert "s3cret" not in repr(access)
    world.secrets.held["vault", "s3"] = SecretValues({"accessKeyID": b"me"})
    assert (await world.checks.stores.access(bucket)).reason is Reason.CREDENTIALS_INVALID


async def test_a_bucket_for_the_identity_of_nodes_is_not_asked_without_it(world):
    world.checks.follow([parsed("ClusterAuditSink", "central", {"type": "S3", "s3": {"bucket": "logs"}})])
    await world.until(lambda: CENTRAL in world.checks.observations)
    assert world.state(CENTRAL) is StoreState.NOT_ASKED
    assert "identity of their node" in world.checks.observations[CENTRAL].message
