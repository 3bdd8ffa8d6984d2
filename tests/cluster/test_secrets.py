import asyncio
import base64
import logging

import pytest

from audit_operator.cluster.resources import SECRET
from audit_operator.cluster.secrets import SecretMemory, SecretReader, SecretUnreadable
from tests.cluster.fake_api_server import Fault

PASSWORD = "correct horse"


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def reader(client, clock):
    return SecretReader(client, clock=clock)


def put(api, name="store", namespace="payments", **values):
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    api.put(SECRET, name, namespace, data=data)


async def test_a_secret_is_read_by_its_name_and_never_listed(api, reader):
    put(api, username="audit", password=PASSWORD)
    values = await reader.read("payments", "store")
    assert dict(values) == {"username": b"audit", "password": PASSWORD.encode()}
    assert [(each.method, each.path) for each in api.seen] == [("GET", "/api/v1/namespaces/payments/secrets/store")]


async def test_an_empty_secret_has_no_values(api, reader):
    api.put(SECRET, "empty", "payments")
    assert dict(await reader.read("payments", "empty")) == {}


@pytest.mark.parametrize(("namespace", "name"), [("", "store"), ("payments", "")])
async def test_a_name_that_would_address_many_secrets_is_a_bug(api, reader, namespace, name):
    with pytest.raises(ValueError, match="namespace and its name"):
        await reader.read(namespace, name)
    assert not api.seen


async def test_values_show_in_no_text_form_and_in_no_log(api, reader, clock, caplog):
    caplog.set_level(logging.DEBUG)
    put(api, password=PASSWORD)
    values = await reader.read("payments", "store")
    clock.now += 61
    api.faults.append(Fault("GET", "secrets", times=99, status=503))
    await reader.read("payments", "store")
    shown = f"{values!r} {values} {reader!r} {reader} {caplog.text}"
    assert "SecretValues(password)" in shown
    assert "last known value is used" in shown
    assert PASSWORD not in shown
    assert base64.b64encode(PASSWORD.encode()).decode() not in shown


async def test_an_answer_is_remembered_for_a_while(api, reader, clock):
    put(api, password="old")
    await reader.read("payments", "store")
    put(api, password="new")
    clock.now += 59
    assert (await reader.read("payments", "store"))["password"] == b"old"
    clock.now += 2
    assert (await reader.read("payments", "store"))["password"] == b"new"
    assert len(api.seen) == 2


async def test_a_secret_that_was_missing_is_looked_for_again_sooner(api, reader, clock):
    missing = await reader.read("payments", "store")
    assert isinstance(missing, SecretUnreadable)
    assert missing.message == "Secret payments/store does not exist"
    assert missing.mend == "create Secret store in namespace payments, or name another one"
    put(api, password="new")
    assert await reader.read("payments", "store") == missing
    clock.now += 11
    assert (await reader.read("payments", "store"))["password"] == b"new"


async def test_a_secret_that_is_deleted_or_withdrawn_is_not_used_any_longer(api, reader, clock):
    put(api, password=PASSWORD)
    await reader.read("payments", "store")
    clock.now += 61
    api.faults.append(Fault("GET", "secrets", status=403))
    assert isinstance(await reader.read("payments", "store"), SecretUnreadable)
    clock.now += 11
    api.faults.append(Fault("GET", "secrets", times=99, status=503))
    assert isinstance(await reader.read("payments", "store"), SecretUnreadable)


async def test_a_refusal_names_what_the_installer_must_allow(api, reader):
    api.faults.append(Fault("GET", "secrets", status=403))
    refused = await reader.read("payments", "store")
    assert refused.message == "the operator may not read Secret payments/store"
    assert "add payments to the chart's value shipper.secretNamespaces" in refused.mend


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 401}, {"drop": "before"}])
async def test_during_an_outage_the_last_known_value_serves_for_an_hour(api, reader, clock, fault):
    put(api, password=PASSWORD)
    await reader.read("payments", "store")
    api.faults.append(Fault("GET", "secrets", times=10_000, **fault))
    clock.now += 3599
    assert (await reader.read("payments", "store"))["password"] == PASSWORD.encode()
    asked = len(api.seen)
    clock.now += 11
    gone = await reader.read("payments", "store")
    assert len(api.seen) > asked
    assert gone.message.startswith("Secret payments/store cannot be read: the API server does not answer")


async def test_after_an_outage_the_present_value_is_used_soon(api, reader, clock):
    put(api, password="old")
    await reader.read("payments", "store")
    clock.now += 61
    api.faults.append(Fault("GET", "secrets", times=4, status=503))
    assert (await reader.read("payments", "store"))["password"] == b"old"
    put(api, password="new")
    clock.now += 11
    assert (await reader.read("payments", "store"))["password"] == b"new"


@pytest.mark.parametrize("data", [{"password": "no base64!"}, {"password": 5}, ["password"], {"password": None}])
async def test_what_is_not_base64_is_said_without_quoting_it(api, reader, data):
    api.put(SECRET, "store", "payments", data=data)
    broken = await reader.read("payments", "store")
    assert broken.message == "Secret payments/store holds a value that is not base64"
    assert "no base64!" not in broken.mend


async def test_callers_at_the_same_time_share_one_request(api, reader):
    put(api, password=PASSWORD)
    answers = await asyncio.gather(*(reader.read("payments", "store") for _ in range(20)))
    assert {each["password"] for each in answers} == {PASSWORD.encode()}
    assert len(api.seen) == 1


async def test_a_caller_that_gives_up_takes_the_answer_from_nobody(api, reader):
    put(api, password=PASSWORD)
    api.faults.append(Fault("GET", "secrets", delay=0.2))
    impatient = asyncio.create_task(reader.read("payments", "store"))
    patient = asyncio.create_task(reader.read("payments", "store"))
    await api.wait_for(lambda: api.seen)
    impatient.cancel()
    assert (await patient)["password"] == PASSWORD.encode()
    assert len(api.seen) == 1


async def test_what_nobody_asks_for_any_more_is_forgotten(api, reader, clock):
    put(api, password=PASSWORD)
    put(api, "other", password="other")
    await reader.read("payments", "store")
    clock.now += 3601
    await reader.read("payments", "other")
    assert set(reader._known) == set(reader._remembered) == {("payments", "other")}


async def test_what_is_forgotten_is_not_looked_for_at_every_answer(api, client, clock):
    reader = SecretReader(client, SecretMemory(outage=30.0), clock)
    for name, then in (("first", 40), ("second", 21), ("third", 0)):
        put(api, name, password=PASSWORD)
        await reader.read("payments", name)
        known = {each for _, each in reader._known}
        assert known == ({"second", "third"} if name == "third" else known | {"first", name})
        clock.now += then
