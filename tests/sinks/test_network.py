"""A tenant's address leads to no service that only the operator's own machine can reach."""

from __future__ import annotations

import json
import socket

import pytest

from audit_operator.api.sink import AuditSinkSpec
from audit_operator.sinks import Access, Failure, Reachable, Reason, open_store
from audit_operator.sinks.network import Network
from tests.sinks.conftest import SPECS

FOREIGN = Network(foreign=True)


def store(url, network):
    return open_store(AuditSinkSpec.model_validate_json(json.dumps(SPECS["VictoriaLogs"](url))), Access(), network)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "[::1]", "169.254.169.254", "[fe80::1]", "[::]", "[::ffff:127.0.0.1]"]
)
def test_addresses_of_this_machine_are_refused_without_a_connection(host):
    refused = store(f"http://{host}:9428", FOREIGN)
    assert isinstance(refused, Failure)
    assert refused.reason is Reason.ADDRESS_INVALID


@pytest.mark.parametrize("host", ["10.0.0.7", "192.0.2.1", "[2001:db8::1]", "logs.audit"])
def test_other_addresses_are_not(host):
    assert not isinstance(store(f"http://{host}:9428", FOREIGN), Failure)


async def test_a_name_that_stands_for_this_machine_is_refused_too(server, monkeypatch):
    here = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [here])
    url = server.url.replace("127.0.0.1", "logs.tenant.example")
    assert (await store(url, FOREIGN).check()).reason is Reason.UNREACHABLE
    assert not server.asked
    assert isinstance(await store(url, Network()).check(), Reachable)


@pytest.mark.parametrize("written", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1.", "localhost"])
async def test_other_ways_to_write_it_lead_there_no_more(server, written):
    opened = store(server.url.replace("127.0.0.1", written), FOREIGN)
    assert isinstance(opened if isinstance(opened, Failure) else await opened.check(), Failure)
    assert not server.asked


async def test_the_platforms_own_stores_may_be_anywhere(server):
    assert isinstance(await store(server.url, Network()).check(), Reachable)
