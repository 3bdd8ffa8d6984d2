"""What Secrets hold reaches shippers, also when it changes, and nothing that would stop a collector does."""

from __future__ import annotations

import asyncio
import subprocess

import pytest

from audit_operator.api.findings import Finding
from audit_operator.cluster.secrets import SecretUnreadable, SecretValues
from audit_operator.controller.credentials import SinkSecrets
from audit_operator.plan.credentials import HeldCredentials, SinkCredentials, identity, sink_name
from tests.plan.test_credentials import BASIC, TLS, own
from tests.plan.test_shipping import OWN, STORE, sink


class MemorySecrets:
    addresses = (STORE["victoriaLogs"]["url"],)

    def __init__(self, **secrets):
        self.held, self.asked = {("payments", name): values for name, values in secrets.items()}, []

    async def read(self, namespace, name):
        self.asked.append((namespace, name))
        held = self.held.get((namespace, name))
        if not held:
            return SecretUnreadable(f"Secret {namespace}/{name} is not there", "make it")
        return SecretValues(held, self.addresses)


class World:
    def __init__(self, **secrets):
        self.secrets, self.changes = MemorySecrets(**secrets), 0
        self.reader = SinkSecrets(self.secrets, self.changed, look_every=0.001)

    def changed(self):
        self.changes += 1

    async def of(self, sink):
        return (await self.reader.of("main", [sink]))[sink.ref]


LOGIN = {"username": b"audit", "password": b"correct horse"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", folder / "tls.key", "-out", folder / "tls.crt", "-days", "1", "-subj", "/CN=client",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - no input from elsewhere
    return {name: (folder / name).read_bytes() for name in ("tls.crt", "tls.key")}


async def test_what_secrets_hold_is_read_by_name():
    world = World(login=LOGIN)
    made = await world.of(own(**BASIC))
    assert isinstance(made, SinkCredentials)
    assert world.secrets.asked == [("payments", "login")]


async def test_nothing_is_read_for_sinks_that_name_none():
    world = World()
    assert await world.reader.of("main", [own()]) == {}
    assert world.secrets.asked == []


async def test_a_secret_that_cannot_be_read_concerns_its_sink_alone():
    world = World(login=LOGIN)
    other = sink("AuditSink", "other", "payments", credentials={"type": "Bearer", "secretRef": {"name": "gone"}})
    found = await world.reader.of("main", [own(**BASIC), other])
    assert isinstance(found[OWN], SinkCredentials)
    assert found[other.ref].message == "Secret payments/gone is not there"
    assert found[other.ref].mend == "make it"


async def test_what_changes_is_told_and_what_does_not_is_the_same_object():
    world = World(login=LOGIN)
    watching = asyncio.create_task(world.reader.watch())
    first = await world.of(own(**BASIC))
    assert await world.of(own(**BASIC)) is first
    await asyncio.sleep(0.02)
    assert world.changes == 0
    world.secrets.held["payments", "login"] = {**LOGIN, "password": b"battery staple"}
    async with asyncio.timeout(60):
        while not world.changes:  # noqa: ASYNC110  # what is waited for is the watcher's
            await asyncio.sleep(0.001)
    assert (await world.of(own(**BASIC))).revision != first.revision
    del world.secrets.held["payments", "login"]
    changes = world.changes
    async with asyncio.timeout(60):
        while world.changes == changes:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.001)
    assert (await world.of(own(**BASIC))).stale is not None
    watching.cancel()


async def test_what_could_be_used_last_is_used_until_there_is_something_better():
    world = World(login=LOGIN)
    first = await world.of(own(**BASIC))
    for broken in (None, {"username": b"a:b", "password": b"x"}):
        world.secrets.held["payments", "login"] = broken
        kept = await world.of(own(**BASIC))
        assert (kept.files, kept.revision) == (first.files, first.revision)
        assert "payments/login" in kept.stale.message
    assert await world.of(own(**BASIC)) is kept
    world.secrets.held["payments", "login"] = LOGIN
    assert await world.of(own(**BASIC)) == first


@pytest.mark.parametrize("asks_first", ["sidecars", "main"])
async def test_what_shippers_hold_is_used_also_if_somebody_else_has_asked_before_they_said_so(asks_first):
    world, sink_ = World(), own(**BASIC)
    held = SinkCredentials({"authorization": b"Basic x"})
    if asks_first == "sidecars":
        assert isinstance((await world.reader.of("sidecars", [sink_]))[OWN], Finding)
    world.reader.recall({sink_name(OWN): HeldCredentials(identity(sink_), held)})
    for _ in range(2):
        kept = await world.of(sink_)
        assert kept.files == held.files
        assert kept.stale is not None
    assert isinstance(await world.of(own(**BASIC, victoriaLogs={"url": "http://mallory.example:9428"})), Finding)


async def test_a_sink_asked_for_otherwise_does_not_cost_shippers_what_they_hold():
    world, sink_ = World(), own(**BASIC)
    world.reader.recall({sink_name(OWN): HeldCredentials(identity(sink_), SinkCredentials({"authorization": b"x"}))})
    assert isinstance(await world.of(own(**BASIC, victoriaLogs={"url": "http://other.example:9428"})), Finding)
    assert isinstance(await world.of(sink_), SinkCredentials)


async def test_a_secret_that_does_not_name_the_address_is_sent_nowhere():
    world = World(login=LOGIN)
    world.secrets.addresses = ("https://elsewhere.example",)
    refused = await world.of(own(**BASIC))
    assert refused.message == "Secret payments/login does not say that it may be sent to http://logs.audit:9428"
    assert refused.mend.startswith("kubectl annotate secret login -n payments audit-operator.dev/sink-address=http://")
    world.secrets.addresses = ("https://elsewhere.example", "http://LOGS.audit:9428/any/path")
    assert isinstance(await world.of(own(**BASIC)), SinkCredentials)


@pytest.mark.parametrize("url", ["https://logs.audit:9428", "http://logs.audit", "http://mallory.example:9428"])
async def test_credentials_of_one_store_are_not_used_for_another(url):
    world = World(login=LOGIN)
    assert isinstance(await world.of(own(**BASIC)), SinkCredentials)
    assert isinstance(await world.of(own(**BASIC, victoriaLogs={"url": url})), Finding)


@pytest.mark.parametrize("now", [BASIC, {"credentials": {"type": "Basic", "secretRef": {"name": "other"}}}])
async def test_what_could_be_used_last_is_nothing_for_a_sink_that_names_another_secret_or_is_made_anew(now):
    world = World(login=LOGIN)
    await world.of(own(**BASIC))
    world.secrets.held.clear()
    other = own(**now)
    if now is BASIC:
        other = other.model_copy(update={"metadata": other.metadata.model_copy(update={"uid": "another"})})
    assert isinstance(await world.of(other), Finding)


async def test_a_bug_at_one_sink_concerns_that_sink_alone_and_is_logged_without_what_it_says(monkeypatch, caplog):
    def checked(sink, made):
        if sink.ref == OWN:
            raise TypeError("hunter2")
        return made

    monkeypatch.setattr("audit_operator.controller.credentials._checked", checked)
    world = World(login=LOGIN)
    other = sink("AuditSink", "other", "payments", **BASIC)
    found = await world.reader.of("main", [own(**BASIC), other])
    assert isinstance(found[OWN], Finding)
    assert isinstance(found[other.ref], SinkCredentials)
    watching = asyncio.create_task(world.reader.watch())
    asked = len(world.secrets.asked)
    async with asyncio.timeout(60):
        while len(world.secrets.asked) < asked + 6:  # noqa: ASYNC110  # what is waited for is the watcher's
            await asyncio.sleep(0.001)
    assert not watching.done()
    watching.cancel()
    assert "hunter2" not in caplog.text
    assert [each.reason for each in caplog.records if each.levelname == "ERROR"] == ["TypeError"]


@pytest.fixture
def negative(tmp_path):
    """A certificate whose serial number is none."""
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
        tmp_path / "key", "-out", tmp_path / "negative", "-days", "1", "-subj", "/CN=x", "-set_serial", "-5",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - no input from elsewhere
    return (tmp_path / "negative").read_bytes()


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
async def test_what_only_python_takes_is_not_handed_to_a_collector(certificate, negative):
    good = certificate["tls.crt"]
    wanted = {"tls": {"caSecretRef": {"name": "authority"}}}
    refused = await World(authority={"ca.crt": negative}).of(own(**wanted))
    assert "takes none of the certificates" in refused.message
    taken = await World(authority={"ca.crt": negative + "# é\n".encode() + good}).of(own(**wanted))
    assert taken.files == {"ca.crt": good}
    both = {"tls.crt": certificate["tls.key"] + good, "tls.key": b"nothing"}
    elsewhere = await World(client=both).of(own(tls={"clientSecretRef": {"name": "client"}}))
    assert "key of the client certificate cannot be read" in elsewhere.message


async def test_a_certificate_of_any_characters_ends_nothing():
    world = World(authority={"ca.crt": "-----BEGIN CERTIFICATE-----\né\n".encode()}, client=LOGIN)
    wanted = {"tls": {"caSecretRef": {"name": "authority"}}}
    assert isinstance(await world.of(own(**wanted)), Finding)


async def test_what_nobody_asks_for_any_more_is_read_no_more():
    world = World(login=LOGIN)
    watching = asyncio.create_task(world.reader.watch())
    await world.of(own(**BASIC))
    world.reader.forget("main")
    await asyncio.sleep(0.01)
    asked = len(world.secrets.asked)
    await asyncio.sleep(0.02)
    assert len(world.secrets.asked) == asked
    assert not world.reader._known
    watching.cancel()


async def test_certificates_that_can_be_used_are_handed_on(certificate):
    world = World(authority={"ca.crt": certificate["tls.crt"]}, client=certificate)
    assert isinstance(await world.of(own(**TLS)), SinkCredentials)


@pytest.mark.parametrize("broken", ["ca.crt", "tls.crt", "tls.key"])
async def test_certificates_that_would_stop_a_collector_are_not(certificate, broken):
    held = {"ca.crt": certificate["tls.crt"], **certificate, broken: b"-----BEGIN hunter2-----"}
    world = World(authority={"ca.crt": held["ca.crt"]}, client={name: held[name] for name in ("tls.crt", "tls.key")})
    made = await world.of(own(**TLS))
    assert isinstance(made, Finding)
    assert "payments/authority and payments/client" in made.message
    assert "hunter2" not in str(made)
